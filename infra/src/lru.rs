//! A map that forgets what was used longest ago once it holds too much.

use std::collections::BTreeMap;

/// Values by key, bounded by the sum of their weights.
#[derive(Debug)]
pub struct Lru<K, V> {
    limit: u64,
    weight: u64,
    uses: u64,
    entries: BTreeMap<K, Entry<V>>,
    by_use: BTreeMap<u64, K>,
}

#[derive(Debug)]
struct Entry<V> {
    value: V,
    weight: u64,
    used: u64,
}

impl<K: Ord + Clone, V: Clone> Lru<K, V> {
    /// An empty map that holds values of `limit` together.
    pub fn new(limit: u64) -> Self {
        Self { limit, weight: 0, uses: 0, entries: BTreeMap::new(), by_use: BTreeMap::new() }
    }

    /// The value of `key`, which counts as a use.
    pub fn get(&mut self, key: &K) -> Option<V> {
        let entry = self.entries.get_mut(key)?;
        self.uses += 1;
        self.by_use.remove(&entry.used);
        self.by_use.insert(self.uses, key.clone());
        entry.used = self.uses;
        Some(entry.value.clone())
    }

    /// Keeps a value, in place of any under the same key. One that weighs more than the limit is not kept.
    pub fn insert(&mut self, key: K, value: V, weight: u64) {
        self.remove(&key);
        if weight > self.limit {
            return;
        }
        self.uses += 1;
        self.weight += weight;
        self.by_use.insert(self.uses, key.clone());
        self.entries.insert(key, Entry { value, weight, used: self.uses });
        while self.weight > self.limit
            && let Some((_, oldest)) = self.by_use.pop_first()
        {
            self.remove(&oldest);
        }
    }

    fn remove(&mut self, key: &K) {
        if let Some(entry) = self.entries.remove(key) {
            self.weight -= entry.weight;
            self.by_use.remove(&entry.used);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_used_longest_ago_goes_first() {
        let mut lru = Lru::new(10);
        lru.insert("a", 1, 4);
        lru.insert("b", 2, 4);
        assert_eq!(lru.get(&"a"), Some(1));
        lru.insert("c", 3, 4);
        assert_eq!([lru.get(&"a"), lru.get(&"b"), lru.get(&"c")], [Some(1), None, Some(3)]);
    }

    #[test]
    fn a_value_is_replaced_and_its_weight_with_it() {
        let mut lru = Lru::new(10);
        lru.insert("a", 1, 9);
        lru.insert("a", 2, 1);
        lru.insert("b", 3, 9);
        assert_eq!([lru.get(&"a"), lru.get(&"b")], [Some(2), Some(3)]);
        lru.insert("c", 4, 11);
        assert_eq!([lru.get(&"a"), lru.get(&"c")], [Some(2), None], "too heavy to keep, and nothing went for it");
    }
}
