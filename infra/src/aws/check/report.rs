//! What was found, in lines that say what to do.

use std::fmt;

use serde::Serialize;

use crate::{ErrorKind, Result};

/// What a look at one thing came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It is as it should be.
    Ok,
    /// The grid works, but should be set up otherwise; or this could not be looked at.
    Advice,
    /// The grid cannot work: a setting is wrong, or a right is missing.
    Wrong,
    /// It gave no answer, so that nothing can be said of it.
    Unreachable,
}

impl Verdict {
    /// The status that a program ends with when this is the worst that was found: 0, 2 for what is wrong, 5 for what cannot be
    /// reached.
    pub fn status(self) -> u8 {
        match self {
            Self::Ok | Self::Advice => 0,
            Self::Wrong => 2,
            Self::Unreachable => 5,
        }
    }
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What was looked at.
    pub name: String,
    /// What it came to.
    pub verdict: Verdict,
    /// What was seen.
    pub seen: String,
    /// What to do about it; `None` when it is as it should be.
    pub remedy: Option<String>,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = match self.verdict {
            Verdict::Ok => "ok",
            Verdict::Advice => "advice",
            Verdict::Wrong => "WRONG",
            Verdict::Unreachable => "NO ANSWER",
        };
        write!(f, "{verdict:<10} {}: {}", self.name, self.seen)?;
        match &self.remedy {
            Some(remedy) => write!(f, "\n{:<10} -> {remedy}", ""),
            None => Ok(()),
        }
    }
}

/// Gathers findings.
#[derive(Debug, Default)]
pub(super) struct Report(Vec<Finding>);

impl Report {
    pub(super) fn findings(self) -> Vec<Finding> {
        self.0
    }

    pub(super) fn ok(&mut self, name: &str, seen: impl Into<String>) {
        self.0.push(Finding { name: name.to_owned(), verdict: Verdict::Ok, seen: seen.into(), remedy: None });
    }

    pub(super) fn advise(&mut self, name: &str, seen: impl Into<String>, remedy: impl Into<String>) {
        self.add(name, Verdict::Advice, seen.into(), remedy.into());
    }

    pub(super) fn wrong(&mut self, name: &str, seen: impl Into<String>, remedy: impl Into<String>) {
        self.add(name, Verdict::Wrong, seen.into(), remedy.into());
    }

    /// Notes what an answer came to, and gives it on if it was good.
    pub(super) fn judge<T>(
        &mut self,
        name: &str,
        answer: Result<T>,
        seen: impl FnOnce(&T) -> String,
        remedy: &str,
    ) -> Option<T> {
        match answer {
            Ok(value) => {
                self.ok(name, seen(&value));
                Some(value)
            }
            Err(error) if error.is_transient() => {
                let network = "check AWS_REGION, AWS_ENDPOINT_URL, and whether this machine's network reaches it";
                self.add(name, Verdict::Unreachable, error.to_string(), network.to_owned());
                None
            }
            Err(error) => {
                self.wrong(name, error.to_string(), remedy);
                None
            }
        }
    }

    /// Like [`judge`](Self::judge) for a right; `action` is what a policy calls it.
    pub(super) fn right(&mut self, name: &str, answer: Result<()>, action: &str) -> Option<()> {
        let remedy = match &answer {
            Err(error) if error.kind == ErrorKind::Denied => {
                format!("grant {action} to the role or user of these credentials")
            }
            _ => format!("correct the setting, or create what it names (this asked for {action})"),
        };
        self.judge(name, answer, |()| "allowed".to_owned(), &remedy)
    }

    fn add(&mut self, name: &str, verdict: Verdict, seen: String, remedy: String) {
        self.0.push(Finding { name: name.to_owned(), verdict, seen, remedy: Some(remedy) });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;

    #[test]
    fn a_line_says_what_is_wrong_and_what_to_do() {
        let mut report = Report::default();
        report.ok("bucket b", "found");
        report.right("write", Err(Error::new(ErrorKind::Denied, "AccessDenied")), "s3:PutObject");
        report.right("read", Err(Error::new(ErrorKind::Unavailable, "no route")), "s3:GetObject");
        let lines: Vec<String> = report.findings().iter().map(ToString::to_string).collect();
        assert_eq!(lines[0], "ok         bucket b: found");
        assert_eq!(
            lines[1],
            "WRONG      write: AccessDenied\n           -> grant s3:PutObject to the role or user of these credentials"
        );
        assert!(lines[2].starts_with("NO ANSWER  read: no route\n"), "{}", lines[2]);
    }
}
