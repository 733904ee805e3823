//! One stage: what it does, and where the names in it stand.

use std::collections::BTreeMap;
use std::time::Duration;

use super::fields::Fields;
use super::{Reader, Use};
use crate::ids::StageName;
use crate::limits::{MAX_TIMEOUT, MIN_CHECKPOINT_INTERVAL};
use crate::pipeline::grammar;
use crate::pipeline::model::{Checkpoint, Command, InputAs, ItemSource, Notify, Per, Resources, Stage, Template};
use crate::pipeline::names;
use crate::pipeline::tree::{Entry, Node, Span, Value};

/// Names that lie beside the stages in a job's folder, see [`layout`](crate::layout).
const RESERVED_STAGES: [&str; 2] = ["input", "cancelled"];

/// Variables that gridmill sets itself.
const OWN_VARIABLES: &str = "GRIDMILL_";

/// Cores of the largest machine that one could rent, generously.
const MAX_CPUS: f64 = 4_096.0;

/// A name and its place.
#[derive(Clone, Debug)]
pub(in crate::pipeline) struct Named {
    pub name: String,
    pub at: Span,
}

/// A stage whose references are not checked yet.
pub(in crate::pipeline) struct StageDraft {
    pub stage: Stage,
    /// Where the items come from is known; else the fault has been told and `stage.items` means nothing.
    pub has_source: bool,
    /// The input of `split`.
    pub input: Option<Named>,
    /// The stages of `each`, `group` or `all`.
    pub upstream: Vec<Named>,
    pub after: Vec<Named>,
    /// The dimensions of `group`.
    pub by: Vec<Named>,
    /// Expressions in what runs once an item (or once a task).
    pub uses: Vec<Use>,
    /// Expressions in what runs once a worker.
    pub setup_uses: Vec<Use>,
    /// The place and the expressions of `output.name`.
    pub output_name: Option<(Span, Vec<Use>)>,
}

impl StageDraft {
    fn new(name: &str) -> Self {
        Self {
            stage: Stage::new(StageName::new(name), ItemSource::Each(Vec::new()), Command::Shell(Template::text(""))),
            has_source: false,
            input: None,
            upstream: Vec::new(),
            after: Vec::new(),
            by: Vec::new(),
            uses: Vec::new(),
            setup_uses: Vec::new(),
            output_name: None,
        }
    }
}

impl Reader<'_, '_> {
    pub(super) fn stage(&mut self, entry: &Entry) -> StageDraft {
        self.check_name(&entry.key, &entry.key_span, "a stage", names::is_stage_name);
        if RESERVED_STAGES.contains(&entry.key.as_str()) {
            self.faults
                .at(&entry.key_span, format!("a stage cannot be called `{}`: gridmill uses that name", entry.key));
        }
        let mut draft = StageDraft::new(&entry.key);
        if let Some(fields) = self.fields(&entry.value, &entry.key_span, &grammar::STAGE) {
            self.source(&fields, &mut draft);
            self.action(&fields, entry, &mut draft);
            self.surroundings(&fields, &mut draft);
            self.trouble(&fields, &mut draft.stage);
        }
        draft
    }

    fn action(&mut self, fields: &Fields<'_>, entry: &Entry, draft: &mut StageDraft) {
        match fields.node("run") {
            Some(node) => {
                let run = self.command(node, &mut draft.uses);
                draft.stage.run = run.unwrap_or_else(|| draft.stage.run.clone());
            }
            // A refused `step` has been told already.
            None if fields.has_unbuilt(&grammar::ACTIONS) => {}
            None => self.faults.at(&fields.at, format!("stage `{}` does nothing: `run` is missing", entry.key)),
        }
        if let Some(per) = fields.node("per").and_then(|node| self.word(node, "a way to run", grammar::PER)) {
            draft.stage.per = per;
        }
        if let Some(node) = fields.node("input_as") {
            let input_as = self.word(node, "a way for input to arrive", grammar::INPUT_AS);
            draft.stage.input_as = input_as.unwrap_or(draft.stage.input_as);
            if (draft.stage.per, draft.stage.input_as) == (Per::Worker, InputAs::Files) {
                let help = "a co-process is told its inputs by NDJSON: leave `input_as` out, or use `per: item`";
                self.faults.help(&node.span, "`input_as: files` does not go with `per: worker`", help);
            }
        }
    }

