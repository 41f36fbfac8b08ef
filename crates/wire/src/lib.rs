//! What outsiders see: API shapes and EventBridge details.
