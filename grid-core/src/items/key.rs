//! An item's key: its dimensions, in order.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, Serialize};

/// The dimensions of an item in the order in which they were declared, inherited along `each` and `group`.
///
/// `range` and text lists have the dimension `item`; slices have `file` and `part`; combiners of `all` have none, or
/// `level` and `part` in a tree.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Key(pub Vec<(String, String)>);

/// Characters that stand for themselves in an item's name; all others are percent-encoded.
const NAME_ESCAPES: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'.').remove(b'_').remove(b'-').remove(b'+').remove(b'@').remove(b'=');

/// Longest file name that we make of a key; file systems allow 255 bytes, and a suffix and an extension follow.
const MAX_NAME_BYTES: usize = 180;

/// A value as it stands in an item's name.
pub(crate) fn encode_value(value: &str) -> String {
    utf8_percent_encode(value, NAME_ESCAPES).to_string()
}

impl Key {
    /// The value of a dimension.
    pub fn get(&self, dim: &str) -> Option<&str> {
        self.0.iter().find(|(name, _)| name == dim).map(|(_, value)| value.as_str())
    }

    /// The values, in order.
    pub fn values(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(_, value)| value.as_str())
    }

    /// The item's name: the values joined by commas, percent-encoded so that it is a file name and two different keys
    /// of one stage never share it. An item without dimensions is called `all`.
    pub fn name(&self) -> String {
        if self.0.is_empty() {
            return "all".into();
        }
        let values: Vec<String> = self.values().map(encode_value).collect();
        let mut name = values.join(",");
        if name.is_empty() || name.starts_with('.') {
            name.insert(0, '%');
        }
        if name.len() > MAX_NAME_BYTES {
            let digest = blake3::hash(name.as_bytes()).to_hex();
            name.truncate(MAX_NAME_BYTES - 17);
            name = format!("{name}~{}", &digest[..16]);
        }
        name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(values: &[&str]) -> Key {
        Key(values.iter().enumerate().map(|(i, value)| (format!("d{i}"), (*value).to_owned())).collect())
    }

    #[test]
    fn a_name_is_a_file_name_and_tells_keys_apart() {
        assert_eq!(key(&["erp", "sales"]).name(), "erp,sales");
        assert_eq!(key(&["a/b", "ü,"]).name(), "a%2Fb,%C3%BC%2C");
        assert_eq!(key(&[".."]).name(), "%..");
        assert_ne!(key(&["a,b"]).name(), key(&["a", "b"]).name());
        assert_eq!(Key::default().name(), "all");
    }

    #[test]
    fn a_long_name_is_cut_and_stays_unique() {
        let (a, b) = (key(&[&"x".repeat(400)]).name(), key(&[&"x".repeat(401)]).name());
        assert!(a.len() <= MAX_NAME_BYTES && a != b);
    }
}
