use serde_json::json;

use super::*;

const ADA: Asker<'static> = Asker { arn: "arn:aws:iam::123456789012:user/ada", account: "123456789012" };
const BOB: Asker<'static> = Asker { arn: "arn:aws:iam::123456789012:user/bob", account: "123456789012" };

fn place() -> control::keys::Place {
    control::keys::Place { account: "123456789012".into(), region: "eu-west-1".into() }
}

fn approval(stage: &str) -> Resource {
    let input = json!({ "pipelineName": "release", "stageName": stage, "actionName": "Decide" });
    Resource::of("PutApprovalResult", &input, &place())
}

const APPROVE: &str = "codepipeline:PutApprovalResult";

#[test]
fn without_policies_the_account_may_all() {
    let none = Policies::default();
    assert!(none.permit(ADA, APPROVE, &approval("Prod"), None));
    let stranger = Asker { arn: "arn:aws:iam::999999999999:user/eve", ..ADA };
    assert!(!none.permit(stranger, APPROVE, &approval("Prod"), None));
}

#[test]
fn what_no_policy_permits_is_denied() {
    let policies = Policies::parse("").unwrap();
    assert!(!policies.permit(ADA, APPROVE, &approval("Prod"), None));
}

#[test]
fn approving_is_restricted_by_stage_and_starter() {
    let policies = Policies::parse(
        r#"
        permit (principal, action, resource);
        forbid (principal, action == Action::"codepipeline:PutApprovalResult",
                resource in Stage::"arn:aws:codepipeline:eu-west-1:123456789012:release/Prod")
        unless { principal.name == "ada" };
        forbid (principal, action == Action::"codepipeline:PutApprovalResult", resource)
        when { context has starter && context.starter == principal.arn };
        "#,
    )
    .unwrap();
    assert!(policies.permit(ADA, APPROVE, &approval("Prod"), Some(BOB.arn)));
    assert!(!policies.permit(ADA, APPROVE, &approval("Prod"), Some(ADA.arn)), "the starter");
    assert!(!policies.permit(BOB, APPROVE, &approval("Prod"), None));
    assert!(policies.permit(BOB, APPROVE, &approval("Test"), Some(ADA.arn)));
    let link = Asker { arn: LINK, ..ADA };
    assert!(!policies.permit(link, APPROVE, &approval("Prod"), None), "no links for such a stage");
    assert!(policies.permit(link, APPROVE, &approval("Test"), None));
}

#[test]
fn resources_are_codepipelines_own() {
    let of = |operation: &str, input| Resource::of(operation, &input, &place()).shown();
    let arn = "arn:aws:codepipeline:eu-west-1:123456789012:";
    assert_eq!(of("GetPipeline", json!({ "name": "p" })), format!("{arn}p"));
    assert_eq!(of("CreatePipeline", json!({ "pipeline": { "name": "p" } })), format!("{arn}p"));
    assert_eq!(of("RetryStageExecution", json!({ "pipelineName": "p", "stageName": "s" })), format!("{arn}p/s"));
    let builder = json!({ "category": "Build", "provider": "B", "version": "1" });
    assert_eq!(of("CreateCustomActionType", builder), format!("{arn}actiontype:Custom/Build/B/1"));
    assert_eq!(of("PutWebhook", json!({ "webhook": { "name": "w" } })), format!("{arn}webhook:w"));
    assert_eq!(of("DeleteWebhook", json!({ "name": "w" })), format!("{arn}webhook:w"));
    assert_eq!(of("TagResource", json!({ "resourceArn": format!("{arn}p") })), format!("{arn}p"));
    assert_eq!(of("ListPipelines", json!({})), "arn:aws:iam::123456789012:root");
}

#[test]
fn policies_are_checked_when_they_are_loaded() {
    for (wrong, part) in [
        ("permit (principal, action, resource)", "unexpected end of input"),
        (r#"permit (principal, action == Action::"codepipeline:StartPipeline", resource);"#, "StartPipeline"),
        ("permit (principal, action, resource) when { principal.nmae == \"ada\" };", "nmae"),
        (r#"permit (principal, action, resource == Pipline::"x");"#, "Pipline"),
    ] {
        let Err(error) = Policies::parse(wrong) else { panic!("{wrong} is taken") };
        assert!(error.to_string().contains(part), "{error}");
    }
    let missing = Policies::load(Path::new("nowhere.cedar")).err().unwrap();
    assert_eq!(missing.to_string(), "nowhere.cedar: cannot be read");
}

#[test]
fn every_role_of_a_declaration_is_asked_about() {
    let policies = Policies::parse(
        r#"
        permit (principal, action, resource) unless { action == Action::"iam:PassRole" };
        permit (principal, action == Action::"iam:PassRole", resource == Role::"arn:aws:iam::123456789012:role/ship");
        "#,
    )
    .unwrap();
    let may = |role: &str| policies.permit(ADA, schema::PASS_ROLE, &Resource::Role(role.into()), None);
    assert!(may("arn:aws:iam::123456789012:role/ship") && !may("arn:aws:iam::123456789012:role/admin"));
}
