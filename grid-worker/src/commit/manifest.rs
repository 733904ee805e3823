//! What the manifest of an execution says; no I/O here.

use grid_core::ids::{ItemIndex, WorkerId};
use grid_core::limits::WIRE_VERSION;
use grid_core::pipeline::Per;
use grid_core::reason::{Failure, Reason};
use grid_core::wire::{ItemFailure, Manifest, Outputs, Pack, TaskMessage};

use super::Executed;
use crate::runner::{ItemRan, Spool};

/// The execution as it is, or, where the runner's account of it does not add up, as one failure of our own.
pub(super) fn checked(message: &TaskMessage, executed: Executed) -> Executed {
    let Some(fault) = fault(message, &executed) else { return executed };
    let failure = Failure::new(Reason::Internal, format!("the outputs of the task do not add up: {fault}"));
    let items = vec![ItemRan::Failed(failure)];
    let ran = crate::runner::TaskRan { items, pack: Spool::Memory(Vec::new()), ..executed.ran };
    Executed { per: Per::Bundle, ran, ..executed }
}

fn fault(message: &TaskMessage, executed: &Executed) -> Option<String> {
    let items = &executed.ran.items;
    let expected = if executed.per == Per::Bundle { 1 } else { message.count as usize };
    if items.len() != expected {
        return Some(format!("{} results for {expected}", items.len()));
    }
    let written: u64 = items.iter().map(written).sum();
    let packed = executed.ran.pack.len();
    (written != packed).then(|| format!("{written} bytes written, {packed} kept"))
}

fn written(item: &ItemRan) -> u64 {
    match item {
        ItemRan::Ok { stdout, files } => stdout.0 + files.iter().map(|file| file.len).sum::<u64>(),
        ItemRan::Failed(_) | ItemRan::Unrun => 0,
    }
}

/// Whether there is nothing to commit: no item came to an end. Nor does a copy end an attempt half done, of which another
/// execution does all.
pub(super) fn is_in_vain(message: &TaskMessage, items: &[ItemRan]) -> bool {
    let mut is_unrun = items.iter().map(|item| matches!(item, ItemRan::Unrun));
    if message.copy > 0 { is_unrun.any(|is| is) } else { is_unrun.all(|is| is) }
}

/// The manifest. With `per: bundle` the one result stands for all items.
pub(super) fn build(
    message: &TaskMessage,
    worker: &WorkerId,
    executed: &Executed,
    pack: Pack,
    log: Option<String>,
) -> Manifest {
    let spans: Vec<Span> = spans(message, executed);
    let ended = spans.iter().filter(|span| !matches!(span.ran, ItemRan::Unrun));
    Manifest {
        v: WIRE_VERSION,
        job: message.job.clone(),
        stage: message.stage.clone(),
        first: message.first,
        count: message.count,
        attempt: message.attempt,
        worker: worker.clone(),
        copy: message.copy,
        started_ms: executed.started_ms,
        busy_us: u64::try_from(executed.ran.busy.as_micros()).unwrap_or(u64::MAX),
        bytes_in: ended.map(|span| span.bytes_in).sum(),
        outputs: outputs(executed, pack),
        failed: spans.iter().filter_map(Span::failure).collect(),
        unrun: unrun(&spans),
        log,
        params: message.params.clone(),
        reused_from: None,
    }
}

/// Items with one result.
struct Span<'a> {
    first: ItemIndex,
    count: u32,
    bytes_in: u64,
    ran: &'a ItemRan,
}

fn spans<'a>(message: &TaskMessage, executed: &'a Executed) -> Vec<Span<'a>> {
    let (items, bytes_in) = (&executed.ran.items, &executed.bytes_in);
    if let (Per::Bundle, [ran]) = (executed.per, &items[..]) {
        return vec![Span { first: message.first, count: message.count, bytes_in: bytes_in.iter().sum(), ran }];
    }
    let bytes_in = bytes_in.iter().copied().chain(std::iter::repeat(0));
    let items = (message.first..).zip(items).zip(bytes_in);
    items.map(|((first, ran), bytes_in)| Span { first, count: 1, bytes_in, ran }).collect()
}

impl Span<'_> {
    fn failure(&self) -> Option<ItemFailure> {
        match self.ran {
            ItemRan::Failed(failure) => Some(ItemFailure {
                first: self.first,
                count: self.count,
                bytes_in: self.bytes_in,
                failure: failure.clone(),
            }),
            ItemRan::Ok { .. } | ItemRan::Unrun => None,
        }
    }
}

fn unrun(spans: &[Span<'_>]) -> Vec<(ItemIndex, u32)> {
    let mut ranges: Vec<(ItemIndex, u32)> = Vec::new();
    for span in spans.iter().filter(|span| matches!(span.ran, ItemRan::Unrun)) {
        match ranges.last_mut() {
            Some((first, count)) if *first + *count == span.first => *count += span.count,
            _ => ranges.push((span.first, span.count)),
        }
    }
    ranges
}

fn outputs(executed: &Executed, pack: Pack) -> Outputs {
    let items = &executed.ran.items[..];
    let stdout: Vec<(u64, u32)> = items.iter().map(stdout).collect();
    let is_silent = stdout.iter().all(|&(len, _)| len == 0);
    let files = items.iter().flat_map(|item| match item {
        ItemRan::Ok { files, .. } => files.as_slice(),
        ItemRan::Failed(_) | ItemRan::Unrun => &[],
    });
    Outputs {
        pack,
        stdout: if is_silent { Vec::new() } else { stdout },
        files: files.cloned().collect(),
        bundled: matches!((executed.per, items), (Per::Bundle, [ItemRan::Ok { .. }])),
    }
}

fn stdout(item: &ItemRan) -> (u64, u32) {
    match item {
        ItemRan::Ok { stdout, .. } => *stdout,
        ItemRan::Failed(_) | ItemRan::Unrun => (0, 0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_run_is_told_in_ranges() {
        let unrun_of = |places: &[(ItemIndex, u32)]| {
            let span = |&(first, count): &(ItemIndex, u32)| Span { first, count, bytes_in: 0, ran: &ItemRan::Unrun };
            unrun(&places.iter().map(span).collect::<Vec<_>>())
        };
        assert_eq!(unrun_of(&[]), []);
        assert_eq!(unrun_of(&[(3, 1), (4, 1), (5, 2)]), [(3, 4)]);
        assert_eq!(unrun_of(&[(3, 1), (5, 1), (6, 1), (9, 1)]), [(3, 1), (5, 2), (9, 1)]);
    }
}
