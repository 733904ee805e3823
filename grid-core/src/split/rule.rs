//! The rules by which an input is split. Everything that tells one rule from another is here: its form in `job.json`,
//! its words and keys in the pipeline file, how files are read for it, where it cuts and how files share its items.

use serde::{Deserialize, Serialize};

use crate::pipeline::Format;
use crate::pipeline::grammar::{STAGE_NAME, Section, Shape, Word, may, must, not_built};
use crate::pipeline::read::{Fields, Reader};
use crate::split::Way;
use crate::submission::Compression;
use crate::units::ByteSize;

/// The rule by which an input is cut; always on record borders.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SplitBy {
    /// About so many bytes an item.
    Bytes {
        /// The size aimed at, at least 1.
        target: ByteSize,
    },
    /// So many lines an item.
    Lines {
        /// At least 1.
        count: u64,
    },
    /// So many records an item.
    Records {
        /// At least 1.
        count: u64,
    },
    /// So many whole files an item.
    Files {
        /// At least 1.
        count: u64,
    },
    /// So many items of about the same size.
    Even {
        /// At least 1.
        parts: u32,
    },
}

/// The keys of `split:`, of all rules.
pub(crate) static SPLIT: Section = Section {
    what: "`split`",
    keys: &[
        must("input", Shape::Named(STAGE_NAME), "The input that is cut."),
        must("by", Shape::Word(&WORDS), "The rule. Cuts lie on record borders."),
        may("target", Shape::Size, "`by: bytes`: about so many bytes an item."),
        may("count", Shape::Integer(1), "`by: lines`, `records` or `files`: so many an item (files: default 1)."),
        may("parts", Shape::Integer(1), "`by: even`: so many items of about the same size."),
        not_built("column", "`by: key`: the column."),
        not_built("partitions", "`by: key`: so many partitions by hash."),
        not_built("ranges", "`by: key`: partitions by value."),
    ],
};

/// Every rule as it stands in the file.
const RULES: [Rule; 7] = [
    rule("bytes", &["target"], |reader, fields| {
        let node = reader.needed(fields, "by: bytes", "target", "32MiB")?;
        reader.size(node).map(|target| SplitBy::Bytes { target })
    }),
    rule("lines", &["count"], |reader, fields| {
        let node = reader.needed(fields, "by: lines", "count", "1000")?;
        reader.at_least_one(node).map(|count| SplitBy::Lines { count })
    }),
    rule("records", &["count"], |reader, fields| {
        let node = reader.needed(fields, "by: records", "count", "1000")?;
        reader.at_least_one(node).map(|count| SplitBy::Records { count })
    }),
    rule("files", &["count"], |reader, fields| {
        let count = fields.node("count").map_or(Some(1), |node| reader.at_least_one(node));
        count.map(|count| SplitBy::Files { count })
    }),
    rule("even", &["parts"], |reader, fields| {
        let node = reader.needed(fields, "by: even", "parts", "16")?;
        let parts = reader.integer(node, 1..=i64::from(u32::MAX))?;
        u32::try_from(parts).ok().map(|parts| SplitBy::Even { parts })
    }),
    later("row_groups"),
    later("key"),
];

/// The rules for inputs without records, for messages.
pub(crate) const FOR_BINARY: &str = "`by: bytes`, `even` or `files`";

impl SplitBy {
    /// How a file is read. A compressed file can only be read from its beginning, so that rules about bytes leave it in
    /// one piece.
    ///
    /// # Errors
    /// The rule counts records and the format has none.
    pub fn way(self, format: Format, compression: Compression) -> Result<Way, String> {
        let is_compressed = compression != Compression::None;
        if format == Format::Binary && self.counts_records() {
            return Err(format!("a binary input has neither lines nor records: split it {FOR_BINARY}"));
        }
        match self {
            Self::Lines { .. } | Self::Records { .. } => Ok(Way::Scan),
            Self::Files { .. } => Ok(Way::Whole),
            Self::Bytes { .. } | Self::Even { .. } if is_compressed => Ok(Way::Whole),
            Self::Bytes { .. } | Self::Even { .. } => Ok(Way::to_offsets(format)),
        }
    }

    /// Whether it counts records, which a binary input does not have.
    pub fn counts_records(self) -> bool {
        match self {
            Self::Lines { .. } | Self::Records { .. } => true,
            Self::Bytes { .. } | Self::Files { .. } | Self::Even { .. } => false,
        }
    }

    /// Whether [`cut_rule`](Self::cut_rule) must know how long all files are together before the first cut.
    pub fn needs_total(self) -> bool {
        match self {
            Self::Even { .. } => true,
            Self::Bytes { .. } | Self::Lines { .. } | Self::Records { .. } | Self::Files { .. } => false,
        }
    }

    /// When a piece is full, in an input whose records are `total` bytes. A line of a CSV is a row: no item ends
    /// inside one.
    pub fn cut_rule(self, total: u64) -> CutRule {
        match self {
            Self::Bytes { target } => CutRule::Every(target.0),
            Self::Lines { count } | Self::Records { count } => CutRule::Records(count),
            Self::Files { .. } => CutRule::Never,
            Self::Even { parts } => CutRule::Even { total, parts },
        }
    }

    /// Files an item; `None` where the pieces say where an item ends.
    pub fn files_per_item(self) -> Option<u64> {
        match self {
            Self::Files { count } => Some(count.max(1)),
            Self::Bytes { .. } | Self::Lines { .. } | Self::Records { .. } | Self::Even { .. } => None,
        }
    }

    /// Whether an item may hold pieces of several files.
    pub fn may_span_files(self) -> bool {
        match self {
            Self::Files { count } => count > 1,
            Self::Even { .. } => true,
            Self::Bytes { .. } | Self::Lines { .. } | Self::Records { .. } => false,
        }
    }

