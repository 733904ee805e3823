//! A command per item: outputs captured, every item committed and delivered.

use super::peers;
use crate::cost::of_program;
use crate::rounds::{Tool, in_turn};
use crate::{Setting, table};

const ITEMS: u64 = 10_000;

pub fn measure(setting: &Setting) -> anyhow::Result<()> {
    let pipeline = setting.file("true.yaml");
    std::fs::write(&pipeline, format!("name: true\nstages:\n  work:\n    range: 1..{ITEMS}\n    run: [/bin/true]\n"))?;
    let bare = || of_program(std::process::Command::new(std::env::current_exe()?).args(["--inner", "spawn", "10000"]));
    let grid = || {
        let yard = setting.yard()?;
        of_program(&mut setting.run(&yard, &pipeline, "out"))
    };
    let mut tools =
        vec![Tool::new("posix_spawn and wait, two in flight", ITEMS, bare), Tool::new("gridmill run", ITEMS, grid)];
    tools.extend(peers::of_commands(setting, ITEMS)?);
    let results = in_turn(setting.rounds, &mut tools)?;
    table::print("command", &results);
    let (limit, grid) = (&results[0], &results[1]);
    table::judge("CPU over the limit", grid.ratio.0, 1.15, "x");
    table::judge("time over the limit", grid.ratio.1, 1.10, "x");
    let share = (grid.cost.cpu.as_secs_f64() - limit.cost.cpu.as_secs_f64()) * 1e6;
    table::judge("the grid's own CPU a command", share, 60.0, "us");
    Ok(())
}
