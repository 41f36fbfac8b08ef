//! In-memory ports, contract suites, the deterministic simulator and its checkers.
