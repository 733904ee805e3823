//! Nothing grows with the number of items but the work itself.

use std::process::Command;
use std::time::Duration;

use crate::cost::{Cost, of_program};
use crate::inner::{Said, ask};
use crate::rounds::{Tool, in_turn, median};
use crate::{Setting, table};

/// The first one is what the others are compared with.
const SIZES: [u64; 3] = [100_000, 1_000_000, 10_000_000];

pub fn measure(setting: &Setting) -> anyhow::Result<()> {
    plans(setting)?;
    let mut said: Vec<Vec<Said>> = vec![Vec::new(); SIZES.len()];
    let tools = SIZES.iter().zip(&mut said).map(|(items, said)| {
        Tool::new(format!("{items} items"), *items, move || {
            let yard = setting.yard()?;
            said.push(ask(&["noop", &items.to_string(), &yard.path().to_string_lossy()])?);
            Ok(said.last().map(Said::cost).unwrap_or_default())
        })
    });
    let mut tools: Vec<Tool<'_>> = tools.collect();
    let results = in_turn(setting.rounds, &mut tools)?;
    drop(tools);
    table::print("item", &results);
    for (items, said) in SIZES.iter().zip(&said) {
        let submitted = Duration::from_secs_f64(median(said.iter().map(|said| said.submit_us / 1e6)));
        let memory = median(said.iter().map(|said| (said.peak_kib - said.idle_kib) as f64 / 1024.0));
        println!("  {items} items: submitted in {}, {memory:.1} MiB over idle", table::short(submitted));
    }
    let submitted = |said: &[Said]| median(said.iter().map(|said| said.submit_us));
    let memory = median(said[2].iter().map(|said| (said.peak_kib - said.idle_kib) as f64 / 1024.0));
    table::judge("CPU an item at 1 M over 100 k", results[1].ratio.0, 1.10, "x");
    table::judge("CPU an item at 10 M over 100 k", results[2].ratio.0, 1.10, "x");
    table::judge("memory at 10 M over idle", memory, 64.0, "MiB");
    table::judge("time to submit 10 M over that of 100 k", submitted(&said[2]) / submitted(&said[0]), 1.25, "x");
    Ok(())
}

/// `gridmill plan` at every size.
fn plans(setting: &Setting) -> anyhow::Result<()> {
    let tools = SIZES.iter().map(|items| {
        Tool::new(format!("gridmill plan, {items} items"), 1, move || -> anyhow::Result<Cost> {
            let pipeline = setting.file(&format!("range-{items}.yaml"));
            let text = format!("name: range\nstages:\n  work:\n    range: 1..{items}\n    run: [/bin/true]\n");
            std::fs::write(&pipeline, text)?;
            of_program(Command::new(&setting.gridmill).arg("plan").arg(pipeline))
        })
    });
    let results = in_turn(setting.rounds, &mut tools.collect::<Vec<_>>())?;
    table::print("plan", &results);
    Ok(())
}
