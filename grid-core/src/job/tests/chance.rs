//! Many jobs by chance: failures, late and repeated news, managers that die. Whatever happens, an item is committed at
//! most once, the state that grew is the state that its rows give back, and in the end the receipt balances.

use std::collections::BTreeMap;

use super::world::{World, all, each, group, numbers, stage};
use crate::ids::{StageItems, StageName};
use crate::job::{Applied, JobState, MadeOf, OutTask, TaskPhase, Tuning};
use crate::limits::MAX_DEATHS;
use crate::pipeline::Stage;
use crate::random::Random;
use crate::reason::Reason;
use crate::units::Allowance;
use crate::wire::{Manifest, OutputRef, TaskInputs, TaskMessage};

fn pipeline(random: &mut Random) -> Vec<Stage> {
    let fan_in = [None, Some(2), Some(3)][random.below(3) as usize];
    let items = random.below(30) as i64;
    let mut stages = vec![stage("a", numbers(items.max(1)))];
    match random.below(6) {
        0 => {}
        1 => stages.push(stage("b", each(&["a"]))),
        2 => stages.push(stage("b", group(&["a"]))),
        3 => stages.extend([stage("b", numbers(7)), stage("c", each(&["b", "a"])), stage("d", each(&["c"]))]),
        4 => {
            let read = [&["b", "a"][..], &["b"]][random.below(2) as usize];
            let (b, c) = (stage("b", each(&["a"])), stage("c", group(read)));
            stages.extend([b, c, stage("d", each(&["c"])), stage("e", each(&["d"]))]);
        }
        _ => stages.extend([
            stage("b", all(&["a"], fan_in)),
            stage("c", each(&["b"])),
            stage("d", all(&["c", "a"], fan_in)),
        ]),
    }
    let last = stages[stages.len() - 1].name.to_string();
    stages.push(stage("end", all(&[&last], fan_in)));
    for stage in &mut stages {
        stage.skip = if random.chance(0.7) { Allowance::Percent(100.0) } else { Allowance::Items(random.below(3)) };
        stage.retry.attempts = 1 + random.below(3) as u32;
    }
    stages
}

fn run_item(random: &mut Random, sour: f64) -> Result<(), Reason> {
    let reasons = [Reason::Exit, Reason::Timeout, Reason::Drain, Reason::DiskFull, Reason::Input, Reason::LeaseLost];
    if random.chance(sour) { Err(reasons[random.below(6) as usize]) } else { Ok(()) }
}

fn assert_rows_give_the_job_back(world: &mut World) {
    world.save();
    let mut again = World::of(world.job.submission().pipeline.stages.clone());
    (again.rows, again.group_size) = (world.rows.clone(), world.group_size);
    again.reload();
    world.plan();
    for (grown, read) in world.job.stages.iter().zip(&again.job.stages) {
        assert_eq!(grown.outcomes, read.outcomes);
        assert_eq!(grown.ready, read.ready);
        assert_eq!(grown.committed, read.committed);
        assert_eq!(grown.planned, read.planned);
        assert_eq!(grown.tallies, read.tallies);
        let phaseless = |task: &OutTask| OutTask { phase: TaskPhase::Due, ..task.clone() };
        let out = |book: &crate::job::stage::StageBook| book.out.values().map(phaseless).collect::<Vec<_>>();
        assert_eq!(out(grown), out(read));
    }
}

/// All that is committed is known, and all that is out has its message: then the rows are not needed.
fn assert_manifests_give_the_job_back(world: &World) {
    let mut grown = world.job.clone();
    let mut manifests: Vec<&Manifest> = world.manifests.values().collect();
    manifests.sort_by_key(|manifest| manifest.attempt);
    for manifest in manifests {
        grown.apply(manifest, world.now_ms, &mut || 0.5);
    }
    let is_out = |task: &OutTask| !matches!(task.phase, TaskPhase::Waiting { .. });
    let out: Vec<_> =
        grown.out().filter(|(_, task)| is_out(task)).map(|(name, task)| (name.clone(), task.clone())).collect();
    let recalled = world.recalled(&out);
    for (grown, recalled) in grown.stages.iter().zip(&recalled.job.stages) {
        assert_eq!(grown.outcomes, recalled.outcomes);
        assert_eq!(grown.ready, recalled.ready);
        assert_eq!(grown.committed, recalled.committed);
        assert_eq!(grown.planned, recalled.planned);
        assert_eq!(grown.tallies, recalled.tallies);
        let timeless = |task: &OutTask| OutTask { phase: TaskPhase::Due, resends: 0, ..task.clone() };
        let out = |book: &crate::job::stage::StageBook| book.out.values().map(timeless).collect::<Vec<_>>();
        assert_eq!(out(grown), out(recalled));
    }
}

