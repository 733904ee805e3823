//! Items that read what other items wrote.

use grid_core::ids::StageName;
use grid_core::items::Key;
use grid_core::items::plan::{ChunkItems, Group, PlanChunk};
use grid_core::layout;
use grid_core::pipeline::{InputAs, ItemSource, Stage};
use grid_core::reason::Reason;
use grid_core::wire::{KeySource, Manifest, Pack, TaskInputs, TaskMessage};

use crate::scripted::{Act, End, Scripted, writes};
use crate::yard::{Yard, completion, job, members, numbers, output_ref, stage, task};

fn name(text: &str) -> StageName {
    StageName::new(text)
}

fn each(upstream: &str) -> ItemSource {
    ItemSource::Each(vec![name(upstream)])
}

fn group(upstream: &str) -> ItemSource {
    ItemSource::Group { stages: vec![name(upstream)], by: vec!["item".into()] }
}

fn all(upstream: &[&str]) -> ItemSource {
    ItemSource::All { stages: upstream.iter().map(|text| name(text)).collect(), fan_in: None }
}

fn files(stage: Stage) -> Stage {
    Stage { input_as: InputAs::Files, ..stage }
}

/// A task of `down` that reads items 0 to 5 of `up`, which two attempts committed; item 3 is dead.
fn reads_all(message: TaskMessage) -> TaskMessage {
    let refs = vec![output_ref("up", 0, 1), output_ref("up", 4, 1)];
    TaskMessage { inputs: TaskInputs::Upstream { members: vec![members("up", 0, 6)], refs }, ..message }
}

fn single(message: TaskMessage) -> TaskMessage {
    TaskMessage { keys: KeySource::Given(Key::default()), ..message }
}

/// A yard whose stage `up` is done: six items in two tasks, of which item 3 failed and item 5 left only files.
async fn upstream_done(down: Vec<Stage>) -> Yard {
    let script = |item, input: Vec<u8>| match (item, input.is_empty()) {
        (3, true) => crate::scripted::fails(Reason::Exit),
        (5, true) => Act { takes: Default::default(), ends: End::Leaves(vec![("a.txt", "5a"), ("b.txt", "5b")]) },
        (_, true) => writes(format!("<{item}>")),
        (_, false) => writes([b"[", &input[..], b"]"].concat()),
    };
    let mut stages = vec![stage("up", numbers(5)), stage("mid", each("up"))];
    stages.extend(down);
    let yard = Yard::new(Scripted::new(script), stages).await;
    yard.send(&task("up", 0, 4)).await;
    yard.send(&task("up", 4, 2)).await;
    yard.work().await;
    yard.said().await;
    yard
}

