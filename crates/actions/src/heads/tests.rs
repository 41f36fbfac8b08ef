use std::collections::BTreeMap;

use control::rows::PipelineRef;
use control::sources::{Looks, Pointer};
use model::{PipelineId, PipelineType};
use serde_json::json;

use super::*;
use crate::roles::{RoleError, SameRole};
use crate::testing::FakeAws;

struct NoConnections;

#[async_trait]
impl ConnectionsByArn for NoConnections {
    async fn by_arn(&self, _: &str) -> Result<Option<Connection>, PortError> {
        Ok(None)
    }
}

/// Notes for whom configurations were asked.
struct Noted(SameRole, std::sync::Mutex<Vec<Session>>);

#[async_trait]
impl Roles for Noted {
    async fn config(&self, session: &Session) -> Result<aws_types::SdkConfig, RoleError> {
        self.1.lock().unwrap().push(session.clone());
        self.0.config(session).await
    }

    async fn limited(&self, session: &Session, policy: &str) -> Result<aws_credential_types::Credentials, RoleError> {
        self.0.limited(session, policy).await
    }
}

fn source() -> PolledSource {
    let pipeline = PipelineRef { id: PipelineId(uuid::Uuid::nil()), name: "pipe".into() };
    let pointer = Pointer {
        pipeline,
        kind: PipelineType::V2,
        action: "Act".into(),
        looks: Looks::Branch("main".into()),
        polls: true,
        role_arn: "arn:aws:iam::111122223333:role/penstock/act".into(),
        region: Some("eu-central-1".into()),
    };
    PolledSource {
        resource: Resource::CodeCommit { repository: "shop".into() },
        pointer,
        since: Timestamp(0),
        looked_at: None,
        changed_at: Timestamp(0),
        seen: BTreeMap::new(),
        disabled_at: None,
    }
}

fn heads(fake: &FakeAws) -> (ProviderHeads, Arc<Noted>) {
    let roles = Arc::new(Noted(SameRole(fake.config()), std::sync::Mutex::default()));
    let heads = ProviderHeads {
        roles: roles.clone(),
        connections: Arc::new(NoConnections),
        web: Web::with(fake.clone()),
        account: "111122223333".into(),
        region: "us-east-1".into(),
    };
    (heads, roles)
}

fn refusing(kind: &'static str) -> FakeAws {
    FakeAws::new(move |_| (400, json!({ "__type": kind, "message": "it says" }).to_string()))
}

#[tokio::test]
async fn the_head_of_a_codecommit_branch_is_looked_at_under_the_actions_role_in_its_region() {
    let fake = FakeAws::new(|_| (200, json!({ "branch": { "branchName": "main", "commitId": "c1" } }).to_string()));
    let (heads, roles) = heads(&fake);
    let found = heads.branches(&source(), Some("main")).await.unwrap();
    let commit = Commit { id: "c1".into(), ..Commit::default() };
    assert_eq!(found, [BranchHead { branch: "main".into(), commit }]);
    let asked = &fake.requests()[0];
    assert_eq!(
        (asked.operation(), asked.json()),
        ("GetBranch", json!({ "repositoryName": "shop", "branchName": "main" }))
    );
    assert!(asked.uri.starts_with("https://codecommit.eu-central-1."), "{}", asked.uri);
    let session = roles.1.lock().unwrap()[0].clone();
    assert_eq!(session.role_arn, "arn:aws:iam::111122223333:role/penstock/act");
    assert_eq!(session.external_id, "arn:aws:codepipeline:us-east-1:111122223333:pipe");
}

#[tokio::test]
async fn a_branch_that_is_not_there_has_no_head_and_what_is_denied_says_what_to_allow() {
    let (heads, _) = heads(&refusing("BranchDoesNotExistException"));
    assert_eq!(heads.branches(&source(), Some("main")).await.unwrap(), []);
    for (kind, says) in [
        ("AccessDeniedException", "codecommit:GetBranch on arn:aws:codecommit:eu-central-1:111122223333:shop"),
        ("RepositoryDoesNotExistException", "RepositoryDoesNotExistException: it says"),
    ] {
        let (heads, _) = self::heads(&refusing(kind));
        let error = heads.branches(&source(), Some("main")).await.unwrap_err();
        assert!(matches!(error, PortError::Invalid(_)) && error.to_string().contains(says), "{error}");
    }
    let (heads, _) = self::heads(&refusing("ThrottlingException"));
    let error = heads.branches(&source(), Some("main")).await.unwrap_err();
    assert!(matches!(error, PortError::Unavailable(_)), "{error}");
}
