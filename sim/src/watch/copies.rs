//! Copies of attempts that are slow: a permitted one is told from a task that is sent again for want of news (E2), and from work
//! that is done twice (E1). There are few of them, and only where slots are idle (E6).

use std::collections::BTreeSet;

use grid_core::copies::MAX_COPIES;
use grid_core::wire::{Manifest, TaskMessage};

use super::{Attempt, Sent, Watch};
use crate::net::ActorId;
use crate::tally::Event;

/// The copies of an attempt in a round that were sent, by their numbers.
pub(super) type Copies = BTreeSet<u32>;

impl Watch {
    /// The message of a copy was sent.
    pub(super) fn sent_copy(&mut self, actor: ActorId, task: &TaskMessage) {
        let attempt: Attempt = (task.job.clone(), task.stage.clone(), task.key());
        let name = format!("copy {} of {} {}", task.copy, task.stage, task.key());
        // In a new round what executes may be that of the round before, which nobody was told to end.
        if !(0..=task.round).any(|round| self.sent.contains(&(attempt.clone(), round))) {
            self.violated("E6", format!("{name} was sent, and its attempt never was"));
        }
        let job = self.jobs.get(&task.job).and_then(|seen| seen.job.as_ref());
        // What ended meanwhile is out no more: then its message comes late, and does no harm.
        let recorded = job.and_then(|job| job.out_task(&task.stage, task.key())).map(|out| out.copies);
        if recorded.is_some_and(|copies| copies < task.copy) {
            self.violated("S3", format!("{name} was sent before it was recorded"));
        }
        if task.copy > MAX_COPIES {
            self.violated("E6", format!("{name} is one too many"));
        }
        let is_new = self.copies.entry((attempt, task.round)).or_default().insert(task.copy);
        if is_new {
            self.check_copy_wanted(actor, task);
        }
        self.tally.note(if is_new { Event::Copied } else { Event::Resend });
    }

    /// How often an attempt may be executed where nothing goes wrong: once, and once for every copy.
    pub(super) fn permitted(&self, sent: &Sent) -> u64 {
        1 + self.copies.get(sent).map_or(0, |copies| copies.len() as u64)
    }

    /// A manifest was committed: of an attempt that was copied, either execution has won.
    pub(super) fn note_winner(&mut self, manifest: &Manifest) {
        let attempt: Attempt = (manifest.job.clone(), manifest.stage.clone(), manifest.key());
        if manifest.copy > 0 && !manifest.unrun.is_empty() {
            self.violated("E6", format!("a copy ended {} {} half done", attempt.1, attempt.2));
        }
        let is_copied = self.copies.keys().any(|(copied, _)| *copied == attempt);
        match manifest.copy {
            0 if is_copied => self.tally.note(Event::CopyLost),
            0 => {}
            _ if is_copied => self.tally.note(Event::CopyWon),
            _ => self.violated("E6", format!("{} {} was ended by a copy that nobody sent", attempt.1, attempt.2)),
        }
    }

    /// Copies that somebody has to do something for yet.
    pub fn open_copies(&self) -> u64 {
        let open = self.copies.iter().filter(|(sent, _)| !self.is_settled(sent) && !self.is_over(&sent.0.0));
        open.map(|(_, copies)| copies.len() as u64).sum()
    }
}