async fn text_of(yard: &Yard, stage: &str, first: u32) -> String {
    match yard.manifest(stage, first, 1).await.outputs.pack {
        Pack::Text(text) => text,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn with_each_an_item_reads_its_own_upstream_item() {
    let yard = upstream_done(vec![stage("down", each("up"))]).await;
    let refs = vec![output_ref("up", 4, 1), output_ref("up", 0, 1)];
    let keys = KeySource::Items(members("up", 1, 5));
    let inputs = TaskInputs::Upstream { members: vec![members("up", 1, 2), members("up", 3, 3)], refs };
    yard.send(&TaskMessage { keys, inputs, ..task("down", 1, 5) }).await;
    yard.work().await;

    let manifest = yard.manifest("down", 1, 1).await;
    assert_eq!(manifest.outputs.pack, Pack::Text("[<1>][<2>][<4>][5a5b]".into()));
    assert_eq!(manifest.bytes_in, 13);
    let failed: Vec<_> = manifest.failed.iter().map(|f| (f.first, f.count, f.failure.reason)).collect();
    assert_eq!(failed, [(3, 1, Reason::Input)], "its upstream item has no result");
    assert_eq!(yard.runner.names()[6..], ["1", "2", "3", "4", "5"]);
    assert_eq!(yard.said().await.completions, [completion("down", 1, 1)]);
}

#[tokio::test(start_paused = true)]
async fn with_all_an_item_reads_everything_but_what_was_skipped() {
    let yard = upstream_done(vec![stage("down", all(&["up"]))]).await;
    yard.send(&single(reads_all(task("down", 0, 1)))).await;
    yard.work().await;
    assert_eq!(text_of(&yard, "down", 0).await, "[<0><1><2><4>5a5b]");
    assert_eq!(yard.manifest("down", 0, 1).await.bytes_in, 16);
    assert_eq!(yard.runner.names().last().unwrap(), "all");
}

#[tokio::test(start_paused = true)]
async fn with_group_each_item_reads_its_members() {
    let yard = upstream_done(vec![stage("down", group("up"))]).await;
    let group = |value: &str, members| Group { key: Key(vec![("item".into(), value.into())]), members };
    let groups = vec![
        group("even", vec![members("up", 0, 1), members("up", 2, 1), members("up", 4, 1)]),
        group("odd", vec![members("up", 1, 1), members("up", 3, 1), members("up", 5, 1)]),
    ];
    let chunk = PlanChunk { v: 1, number: 0, items: ChunkItems::Groups(groups) };
    yard.put(&layout::plan_chunk(&job(), &name("down"), 0), serde_json::to_vec(&chunk).unwrap()).await;
    let refs = vec![output_ref("up", 0, 1), output_ref("up", 4, 1)];
    let inputs = TaskInputs::Upstream { members: Vec::new(), refs };
    yard.send(&TaskMessage { inputs, ..task("down", 0, 2) }).await;
    yard.work().await;
    assert_eq!(text_of(&yard, "down", 0).await, "[<0><2><4>][<1>5a5b]");
    assert_eq!(yard.runner.names()[6..], ["even", "odd"]);
}

#[tokio::test(start_paused = true)]
async fn files_are_named_by_the_upstream_items() {
    let yard = upstream_done(vec![files(stage("down", all(&["up"])))]).await;
    yard.send(&single(reads_all(task("down", 0, 1)))).await;
    yard.work().await;
    assert_eq!(text_of(&yard, "down", 0).await, "[0.txt:<0>;1.txt:<1>;2.txt:<2>;4.txt:<4>;5/a.txt:5a;5/b.txt:5b;]");
}

#[tokio::test(start_paused = true)]
async fn files_of_several_stages_are_told_apart_and_keys_follow_a_chain() {
    let yard = upstream_done(vec![files(stage("down", all(&["up", "mid"])))]).await;
    let refs = vec![output_ref("up", 0, 1)];
    let inputs = TaskInputs::Upstream { members: vec![members("up", 1, 2)], refs };
    yard.send(&TaskMessage { inputs, keys: KeySource::Items(members("up", 1, 2)), ..task("mid", 1, 2) }).await;
    yard.work().await;

    let refs = vec![output_ref("up", 0, 1), output_ref("mid", 1, 1)];
    let inputs = TaskInputs::Upstream { members: vec![members("up", 0, 2), members("mid", 1, 2)], refs };
    yard.send(&single(TaskMessage { inputs, ..task("down", 0, 1) })).await;
    yard.work().await;
    assert_eq!(text_of(&yard, "down", 0).await, "[up,0.txt:<0>;up,1.txt:<1>;mid,1.txt:[<1>];mid,2.txt:[<2>];]");
}

#[tokio::test(start_paused = true)]
async fn many_inputs_are_listed_in_an_object() {
    let yard = upstream_done(vec![stage("down", all(&["up"]))]).await;
    let message = single(reads_all(task("down", 0, 1)));
    yard.put("list", serde_json::to_vec(&message.inputs).unwrap()).await;
    yard.send(&TaskMessage { inputs: TaskInputs::Listed("list".into()), ..message }).await;
    yard.work().await;
    assert_eq!(text_of(&yard, "down", 0).await, "[<0><1><2><4>5a5b]");
}

#[tokio::test(start_paused = true)]
async fn large_inputs_are_streamed() {
    const LARGE: usize = 5 << 20;
    let script = |_, input: Vec<u8>| match input.is_empty() {
        true => writes(vec![b'x'; LARGE]),
        false => writes(input.len().to_string()),
    };
    let yard = Yard::new(Scripted::new(script), vec![stage("up", numbers(5)), stage("down", all(&["up"]))]).await;
    yard.send(&task("up", 0, 2)).await;
    yard.work().await;
    let inputs = TaskInputs::Upstream { members: vec![members("up", 0, 2)], refs: vec![output_ref("up", 0, 1)] };
    yard.send(&single(TaskMessage { inputs, ..task("down", 0, 1) })).await;
    yard.work().await;
    assert_eq!(text_of(&yard, "down", 0).await, (2 * LARGE).to_string());
}

/// Changes the manifest of items 0 to 3 of `up`.
async fn tamper(yard: &Yard, change: impl FnOnce(&mut Manifest)) {
    let mut manifest = yard.manifest("up", 0, 1).await;
    change(&mut manifest);
    yard.commit(&manifest).await;
}

#[tokio::test(start_paused = true)]
async fn damaged_bytes_fail_the_item_that_reads_them() {
    let yard = upstream_done(vec![stage("down", each("up"))]).await;
    tamper(&yard, |manifest| manifest.outputs.pack = Pack::Text("<0><?><2>".into())).await;
    let inputs = TaskInputs::Upstream { members: vec![members("up", 0, 3)], refs: vec![output_ref("up", 0, 1)] };
    yard.send(&TaskMessage { inputs, keys: KeySource::Items(members("up", 0, 3)), ..task("down", 0, 3) }).await;
    yard.work().await;
    let manifest = yard.manifest("down", 0, 1).await;
    assert_eq!(manifest.outputs.pack, Pack::Text("[<0>][<2>]".into()));
    let failed: Vec<_> = manifest.failed.iter().map(|f| (f.first, f.bytes_in, f.failure.reason)).collect();
    assert_eq!(failed, [(1, 3, Reason::Input)]);
}

#[tokio::test(start_paused = true)]
async fn results_that_are_lost_are_not_taken_for_skipped_ones() {
    let yard = upstream_done(vec![stage("down", all(&["up"]))]).await;
    tamper(&yard, |manifest| manifest.outputs.pack = Pack::Empty).await;
    yard.send(&single(reads_all(task("down", 0, 1)))).await;
    yard.work().await;
    let manifest = yard.manifest("down", 0, 1).await;
    assert_eq!(manifest.failed[0].failure.reason, Reason::Input);
    assert!(manifest.failed[0].failure.message.contains("lost"), "{}", manifest.failed[0].failure.message);
}