fn run_seed(seed: u64) -> JobState {
    let mut random = Random::from_seed(seed);
    let mut world = World::of(pipeline(&mut random));
    world.blame_is_known = random.chance(0.6);
    let most = [5, 30][random.below(2) as usize];
    world.group_size = 1 + random.below(most) as u32;
    let sour = random.unit() * 0.4;
    if random.chance(0.5) {
        world.pace(0.05);
    }
    // Groups are looked for beside the job, and may be told long after what they are made of has begun to end.
    let punctual = [1.0, 0.1][random.below(2) as usize];
    let mut sent: Vec<TaskMessage> = Vec::new();
    let mut news: Vec<Manifest> = Vec::new();
    for step in 0..200_000_u32 {
        world.now_ms += random.below(2_000);
        match random.below(12) {
            0..=3 => {
                if random.chance(punctual) {
                    world.plan();
                }
                let messages = world.hand_out(random.below(5) as usize);
                messages.iter().for_each(|message| assert_nothing_is_left_out(&world, message));
                sent.extend(messages);
            }
            4..=7 if !sent.is_empty() => {
                let message = sent[random.below(sent.len() as u64) as usize].clone();
                if random.chance(0.7) {
                    sent.retain(|other| *other != message);
                }
                if !world.manifests.contains_key(&(message.stage.clone(), message.key())) {
                    let manifest =
                        world.execute(&message.stage, message.key(), message.count, |_| run_item(&mut random, sour));
                    world.commit(manifest);
                }
                news.push(world.manifests[&(message.stage.clone(), message.key())].clone());
            }
            8..=9 if !news.is_empty() => {
                let manifest = news[random.below(news.len() as u64) as usize].clone();
                if random.chance(0.8) {
                    news.retain(|other| *other != manifest);
                }
                let applied = world.job.apply(&manifest, world.now_ms, &mut || random.unit());
                assert!(matches!(applied, Applied::Counted | Applied::Stale), "{applied:?}");
            }
            10 if random.chance(0.2) => {
                // A store that fails writes some rows and not others.
                world.plan();
                world.job.dispatch(world.now_ms, &Tuning::default(), random.below(5) as usize);
                let changes = world.job.changes();
                let written = changes.into_iter().filter(|_| random.chance(0.5)).collect::<Vec<_>>();
                world.rows.extend(written.into_iter().map(|change| (change.sort, change.body)));
                world.reload();
                sent.extend(world.send_due());
                look_for_lost(&mut world, &mut random);
            }
            11 if random.chance(0.1) => look_for_lost(&mut world, &mut random),
            _ => {}
        }
        if step % 50 == 49 {
            assert_rows_give_the_job_back(&mut world);
            assert_manifests_give_the_job_back(&world);
        }
        world.settle();
        if world.job.state().is_final() {
            check(&world);
            return world.job.state();
        }
    }
    panic!("seed {seed}: the job does not end: {:?} {:?}", world.job.view(), world.job.out().collect::<Vec<_>>());
}

/// A message names every manifest that holds a part of its input.
fn assert_nothing_is_left_out(world: &World, message: &TaskMessage) {
    let TaskInputs::Upstream { refs, .. } = &message.inputs else { return };
    for item in message.first..message.first + message.count {
        let read = match world.job.made_of(&message.stage, item) {
            MadeOf::Itself => Vec::new(),
            MadeOf::Item(stage, first) => vec![StageItems { stage, first, count: 1 }],
            MadeOf::Items(members) => members,
        };
        for StageItems { stage, first, count } in read {
            let holding = world.manifests.iter().filter(|((of, _), manifest)| {
                let mut runs = manifest.committed().into_iter();
                *of == stage && runs.any(|(start, len)| start < first + count && first < start + len)
            });
            for ((_, key), _) in holding {
                let wanted = OutputRef { stage: stage.clone(), key: *key };
                assert!(refs.contains(&wanted), "{}/{item} is sent without {stage}/{key}", message.stage);
            }
        }
    }
}

/// What the reconciler does: manifests first, then the task is sent again.
fn look_for_lost(world: &mut World, random: &mut Random) {
    let out: Vec<_> = world.job.out().map(|(stage, task)| (stage.clone(), task.clone())).collect();
    for (stage, task) in out {
        // A manifest may take its time to be seen.
        if matches!(task.phase, TaskPhase::Waiting { .. } | TaskPhase::Due) || random.chance(0.3) {
            continue;
        }
        match world.manifests.get(&(stage.clone(), task.key())).cloned() {
            Some(manifest) => {
                assert_eq!(world.job.apply(&manifest, world.now_ms, &mut || random.unit()), Applied::Counted);
            }
            None if task.phase == TaskPhase::Unknown => world.job.not_found(&stage, task.key()),
            None => assert!(world.job.resend(&stage, task.key()) < MAX_DEATHS * 1_000),
        }
    }
}

fn check(world: &World) {
    let mut committed: BTreeMap<(StageName, u32), u32> = BTreeMap::new();
    for ((stage, _), manifest) in &world.manifests {
        for (first, count) in manifest.committed() {
            (first..first + count).for_each(|item| *committed.entry((stage.clone(), item)).or_default() += 1);
        }
    }
    assert!(committed.values().all(|times| *times == 1), "an item was committed twice: {committed:?}");
    for (stage, item) in committed.keys() {
        let covering = world.job.committed(stage).unwrap().covering(*item..*item + 1);
        let holds = |key: &crate::ids::AttemptKey| {
            let manifest = &world.manifests[&(stage.clone(), *key)];
            let mut runs = manifest.committed().into_iter();
            runs.any(|(first, count)| (first..first + count).contains(item))
        };
        if world.job.is_ok(stage, *item) {
            assert_eq!(covering.iter().filter(|key| holds(key)).count(), 1, "{stage}/{item}");
        }
    }
    let balance = world.job.balance();
    match world.job.state() {
        JobState::Succeeded => assert_eq!(balance.faults, Vec::<String>::new()),
        JobState::Failed => {}
        state => panic!("a job must not end as {state:?}: {:?}", world.job.message()),
    }
}

#[test]
fn whatever_happens_an_item_is_committed_at_most_once_and_the_job_ends() {
    let mut ends = BTreeMap::new();
    for seed in 0..1_500 {
        *ends.entry(format!("{:?}", run_seed(seed))).or_insert(0) += 1;
    }
    assert!(ends.get("Succeeded") > Some(&300) && ends.get("Failed") > Some(&100), "{ends:?}");
}
