//! What an earlier job has done of a job's items.

use grid_core::ids::JobId;
use grid_core::job::JobState;
use grid_core::wire::{Manifest, Outputs, Pack};

use crate::yard::{Leader, Yard, manifest_of};

fn listed(values: &[&str]) -> String {
    format!("name: words\nstages:\n  work: {{list: [{}], run: 'true'}}\n", values.join(", "))
}

/// Every item writes its own value; how many items were executed.
async fn run(yard: &Yard, job: &JobId, values: &[&str]) -> u32 {
    let mut executed = 0;
    while yard.meta(job).await.is_none_or(|meta| !meta.state.is_final() || meta.owed.is_some()) {
        for task in yard.tasks().await {
            executed += task.count;
            let written = &values[task.first as usize..][..task.count as usize];
            let stdout = written.iter().map(|value| (value.len() as u64, 0)).collect();
            let outputs = Outputs { pack: Pack::Text(written.concat()), stdout, ..Outputs::default() };
            yard.write(&Manifest { outputs, ..manifest_of(&task, None) }).await;
            yard.completed(&task).await;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    assert_eq!(yard.meta(job).await.unwrap().state, JobState::Succeeded);
    executed
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
