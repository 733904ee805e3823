//! What goes over the queues, and what a task message is too short for.

use grid_core::ids::{AttemptKey, JobId, MachineId, StageItems, StageName, WorkerId};
use grid_core::items::Key;
use grid_core::spending::{Asked, Spending};
use grid_core::wire::{
    Completion, Heartbeat, KeySource, MachineOrder, ManagerSign, OutputRef, Report, RunningTask, TaskInputs,
    TaskMessage, to_ascii_json,
};

use crate::check::golden;

fn job() -> JobId {
    JobId::new("0198c5a2-7b1e-7c3a-9d42-5f0a1b2c3d4e")
}

fn stage(name: &str) -> StageName {
    StageName::new(name)
}

fn items(name: &str, first: u32, count: u32) -> StageItems {
    StageItems { stage: stage(name), first, count }
}

fn attempt(name: &str, first: u32, attempt: u32) -> OutputRef {
    OutputRef { stage: stage(name), key: AttemptKey { first, attempt } }
}

fn task() -> TaskMessage {
    TaskMessage {
        v: 1,
        job: job(),
        stage: stage("clean"),
        first: 8_192,
        count: 16,
        attempt: 1,
        failures: 0,
        memory_factor: 1.0,
        round: 0,
        copy: 0,
        params: Default::default(),
        keys: KeySource::Items(items("clean", 8_192, 16)),
        inputs: TaskInputs::Plan,
    }
}

fn upstream() -> TaskInputs {
    TaskInputs::Upstream {
        members: vec![items("clean", 8_192, 16)],
        refs: vec![attempt("clean", 8_192, 1), attempt("clean", 8_200, 3)],
    }
}

#[test]
fn a_task_message_with_planned_input() {
    golden!("task-plan.json").holds(&task(), &["", "/keys/items"]);
}

#[test]
fn a_task_message_with_upstream_input() {
    let task = TaskMessage { stage: stage("count"), failures: 2, memory_factor: 4.0, inputs: upstream(), ..task() };
    golden!("task-upstream.json").holds(
        &task,
        &["", "/keys/items", "/inputs/upstream", "/inputs/upstream/members/0", "/inputs/upstream/refs/1"],
    );
}

#[test]
fn a_task_message_whose_input_is_listed_in_an_object() {
    let key = "jobs/0198c5a2-7b1e-7c3a-9d42-5f0a1b2c3d4e/report/inputs/0000000000.1.json";
    let task = TaskMessage { stage: stage("report"), inputs: TaskInputs::Listed(key.into()), ..task() };
    golden!("task-listed.json").holds(&task, &[""]);
}

#[test]
fn a_task_message_of_a_later_round() {
    golden!("task-round.json").holds(&TaskMessage { attempt: 4, round: 1, ..task() }, &["", "/keys/items"]);
}

#[test]
fn a_task_message_with_a_given_key() {
    let key = Key(vec![("level".into(), "1".into()), ("part".into(), "0".into())]);
    let task = TaskMessage { stage: stage("report"), keys: KeySource::Given(key), inputs: upstream(), ..task() };
    golden!("task-given.json").holds(&task, &[""]);
}

#[test]
fn the_inputs_of_a_task_that_are_too_many_for_its_message() {
    golden!("task-inputs.json").holds(&upstream(), &["/upstream", "/upstream/members/0", "/upstream/refs/0"]);
}

#[test]
fn a_completion() {
    let completion = Completion {
        v: 1,
        job: job(),
        stage: stage("clean"),
        key: AttemptKey { first: 8_192, attempt: 2 },
        spending: Default::default(),
    };
    golden!("report-completion.json").holds(&Report::Completed(completion.clone()), &["/completed"]);
    let mut spending = Spending::default();
    spending.ask("S3 PutObject", Asked { requests: 2, extra_units: 0 });
    spending.ask("SQS SendMessageBatch", Asked { requests: 1, extra_units: 3 });
    let told = Completion { spending, ..completion };
    let places = ["/completed", "/completed/spending/S3 PutObject"];
    golden!("report-completion-spending.json").holds(&Report::Completed(told), &places);
}

#[test]
fn the_message_of_a_copy() {
    golden!("task-copy.json").holds(&TaskMessage { copy: 1, ..task() }, &["", "/keys/items"]);
}

#[test]
fn a_heartbeat_that_tells_of_a_copy() {
    let (key, age_secs) = (AttemptKey { first: 8_192, attempt: 1 }, Some(12.5));
    let (copy, items_done, progress, status) = (1, 3, None, None);
    let task = RunningTask { job: job(), stage: stage("clean"), key, copy, age_secs, items_done, progress, status };
    let heartbeat = Heartbeat {
        v: 1,
        worker: WorkerId::new("w-1"),
        sequence: 7,
        pool: "default".into(),
        slots: 2,
        interval_secs: 20.0,
        machine: None,
        closed_by: None,
        running: vec![task],
    };
    let places = ["/heartbeat", "/heartbeat/running/0"];
    golden!("report-heartbeat-copy.json").holds(&Report::Heartbeat(heartbeat), &places);
}

#[test]
fn a_heartbeat() {
    let key = AttemptKey { first: 8_192, attempt: 1 };
    let (copy, age_secs, items_done, progress, status) = (0, None, 3, None, None);
    let task = RunningTask { job: job(), stage: stage("clean"), key, copy, age_secs, items_done, progress, status };
    let told = RunningTask { progress: Some(0.5), status: Some("second pass".into()), ..task.clone() };
    let heartbeat = Heartbeat {
        v: 1,
        worker: WorkerId::new("w-1"),
        sequence: 7,
        pool: "default".into(),
        slots: 2,
        interval_secs: 20.0,
        machine: None,
        closed_by: None,
        running: vec![task, told],
    };
    golden!("report-heartbeat.json").holds(&Report::Heartbeat(heartbeat), &["/heartbeat", "/heartbeat/running/0"]);
}

#[test]
fn a_heartbeat_from_a_machine_that_is_closed() {
    let heartbeat = Heartbeat {
        v: 1,
        worker: WorkerId::new("w-1"),
        sequence: 7,
        pool: "default".into(),
        slots: 2,
        interval_secs: 20.0,
        running: Vec::new(),
        machine: Some(MachineId::new("i-0123456789abcdef0")),
        closed_by: Some(1_767_225_600_000),
    };
    golden!("report-heartbeat-machine.json").holds(&Report::Heartbeat(heartbeat), &["/heartbeat"]);
    let order = MachineOrder { v: 1, number: 1_767_225_600_000 };
    golden!("machine-order.json").holds(&order, &[""]);
    assert_eq!(grid_core::layout::machine_order(&MachineId::new("i-1")), "fleet/i-1/order.json");
    golden!("manager-sign.json").holds(&ManagerSign { v: 1, epoch: 7, at_ms: 1_767_225_600_000 }, &[""]);
    assert_eq!(grid_core::layout::manager_sign(), "fleet/manager.json");
}

#[test]
fn a_message_is_ascii_whatever_the_key() {
    let key = Key(vec![("department".into(), "Gebühren\u{1f600}".into())]);
    let task = TaskMessage { keys: KeySource::Given(key), ..task() };
    let written = to_ascii_json(&task).expect("it can be written");
    assert!(written.contains(r#"[["department","Geb\u00fchren\ud83d\ude00"]]"#), "{written}");
    assert_eq!(serde_json::from_str::<TaskMessage>(&written).ok(), Some(task));
}
