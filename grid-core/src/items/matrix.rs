//! The combinations of a matrix, as in GitHub Actions: first `exclude`, then `include`.

use std::collections::BTreeMap;

use crate::items::Key;
use crate::pipeline::Matrix;

impl Matrix {
    /// Whether its combinations are simply the product of the dimensions.
    pub fn is_product(&self) -> bool {
        self.include.is_empty() && self.exclude.is_empty()
    }

    /// The size of the product, before `exclude` and `include`; saturates. None at all without dimensions.
    pub fn product(&self) -> u64 {
        if self.dims.is_empty() {
            return 0;
        }
        self.dims.iter().map(|(_, values)| values.len() as u64).fold(1, u64::saturating_mul)
    }

    /// Combination `index` of the product; the last dimension varies fastest.
    pub fn key(&self, index: u64) -> Option<Key> {
        if index >= self.product() {
            return None;
        }
        let mut rest = index;
        let mut key = Vec::with_capacity(self.dims.len());
        for (dim, values) in self.dims.iter().rev() {
            let count = values.len() as u64;
            let value = values.get(usize::try_from(rest % count).ok()?)?;
            key.push((dim.clone(), value.clone()));
            rest /= count;
        }
        key.reverse();
        Some(Key(key))
    }

    /// Every combination. A matrix with `include` or `exclude` has at most
    /// [`MAX_LISTED_COMBINATIONS`](crate::limits::MAX_LISTED_COMBINATIONS); any other need not be listed, see
    /// [`key`](Self::key).
    pub fn combinations(&self) -> Vec<Key> {
        let is_excluded = |key: &Key| self.exclude.iter().any(|filter| covers(filter, key));
        let originals: Vec<Key> =
            (0..self.product()).map_while(|index| self.key(index)).filter(|key| !is_excluded(key)).collect();
        self.included(originals)
    }

    /// An entry of `include` extends every original combination of which it changes no dimension; one that extends
    /// none is a combination of its own, which later entries do not extend.
    fn included(&self, originals: Vec<Key>) -> Vec<Key> {
        let mut combinations = originals;
        let originals = combinations.len();
        for entry in &self.include {
            let mut extends = false;
            for key in &mut combinations[..originals] {
                if self.agrees(entry, key) {
                    extend(key, entry);
                    extends = true;
                }
            }
            if !extends {
                let mut key = Key::default();
                let in_order = self.dims.iter().filter_map(|(dim, _)| Some((dim.clone(), entry.get(dim)?.clone())));
                key.0.extend(in_order);
                extend(&mut key, entry);
                combinations.push(key);
            }
        }
        combinations
    }

    /// Whether the entry leaves all values of the matrix's own dimensions as they are.
    fn agrees(&self, entry: &BTreeMap<String, String>, key: &Key) -> bool {
        let own = self.dims.iter().filter_map(|(dim, _)| Some((dim, entry.get(dim)?)));
        own.into_iter().all(|(dim, value)| key.get(dim) == Some(value))
    }
}

/// Whether the key has all values of the filter.
fn covers(filter: &BTreeMap<String, String>, key: &Key) -> bool {
    filter.iter().all(|(dim, value)| key.get(dim) == Some(value))
}

/// Sets the entry's dimensions: those that the key has are overwritten, others follow.
fn extend(key: &mut Key, entry: &BTreeMap<String, String>) {
    for (dim, value) in entry {
        match key.0.iter_mut().find(|(name, _)| name == dim) {
            Some((_, old)) => value.clone_into(old),
            None => key.0.push((dim.clone(), value.clone())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dims(dims: &[(&str, &[&str])]) -> Vec<(String, Vec<String>)> {
        let owned = |values: &[&str]| values.iter().map(|value| (*value).to_owned()).collect();
        dims.iter().map(|(dim, values)| ((*dim).to_owned(), owned(values))).collect()
    }

    fn entries(entries: &[&[(&str, &str)]]) -> Vec<BTreeMap<String, String>> {
        let owned = |entry: &[(&str, &str)]| entry.iter().map(|(d, v)| ((*d).to_owned(), (*v).to_owned())).collect();
        entries.iter().map(|entry| owned(entry)).collect()
    }

    fn written(keys: &[Key]) -> Vec<String> {
        let pairs = |key: &Key| key.0.iter().map(|(dim, value)| format!("{dim}={value}")).collect::<Vec<_>>();
        keys.iter().map(|key| pairs(key).join(" ")).collect()
    }

    #[test]
    fn the_last_dimension_varies_fastest() {
        let matrix = Matrix { dims: dims(&[("a", &["1", "2"]), ("b", &["x", "y", "z"])]), ..Matrix::default() };
        let keys: Vec<Key> = (0..).map_while(|index| matrix.key(index)).collect();
        assert_eq!(written(&keys), ["a=1 b=x", "a=1 b=y", "a=1 b=z", "a=2 b=x", "a=2 b=y", "a=2 b=z"]);
        assert_eq!(matrix.product(), 6);
        assert_eq!(keys, matrix.combinations());
    }

    /// The example of the documentation of GitHub Actions, with its results.
    #[test]
    fn include_does_what_github_documents() {
        let matrix = Matrix {
            dims: dims(&[("fruit", &["apple", "pear"]), ("animal", &["cat", "dog"])]),
            include: entries(&[
                &[("color", "green")],
                &[("color", "pink"), ("animal", "cat")],
                &[("fruit", "apple"), ("shape", "circle")],
                &[("fruit", "banana")],
                &[("fruit", "banana"), ("animal", "cat")],
            ]),
            exclude: Vec::new(),
        };
        assert_eq!(
            written(&matrix.combinations()),
            [
                "fruit=apple animal=cat color=pink shape=circle",
                "fruit=apple animal=dog color=green shape=circle",
                "fruit=pear animal=cat color=pink",
                "fruit=pear animal=dog color=green",
                "fruit=banana",
                "fruit=banana animal=cat",
            ]
        );
    }

    #[test]
    fn exclude_comes_first_and_matches_in_part() {
        let matrix = Matrix {
            dims: dims(&[("os", &["linux", "mac"]), ("version", &["1", "2"])]),
            include: entries(&[&[("os", "mac"), ("version", "1")]]),
            exclude: entries(&[&[("os", "mac")], &[("os", "linux"), ("version", "2")]]),
        };
        assert_eq!(written(&matrix.combinations()), ["os=linux version=1", "os=mac version=1"]);
    }

    #[test]
    fn without_dimensions_there_is_only_what_is_included() {
        let matrix = Matrix { include: entries(&[&[("a", "1")], &[("a", "2")]]), ..Matrix::default() };
        assert_eq!(written(&matrix.combinations()), ["a=1", "a=2"]);
        assert_eq!(matrix.key(0), None);
    }
}
