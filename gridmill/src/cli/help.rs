//! Help texts that teach by example.

const EXIT_CODES: &str = "\
Exit codes:
  0  done                        3  done, with dead letters
  1  the job failed              4  cancelled
  2  bad usage or pipeline       5  a back end or the manager could not be used
  130  interrupted: the state is kept, run the same command again to resume";

/// Of gridmill as a whole.
pub const EXAMPLES: &str = "\
Examples:
  gridmill run wordcount.yaml --input books='books/*.txt'
  gridmill plan wordcount.yaml --input books='books/*.txt'
  gridmill status
  gridmill dead
  gridmill why count/#17";

/// What `run` is about.
pub const RUN_ABOUT: &str = "\
Run a pipeline in this process: progress, outputs in a folder, and a receipt.

The state is kept in --state. The same command again goes on where it stopped, after a crash, an interruption or \
a fix; what is done is not done again. Ctrl-C once finishes what is running; twice kills it.";

/// Of `run`.
pub const RUN_EXAMPLES: &str = "\
Examples:
  gridmill run wordcount.yaml --input books='books/*.txt'     a glob (quoted: gridmill expands it)
  gridmill run claims.yaml --input claims=data/ --param year=2025 --out results
  zcat huge.csv.gz | gridmill run clean.yaml --input rows=-   standard input
  gridmill run sweep.yaml --workers 8 --json > receipt.json";

/// Of `submit`.
pub const SUBMIT_EXAMPLES: &str = "\
Examples:
  gridmill submit claims.yaml --input claims=claims.csv          files of this machine are uploaded
  gridmill submit claims.yaml --input claims=s3://bucket/2025/   others are named by URI
  gridmill submit claims.yaml --watch                            until it ends; Ctrl-C leaves it running
  gridmill submit claims.yaml --fetch out                        .. and its outputs into out/
The manager is --manager URL or GRIDMILL_MANAGER, the token for it GRIDMILL_TOKEN.";

/// Of `token`.
pub const TOKEN_EXAMPLES: &str = "\
Examples:
  gridmill token create --scope admin                the first one: with the settings of the manager's daemon
  export GRIDMILL_TOKEN=\"$(gridmill token create --scope submit --tenant finance --expires 30d)\"
  gridmill token list --manager https://grid.example.com
With --manager or GRIDMILL_MANAGER a manager is asked, which needs a token of scope admin.";

/// Of `status`.
pub const STATUS_EXAMPLES: &str = "\
Examples:
  gridmill status                    the newest job
  gridmill status 0193a --json
  gridmill status --watch            until it ends; Ctrl-C leaves it running";

/// Of `cancel`, `pause` and `resume`.
pub const WISH_NOTE: &str = "\
With a job manager the wish is heard at once. In a local state folder it is written down while no `run` is at work \
there; Ctrl-C stops one that is.";

/// Of `redrive`.
pub const REDRIVE_EXAMPLES: &str = "\
Examples:
  gridmill redrive                                       everything that is dead in the newest job
  gridmill redrive 0193a --where 'stage=clean and reason=timeout'
  gridmill redrive --where reason=oom --set resources.memory=x2";

/// Of `dead`.
pub const DEAD_EXAMPLES: &str = "\
Examples:
  gridmill dead                      of the newest job
  gridmill dead --stage clean --json | jq -r .message
  gridmill dead --input > bad.csv    the input of those items, as bytes";

/// Of `why`.
pub const WHY_EXAMPLES: &str = "\
Examples:
  gridmill why clean/part-3          by the item's name
  gridmill why 0193a 'clean/#3'      by its place in the stage, in an older job";

/// What `rebuild` is about.
pub const REBUILD_ABOUT: &str = "\
Make a lost state table again, from the objects alone.

Every job is made again from its submission, plans, manifests and receipt. Stop the job managers first. Workers may go \
on: nothing is written before they have nothing in hand. What only the table knew is gone: API tokens, idempotency keys, \
that a job was paused.";

/// Of `rebuild`.
pub const REBUILD_EXAMPLES: &str = "\
Examples:
  gridmill rebuild --state .gridmill     after state.db was lost
  gridmill rebuild --aws --paused        look first, then `gridmill resume JOB`
  gridmill rebuild --aws --missing       go on after an interruption";

/// Of `logs`.
pub const LOGS_EXAMPLES: &str = "\
Examples:
  gridmill logs                      everything of the newest job
  gridmill logs clean
  gridmill logs 'clean/#17'
  gridmill logs --follow             until the job ends";

/// Of `replay`.
pub const REPLAY_EXAMPLES: &str = "\
Example:
  gridmill replay 'clean/#17'        exit code: that of the item's command";

/// Of `outputs`.
pub const OUTPUTS_EXAMPLES: &str = "\
Examples:
  gridmill outputs
  gridmill outputs 0193a --fetch elsewhere";

/// Examples and exit codes.
pub fn long(examples: &str) -> String {
    format!("{examples}\n\n{EXIT_CODES}")
}
