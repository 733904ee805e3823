//! The command line: what can be asked for, and the words that explain it.

mod help;

use std::path::PathBuf;

use clap::builder::styling::{AnsiColor, Styles};
use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;

const STYLES: Styles = Styles::styled()
    .header(AnsiColor::Green.on_default().bold())
    .usage(AnsiColor::Green.on_default().bold())
    .literal(AnsiColor::Cyan.on_default().bold())
    .placeholder(AnsiColor::Cyan.on_default());

/// Batch work over large, partitioned data: the same pipeline file on a laptop and on a grid.
#[derive(Debug, Parser)]
#[command(name = "gridmill", version, styles = STYLES, max_term_width = 100)]
#[command(propagate_version = true, subcommand_required = true, arg_required_else_help = true)]
#[command(after_help = help::EXAMPLES, after_long_help = help::long(help::EXAMPLES))]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,

    /// Print one JSON document (or one JSON object a line) on standard output
    #[arg(long, global = true)]
    pub json: bool,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run a pipeline in this process: progress, outputs in a folder, and a receipt
    #[command(long_about = help::RUN_ABOUT, after_help = help::RUN_EXAMPLES, after_long_help = help::long(help::RUN_EXAMPLES))]
    Run(RunArgs),
    /// Check a pipeline file and report all its faults at once
    #[command(after_help = "Example:\n  gridmill validate pipeline.yaml && gridmill plan pipeline.yaml")]
    Validate(ValidateArgs),
    /// Show items, bytes, records, tasks and memory before anything runs; nothing is written
    #[command(after_help = "Example:\n  gridmill plan claims.yaml --input claims=claims.csv")]
    Plan(PlanArgs),
    /// List the jobs in the state folder, the newest first
    List(StateArgs),
    /// Show where a job stands, stage by stage
    #[command(after_help = "Examples:\n  gridmill status            the newest job\n  gridmill status 0193a --json")]
    Status(JobArgs),
    /// List the items that were given up on, each with its reason
    #[command(after_help = help::DEAD_EXAMPLES)]
    Dead(DeadArgs),
    /// Tell the story of one item: its attempts, or from which job it was taken, or why it was not
    #[command(after_help = help::WHY_EXAMPLES)]
    Why(ItemArgs),
    /// Print what commands wrote to standard error
    #[command(after_help = help::LOGS_EXAMPLES)]
    Logs(LogsArgs),
    /// Run one item again here, in this terminal; nothing is committed
    #[command(after_help = help::REPLAY_EXAMPLES)]
    Replay(ItemArgs),
    /// List what a job has delivered, or deliver it again elsewhere
    #[command(after_help = help::OUTPUTS_EXAMPLES)]
    Outputs(OutputsArgs),
    /// Print the JSON Schema of the pipeline file, for editors
    #[command(after_help = "Example:\n  gridmill schema > gridmill.schema.json")]
    Schema,
    /// Print a script that completes gridmill's command line
    #[command(
        after_help = "Example:\n  gridmill completions bash > ~/.local/share/bash-completion/completions/gridmill"
    )]
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Ends what a killed process left running; started by `run` itself.
    #[command(hide = true)]
    Guard {
        /// Marks the processes to end.
        cookie: String,
    },
}

/// Where the local state lies.
#[derive(Args, Clone, Debug)]
pub struct StateArgs {
    /// The folder that holds the state of the local grid
    #[arg(long, value_name = "DIR", default_value = ".gridmill", env = "GRIDMILL_STATE")]
    pub state: PathBuf,
}

/// The pipeline, and what it is run on.
#[derive(Args, Clone, Debug)]
pub struct PipelineArgs {
    /// The pipeline file (YAML or JSON)
    #[arg(value_name = "FILE")]
    pub file: PathBuf,

    /// Where an input lies: a path, a glob, a folder, or - for standard input; repeat for several
    #[arg(long, short, value_name = "NAME=URI", value_parser = name_and_value)]
    pub input: Vec<(String, String)>,

    /// The value of a parameter
    #[arg(long, short, value_name = "NAME=VALUE", value_parser = name_and_value)]
    pub param: Vec<(String, String)>,
}

/// `gridmill run`.
#[derive(Args, Clone, Debug)]
pub struct RunArgs {
    #[command(flatten)]
    pub pipeline: PipelineArgs,

    /// The folder that outputs are delivered to
    #[arg(long, short, value_name = "DIR", default_value = "out")]
    pub out: PathBuf,

