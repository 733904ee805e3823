//! The pipeline file of a workload.

use std::fmt::Write as _;

use super::{Source, Split, StagePlan, Workload};

impl Workload {
    /// The pipeline file. Stages from `changed` on have another command than those of `changed` = none.
    pub fn pipeline(&self, changed: Option<usize>) -> String {
        let mut text = String::from("name: sim\nparams:\n  mend: {type: boolean, default: false}\n");
        if self.reads_input() {
            let header = self.has_header;
            _ = writeln!(text, "inputs:\n  numbers: {{format: text, header: {header}}}");
        }
        text.push_str("stages:\n");
        for (place, stage) in self.stages.iter().enumerate() {
            let edition = u32::from(changed.is_some_and(|changed| place >= changed));
            let source = self.source(&stage.source);
            let StagePlan { name, attempts, skip_limit, on_failure, .. } = stage;
            let per = if stage.per_bundle { "bundle" } else { "item" };
            _ = writeln!(text, "  {name}:\n    {source}");
            if !stage.after.is_empty() {
                _ = writeln!(text, "    after: {}", self.names(&stage.after));
            }
            _ = writeln!(text, "    run: [work, {name}, \"{edition}\", \"${{{{ params.mend }}}}\"]\n    per: {per}");
            _ = writeln!(text, "    resources: {{memory: 1GiB}}\n    skip: {{limit: {skip_limit}}}");
            _ = writeln!(text, "    on_failure: {on_failure}\n    retry:\n      attempts: {attempts}");
            text.push_str("      backoff: {initial: 200ms, max: 2s}\n      rules:\n");
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
            Source::Range(items) => format!("range: 1..{items}"),
            Source::Matrix(a, b) => format!("matrix: {{a: {}, b: {}}}", values("a", *a), values("b", *b)),
            Source::List(items) => format!("list: {}", values("v", *items)),
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
fn values(name: &str, count: u32) -> String {
    let values: Vec<String> = (0..count).map(|value| format!("{name}{value}")).collect();
    format!("[{}]", values.join(", "))
}