    /// Reads `by:` and the keys that go with it.
    pub(crate) fn read(reader: &mut Reader<'_, '_>, fields: &Fields<'_>) -> Option<Self> {
        let node = fields.node("by")?;
        let word = reader.known_word(node, "a rule to split by", &WORDS)?;
        let rule = RULES.iter().find(|rule| rule.word == word)?;
        let keys: Vec<&str> = RULES.iter().flat_map(|rule| rule.keys).copied().collect();
        for entry in fields.present(&keys) {
            if !rule.keys.contains(&entry.key.as_str()) {
                reader.faults.at(&entry.key_span, format!("`{}` does not go with `by: {word}`", entry.key));
            }
        }
        rule.read?(reader, fields)
    }
}

/// When a piece is full. Offsets count the bytes of records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CutRule {
    /// Never before the end of the file.
    Never,
    /// At the first border at or after every multiple of so many bytes.
    Every(u64),
    /// After so many records.
    Records(u64),
    /// At the first border at or after every `parts`-th part of `total` bytes.
    Even {
        /// Bytes of records in all files.
        total: u64,
        /// Pieces wanted.
        parts: u32,
    },
}

impl CutRule {
    /// Whether its offsets go through all files rather than beginning anew in each.
    pub fn spans_files(self) -> bool {
        match self {
            Self::Even { .. } => true,
            Self::Never | Self::Every(_) | Self::Records(_) => false,
        }
    }

    /// The first offset after `offset` at which a cut is wanted, where the rule is about offsets.
    pub(super) fn after(self, offset: u64) -> Option<u64> {
        match self {
            Self::Never | Self::Records(_) => None,
            Self::Every(bytes) => (offset / bytes.max(1) + 1).checked_mul(bytes.max(1)),
            Self::Even { total: 0, .. } => None,
            Self::Even { total, parts } => {
                let (total, parts) = (u128::from(total), u128::from(parts));
                let number = ((u128::from(offset) + 1) * parts).div_ceil(total);
                (number < parts).then(|| u64::try_from(number * total / parts).ok()).flatten()
            }
        }
    }

    /// Whether a piece of so many records is full; `is_past_wanted` when it reaches the offset wanted [`after`](Self::after)
    /// its beginning.
    pub(super) fn is_full(self, records: u64, is_past_wanted: bool) -> bool {
        match self {
            Self::Never => false,
            Self::Records(count) => records >= count,
            Self::Every(_) | Self::Even { .. } => is_past_wanted,
        }
    }

    /// Whether the end of a file ends an item, full or not.
    pub(super) fn closes_at_end(self, is_past_wanted: bool) -> bool {
        match self {
            Self::Even { .. } => is_past_wanted,
            Self::Never => false,
            Self::Every(_) | Self::Records(_) => true,
        }
    }
}

/// A rule as it stands in the file.
struct Rule {
    word: &'static str,
    /// The keys that go with it, of those of [`SPLIT`].
    keys: &'static [&'static str],
    /// `None` until it is built.
    read: Option<Read>,
}

type Read = fn(&mut Reader<'_, '_>, &Fields<'_>) -> Option<SplitBy>;

const fn rule(word: &'static str, keys: &'static [&'static str], read: Read) -> Rule {
    Rule { word, keys, read: Some(read) }
}

const fn later(word: &'static str) -> Rule {
    Rule { word, keys: &[], read: None }
}

/// The words that `by:` knows.
const WORDS: [Word; RULES.len()] = {
    let mut words = [Word { name: "", is_built: false }; RULES.len()];
    let mut at = 0;
    while at < words.len() {
        words[at] = Word { name: RULES[at].word, is_built: RULES[at].read.is_some() };
        at += 1;
    }
    words
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::grammar::Need;

    #[test]
    fn every_key_of_a_rule_is_in_the_grammar_and_every_key_goes_with_a_rule() {
        let mut used: Vec<&str> = RULES.iter().flat_map(|rule| rule.keys).copied().collect();
        used.sort_unstable();
        used.dedup();
        let mut known: Vec<&str> =
            SPLIT.keys.iter().filter(|key| key.need == Need::Optional).map(|key| key.name).collect();
        known.sort_unstable();
        assert_eq!(used, known);
    }

    #[test]
    fn a_rule_has_the_same_word_in_the_file_and_in_job_json() {
        let all = [
            SplitBy::Bytes { target: ByteSize(1) },
            SplitBy::Lines { count: 1 },
            SplitBy::Records { count: 1 },
            SplitBy::Files { count: 1 },
            SplitBy::Even { parts: 1 },
        ];
        let saved = all.map(|by| serde_json::to_value(by).unwrap().as_object().unwrap().keys().next().unwrap().clone());
        let built: Vec<&str> = WORDS.iter().filter(|word| word.is_built).map(|word| word.name).collect();
        assert_eq!(built, saved);
    }

    #[test]
    fn lines_of_a_binary_input_are_refused() {
        let refusal = SplitBy::Lines { count: 1 }.way(Format::Binary, Compression::None);
        assert!(refusal.is_err_and(|message| message.contains("even")));
    }

    #[test]
    fn even_cuts_are_wanted_where_the_parts_end() {
        let rule = CutRule::Even { total: 10, parts: 3 };
        assert_eq!((rule.after(0), rule.after(3), rule.after(6)), (Some(3), Some(6), None));
        let rule = CutRule::Even { total: 2, parts: 5 };
        assert_eq!((rule.after(0), rule.after(1)), (Some(1), None));
        assert_eq!(CutRule::Even { total: u64::MAX, parts: u32::MAX }.after(u64::MAX - 1), None);
    }
}
