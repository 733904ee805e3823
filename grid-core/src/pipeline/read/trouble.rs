//! What a stage does when things go wrong.

use super::Reader;
use super::fields::Fields;
use crate::pipeline::grammar;
use crate::pipeline::model::{Backoff, Retry, RetryRule, Stage};
use crate::pipeline::tree::{Entry, Node, Value};

/// More executions of one item than this are a loop, not a retry.
const MAX_ATTEMPTS: i64 = 1_000;

/// A factor above this overflows any limit within a few attempts.
const MAX_FACTOR: f64 = 1_000.0;

impl Reader<'_, '_> {
    pub(super) fn trouble(&mut self, fields: &Fields<'_>, stage: &mut Stage) {
        if let Some(entry) = fields.entry("retry") {
            stage.retry = self.retry(entry, stage.resources.memory.is_some());
        }
        if let Some(timeout) = fields.node("timeout").and_then(|node| self.timeout(node)) {
            stage.timeout = timeout;
        }
        if let Some(grace) = fields.node("grace").and_then(|node| self.timeout(node)) {
            stage.grace = grace;
        }
        if let Some(entry) = fields.entry("skip") {
            let limit = self.fields(&entry.value, &entry.key_span, &grammar::SKIP);
            let limit = limit.and_then(|fields| fields.node("limit")).and_then(|node| self.allowance(node));
            stage.skip = limit.unwrap_or(stage.skip);
        }
        if let Some(node) = fields.node("on_failure") {
            let on_failure = self.word(node, "something to do on failure", grammar::ON_FAILURE);
            stage.on_failure = on_failure.unwrap_or(stage.on_failure);
        }
        if let Some(node) = fields.node("stragglers") {
            let stragglers = self.word(node, "something to do with stragglers", grammar::STRAGGLERS);
            stage.stragglers = stragglers.unwrap_or(stage.stragglers);
        }
        stage.max_failures = fields.node("max_failures").and_then(|node| self.allowance(node));
    }

    fn retry(&mut self, entry: &Entry, has_memory: bool) -> Retry {
        let mut retry = Retry::default();
        let Some(fields) = self.fields(&entry.value, &entry.key_span, &grammar::RETRY) else {
            return retry;
        };
        if let Some(attempts) = fields.node("attempts").and_then(|node| self.integer(node, 1..=MAX_ATTEMPTS)) {
            retry.attempts = u32::try_from(attempts).unwrap_or(retry.attempts);
        }
        if let Some(entry) = fields.entry("backoff") {
            self.backoff(entry, &mut retry.backoff);
        }
        if let Some(node) = fields.node("rules") {
            let Value::List(nodes) = &node.value else {
                self.faults.at(&node.span, "`rules` must be a list of `{when, then}`");
                return retry;
            };
            retry.rules = nodes.iter().filter_map(|node| RetryRule::read(self, node, has_memory)).collect();
        }
        retry
    }

    fn backoff(&mut self, entry: &Entry, backoff: &mut Backoff) {
        let Some(fields) = self.fields(&entry.value, &entry.key_span, &grammar::BACKOFF) else {
            return;
        };
        backoff.initial = fields.node("initial").and_then(|node| self.duration(node)).unwrap_or(backoff.initial);
        let factor = fields.node("factor").and_then(|node| self.number(node, 1.0..=MAX_FACTOR));
        backoff.factor = factor.unwrap_or(backoff.factor);
        let max = fields.node("max").and_then(|node| self.duration(node));
        backoff.max = max.unwrap_or(backoff.max.max(backoff.initial));
        if let Some(node) = fields.node("max").filter(|_| backoff.max < backoff.initial) {
            self.faults.at(&node.span, "`max` is shorter than `initial`");
        }
        backoff.jitter = fields.node("jitter").and_then(|node| self.number(node, 0.0..=1.0)).unwrap_or(backoff.jitter);
    }

    /// `x2`, or `2`.
    pub(crate) fn memory_factor(&mut self, node: &Node) -> Option<f64> {
        let text = self.text(node, "a factor, as x2,")?;
        let factor = text.strip_prefix('x').unwrap_or(&text).parse::<f64>().ok();
        let factor = factor.filter(|factor| (1.0..=MAX_FACTOR).contains(factor));
        if factor.is_none() {
            self.faults.at(&node.span, format!("`{text}` is not a factor: write x2 or x1.5"));
        }
        factor
    }
}
