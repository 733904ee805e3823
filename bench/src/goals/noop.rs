//! Items that do nothing, through manager, worker and durable back ends in one process.

use crate::inner::ask;
use crate::rounds::{Tool, in_turn};
use crate::{Setting, table};

const ITEMS: u64 = 1_000_000;

/// Fewer, since every group of them is an fsync.
const FLOOR_ITEMS: u64 = 100_000;

pub fn measure(setting: &Setting) -> anyhow::Result<()> {
    let in_yard = |program: &str, items: u64| {
        let yard = setting.yard()?;
        Ok(ask(&[program, &items.to_string(), &yard.path().to_string_lossy()])?.cost())
    };
    let mut tools = [
        Tool::new("channel, and SQLite at 100 a commit", FLOOR_ITEMS, || in_yard("floor", FLOOR_ITEMS)),
        Tool::new("gridmill", ITEMS, || in_yard("noop", ITEMS)),
    ];
    let results = in_turn(setting.rounds, &mut tools)?;
    table::print("item", &results);
    table::judge("CPU an item", results[1].cost.cpu.as_secs_f64() * 1e6, 5.0, "us");
    table::judge("time an item", results[1].cost.wall.as_secs_f64() * 1e6, 10.0, "us");
    Ok(())
}
