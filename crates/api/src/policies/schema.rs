//! The words that policies may use.

use std::fmt::Write;

use model::shapes;

/// What naming a role in a declaration needs.
pub const PASS_ROLE: &str = "iam:PassRole";
/// Penstock's own operations.
const EXTENSIONS: [&str; 8] = [
    "ExplainPipelineExecution",
    "GetActionLog",
    "GetApprovalLink",
    "GetThirdPartyClient",
    "ListAuditRecords",
    "CreateConnection",
    "DeleteConnection",
    "ListConnections",
];

/// The action of an operation: `codepipeline:OPERATION`, or `penstock:OPERATION` of Penstock's own.
pub fn action(operation: &str, extension: bool) -> String {
    format!("{}:{operation}", if extension { "penstock" } else { "codepipeline" })
}

/// The schema, as Cedar writes schemas.
///
/// A pipeline is `Pipeline::"ARN"`, a stage `Stage::"ARN/STAGE"` in its pipeline, an action
/// `PipelineAction::"ARN/STAGE/ACTION"` in its stage: CodePipeline's own resource types. What names none of them is about
/// the `Account::"ID"`, which everything is in. Who asks is `Principal::"ARN"`.
pub fn text() -> String {
    let mut text = String::from(
        "entity Account;\n\
         entity Pipeline in [Account] = { name: String };\n\
         entity Stage in [Pipeline] = { name: String };\n\
         entity PipelineAction in [Stage] = { name: String };\n\
         entity ActionType in [Account];\n\
         entity Webhook in [Account];\n\
         entity Role;\n\
         entity Principal = { arn: String, account: String, name: String };\n",
    );
    const RESOURCES: &str = "[Account, Pipeline, Stage, PipelineAction, ActionType, Webhook]";
    let own = EXTENSIONS.iter().map(|name| action(name, true));
    for name in shapes::operations().map(|(name, _)| action(name, false)).chain(own) {
        // Who started the execution that an approval is of, where that is known.
        let context = if name.ends_with(":PutApprovalResult") { ", context: { starter?: String }" } else { "" };
        // Writing to a string cannot fail.
        let _ =
            writeln!(text, "action \"{name}\" appliesTo {{ principal: Principal, resource: {RESOURCES}{context} }};");
    }
    let _ = writeln!(text, "action \"{PASS_ROLE}\" appliesTo {{ principal: Principal, resource: Role }};");
    text
}
