//! Inputs that were made in other regions: copied to the store of the action's region before the action starts
//! (semantics 12), under the key that they have. Who copies them again writes the same object.

use std::borrow::Cow;

use control::ports::ActionRequest;
use engine::ArtifactLocation;

use crate::fault::Fault;
use crate::objects::{Objects, Storing};
use crate::roles::Session;
use crate::runner::ProviderParts;

/// Where an input lies for the action.
fn near_input(request: &ActionRequest, input: &ArtifactLocation) -> ArtifactLocation {
    let bucket = request.near_bucket.clone().unwrap_or_else(|| input.bucket.clone());
    ArtifactLocation { bucket, ..input.clone() }
}

/// The request as its provider sees it: with all inputs in the action's region.
pub(crate) fn near(request: &ActionRequest) -> Cow<'_, ActionRequest> {
    let inputs: Vec<_> = request.action.inputs.iter().map(|input| near_input(request, input)).collect();
    if inputs == request.action.inputs {
        return Cow::Borrowed(request);
    }
    let mut near = request.clone();
    near.action.inputs = inputs;
    Cow::Owned(near)
}

/// Copies the inputs that lie in other regions.
pub(crate) async fn bring(parts: &ProviderParts, request: &ActionRequest) -> Result<(), Fault> {
    let inputs = request.action.inputs.iter().map(|input| (input, near_input(request, input)));
    let far: Vec<_> = inputs.filter(|(input, near)| **input != *near).collect();
    if far.is_empty() {
        return Ok(());
    }
    let config = parts.roles.config(&Session::of(request)).await?;
    let objects = Objects::new(&config, &request.role_arn);
    let storing = Storing { kms_key: request.encryption_key.clone(), ..Storing::default() };
    for (input, near) in far {
        let version = objects.newest(input).await?;
        objects.copy(&version, &near.bucket, &near.key, &storing).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
