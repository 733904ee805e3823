//! One trivial job: from its submission until it is done.

use std::process::Command;

use crate::cost::{Cost, of_program};
use crate::rounds::{Tool, in_turn};
use crate::{Setting, inner, table};

/// Jobs one after the other in a grid that lives.
const JOBS: u64 = 50;

/// More rounds than elsewhere: they are short, and a median of a few milliseconds needs them.
const ROUNDS: usize = 4;

pub fn measure(setting: &Setting) -> anyhow::Result<()> {
    let pipeline = setting.file("one.yaml");
    std::fs::write(&pipeline, "name: one\nstages:\n  work:\n    range: 1..1\n    run: [/bin/true]\n")?;
    let floor = || {
        let client = of_program(Command::new(&setting.gridmill).arg("--version"))?;
        let command = of_program(&mut Command::new("/bin/true"))?;
        Ok(Cost { cpu: client.cpu + command.cpu, wall: client.wall + command.wall })
    };
    let live = || {
        let yard = setting.yard()?;
        Ok(inner::ask(&["latency", &JOBS.to_string(), &yard.path().to_string_lossy()])?.cost())
    };
    let whole = || {
        let yard = setting.yard()?;
        of_program(&mut setting.run(&yard, &pipeline, "out"))
    };
    let kept = setting.yard()?;
    let mut number = 0;
    let again = || {
        number += 1;
        let pipeline = setting.file("again.yaml");
        let text = format!("name: again-{number}\nstages:\n  work:\n    range: 1..1\n    run: [/bin/true]\n");
        std::fs::write(&pipeline, text)?;
        of_program(&mut setting.run(&kept, &pipeline, &format!("out-{number}")))
    };
    let mut tools = [
        Tool::new("start of the client, and one command", 1, floor),
        Tool::new("a job in a grid that lives", 1, live),
        Tool::new("gridmill run, new state", 1, whole),
        Tool::new("gridmill run, state of earlier jobs", 1, again),
    ];
    let results = in_turn(setting.rounds * ROUNDS, &mut tools)?;
    table::print("job", &results);
    table::judge("a job in a grid that lives, over the limit", results[1].ratio.1, 2.0, "x");
    table::judge("gridmill run, over the limit", results[2].ratio.1, 2.0, "x");
    Ok(())
}