    /// How many items run at once [default: the number of cores]
    #[arg(long, short = 'j', value_name = "N", value_parser = clap::value_parser!(u32).range(1..=4096))]
    pub workers: Option<u32>,

    #[command(flatten)]
    pub state: StateArgs,
}

/// `gridmill validate`.
#[derive(Args, Clone, Debug)]
pub struct ValidateArgs {
    /// The pipeline file (YAML or JSON)
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
}

/// `gridmill plan`.
#[derive(Args, Clone, Debug)]
pub struct PlanArgs {
    #[command(flatten)]
    pub pipeline: PipelineArgs,
}

/// A job.
#[derive(Args, Clone, Debug)]
pub struct JobArgs {
    /// The job: its id, or a part of it that no other has [default: the newest]
    #[arg(value_name = "JOB")]
    pub job: Option<String>,

    #[command(flatten)]
    pub state: StateArgs,
}

/// `gridmill dead`.
#[derive(Args, Clone, Debug)]
pub struct DeadArgs {
    #[command(flatten)]
    pub job: JobArgs,

    /// Only items of this stage
    #[arg(long, value_name = "STAGE")]
    pub stage: Option<String>,

    /// Print the bytes of those items' input instead
    #[arg(long, conflicts_with = "json")]
    pub input: bool,
}

/// A job and one item of it.
#[derive(Args, Clone, Debug)]
pub struct ItemArgs {
    /// `[JOB] STAGE/ITEM`: an item by name, or as STAGE/#INDEX; of the newest job unless one is named
    #[arg(value_name = "[JOB] STAGE/ITEM", required = true, num_args = 1..=2)]
    pub words: Vec<String>,

    #[command(flatten)]
    pub state: StateArgs,
}

/// `gridmill logs`.
#[derive(Args, Clone, Debug)]
pub struct LogsArgs {
    /// `[JOB] [STAGE[/ITEM]]`: everything of the newest job unless it says otherwise
    #[arg(value_name = "[JOB] [STAGE[/ITEM]]", num_args = 0..=2)]
    pub words: Vec<String>,

    #[command(flatten)]
    pub state: StateArgs,
}

/// `gridmill outputs`.
#[derive(Args, Clone, Debug)]
pub struct OutputsArgs {
    #[command(flatten)]
    pub job: JobArgs,

    /// Deliver them to this folder
    #[arg(long = "fetch", short, visible_alias = "out", value_name = "DIR")]
    pub out: Option<PathBuf>,
}

/// Reads `NAME=VALUE`.
fn name_and_value(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or_else(|| format!("`{text}` has no `=`: write NAME=VALUE"))?;
    if name.is_empty() {
        return Err(format!("`{text}` has no name before the `=`"));
    }
    Ok((name.to_owned(), value.to_owned()))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;
    use clap::error::ErrorKind;

    use super::*;

    fn parse(line: &str) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(line.split_whitespace())
    }

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn run_takes_several_locations_for_one_input() {
        let cli = parse("gridmill run p.yaml --input a=x --input a=y=z --param k=v --json").expect("it is right");
        assert!(cli.json);
        let Command::Run(args) = cli.command else { panic!("not run: {:?}", cli.command) };
        assert_eq!(args.pipeline.input, [("a".into(), "x".into()), ("a".into(), "y=z".into())]);
        assert_eq!(args.pipeline.param, [("k".into(), "v".into())]);
        assert_eq!((args.out, args.workers), (PathBuf::from("out"), None));
    }

    #[test]
    fn an_input_without_a_name_is_explained() {
        let error = parse("gridmill run p.yaml --input books/").expect_err("it has no name");
        assert_eq!(error.kind(), ErrorKind::ValueValidation);
        assert!(error.to_string().contains("write NAME=VALUE"), "{error}");
        assert!(parse("gridmill run p.yaml --workers 0").is_err());
    }

    #[test]
    fn a_misspelt_command_gets_a_suggestion() {
        let error = parse("gridmill statsu").expect_err("there is no such command");
        assert_eq!(error.kind(), ErrorKind::InvalidSubcommand);
        assert!(error.to_string().contains("status"), "{error}");
    }

    #[test]
    fn every_command_explains_itself() {
        for command in Cli::command().get_subcommands() {
            assert!(command.get_about().is_some(), "{} has no words", command.get_name());
        }
    }
}
