//! The X-Ray trace header of the invocation at work, so that it travels with events and state machine executions.

tokio::task_local! {
    static HEADER: Option<String>;
}

/// Carries out `work` under the trace header of an invocation; without one nothing is traced.
pub async fn with_trace<F: Future>(header: Option<String>, work: F) -> F::Output {
    HEADER.scope(header, work).await
}

/// The trace header of the invocation at work.
pub fn current_trace() -> Option<String> {
    HEADER.try_with(Clone::clone).ok().flatten()
}
