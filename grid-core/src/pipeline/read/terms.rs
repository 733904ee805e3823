//! On what terms the job runs.

use super::Reader;
use super::fields::Fields;
use crate::pipeline::grammar;
use crate::pipeline::names;
use crate::pipeline::tree::Entry;
use crate::terms::{Budget, LEAST_BUDGET, MOST, MOST_BUDGET, Priority, Terms};

impl Reader<'_, '_> {
    pub(super) fn terms(&mut self, fields: &Fields<'_>) -> Terms {
        let steps = i64::from(-MOST)..=i64::from(MOST);
        let priority = fields.node("priority").and_then(|node| self.integer(node, steps));
        Terms {
            deadline: fields.node("deadline").and_then(|node| self.some_time(node)),
            budget: fields.entry("budget").and_then(|entry| self.budget(entry)),
            priority: priority.and_then(|step| i8::try_from(step).ok()).and_then(Priority::new),
        }
    }

    fn budget(&mut self, entry: &Entry) -> Option<Budget> {
        let fields = self.fields(&entry.value, &entry.key_span, &grammar::BUDGET)?;
        let usd = fields.node("usd").and_then(|node| self.number(node, LEAST_BUDGET..=MOST_BUDGET));
        let words = grammar::ON_EXCEED;
        let on_exceed = fields.node("on_exceed").and_then(|node| self.word(node, "what happens then", words));
        Some(Budget { usd: usd?, on_exceed: on_exceed.unwrap_or_default() })
    }

    pub(super) fn tenant(&mut self, fields: &Fields<'_>) -> Option<String> {
        let node = fields.node("tenant")?;
        let rule = "letters, digits, `.`, `_` and `-`, at most 64";
        self.name(node, "the name of a tenant", names::is_tenant_name, rule)
    }
}
