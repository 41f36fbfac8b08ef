//! Rules that need no program: VariableCheck and DeploymentWindow.

use actions::variable_check::Check;
use control::ports::{ActionReply, ActionRequest};
use engine::{Outcome, Started};
use model::Timestamp;
use model::deployment_window::{Verdict, Window};

use crate::process::LogSink;

/// Runs a VariableCheck rule.
pub fn check_variable(request: &ActionRequest, sink: &LogSink) -> Outcome {
    let check = match Check::parse(&request.declaration.configuration) {
        Ok(check) => check,
        Err(error) => return misconfigured(&error.to_string(), sink),
    };
    let summary = check.summary();
    sink.remark(&summary);
    if check.holds() {
        Outcome { summary: Some(summary), ..Outcome::default() }
    } else {
        Outcome::failed("JobFailed", summary)
    }
}

/// Starts or polls a DeploymentWindow rule: it waits until its window is open.
pub fn await_window(request: &ActionRequest, now: Timestamp, sink: &LogSink) -> ActionReply {
    let window = match Window::parse(&request.declaration.configuration) {
        Ok(window) => window,
        Err(error) => return ActionReply::Ended(Box::new(misconfigured(&error.to_string(), sink))),
    };
    let outcome = match window.judge(now) {
        Verdict::Open => Outcome { summary: Some("the window is open".into()), ..Outcome::default() },
        Verdict::Never => Outcome::failed("JobFailed", "the window never opens again"),
        Verdict::OpensAt(at) => {
            let summary = format!("the window opens at {}", at.to_iso_seconds());
            sink.remark(&summary);
            let started = Started { summary: Some(summary), ..Started::default() };
            return ActionReply::Pending { started, poll_at: Some(at) };
        }
    };
    ActionReply::Ended(Box::new(outcome))
}

fn misconfigured(message: &str, sink: &LogSink) -> Outcome {
    sink.remark(message);
    Outcome::failed("ConfigurationError", message)
}