    fn surroundings(&mut self, fields: &Fields<'_>, draft: &mut StageDraft) {
        if let Some(node) = fields.node("after") {
            draft.after = self.stage_names(node);
            draft.stage.after = draft.after.iter().map(|named| StageName::new(&named.name)).collect();
        }
        if let Some(node) = fields.node("env") {
            draft.stage.env = self.env(node, &mut draft.uses);
        }
        draft.stage.setup = fields.node("setup").and_then(|node| self.command(node, &mut draft.setup_uses));
        if let Some(node) = fields.node("pool") {
            let rule = "letters, digits, `.`, `_` and `-`, at most 128";
            let pool = self.name(node, "the name of a pool", names::is_plain_name, rule);
            draft.stage.pool = pool.unwrap_or_else(|| draft.stage.pool.clone());
        }
        if let Some(entry) = fields.entry("resources") {
            draft.stage.resources = self.resources(entry);
        }
        if let Some(entry) = fields.entry("output") {
            self.output(entry, draft);
        }
        if let Some(entry) = fields.entry("checkpoint") {
            draft.stage.checkpoint = self.checkpoint(entry);
            if draft.stage.per != Per::Item {
                let help = "a checkpoint is that of one item: leave `per` out, or `checkpoint`";
                self.faults.help(&entry.key_span, "`checkpoint` goes with `per: item` only", help);
            }
        }
        draft.stage.notify = fields.entry("notify").and_then(|entry| self.notify(entry));
        draft.stage.cache = fields.node("cache").and_then(|node| self.boolean(node)).unwrap_or(true);
    }

    fn env(&mut self, node: &Node, uses: &mut Vec<Use>) -> BTreeMap<String, Template> {
        let mut env = BTreeMap::new();
        let Value::Map(entries) = &node.value else {
            self.faults.at(&node.span, "`env` must be a map of values by name");
            return env;
        };
        for entry in entries {
            self.check_name(&entry.key, &entry.key_span, "a variable", names::is_identifier);
            if entry.key.starts_with(OWN_VARIABLES) {
                self.faults.at(&entry.key_span, format!("`{}`: gridmill sets `GRIDMILL_*` itself", entry.key));
            }
            if let Some(value) = self.template(&entry.value, "a value", uses) {
                env.insert(entry.key.clone(), value);
            }
        }
        env
    }

    fn resources(&mut self, entry: &Entry) -> Resources {
        let Some(fields) = self.fields(&entry.value, &entry.key_span, &grammar::RESOURCES) else {
            return Resources::default();
        };
        Resources {
            cpus: fields.node("cpus").and_then(|node| self.cpus(node)),
            memory: fields.node("memory").and_then(|node| self.size(node)),
            disk: fields.node("disk").and_then(|node| self.size(node)),
        }
    }

    fn checkpoint(&mut self, entry: &Entry) -> Option<Checkpoint> {
        let fields = self.fields(&entry.value, &entry.key_span, &grammar::CHECKPOINT)?;
        let node = fields.node("interval")?;
        let interval = self.some_time(node)?;
        if interval < MIN_CHECKPOINT_INTERVAL {
            let help = "every checkpoint is written to the store: say how much work may be lost";
            self.faults.help(&node.span, "a checkpoint more often than every 1s is refused", help);
            return None;
        }
        Some(Checkpoint { interval })
    }

    fn notify(&mut self, entry: &Entry) -> Option<Notify> {
        let fields = self.fields(&entry.value, &entry.key_span, &grammar::NOTIFY)?;
        let rule = "its name, its URL or its ARN: visible ASCII, at most 512 characters";
        let queue = fields.node("queue").and_then(|node| self.name(node, "a queue", names::is_queue, rule))?;
        Some(Notify { queue })
    }

    fn cpus(&mut self, node: &Node) -> Option<f64> {
        let cpus = self.number(node, 0.0..=MAX_CPUS)?;
        if cpus == 0.0 {
            self.faults.at(&node.span, "an item needs more than no processor at all");
            return None;
        }
        Some(cpus)
    }

    fn output(&mut self, entry: &Entry, draft: &mut StageDraft) {
        let Some(fields) = self.fields(&entry.value, &entry.key_span, &grammar::OUTPUT) else {
            return;
        };
        let output = &mut draft.stage.output;
        if let Some(node) = fields.node("format") {
            output.format = self.word(node, "a format", grammar::OUTPUT_FORMATS).unwrap_or(output.format);
        }
        if let Some(node) = fields.node("name") {
            let mut uses = Vec::new();
            output.name = self.template(node, "a file name", &mut uses);
            if output.name.as_ref().is_some_and(|name| !is_file_name(name)) {
                self.faults.at(&node.span, "this is not the name of a file: no `/`, not empty, not beginning with `.`");
            }
            draft.output_name = Some((node.span.clone(), uses));
        }
    }

    /// A timeout that a lease can last.
    pub(super) fn timeout(&mut self, node: &Node) -> Option<Duration> {
        let timeout = self.some_time(node)?;
        if timeout <= MAX_TIMEOUT {
            return Some(timeout);
        }
        let hours = MAX_TIMEOUT.as_secs() / 3_600;
        self.faults.help(
            &node.span,
            format!("a timeout of more than {hours}h is refused: the lease of an item cannot be kept for longer"),
            "cut the work in smaller items",
        );
        None
    }
}

/// Values are percent-encoded when they are put in; the rest must be harmless as it stands.
fn is_file_name(template: &Template) -> bool {
    use crate::pipeline::model::TemplatePart::Text;
    let texts = || template.parts.iter().filter_map(|part| if let Text(text) = part { Some(text) } else { None });
    let begins_well = match template.parts.first() {
        None => false,
        Some(Text(text)) => !text.starts_with('.'),
        Some(_) => true,
    };
    begins_well && texts().all(|text| !text.contains('/') && !text.chars().any(char::is_control))
}
