//! Rules of conditions: VariableCheck and DeploymentWindow.
