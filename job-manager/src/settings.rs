//! What the daemon is told, by flags or by the environment.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Parser;
use daemon::{Log, Places};
use grid_core::price::{PriceList, Usd};
use grid_core::share::Agreements;
use infra::aws::settings::{DEAD_TASK_QUEUE, NOTIFY_QUEUES, TABLE};

use crate::fleet::settings::FleetSettings;
use crate::http::{Access, InputPolicy, Limits, Names, OwnBucket};

/// Serves the HTTP API of a grid on AWS, and looks after its jobs when it leads.
///
/// Region, credentials and endpoint are the AWS SDK's own settings: AWS_REGION, AWS_PROFILE, AWS_ENDPOINT_URL, ..
#[derive(Clone, Debug, Parser)]
#[command(name = "job-manager", version, max_term_width = 100)]
pub struct Settings {
    /// Where to listen; anything but the loopback needs at least one token.
    #[arg(long, env = "GRIDMILL_LISTEN", default_value = "127.0.0.1:8470", value_name = "IP:PORT")]
    pub listen: SocketAddr,
    /// Write the address that is listened on to this file, once it is: for port 0.
    #[arg(long, env = "GRIDMILL_LISTEN_FILE", value_name = "FILE")]
    pub listen_file: Option<PathBuf>,
    /// Host names, beside localhost, by which this manager may be asked without a token.
    #[arg(long, env = "GRIDMILL_HOSTS", value_name = "NAME", value_delimiter = ',')]
    pub hosts: Vec<String>,
    /// What jobs may read: s3://BUCKET/ or s3://BUCKET/PREFIX/. Everything that the manager may, without it.
    #[arg(long, env = "GRIDMILL_ALLOWED_INPUTS", value_name = "URI", value_delimiter = ',', value_parser = allowed_input)]
    pub allowed_inputs: Vec<String>,
    /// What this manager is called, in logs and for the others. Default: host, port and process.
    #[arg(long, env = "GRIDMILL_NAME", value_name = "NAME")]
    pub name: Option<String>,
    /// Connections at a time.
    #[arg(long, env = "GRIDMILL_CONNECTIONS", default_value_t = Limits::default().connections, value_name = "N")]
    pub connections: usize,
    /// A file that says what is agreed with tenants, as JSON: {"NAME": {"weight": 2, "max_out": 500}, ..}. A tenant that it
    /// does not name has weight 1 and no limit.
    #[arg(long, env = "GRIDMILL_TENANTS", value_name = "FILE")]
    pub tenants: Option<PathBuf>,
    /// What an hour of a slot costs, in dollars, for receipts and budgets: in place of what the list of prices says.
    #[arg(long, env = "GRIDMILL_USD_PER_SLOT_HOUR", value_name = "USD")]
    pub usd_per_slot_hour: Option<Usd>,
    /// Where machines come from.
    #[command(flatten)]
    pub machines: FleetSettings,
    /// The log.
    #[command(flatten)]
    pub log: Log,
    /// Look at what the manager needs - settings, rights, bucket, queues, table - say what is wrong, and end.
    #[arg(long)]
    pub check: bool,
    /// A list of prices in place of the list prices of us-east-1, for receipts; docs/OPERATIONS.md shows one.
    #[arg(long, env = "GRIDMILL_PRICES", value_name = "FILE")]
    pub prices: Option<PathBuf>,
    /// Where the grid has what its workers use, too.
    #[command(flatten)]
    pub places: Places,
    /// The queue of the task messages that were received too often, by name or URL.
    #[arg(long, env = DEAD_TASK_QUEUE, value_name = "QUEUE")]
    pub dead_task_queue: Option<String>,
    /// The table of rows.
    #[arg(long, env = TABLE, value_name = "TABLE")]
    pub table: Option<String>,
    /// The queues that pipelines may have events put on (`notify`), by name, URL or ARN, as they name them; one that ends in
    /// `*` stands for all that begin so. None, without it.
    #[arg(long, env = NOTIFY_QUEUES, value_name = "QUEUE,..")]
    pub notify_queues: Option<String>,
}

impl Settings {
    /// Where the grid has its things. `Invalid` names every setting that is missing.
    pub fn grid(&self) -> infra::Result<infra::aws::Settings> {
        infra::aws::Settings::from_vars(|name| self.place(name))
    }

    /// Where the grid has one of its things, by the name of the setting.
    pub fn place(&self, name: &str) -> Option<String> {
        match name {
            DEAD_TASK_QUEUE => self.dead_task_queue.clone(),
            TABLE => self.table.clone(),
            NOTIFY_QUEUES => self.notify_queues.clone(),
            _ => self.places.place(name).or_else(|| self.machines.place(name)),
        }
    }

    /// Whether only this machine can reach what we listen on.
    pub fn is_loopback(&self) -> bool {
        self.listen.ip().is_loopback()
    }

    /// What this manager is called, when it listens there.
    pub fn name(&self, address: SocketAddr) -> String {
        let host = || std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        let default = || format!("{}:{}#{}", host().trim(), address.port(), std::process::id());
        self.name.clone().unwrap_or_else(default)
    }

    /// Who may do anything at all.
    pub fn access(&self) -> Access {
        if self.is_loopback() { Access::ThisMachine(Names(self.hosts.clone())) } else { Access::Tokens }
    }

