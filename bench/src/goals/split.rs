//! Planning: finding the borders of records in a large input.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::process::Command;

use super::peers;
use crate::cost::of_program;
use crate::rounds::{Measured, Tool, in_turn};
use crate::{Setting, table};

/// Bytes of each input, about.
const BYTES: u64 = 1 << 30;

pub fn measure(setting: &Setting) -> anyhow::Result<()> {
    for (format, by, line) in [
        ("text", "bytes", "the quick brown fox jumps over the lazy dog and goes on to the next line\n"),
        ("text", "lines", "the quick brown fox jumps over the lazy dog and goes on to the next line\n"),
        ("csv", "records", "4711,\"Miller, Ann\",2026-01-31,1234.56,\"a \"\"quoted\"\" remark\",open\n"),
    ] {
        let input = setting.file(&format!("large.{format}"));
        write_lines(&input, line)?;
        of_format(setting, format, by, &input)?;
    }
    Ok(())
}

fn of_format(setting: &Setting, format: &str, by: &str, input: &Path) -> anyhow::Result<()> {
    let pipeline = setting.file("split.yaml");
    let size = if by == "bytes" { "target: 8MiB" } else { "count: 100000" };
    let text = format!(
        "name: split\ninputs:\n  all: {{format: {format}, default: \"{}\"}}\nstages:\n  work:\n    split: {{input: all, by: {by}, {size}}}\n    run: [/bin/cat]\n",
        input.display()
    );
    std::fs::write(&pipeline, text)?;
    let count = format!("wc -l < {}", input.display());
    let mut tools = [
        Tool::new("wc -l", 1, || peers::shell(&count)),
        Tool::new(format!("gridmill plan: {format} by {by}"), 1, || {
            of_program(Command::new(&setting.gridmill).arg("plan").arg(&pipeline))
        }),
    ];
    let results = in_turn(setting.rounds, &mut tools)?;
    table::print("pass", &results);
    let bytes = input.metadata()?.len() as f64;
    for Measured { name, cost, .. } in &results {
        println!("  {name}: {:.2} GB/s", bytes / 1e9 / cost.wall.as_secs_f64());
    }
    Ok(())
}

fn write_lines(path: &Path, line: &str) -> anyhow::Result<()> {
    let mut file = BufWriter::with_capacity(1 << 20, File::create(path)?);
    for _ in 0..BYTES / line.len() as u64 {
        file.write_all(line.as_bytes())?;
    }
    Ok(file.flush()?)
}
