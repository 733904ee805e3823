//! The pipeline file of a workload.

use std::fmt::Write as _;

use super::{Source, Split, StagePlan, Workload};

impl Workload {
    /// The pipeline file.
    pub fn pipeline(&self) -> String {
        let mut text = String::from("name: sim\nparams:\n  mend: {type: boolean, default: false}\n");
        if self.reads_input() {
            let header = self.has_header;
            _ = writeln!(text, "inputs:\n  numbers: {{format: text, header: {header}}}");
        }
        text.push_str("stages:\n");
        for (place, stage) in self.stages.iter().enumerate() {
            let command = self.command(place);
            let source = self.source(&stage.source);
            let StagePlan { name, attempts, skip_limit, on_failure, .. } = stage;
            let per = if stage.per_bundle { "bundle" } else { "item" };
            _ = writeln!(text, "  {name}:\n    {source}");
            if !stage.after.is_empty() {
                _ = writeln!(text, "    after: {}", self.names(&stage.after));
            }
            _ = writeln!(text, "    run: [work, {name}, \"{command}\", \"${{{{ params.mend }}}}\"]\n    per: {per}");
            if stage.notifies {
                text.push_str("    notify: {queue: told}\n");
            }
            _ = writeln!(text, "    resources: {{memory: 1GiB}}\n    skip: {{limit: {skip_limit}}}");
            _ = writeln!(text, "    on_failure: {on_failure}\n    retry:\n      attempts: {attempts}");
            let jitter = if self.is_steady { ", jitter: 0" } else { "" };
            _ = writeln!(text, "      backoff: {{initial: 200ms, max: 2s{jitter}}}\n      rules:");
            text.push_str("        - {when: {exit: 4}, then: skip}\n");
            text.push_str("        - {when: {reason: oom}, then: retry, memory: x2}\n");
        }
        text
    }

    fn names(&self, stages: &[usize]) -> String {
        let names: Vec<&str> = stages.iter().map(|stage| self.stages[*stage].name.as_str()).collect();
        format!("[{}]", names.join(", "))
    }

    fn source(&self, source: &Source) -> String {
        match source {
            Source::Range(items) => format!("range: {}..{items}", 1 + self.first_value(*items)),
            Source::Matrix(a, b) => {
                format!("matrix: {{a: {}, b: {}}}", values("a", self.first_value(*a), *a), values("b", 0, *b))
            }
            Source::List(items) => format!("list: {}", values("v", self.first_value(*items), *items)),
            Source::Split(split) => {
                let rule = match split {
                    Split::Lines(count) => format!("by: lines, count: {count}"),
                    Split::Files(count) => format!("by: files, count: {count}"),
                    Split::Even(parts) => format!("by: even, parts: {parts}"),
                    Split::Bytes(target) => format!("by: bytes, target: {target}"),
                };
                format!("split: {{input: numbers, {rule}}}")
            }
            Source::Each(up) => format!("each: {}", self.names(up)),
            Source::Group(up, by) => format!("group: {}\n    by: [{by}]", self.names(up)),
            Source::All(up, None) => format!("all: {}", self.names(up)),
            Source::All(up, Some(fan_in)) => format!("all: {}\n    fan_in: {fan_in}", self.names(up)),
        }
    }
}

/// `[a0, a1]`
fn values(name: &str, first: u32, end: u32) -> String {
    let values: Vec<String> = (first..end).map(|value| format!("{name}{value}")).collect();
    format!("[{}]", values.join(", "))
}
