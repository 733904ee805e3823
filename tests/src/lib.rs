//! flows through real processes.
