//! Policies on AWS: read before anybody is served, renewed while calls come, and never relied on for too long.

use std::sync::{Arc, Mutex};

use api::policies::{Asker, Resource};
use async_trait::async_trait;
use control::ports::PortError;
use functions::policies::{PolicyText, StackPolicies};
use model::Timestamp;
use testkit::clock::ManualClock;

pub const ALL: &str = "permit (principal, action, resource);";
const NOBODY: &str = "forbid (principal, action, resource);";
const MINUTE: i64 = 60_000;

/// A text that can be changed, broken and counted.
#[derive(Default)]
pub struct Text(Mutex<(Option<String>, u32)>);

impl Text {
    pub fn of(text: &str) -> Arc<Self> {
        Arc::new(Self(Mutex::new((Some(text.into()), 0))))
    }

    fn set(&self, text: Option<&str>) {
        self.0.lock().expect("no panic before").0 = text.map(str::to_owned);
    }

    fn reads(&self) -> u32 {
        self.0.lock().expect("no panic before").1
    }
}

#[async_trait]
impl PolicyText for Text {
    async fn read(&self, known: Option<&str>) -> Result<Option<(String, String)>, PortError> {
        let mut state = self.0.lock().expect("no panic before");
        state.1 += 1;
        let text = state.0.clone().ok_or_else(|| PortError::Unavailable("s3://b/k".into()))?;
        Ok((known != Some(text.as_str())).then(|| (text.clone(), text)))
    }
}

fn policies(text: &Arc<Text>) -> (StackPolicies, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::at(Timestamp(1_795_500_000_000)));
    (StackPolicies::new(Some(text.clone()), clock.clone()), clock)
}

async fn may(policies: &StackPolicies) -> Result<bool, String> {
    let asker = Asker { arn: "arn:aws:iam::123456789012:user/ada", account: "123456789012" };
    let resource = Resource::Account("123456789012".into());
    let in_force = policies.current().await.map_err(|error| error.to_string())?;
    Ok(in_force.permit(asker, "codepipeline:ListPipelines", &resource, None))
}

#[tokio::test]
async fn changes_come_into_force_within_a_minute() {
    let text = Text::of(ALL);
    let (policies, clock) = policies(&text);
    let shared = policies.current().await.expect("in force").clone();
    text.set(Some(NOBODY));
    clock.advance_millis(MINUTE - 1);
    assert_eq!(may(&policies).await, Ok(true));
    assert_eq!(text.reads(), 1, "they are not read for each call");
    clock.advance_millis(1);
    assert_eq!(may(&policies).await, Ok(false));
    let asker = Asker { arn: "arn:aws:iam::123456789012:user/ada", account: "123456789012" };
    let resource = Resource::Account("123456789012".into());
    assert!(!shared.permit(asker, "codepipeline:ListPipelines", &resource, None), "whoever shares them is told");
}

#[tokio::test]
async fn what_cannot_be_renewed_holds_for_a_while_and_then_nothing_does() {
    let text = Text::of(ALL);
    let (policies, clock) = policies(&text);
    assert_eq!(may(&policies).await, Ok(true));
    for broken in [None, Some("permit (principal, action == Action::\"codepipeline:Fly\", resource);")] {
        text.set(broken);
        clock.advance_millis(14 * MINUTE);
        assert_eq!(may(&policies).await, Ok(true), "one mistake does not stop everybody");
        clock.advance_millis(MINUTE);
        let refused = may(&policies).await.expect_err("refused");
        assert!(refused.contains(if broken.is_some() { "Fly" } else { "s3://b/k" }), "{refused}");
        text.set(Some(ALL));
        clock.advance_millis(MINUTE);
        assert_eq!(may(&policies).await, Ok(true));
    }
}

#[tokio::test]
async fn policies_that_were_never_good_serve_nobody_until_they_are_mended() {
    let text = Text::of("permit (nobody);");
    let (policies, _) = policies(&text);
    assert!(may(&policies).await.expect_err("refused").contains("no policies are in force"));
    text.set(Some(ALL));
    assert_eq!(may(&policies).await, Ok(true), "without waiting");
    let (none, _) = (StackPolicies::new(None, Arc::new(ManualClock::at(Timestamp(0)))), ());
    assert_eq!(may(&none).await, Ok(true));
}
