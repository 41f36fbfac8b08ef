//! Approvals: who is told, and what.

use control::ports::{ActionReply, ActionRunner as _};
use engine::Approval;

use crate::setup::{config, request, runner, unique};

#[tokio::test]
async fn a_topic_is_told_and_an_unknown_one_is_no_failure() {
    let Some(config) = config() else { return };
    let sns = aws_sdk_sns::Client::new(&config);
    let topic = sns.create_topic().name(unique("t")).send().await.unwrap().topic_arn().unwrap().to_owned();
    let mut request = request("Approval", "Manual", &[("NotificationArn", &topic), ("CustomData", "look")]);
    request.action.approval = Some(Approval { token: "tok".into(), required: 1, decisions: Vec::new() });
    let ActionReply::Pending { started, poll_at } = runner(&config).start(request.clone()).await else { panic!() };
    assert_eq!((started.summary, poll_at), (Some(format!("asked {topic}")), None));

    let missing = format!("{topic}-none");
    request.declaration.configuration.insert("NotificationArn".into(), missing);
    let ActionReply::Pending { started, .. } = runner(&config).start(request).await else { panic!() };
    assert!(started.summary.unwrap().starts_with("nobody was notified: sns:Publish"));
}
