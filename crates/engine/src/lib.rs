//! Pure decisions about pipeline executions: decide, explain, invariants.
