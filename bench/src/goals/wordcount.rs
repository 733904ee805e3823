//! Counting words: real commands on real slices, against the same commands in one pipe.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use super::peers;
use crate::cost::of_program;
use crate::rounds::{Tool, in_turn};
use crate::{Setting, table};

const BYTES: usize = 300_000_000;

/// Different words in the input.
const WORDS: u64 = 20_000;

/// Counts in one pass; both sides run exactly this.
const COUNT: &str = "awk '{ for (i = 1; i <= NF; i++) n[$i]++ } END { for (w in n) print w, n[w] }'";

/// Adds up counts.
const ADD: &str = "awk '{ n[$1] += $2 } END { for (w in n) print w, n[w] }' | sort";

pub fn measure(setting: &Setting) -> anyhow::Result<()> {
    let input = setting.file("words.txt");
    write_words(&input)?;
    let pipeline = setting.file("words.yaml");
    std::fs::write(&pipeline, pipeline_of(&input))?;
    let (pipe, parts) = (format!("{COUNT} < {} | {ADD}", input.display()), setting.file("parts"));
    std::fs::create_dir_all(&parts)?;
    let by_hand = format!(
        "cd {} && split -n l/32 {} p. && ls p.* | xargs -P2 -I@ sh -c '{} < @ > @.n' && cat *.n | {ADD}; rm -f p.*",
        parts.display(),
        input.display(),
        COUNT.replace('\'', "'\\''"),
    );
    let mut tools = [
        Tool::new("awk in one pipe, one core", 1, || peers::shell(&pipe)),
        Tool::new("split, xargs -P2 awk, awk", 1, || peers::shell(&by_hand)),
        Tool::new("gridmill run", 1, || {
            let yard = setting.yard()?;
            of_program(&mut setting.run(&yard, &pipeline, "out"))
        }),
    ];
    let results = in_turn(setting.rounds, &mut tools)?;
    table::print("job", &results);
    Ok(())
}

fn pipeline_of(input: &Path) -> String {
    format!(
        "name: words\ninputs:\n  text: {{format: text, default: \"{}\"}}\nstages:\n  count:\n    split: {{input: text, by: bytes, target: 9MiB}}\n    run: |\n      {COUNT}\n  total:\n    all: count\n    run: |\n      {ADD}\n",
        input.display()
    )
}

/// Words in no order, a few of them often, most of them seldom; the same every time.
fn write_words(path: &Path) -> anyhow::Result<()> {
    let mut file = BufWriter::with_capacity(1 << 20, File::create(path)?);
    let (mut state, mut written, mut words) = (1u64, 0, 0u64);
    while written < BYTES {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let draw = (state >> 33) as f64 / (1u64 << 31) as f64;
        words += 1;
        let end = if words.is_multiple_of(12) { '\n' } else { ' ' };
        let word = format!("word{}{end}", (draw.powi(3) * WORDS as f64) as u64);
        written += word.len();
        file.write_all(word.as_bytes())?;
    }
    Ok(file.flush()?)
}
