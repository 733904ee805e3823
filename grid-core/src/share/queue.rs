//! One level of start-time fair queueing.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Flows with the virtual time at which each may start next. Virtual time is that of whoever was served last: who comes
/// anew, or back, starts there and not at zero.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct FairQueue<K: Ord> {
    now: f64,
    /// A list, so that a key may be more than text when it is written down.
    next: Vec<(K, f64)>,
}

impl<K: Ord> Default for FairQueue<K> {
    fn default() -> Self {
        Self { now: 0.0, next: Vec::new() }
    }
}

impl<K: Ord + Clone> FairQueue<K> {
    /// Of the flows that have something to do: the one whose turn it is. The first of equals.
    pub fn next<'a>(&mut self, open: impl Iterator<Item = &'a K>) -> Option<K>
    where
        K: 'a,
    {
        let starts: BTreeMap<&K, f64> = self.next.iter().map(|(key, start)| (key, *start)).collect();
        let start = |key: &K| starts.get(key).copied().unwrap_or(self.now).max(self.now);
        let (key, start) = open.map(|key| (key, start(key))).min_by(|a, b| a.1.total_cmp(&b.1))?;
        let key = key.clone();
        self.now = start;
        Some(key)
    }

    /// Charges a flow that was just chosen: cost over weight.
    pub fn charge(&mut self, key: &K, cost: f64) {
        let now = self.now;
        match self.next.iter_mut().find(|(other, _)| other == key) {
            Some((_, start)) => *start = start.max(now) + cost,
            None => self.next.push((key.clone(), now + cost)),
        }
    }

    /// Corrects a charge. What is given back does not reach behind the present.
    pub fn correct(&mut self, key: &K, more: f64) {
        let now = self.now;
        if let Some((_, start)) = self.next.iter_mut().find(|(other, _)| other == key) {
            *start = (*start + more).max(now);
        }
    }

    /// Forgets flows that owe nothing any more and have nothing to do.
    pub fn retain(&mut self, is_active: impl Fn(&K) -> bool) {
        let now = self.now;
        self.next.retain(|(key, start)| *start > now || is_active(key));
    }
}
