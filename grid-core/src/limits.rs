//! Every bound of the grid, once, with its reason.

use std::time::Duration;

/// Version of everything that we write: messages, manifests, plan chunks, rows.
pub const WIRE_VERSION: u32 = 1;

/// Items in one state row and one plan chunk. A task never crosses a border between two shards, so that everything
/// about a task lies in one row and changes in one conditional write.
pub const SHARD_ITEMS: u32 = 8_192;

/// Longest record (line, CSV row, NDJSON object) that a splitter accepts unless the input raises it.
pub const MAX_RECORD_BYTES: u64 = 16 << 20;

/// SQS takes 256 KiB a message in every region and emulator; a task message stays far below.
pub const MAX_MESSAGE_BYTES: usize = 256 << 10;

/// Entries in one batch call of SQS (send, delete, change visibility, receive).
pub const QUEUE_BATCH: usize = 10;

/// Messages in flight that a standard SQS queue allows; at the limit long polling returns nothing, silently.
pub const MAX_IN_FLIGHT: usize = 120_000;

/// A lease of SQS ends 12 hours after the receive, whatever the heartbeats say: longer steps are refused.
pub const MAX_TIMEOUT: Duration = Duration::from_secs(11 * 3_600);

/// Between SIGTERM and SIGKILL.
pub const DEFAULT_GRACE: Duration = Duration::from_secs(10);

/// What a bundle should last: long enough that two fsyncs and a message cost nothing, short enough that a dead worker
/// loses little.
pub const BUNDLE_TARGET: Duration = Duration::from_millis(500);

/// Workers that die under one task before it is given up as poison.
pub const MAX_DEATHS: u32 = 5;

/// Upstream attempts that a task message names itself; more are listed in an object of their own.
pub const MAX_INLINE_REFS: usize = 32;

/// Outputs of a task up to this size ride inside its manifest.
pub const MAX_INLINE_OUTPUT_BYTES: usize = 16 << 10;

/// Input of a bundle up to this size is read ahead in one piece; anything larger is streamed item by item.
pub const MAX_STAGED_INPUT_BYTES: u64 = 8 << 20;

/// What is kept of stderr at each end.
pub const STDERR_KEEP_BYTES: usize = 64 << 10;

/// What a manifest carries of a failed item's stderr: its end.
pub const STDERR_IN_MANIFEST_BYTES: usize = 2 << 10;

/// Items of a matrix, list or range.
pub const MAX_ITEMS: u64 = u32::MAX as u64;

/// Stages in a pipeline: a graph that people can read; larger graphs are for `tasks: FILE`.
pub const MAX_STAGES: usize = 1_000;

/// A pipeline file.
pub const MAX_PIPELINE_BYTES: usize = 1 << 20;
