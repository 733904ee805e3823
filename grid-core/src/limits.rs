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

/// A lease that is extended again and again ends 12 hours after the receive all the same (SQS).
pub const MAX_LEASE: Duration = Duration::from_secs(12 * 3_600);

/// The longest wait of one receive (SQS); a longer one ends early.
pub const MAX_POLL: Duration = Duration::from_secs(20);

/// How long a queue keeps a message: the most that SQS allows.
pub const QUEUE_RETENTION: Duration = Duration::from_secs(14 * 86_400);

/// A row of the state table: DynamoDB takes 400 KB with keys and attribute names.
pub const MAX_ROW_BYTES: usize = 350 << 10;

/// A row's partition name in bytes (DynamoDB).
pub const MAX_PARTITION_BYTES: usize = 2_048;

/// A row's sort name in bytes (DynamoDB).
pub const MAX_SORT_BYTES: usize = 1_024;

/// Writes in one transaction (DynamoDB).
pub const MAX_TRANSACT_WRITES: usize = 100;

/// A lease of SQS ends 12 hours after the receive, whatever the heartbeats say: longer steps are refused.
pub const MAX_TIMEOUT: Duration = Duration::from_secs(11 * 3_600);

/// Between SIGTERM and SIGKILL.
pub const DEFAULT_GRACE: Duration = Duration::from_secs(10);

/// What a bundle should last: long enough that two fsyncs and a message cost nothing, short enough that a dead worker
/// loses little.
pub const BUNDLE_TARGET: Duration = Duration::from_millis(500);

/// The same where every call is paid and takes some hundredths of a second: a task costs some seven requests, $0.00001, as
/// much as a slot of a spot machine does in a second.
pub const REMOTE_BUNDLE_TARGET: Duration = Duration::from_secs(10);

/// What the last bundles of a stage should last there: half of this is what a slot idles for at the end.
pub const REMOTE_BUNDLE_LEAST: Duration = Duration::from_secs(2);

/// Heartbeats that a worker leaves out while it has nothing to do: what it would say is known, and each is a paid call.
pub const IDLE_HEARTBEATS: u32 = 15;

/// Between two heartbeats of a worker at work. A silence is only told from a death after a few of them.
pub const MAX_HEARTBEAT: Duration = Duration::from_secs(300);

/// Between two signs of a manager with a fleet: 0.04 dollars a month. Workers that wait for one wait at least three times as long.
pub const MANAGER_SIGN_EVERY: Duration = Duration::from_secs(300);

/// Workers that die under one task before it is given up as poison.
pub const MAX_DEATHS: u32 = 5;

/// Receives of one task message before it goes to the dead tasks, whose reader judges what became of it. Receives are no
/// deaths: each drain, and each worker that cannot use the message, costs one, too.
pub const MAX_RECEIVES: u32 = 5;

/// Times that a task is sent again although no worker was seen to die under it, before it is given up: a bound for what
/// nobody can explain.
pub const MAX_RESENDS: u32 = 20;

/// Upstream attempts that a task message names itself; more are listed in an object of their own.
pub const MAX_INLINE_REFS: usize = 32;

/// Outputs of a task up to this size ride inside its manifest.
pub const MAX_INLINE_OUTPUT_BYTES: usize = 16 << 10;

/// Input of a bundle up to this size is read ahead in one piece; anything larger is streamed item by item.
pub const MAX_STAGED_INPUT_BYTES: u64 = 8 << 20;

/// A checkpoint is written to the store as often, and each write is paid.
pub const MIN_CHECKPOINT_INTERVAL: Duration = Duration::from_secs(1);

/// What one checkpoint may hold: it is copied to the scratch disk first, and has to be written within the two minutes of a
/// spot notice.
pub const MAX_CHECKPOINT_BYTES: u64 = 16 << 30;

/// Files, folders and links in one checkpoint: they are listed every time.
pub const MAX_CHECKPOINT_ENTRIES: usize = 10_000;

/// What is kept of stderr at each end.
pub const STDERR_KEEP_BYTES: usize = 64 << 10;

/// What a manifest carries of a failed item's stderr: its end.
pub const STDERR_IN_MANIFEST_BYTES: usize = 2 << 10;

/// Digests of input blocks that a manager keeps in memory for one job: those of 16 GiB (see [`blocks`](crate::blocks)).
pub const MAX_CACHED_DIGEST_BYTES: u64 = 8 << 20;

/// Items of a matrix, list or range.
pub const MAX_ITEMS: u64 = u32::MAX as u64;

/// The text that says which failed items are meant: longer than any that people write, and cheap to keep in a row.
pub const MAX_FILTER_BYTES: usize = 4 << 10;

/// Names and values of the parameters that one redrive sets, in bytes: they travel in messages and lie in a row.
pub const MAX_SET_BYTES: usize = 4 << 10;

/// Different sets of parameters that the redrives of one job may bring: they lie in its row.
pub const MAX_SETS: usize = 32;

/// Stages in a pipeline: a graph that people can read; larger graphs are for `tasks: FILE`.
pub const MAX_STAGES: usize = 1_000;

/// A pipeline file.
pub const MAX_PIPELINE_BYTES: usize = 1 << 20;

/// Values in a pipeline file, aliases counted as often as they are used: as many as a file of the longest kind can
/// hold without aliases, so that only a file that multiplies itself is refused.
pub const MAX_PIPELINE_VALUES: usize = 1 << 19;

/// Values inside values in a pipeline file; the deepest place of the grammar is eight deep.
pub const MAX_PIPELINE_DEPTH: usize = 64;

/// Faults that one report lists; people repair the first ones first.
pub const MAX_FAULTS: usize = 200;

/// Combinations of a matrix with `include` or `exclude`, which must be listed in memory; without them a matrix may
/// have [`MAX_ITEMS`].
pub const MAX_LISTED_COMBINATIONS: u64 = 100_000;

/// How long an idempotency key stands for the job that it was used for.
pub const IDEMPOTENCY_KEPT: Duration = Duration::from_secs(7 * 86_400);

/// How long a file may take to arrive in parts: the bucket's lifecycle gives up what is older, in terraform and in localstack.
pub const UPLOAD_KEPT: Duration = Duration::from_secs(2 * 86_400);
