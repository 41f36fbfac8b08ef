//! `ListDeployActionExecutionTargets`: where a deploy action put what.
//!
//! The reference gives the shapes and no words for them. Here a target is the place that an action's configuration names,
//! its type the action's provider, its status that of the action, and its one event tells what was done there.

use engine::ActionExecution;
use model::{ActionStatus, Category, Owner, StringMap};
use serde_json::Value;

use crate::actions::status;
use crate::fields::Fields;

/// The name of a target's event.
const EVENT: &str = "Deploy";

/// `DeployActionExecutionTarget` of a deploy action and its resolved configuration: the bucket of an S3 deploy. None for
/// what is not deployed by Penstock itself: only whoever does it knows where to.
pub fn deploy_target(execution: &ActionExecution, resolved: &StringMap) -> Option<Value> {
    let kind = &execution.action_type;
    if (kind.category, kind.owner, kind.provider.as_str()) != (Category::Deploy, Owner::Aws, "S3") {
        return None;
    }
    let bucket = resolved.get("BucketName")?;
    let ended = execution.status != ActionStatus::InProgress;
    let timed = |fields: Fields| {
        let fields = fields.with("status", status(execution.status)).time("startTime", execution.started_at);
        if ended { fields.time("endTime", execution.updated_at) } else { fields }
    };
    let said = execution.error.as_ref().map(|error| error.message.as_str()).or(execution.summary.as_deref());
    let context = Fields::default().text("message", said, 5000);
    let event = timed(Fields::default().with("name", EVENT)).object("context", context).done();
    let target = Fields::default().with("targetId", bucket).with("targetType", &kind.provider);
    Some(timed(target).with("events", [event]).done())
}
