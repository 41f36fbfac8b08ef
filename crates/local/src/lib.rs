//! The ports in one process, the local stand-ins and the single-process host.
