//! The command line: what can be asked for, and the words that explain it.

mod args;
mod help;
mod place;
mod token;
mod workers;

use clap::builder::styling::{AnsiColor, Styles};
use clap::{Parser, Subcommand};
use clap_complete::Shell;

pub use args::*;
pub use place::*;
pub use token::*;
pub use workers::Workers;

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
    /// Show items, bytes, records, tasks, memory, time and cost before anything runs; nothing is written
    #[command(
        after_help = "Example:\n  gridmill plan claims.yaml --input claims=claims.csv --workers 8 --usd-per-slot-hour 0.04"
    )]
    Plan(PlanArgs),
    /// Hand a pipeline and its files over to a job manager
    #[command(after_help = help::SUBMIT_EXAMPLES, after_long_help = help::long(help::SUBMIT_EXAMPLES))]
    Submit(SubmitArgs),
    /// List jobs, the newest first
    #[command(after_help = "Example:\n  gridmill list --only running --manager https://grid.example.com")]
    List(ListArgs),
    /// Show where a job stands, stage by stage
    #[command(after_help = help::STATUS_EXAMPLES)]
    Status(StatusArgs),
    /// End a job: nothing more of it is run, and what runs is stopped
    #[command(after_help = help::WISH_NOTE)]
    Cancel(JobArgs),
    /// Hand out nothing more of a job; what runs goes on to its end, and counts
    #[command(after_help = help::WISH_NOTE)]
    Pause(JobArgs),
    /// Go on with a job that is paused
    #[command(after_help = help::WISH_NOTE)]
    Resume(JobArgs),
    /// Run dead items of a job again
    #[command(after_help = help::REDRIVE_EXAMPLES)]
    Redrive(RedriveArgs),
    /// Print the balance of a job that has ended
    Receipt(JobArgs),
    /// List the workers that a job manager has in sight
    Workers(FleetArgs),
    /// List the pools of workers that a job manager has in sight
    Pools(FleetArgs),
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
    Replay(ReplayArgs),
    /// List what a job has delivered, or deliver it again elsewhere
    #[command(after_help = help::OUTPUTS_EXAMPLES)]
    Outputs(OutputsArgs),
    /// Check what a grid on AWS needs: settings, rights, and how bucket, queues and table are set up
    #[command(after_help = "Example:\n  eval \"$(localstack/env)\" && gridmill doctor")]
    Doctor(DoctorArgs),
    /// Make, list and revoke the tokens by which a job manager knows who asks
    #[command(subcommand, after_help = help::TOKEN_EXAMPLES)]
    Token(TokenCommand),
    /// Make a lost state table again, from the objects alone
    #[command(long_about = help::REBUILD_ABOUT, after_help = help::REBUILD_EXAMPLES)]
    Rebuild(RebuildArgs),
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

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use clap::CommandFactory;
    use clap::error::ErrorKind;

    use super::*;
    use crate::client::PlainHttp;

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
    fn a_manager_is_asked_where_one_is_named() {
        let place = |line| {
            let Command::Status(args) = parse(line).expect("it is right").command else { panic!("not status: {line}") };
            args.job.place
        };
        assert_eq!(place("gridmill status 01 --state s"), PlaceArgs::State(PathBuf::from("s")));
        let manager = |plain| PlaceArgs::Manager(ManagerArgs { url: "http://grid".into(), plain });
        assert_eq!(place("gridmill status --manager http://grid"), manager(PlainHttp::Loopback));
        let both = "gridmill status --manager http://grid --allow-plain-http --state s";
        assert_eq!(place(both), manager(PlainHttp::Anywhere));
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
