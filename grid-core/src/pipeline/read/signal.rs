//! Signals by name and number.

use super::Reader;
use crate::pipeline::tree::Node;

/// Signals that may be given by name.
const SIGNALS: [(&str, i32); 13] = [
    ("SIGHUP", 1),
    ("SIGINT", 2),
    ("SIGQUIT", 3),
    ("SIGILL", 4),
    ("SIGTRAP", 5),
    ("SIGABRT", 6),
    ("SIGBUS", 7),
    ("SIGFPE", 8),
    ("SIGKILL", 9),
    ("SIGSEGV", 11),
    ("SIGPIPE", 13),
    ("SIGALRM", 14),
    ("SIGTERM", 15),
];

impl Reader<'_, '_> {
    /// The number of a signal: `9`, `SIGKILL` or `kill`.
    pub(crate) fn signal(&mut self, node: &Node) -> Option<i32> {
        let text = self.text(node, "a signal")?;
        let upper = text.to_uppercase();
        let by_name = SIGNALS.iter().find(|(name, _)| *name == upper || name.strip_prefix("SIG") == Some(&upper));
        let by_number = text.parse().ok().filter(|number| (1..=64).contains(number));
        let signal = by_name.map(|&(_, number)| number).or(by_number);
        if signal.is_none() {
            let message = format!("`{text}` is not a signal");
            self.faults.nearest(&node.span, message, &text, SIGNALS.iter().map(|&(name, _)| name));
        }
        signal
    }
}
