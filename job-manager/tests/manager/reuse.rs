//! What an earlier job has done of a job's items.

use std::collections::BTreeMap;
use std::time::Duration;

use grid_core::ids::JobId;
use grid_core::job::JobState;
use grid_core::reason::Reason;
use grid_core::wire::{Manifest, Outputs, Pack, TaskMessage};
use job_manager::control;
use tokio::time::sleep;

use crate::yard::{Leader, Yard, manifest_of};

/// Looks at a job until it is held to hang.
const PATIENCE: u32 = 10_000;

fn listed(values: &[&str]) -> String {
    format!("name: words\nstages:\n  work: {{list: [{}], run: 'true'}}\n", values.join(", "))
}

/// Every item writes its own value; how many items were executed.
async fn run(yard: &Yard, job: &JobId, values: &[&str]) -> u32 {
    let mut executed = 0;
    for _ in 0..PATIENCE {
        if yard.has_ended(job).await {
            assert_eq!(yard.meta(job).await.unwrap().state, JobState::Succeeded);
            return executed;
        }
        for task in yard.tasks().await {
            executed += task.count;
            let written = &values[task.first as usize..][..task.count as usize];
            let stdout = written.iter().map(|value| (value.len() as u64, 0)).collect();
            let outputs = Outputs { pack: Pack::Text(written.concat()), stdout, ..Outputs::default() };
            yard.write(&Manifest { outputs, ..manifest_of(&task, None) }).await;
            yard.completed(&task).await;
        }
        sleep(Duration::from_millis(50)).await;
    }
    panic!("the job does not end")
}

/// What every item wrote, by its place, as the manifests of a job say.
async fn written(yard: &Yard, job: &JobId, items: usize) -> Vec<String> {
    let mut written = vec![String::new(); items];
    let prefix = format!("jobs/{job}/");
    for meta in yard.grid.objects.list(&prefix, None, 1_000).await.unwrap() {
        let body = yard.grid.objects.get(&meta.key, None).await.unwrap();
        let Ok(Manifest { first, count, outputs, unrun, .. }) = serde_json::from_slice(&body) else { continue };
        let Pack::Text(mut text) = outputs.pack else { panic!("{} holds no text", meta.key) };
        for (item, (len, _)) in (first..first + count).zip(outputs.stdout) {
            let rest = text.split_off(len as usize);
            if !unrun.iter().any(|&(first, count)| (first..first + count).contains(&item)) {
                written[item as usize].push_str(&text);
            }
            text = rest;
        }
    }
    written
}

#[tokio::test(start_paused = true)]
async fn an_item_is_known_again_wherever_it_stands() {
    let yard = Yard::new();
    let leader = Leader::start(&yard.grid);
    let before = ["a0", "b", "c22", "d3", "e", "f55", "g6", "h"];
    let job = yard.submit(&listed(&before)).await;
    assert_eq!(run(&yard, &job, &before).await, 8);
    let after = ["b", "d3", "f55", "new", "g6", "h", "a0", "e", "c22"];
    let job = yard.submit(&listed(&after)).await;
    assert_eq!(run(&yard, &job, &after).await, 1, "only what is new");
    assert_eq!(written(&yard, &job, after.len()).await, after);
    assert_eq!(yard.receipt(&job).await.stages[0].reused, 8);
    leader.stop().await;
}

impl Yard {
    /// Runs a job to its end; the tasks that were executed, of which those fail that are said to.
    async fn executed(&self, job: &JobId, fails: impl Fn(&TaskMessage) -> bool) -> Vec<TaskMessage> {
        let mut executed = Vec::new();
        for _ in 0..PATIENCE {
            if self.has_ended(job).await {
                return executed;
            }
            for task in self.tasks().await {
                self.end(&task, fails(&task).then_some(Reason::Exit)).await;
                executed.push(task);
            }
            sleep(Duration::from_millis(50)).await;
        }
        panic!("the job does not end")
    }

