//! What an item costs on top of its process. Run by hand: `cargo test -p grid-worker --release overhead -- --ignored
//! --nocapture --test-threads=1`; nothing depends on the clock otherwise.

#![allow(clippy::print_stdout, reason = "a measurement is for reading")]

use std::process::{Command, Stdio};

use super::*;

const ITEMS: u32 = 2_000;
const ROUNDS: u32 = 5;

#[tokio::test]
#[ignore = "a measurement"]
async fn overhead_of_an_item_over_bare_spawn_and_wait() {
    let mut costs: Vec<(f64, f64, f64)> = Vec::new();
    let runner = {
        let base_env = std::env::vars_os().collect();
        ProcessRunner::new(ProcessConfig { base_env }).unwrap()
    };
    for _ in 0..ROUNDS {
        let bare = cost(|| bare(ITEMS));
        let before = cpu_ticks();
        let ran = argv(&["/bin/true"]).run_on(&runner, ITEMS, Vec::new()).await;
        let ours = per_item(cpu_ticks() - before);
        assert_eq!(ran.items.len(), ITEMS as usize);
        assert!(failures(&ran).is_empty());
        costs.push((ours - bare, ours, bare));
    }
    costs.sort_by(|a, b| f64::total_cmp(&a.0, &b.0));
    println!("CPU us an item (over bare, ours, bare), by rounds: {costs:.0?}");
}

fn bare(count: u32) {
    let mut command = Command::new("/bin/true");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    for _ in 0..count {
        assert!(command.spawn().unwrap().wait().unwrap().success());
    }
}

fn cost(work: impl FnOnce()) -> f64 {
    let before = cpu_ticks();
    work();
    per_item(cpu_ticks() - before)
}

/// User and system time of this process and its children, in hundredths of a second.
fn cpu_ticks() -> u64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields = stat.rsplit_once(')').unwrap().1;
    fields.split_whitespace().skip(11).take(4).map(|ticks| ticks.parse::<u64>().unwrap()).sum()
}

fn per_item(ticks: u64) -> f64 {
    ticks as f64 * 10_000.0 / f64::from(ITEMS)
}
