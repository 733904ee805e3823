//! Which failed items are meant: `reason=oom and key.department in (Sales, 'R & D')`.
//!
//! ```text
//! filter := all { "or" all }        all  := one { "and" one }
//! one    := "not" one | "(" filter ")" | test
//! test   := field ("=" | "!=" | "~" | "!~") value | field "in" "(" value { "," value } ")"
//! field  := stage | item | reason | exit | signal | message | stderr | key.DIMENSION
//! ```
//! `~` asks whether the text holds the value. Values with spaces or signs are quoted, `'so'` or `"so"`. What an item
//! does not have (an exit status, a dimension) is equal to nothing, and holds nothing.

mod parse;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::items::Key;
use crate::reason::Failure;

pub use parse::FilterError;

/// A test of failed items; see the module's text for its grammar.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Filter {
    text: String,
    expr: Expr,
}

/// An item that was given up on, as a filter sees it.
#[derive(Clone, Copy, Debug)]
pub struct FailedItem<'item> {
    /// Its stage.
    pub stage: &'item str,
    /// Its key.
    pub key: &'item Key,
    /// Why it was given up on.
    pub failure: &'item Failure,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Expr {
    Any(Vec<Expr>),
    All(Vec<Expr>),
    Not(Box<Expr>),
    Is(Field, Vec<String>),
    Holds(Field, String),
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Field {
    Stage,
    Item,
    Reason,
    Exit,
    Signal,
    Message,
    Stderr,
    Key(String),
}

impl Filter {
    /// Whether the item is meant.
    pub fn matches(&self, item: &FailedItem<'_>) -> bool {
        self.expr.matches(item)
    }

    /// Stages that it names, for a check that there are such.
    pub fn stages(&self) -> Vec<&str> {
        let mut stages = Vec::new();
        self.expr.visit(&mut |field, values| {
            if *field == Field::Stage {
                stages.extend(values.iter().map(String::as_str));
            }
        });
        stages
    }
}

impl Expr {
    fn matches(&self, item: &FailedItem<'_>) -> bool {
        match self {
            Self::Any(parts) => parts.iter().any(|part| part.matches(item)),
            Self::All(parts) => parts.iter().all(|part| part.matches(item)),
            Self::Not(part) => !part.matches(item),
            Self::Is(field, values) => field.of(item).is_some_and(|found| values.contains(&found)),
            Self::Holds(field, value) => field.of(item).is_some_and(|found| found.contains(value)),
        }
    }

    fn visit<'expr>(&'expr self, see: &mut impl FnMut(&'expr Field, &'expr [String])) {
        match self {
            Self::Any(parts) | Self::All(parts) => parts.iter().for_each(|part| part.visit(see)),
            Self::Not(part) => part.visit(see),
            Self::Is(field, values) => see(field, values),
            Self::Holds(..) => {}
        }
    }
}

impl Field {
    fn of(&self, item: &FailedItem<'_>) -> Option<String> {
        match self {
            Self::Stage => Some(item.stage.to_owned()),
            Self::Item => Some(item.key.name()),
            Self::Reason => Some(item.failure.reason.to_string()),
            Self::Exit => item.failure.exit.map(|exit| exit.to_string()),
            Self::Signal => item.failure.signal.map(|signal| signal.to_string()),
            Self::Message => Some(item.failure.message.clone()),
            Self::Stderr => Some(item.failure.stderr.clone()),
            Self::Key(dim) => item.key.get(dim).map(str::to_owned),
        }
    }
}

impl FromStr for Filter {
    type Err = FilterError;

    fn from_str(text: &str) -> Result<Self, FilterError> {
        Ok(Self { text: text.to_owned(), expr: parse::parse(text)? })
    }
}

impl TryFrom<String> for Filter {
    type Error = FilterError;

    fn try_from(text: String) -> Result<Self, FilterError> {
        text.parse()
    }
}

impl From<Filter> for String {
    fn from(filter: Filter) -> Self {
        filter.text
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reason::Reason;

    fn matches(text: &str) -> bool {
        let key = Key(vec![("department".into(), "R & D".into()), ("part".into(), "7".into())]);
        let failure = Failure { exit: Some(4), ..Failure::new(Reason::Exit, "the command ended with status 4") };
        let item = FailedItem { stage: "clean", key: &key, failure: &failure };
        text.parse::<Filter>().unwrap_or_else(|error| panic!("{text}: {error}")).matches(&item)
    }

    #[test]
    fn items_are_told_apart_by_everything_that_is_known_of_them() {
        for yes in [
            "stage=clean",
            "reason = exit and exit=4",
            "exit in (3, 4)",
            "key.department='R & D'",
            "key.department != \"Sales\"",
            "message ~ 'status 4'",
            "message !~ timeout",
            "reason=oom or reason=exit",
            "not (reason=oom or exit=1)",
            "reason=oom and exit=4 or stage=clean",
            "signal!=9",
            "item ~ 7",
        ] {
            assert!(matches(yes), "{yes}");
        }
        for no in ["signal=9", "exit=1", "key.system=erp", "not stage=clean", "reason=oom and (exit=4 or stage=clean)"]
        {
            assert!(!matches(no), "{no}");
        }
    }

    #[test]
    fn a_filter_is_stored_as_it_was_written() {
        let filter: Filter = "reason=oom and stage in (a, b)".parse().unwrap();
        let json = serde_json::to_string(&filter).unwrap();
        assert_eq!(json, "\"reason=oom and stage in (a, b)\"");
        assert_eq!(serde_json::from_str::<Filter>(&json).unwrap(), filter);
        assert_eq!(filter.stages(), ["a", "b"]);
    }

    #[test]
    fn what_is_wrong_is_named_with_its_place() {
        let wrong = |text: &str| text.parse::<Filter>().unwrap_err().to_string();
        assert_eq!(wrong(""), "column 1: a field is missing, such as `reason` in `reason=oom`");
        assert_eq!(wrong("reasn=oom"), "column 1: `reasn` is no field: did you mean `reason`?");
        assert_eq!(wrong("reason=oomm"), "column 8: `oomm` is no reason: did you mean `oom`?");
        assert_eq!(wrong("exit 4"), "column 6: `=`, `!=`, `~`, `!~` or `in` is missing after `exit`");
        assert_eq!(wrong("exit="), "column 6: a value is missing");
        assert_eq!(wrong("exit=x"), "column 6: `x` is no whole number");
        assert_eq!(wrong("(exit=1"), "column 8: `)` is missing");
        assert_eq!(wrong("exit=1 exit=2"), "column 8: `and` or `or` is missing before `exit`");
        assert_eq!(wrong("item='x"), "column 6: the quoted text has no end");
        assert!(wrong(&"(".repeat(100)).ends_with("too many brackets inside brackets"));
        assert!(wrong(&"x".repeat(5_000)).starts_with("it has 5000 bytes"));
    }
}
