//! Which calls a function can make, and so what its role must allow: no more, no less. A test compares this with the
//! template and with the adapters' source.

/// The calls of one adapter.
#[derive(Clone, Copy, Debug)]
pub struct Capability {
    /// The `Sid` of its statement.
    pub sid: &'static str,
    /// The file of the adapter.
    pub source: &'static str,
    /// Each SDK call in it, with the actions that IAM asks for.
    pub calls: &'static [(&'static str, &'static [&'static str])],
}

/// The table. Transactions ask for the actions of their parts.
pub const TABLE: Capability = Capability {
    sid: "Table",
    source: "crates/aws/src/table",
    calls: &[
        ("batch_get_item", &["dynamodb:BatchGetItem"]),
        ("batch_write_item", &["dynamodb:BatchWriteItem"]),
        ("delete_item", &["dynamodb:DeleteItem"]),
        ("get_item", &["dynamodb:GetItem"]),
        ("query", &["dynamodb:Query"]),
        ("transact_write_items", &["dynamodb:ConditionCheckItem", "dynamodb:DeleteItem", "dynamodb:PutItem"]),
    ],
};
/// The bus.
pub const BUS: Capability =
    Capability { sid: "Bus", source: "crates/aws/src/bus.rs", calls: &[("put_events", &["events:PutEvents"])] };
/// Drivers of actions.
pub const DRIVERS: Capability = Capability {
    sid: "Drivers",
    source: "crates/aws/src/drivers.rs",
    calls: &[("send_task_success", &["states:SendTaskSuccess"]), ("start_execution", &["states:StartExecution"])],
};
/// Signing approval links.
pub const SIGN_LINKS: Capability = Capability {
    sid: "SignLinks",
    source: "crates/aws/src/link_keys.rs",
    calls: &[("generate_mac", &["kms:GenerateMac"])],
};
/// Checking approval links.
pub const CHECK_LINKS: Capability = Capability {
    sid: "CheckLinks",
    source: "crates/aws/src/link_keys.rs",
    calls: &[("verify_mac", &["kms:VerifyMac"])],
};
/// Rules of sources, within the stack's own names.
pub const SOURCE_RULES: Capability = Capability {
    sid: "SourceRules",
    source: "crates/aws/src/rules.rs",
    calls: &[
        ("delete_rule", &["events:DeleteRule"]),
        ("put_rule", &["events:PutRule"]),
        ("put_targets", &["events:PutTargets"]),
        ("remove_targets", &["events:RemoveTargets"]),
    ],
};
/// Listing rules, which IAM allows for all or none.
pub const LIST_RULES: Capability =
    Capability { sid: "ListRules", source: "crates/aws/src/rules.rs", calls: &[("list_rules", &["events:ListRules"])] };
/// Reading the secrets of connections.
pub const READ_SECRETS: Capability = Capability {
    sid: "ReadSecrets",
    source: "crates/aws/src/vault.rs",
    calls: &[("get_secret_value", &["secretsmanager:GetSecretValue"])],
};
/// Keeping the secrets of connections.
pub const KEEP_SECRETS: Capability = Capability {
    sid: "KeepSecrets",
    source: "crates/aws/src/vault.rs",
    calls: &[
        ("create_secret", &["secretsmanager:CreateSecret"]),
        ("delete_secret", &["secretsmanager:DeleteSecret"]),
        ("put_secret_value", &["secretsmanager:PutSecretValue"]),
    ],
};
/// Marking artifacts that nobody needs any more. Without the bucket's listing an object that is not there is one that is
/// denied.
pub const EXPIRE_ARTIFACTS: Capability = Capability {
    sid: "ExpireArtifacts",
    source: "crates/aws/src/artifacts/marks.rs",
    calls: &[
        ("get_object_tagging", &["s3:GetObjectTagging", "s3:ListBucket"]),
        ("put_object_tagging", &["s3:PutObjectTagging"]),
    ],
};
/// Sealing the secrets of declarations.
pub const SEAL: Capability =
    Capability { sid: "Seal", source: "crates/aws/src/sealer.rs", calls: &[("encrypt", &["kms:Encrypt"])] };
/// Opening the secrets of declarations.
pub const UNSEAL: Capability =
    Capability { sid: "Unseal", source: "crates/aws/src/sealer.rs", calls: &[("decrypt", &["kms:Decrypt"])] };
/// Reading the policies that say who may do what.
pub const POLICIES: Capability = Capability {
    sid: "Policies",
    source: "crates/aws/src/policy_object.rs",
    calls: &[("get_object", &["s3:GetObject"])],
};
/// Acting as the stack's service role, from which the roles of pipelines and actions are assumed.
pub const ROLES: Capability = Capability {
    sid: "Roles",
    source: "crates/actions/src/roles",
    calls: &[("assume_role", &["sts:AssumeRole", "sts:TagSession"])],
};