    /// Deletes the objects of a job whose keys say so.
    async fn expire(&self, job: &JobId, is_meant: impl Fn(&str) -> bool) {
        let metas = self.grid.objects.list(&format!("jobs/{job}/"), None, 1_000).await.unwrap();
        for meta in metas.into_iter().filter(|meta| is_meant(&meta.key)) {
            self.grid.objects.delete(&meta.key).await.unwrap();
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_job_does_without_an_earlier_one_whose_objects_have_expired() {
    for is_expired in [|_: &str| true, |key: &str| key.contains("/done/")] {
        let yard = Yard::new();
        let leader = Leader::start(&yard.grid);
        let job = yard.submit(&listed(&["a", "b"])).await;
        assert_eq!(run(&yard, &job, &["a", "b"]).await, 2);
        yard.expire(&job, is_expired).await;
        let next = yard.submit(&listed(&["a", "b", "c"])).await;
        assert_eq!(run(&yard, &next, &["a", "b", "c"]).await, 3);
        leader.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_submitted_before_is_a_new_job_once_its_objects_have_expired() {
    let yard = Yard::new();
    let leader = Leader::start(&yard.grid);
    let job = yard.submit(&listed(&["a"])).await;
    assert_eq!(run(&yard, &job, &["a"]).await, 1);
    yard.expire(&job, |_| true).await;
    let next = yard.submit(&listed(&["a"])).await;
    assert_ne!(next, job);
    assert_eq!(run(&yard, &next, &["a"]).await, 1);
    leader.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_a_redrive_sets_is_not_taken_from_a_job_that_ran_without_it() {
    let text = |values: &str| {
        let head = "name: sets\nparams: {rate: {type: integer, default: 1}}\nstages:\n  work:\n";
        format!("{head}    list: [{values}]\n    run: [echo, '${{{{ params.rate }}}}']\n    retry: {{attempts: 1}}\n")
    };
    let yard = Yard::new();
    let leader = Leader::start(&yard.grid);
    let earlier = yard.submit(&text("a, b")).await;
    let is_first = |task: &TaskMessage| task.first == 0;
    yard.executed(&earlier, is_first).await;
    let job = yard.submit(&text("a, b, c")).await;
    yard.executed(&job, is_first).await;
    control::redrive(&yard.grid, &earlier, None, &BTreeMap::new()).await.unwrap();
    yard.executed(&earlier, |_| false).await;
    let rate = BTreeMap::from([("rate".to_owned(), "2".to_owned())]);
    control::redrive(&yard.grid, &job, None, &rate).await.unwrap();
    let executed = yard.executed(&job, |_| false).await;
    assert_eq!(executed.iter().map(|task| (task.first, &task.params)).collect::<Vec<_>>(), [(0, &rate)]);
    leader.stop().await;
}

/// A combiner's command may ask which part it makes.
#[tokio::test(start_paused = true)]
async fn a_combiner_is_taken_where_it_makes_the_same_part() {
    let text = |range: &str| {
        let total = "total: {all: work, fan_in: 2, run: 'true'}";
        format!("name: parts\nstages:\n  work: {{range: {range}, run: 'true'}}\n  {total}\n")
    };
    let of = |tasks: Vec<TaskMessage>| -> Vec<(String, u32)> {
        let mut items: Vec<_> = tasks
            .iter()
            .flat_map(|task| (task.first..task.first + task.count).map(|item| (task.stage.to_string(), item)))
            .collect();
        items.sort();
        items
    };
    let place = |stage: &str, item| (stage.to_owned(), item);
    let yard = Yard::new();
    let leader = Leader::start(&yard.grid);
    let job = yard.submit(&text("1..4")).await;
    assert_eq!(of(yard.executed(&job, |_| false).await).len(), 7);
    let longer = yard.submit(&text("1..6")).await;
    let of_longer = of(yard.executed(&longer, |_| false).await);
    assert_eq!(of_longer[of_longer.len() - 2..], [place("work", 4), place("work", 5)]);
    assert!(!of_longer.contains(&place("total", 0)) && !of_longer.contains(&place("total", 1)), "{of_longer:?}");
    let moved = yard.submit(&text("3..4")).await;
    assert_eq!(of(yard.executed(&moved, |_| false).await), [place("total", 0)], "the same items, in another part");
    leader.stop().await;
}
