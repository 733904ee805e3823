//! The program `job-manager`, as a process.

#![cfg(feature = "aws")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::process::{Command, Output};

/// What comes of the program with no settings but these.
fn job_manager(settings: &[(&str, &str)]) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_job-manager"));
    let Output { status, stderr, .. } = command.env_clear().envs(settings.iter().copied()).output().unwrap();
    (status.code(), String::from_utf8(stderr).unwrap())
}

#[test]
fn wrong_settings_are_named_and_end_it_with_status_2() {
    let (status, said) = job_manager(&[("GRIDMILL_BUCKET", "b")]);
    assert_eq!(status, Some(2), "{said}");
    assert!(
        said.contains(
            "missing settings GRIDMILL_TASK_QUEUE, GRIDMILL_DEAD_TASK_QUEUE, GRIDMILL_REPORT_QUEUE, GRIDMILL_TABLE"
        ),
        "{said}"
    );
    let places = [
        "GRIDMILL_BUCKET",
        "GRIDMILL_TABLE",
        "GRIDMILL_TASK_QUEUE",
        "GRIDMILL_DEAD_TASK_QUEUE",
        "GRIDMILL_REPORT_QUEUE",
    ];
    let mut settings = places.map(|name| (name, "b")).to_vec();
    settings.push(("GRIDMILL_PRICES", "no/such/prices.json"));
    let (status, said) = job_manager(&settings);
    assert_eq!(status, Some(2), "{said}");
    assert!(said.contains("GRIDMILL_PRICES is no/such/prices.json"), "{said}");
}
