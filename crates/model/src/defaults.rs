//! What the service fills into a declaration.

use crate::declaration::Pipeline;

impl Pipeline {
    /// What Create and Get fill in: runOrder 1, and what serialization writes even when it is empty (configuration,
    /// inputArtifacts, outputArtifacts). pipelineType and executionMode stay as declared.
    #[must_use]
    pub fn with_defaults(mut self) -> Self {
        for action in self.stages.iter_mut().flat_map(|stage| &mut stage.actions) {
            action.run_order.get_or_insert(1);
        }
        self
    }
}