    /// What jobs may read on a grid that has its things there.
    pub fn inputs(&self, grid: &infra::aws::Settings) -> InputPolicy {
        let prefix = grid.worker.prefix.as_deref().unwrap_or_default().trim_end_matches('/');
        let prefix = if prefix.is_empty() { String::new() } else { format!("{prefix}/") };
        let own = OwnBucket { bucket: grid.worker.bucket.clone(), prefix };
        InputPolicy { allowed: self.allowed_inputs.clone(), own: Some(own) }
    }

    /// What is agreed with tenants.
    pub fn agreements(&self) -> anyhow::Result<Agreements> {
        let Some(file) = &self.tenants else { return Ok(Agreements::new()) };
        let text = std::fs::read_to_string(file).with_context(|| format!("failed to read {}", file.display()))?;
        let agreements: Agreements = serde_json::from_str(&text)
            .with_context(|| format!("{} does not say what is agreed with tenants", file.display()))?;
        for (name, agreement) in &agreements {
            anyhow::ensure!(
                agreement.weight.is_finite() && agreement.weight > 0.0,
                "{}: the weight of `{name}` is {}, and must be more than 0",
                file.display(),
                agreement.weight
            );
        }
        Ok(agreements)
    }

    /// What requests and slots cost.
    pub fn prices(&self) -> anyhow::Result<PriceList> {
        let list = self.prices.as_deref().map_or_else(|| Ok(PriceList::us_east_1()), read_prices)?;
        Ok(if self.usd_per_slot_hour.is_some() { list.with_slot_hour(self.usd_per_slot_hour) } else { list })
    }

    /// What a client may keep waiting.
    pub fn limits(&self) -> Limits {
        Limits { connections: self.connections.max(1), ..Limits::default() }
    }
}

fn read_prices(file: &Path) -> anyhow::Result<PriceList> {
    let place = || format!("GRIDMILL_PRICES is {}", file.display());
    let text = std::fs::read_to_string(file).with_context(place)?;
    PriceList::read(&text).with_context(place)
}

/// A bucket or a folder in one, with its slash: without it, `s3://data` would let `s3://database/` pass.
fn allowed_input(text: &str) -> Result<String, String> {
    let bucket = text.strip_prefix("s3://").and_then(|rest| rest.split_once('/')).map(|(bucket, _)| bucket);
    match bucket {
        Some(bucket) if !bucket.is_empty() && text.ends_with('/') => Ok(text.to_owned()),
        _ => Err("write s3://BUCKET/ or s3://BUCKET/PREFIX/, with the slash at the end".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(args: &[&str]) -> Settings {
        Settings::try_parse_from([&["job-manager"], args].concat()).unwrap()
    }

    #[test]
    fn a_manager_listens_on_the_loopback_unless_it_is_told_otherwise() {
        assert_eq!(read(&[]).access(), Access::ThisMachine(Names::default()));
        let named = read(&["--listen", "[::1]:0", "--hosts", "grid.local,other"]);
        assert_eq!(named.access(), Access::ThisMachine(Names(vec!["grid.local".into(), "other".into()])));
        assert_eq!(read(&["--listen", "0.0.0.0:80"]).access(), Access::Tokens);
        assert_eq!(read(&["--listen", "[::]:80"]).access(), Access::Tokens);
    }

    #[test]
    fn what_may_be_read_ends_with_a_slash() {
        assert_eq!(read(&["--allowed-inputs", "s3://a/,s3://b/c/"]).allowed_inputs, ["s3://a/", "s3://b/c/"]);
        for wrong in ["s3://a", "s3://a/b", "s3:///", "/a/", "https://a/", ""] {
            let refused = Settings::try_parse_from(["job-manager", "--allowed-inputs", wrong]);
            assert!(refused.is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_is_agreed_with_tenants_stands_in_a_file() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("tenants.json");
        let agreed = |text: &str| {
            std::fs::write(&file, text).unwrap();
            read(&["--tenants", file.to_str().unwrap()]).agreements()
        };
        let agreements = agreed(r#"{"finance": {"weight": 3}, "lab": {"max_out": 50}}"#).unwrap();
        assert_eq!((agreements["finance"].weight, agreements["finance"].max_out), (3.0, None));
        assert_eq!((agreements["lab"].weight, agreements["lab"].max_out), (1.0, Some(50)));
        let refused = |text: &str| format!("{:#}", agreed(text).unwrap_err());
        assert!(
            refused(r#"{"finance": {"weight": 0}}"#).contains("the weight of `finance` is 0, and must be more than 0")
        );
        assert!(refused(r#"{"finance": {"wieght": 2}}"#).contains("wieght"));
        assert!(read(&[]).agreements().unwrap().is_empty());
        assert!(Settings::try_parse_from(["job-manager", "--usd-per-slot-hour", "-1"]).is_err());
    }

    #[test]
    fn the_grids_own_prefix_ends_with_a_slash() {
        let with = |prefix: &str| {
            let args = ["--bucket=b", "--task-queue=t", "--dead-task-queue=d", "--report-queue=r", "--table=s"];
            let settings = read(&[&args[..], &["--prefix", prefix]].concat());
            settings.inputs(&settings.grid().unwrap()).own.unwrap().prefix
        };
        assert_eq!([with("prod"), with("prod/"), with("a/b"), with("")], ["prod/", "prod/", "a/b/", ""]);
    }
}
