//! The state of a job and the rules that change it.