/// Objects of artifacts, sources and deploys, as providers handle them under the pipeline's role. What is copied keeps its
/// tags; without the bucket's listing an object that is not there is one that is denied.
pub const OBJECTS: Capability = Capability {
    sid: "Objects",
    source: "crates/actions/src/objects",
    calls: &[
        ("abort_multipart_upload", &["s3:AbortMultipartUpload"]),
        ("complete_multipart_upload", &["s3:PutObject"]),
        (
            "copy_object",
            &[
                "s3:GetObject",
                "s3:GetObjectVersion",
                "s3:GetObjectTagging",
                "s3:GetObjectVersionTagging",
                "s3:PutObject",
                "s3:PutObjectTagging",
            ],
        ),
        ("create_multipart_upload", &["s3:PutObject"]),
        ("get_object", &["s3:GetObject"]),
        ("head_object", &["s3:GetObject", "s3:GetObjectVersion"]),
        ("put_object", &["s3:PutObject"]),
        ("upload_part", &["s3:PutObject"]),
        ("upload_part_copy", &["s3:GetObject", "s3:GetObjectVersion", "s3:PutObject"]),
    ],
};
/// What only objects outside of the artifact bucket are given: access lists of deploys.
pub const DEPLOYED_OBJECTS: &[&str] = &["s3:PutObjectAcl"];
/// Telling an object that is not there from one that is denied.
pub const LIST_OBJECTS: Capability = Capability {
    sid: "ListObjects",
    source: "crates/actions/src/objects",
    calls: &[("head_object", &["s3:ListBucket"])],
};
/// Becoming an action's role from the pipelines' role.
pub const ACTION_ROLES: Capability = Capability { sid: "ActionRoles", ..ROLES };
/// CodeCommit sources.
pub const CODECOMMIT: Capability = Capability {
    sid: "CodeCommit",
    source: "crates/actions/src/codecommit",
    calls: &[
        ("get_blob", &["codecommit:GetBlob"]),
        ("get_branch", &["codecommit:GetBranch"]),
        ("get_commit", &["codecommit:GetCommit"]),
        ("get_folder", &["codecommit:GetFolder"]),
    ],
};
/// Builds.
pub const CODEBUILD: Capability = Capability {
    sid: "CodeBuild",
    source: "crates/actions/src/codebuild",
    calls: &[
        ("batch_get_build_batches", &["codebuild:BatchGetBuildBatches"]),
        ("batch_get_builds", &["codebuild:BatchGetBuilds"]),
        ("list_build_batches_for_project", &["codebuild:ListBuildBatchesForProject"]),
        ("list_builds_for_project", &["codebuild:ListBuildsForProject"]),
        ("start_build", &["codebuild:StartBuild"]),
        ("start_build_batch", &["codebuild:StartBuildBatch"]),
    ],
};
/// Lambda actions.
pub const FUNCTIONS: Capability = Capability {
    sid: "Functions",
    source: "crates/actions/src/lambda",
    calls: &[("invoke", &["lambda:InvokeFunction"])],
};
/// Step Functions actions.
pub const STATE_MACHINES: Capability = Capability {
    sid: "StateMachines",
    source: "crates/actions/src/step_functions",
    calls: &[
        ("describe_execution", &["states:DescribeExecution"]),
        ("describe_state_machine", &["states:DescribeStateMachine"]),
        ("start_execution", &["states:StartExecution"]),
    ],
};
/// Telling people of approvals.
pub const TOPICS: Capability =
    Capability { sid: "Topics", source: "crates/actions/src/approval", calls: &[("publish", &["sns:Publish"])] };

/// What providers call under the pipeline's role, and so what the stack's own role for pipelines must allow.
pub const PIPELINES: [Capability; 8] =
    [OBJECTS, LIST_OBJECTS, ACTION_ROLES, CODECOMMIT, CODEBUILD, FUNCTIONS, STATE_MACHINES, TOPICS];
/// What S3 does with the artifact key in the name of whoever reads or writes an artifact.
pub const BY_S3: (&str, &[&str]) = ("Key", &["kms:Decrypt", "kms:GenerateDataKey"]);

const PLANE: [Capability; 3] = [TABLE, BUS, DRIVERS];

/// What Lambda itself does in a function's name: sends what failed to the dead letters, reads the table's stream.
pub const BY_LAMBDA: &[(&str, &[&str])] = &[
    ("DeadLetters", &["sqs:SendMessage"]),
    ("Stream", &["dynamodb:DescribeStream", "dynamodb:GetRecords", "dynamodb:GetShardIterator"]),
    ("Streams", &["dynamodb:ListStreams"]),
];

/// What a function can do.
pub fn of(function: &str) -> Vec<Capability> {
    let own: &[Capability] = match function {
        "approval-callback" => &[CHECK_LINKS, POLICIES],
        "dispatch-action" => &[ROLES, SIGN_LINKS, READ_SECRETS, UNSEAL, POLICIES],
        "poll-sources" => &[ROLES, READ_SECRETS],
        "serve-api" => {
            &[SIGN_LINKS, SOURCE_RULES, LIST_RULES, READ_SECRETS, KEEP_SECRETS, SEAL, UNSEAL, ROLES, POLICIES]
        }
        "sweep" => &[SOURCE_RULES, LIST_RULES, EXPIRE_ARTIFACTS],
        "trigger-intake" => &[READ_SECRETS],
        _ => &[],
    };
    PLANE.iter().chain(own).copied().collect()
}
