//! What a command sees in its environment: the runner's own base, then the stage's `env`, then `GRIDMILL_*`.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Duration;

use grid_core::ids::ItemIndex;
use grid_core::items::Key;
use grid_core::pipeline::{Quoting, Stage, Template, TemplateValues};
use grid_core::reason::Failure;
use grid_core::submission::Submission;
use grid_core::wire::TaskMessage;
use jiff::Timestamp;

use super::template::{is_constant, render};

/// Carries the cookie of the runner that started a process, so that what it leaves behind is known as its.
pub(super) const RUN: &str = "GRIDMILL_RUN";

/// Carries the number of the task execution that started a process.
pub(super) const TASK_NONCE: &str = "GRIDMILL_TASK_NONCE";

/// Variables, a later one in place of an earlier one of the same name.
pub(super) type Variables = Vec<(OsString, OsString)>;

/// What is the same for every item of a stage. Variables of `base` that begin with `GRIDMILL_` are left out: they would
/// be those of a grid that this one runs in.
pub(super) fn of_stage(
    base: &[(OsString, OsString)],
    cookie: &str,
    submission: &Submission,
    stage: &Stage,
) -> Result<Variables, Failure> {
    let mut vars: Variables =
        base.iter().filter(|(name, _)| !name.as_bytes().starts_with(b"GRIDMILL_")).cloned().collect();
    let values = TemplateValues { params: &submission.params, key: None };
    for (name, template) in stage.env.iter().filter(|(_, template)| is_constant(template)) {
        set(&mut vars, name, render(template, values, Quoting::None, name)?);
    }
    set(&mut vars, RUN, cookie);
    set(&mut vars, "GRIDMILL_JOB", submission.job.as_str());
    set(&mut vars, "GRIDMILL_STAGE", stage.name.as_str());
    for (name, value) in &submission.params {
        set(&mut vars, &variable("GRIDMILL_PARAM_", name), value);
    }
    Ok(vars)
}

/// What is the same for every item of a task.
pub(super) fn of_task(message: &TaskMessage, nonce: &str, output_folder: &Path) -> Variables {
    let mut vars = Variables::new();
    set(&mut vars, TASK_NONCE, nonce);
    set(&mut vars, "GRIDMILL_TASK", message.key().to_string());
    set(&mut vars, "GRIDMILL_ATTEMPT", message.attempt.to_string());
    set(&mut vars, "AWS_BATCH_JOB_ATTEMPT", message.attempt.to_string());
    set(&mut vars, "GRIDMILL_OUTPUT_DIR", output_folder);
    vars
}

/// What is an item's own, but for its deadline and its input.
pub(super) fn of_item(
    item_env: &BTreeMap<&str, &Template>,
    params: &BTreeMap<String, String>,
    index: ItemIndex,
    name: &str,
    key: &Key,
) -> Result<Variables, Failure> {
    let mut vars = Variables::new();
    let values = TemplateValues { params, key: Some(key) };
    for (name, template) in item_env {
        set(&mut vars, name, render(template, values, Quoting::None, name)?);
    }
    set(&mut vars, "GRIDMILL_ITEM", name);
    set(&mut vars, "GRIDMILL_INDEX", index.to_string());
    set(&mut vars, "AWS_BATCH_JOB_ARRAY_INDEX", index.to_string());
    for (dim, value) in &key.0 {
        set(&mut vars, &variable("GRIDMILL_KEY_", dim), value);
    }
    Ok(vars)
}

/// What a process that serves all items of a task sees of them.
pub(super) fn of_bundle(message: &TaskMessage) -> Variables {
    let mut vars = Variables::new();
    set(&mut vars, "GRIDMILL_ITEM_FIRST", message.first.to_string());
    set(&mut vars, "GRIDMILL_ITEM_COUNT", message.count.to_string());
    set(&mut vars, "AWS_BATCH_JOB_ARRAY_INDEX", message.first.to_string());
    vars
}

/// When the command will be told to end, as RFC 3339 in UTC, to the second before it.
pub(super) fn deadline(vars: &mut Variables, timeout: Duration) {
    let end = Timestamp::now().checked_add(timeout).unwrap_or(Timestamp::MAX);
    if let Ok(whole_second) = Timestamp::from_second(end.as_second()) {
        set(vars, "GRIDMILL_DEADLINE", whole_second.to_string());
    }
}

/// Adds a variable.
pub(super) fn set(vars: &mut Variables, name: &str, value: impl Into<OsString>) {
    vars.push((name.into(), value.into()));
}

/// The variable's name for a parameter or dimension: upper case, and `_` for what a shell would not take.
fn variable(prefix: &str, name: &str) -> String {
    let mut variable = String::with_capacity(prefix.len() + name.len());
    variable.push_str(prefix);
    variable.extend(name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' }));
    variable
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_becomes_one_that_a_shell_takes() {
        assert_eq!(variable("GRIDMILL_KEY_", "cost-centre.é"), "GRIDMILL_KEY_COST_CENTRE__");
    }
}
