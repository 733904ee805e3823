//! The log of a daemon, on standard error.

use std::io::{IsTerminal, stderr};

use anyhow::Context;
use clap::{Args, ValueEnum};
use tracing_subscriber::EnvFilter;

/// What is logged, and how.
#[derive(Clone, Debug, Args)]
pub struct Log {
    /// What is logged, such as `info` or `infra=debug`.
    #[arg(long = "log", env = "GRIDMILL_LOG", default_value = "info", value_name = "FILTER")]
    pub filter: String,
    /// How the log is written, to standard error.
    #[arg(long = "log-format", env = "GRIDMILL_LOG_FORMAT", value_enum, default_value_t = LogFormat::Text, value_name = "FORMAT")]
    pub format: LogFormat,
}

/// How the log is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// Lines for people.
    Text,
    /// A JSON object a line.
    Json,
}

impl Log {
    /// Starts the log of this process, once; an error names the setting that says what is no filter.
    pub fn start(&self) -> anyhow::Result<()> {
        let log = tracing_subscriber::fmt().with_env_filter(self.filter()?).with_writer(stderr);
        match self.format {
            LogFormat::Text => log.with_ansi(stderr().is_terminal()).init(),
            LogFormat::Json => log.json().with_ansi(false).init(),
        }
        Ok(())
    }

    fn filter(&self) -> anyhow::Result<EnvFilter> {
        EnvFilter::try_new(&self.filter).with_context(|| format!("GRIDMILL_LOG is `{}`", self.filter))
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        log: Log,
    }

    fn read(words: &[&str]) -> Log {
        Cli::try_parse_from([&["d"], words].concat()).unwrap().log
    }

    #[test]
    fn what_is_no_filter_is_named_with_its_setting() {
        assert!(read(&["--log", "infra=debug,warn", "--log-format", "json"]).filter().is_ok());
        let refused = read(&["--log", "infra=loud"]).filter().unwrap_err();
        assert!(format!("{refused:#}").starts_with("GRIDMILL_LOG is `infra=loud`: "), "{refused:#}");
    }
}
