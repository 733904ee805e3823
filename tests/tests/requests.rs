//! What a job asks of services: counted between real processes and a server, and told by the receipt.
//!
//! Ignored unless asked for, as the [flows](processes) are.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::{Context, ensure};
use gridmill_tests::fleet::{Daemon, Fleet, get, post, server};
use gridmill_tests::recorder::{Exchange, Recorder};
use serde_json::{Value, json};

const MINUTES: Duration = Duration::from_secs(600);

/// Requests, or messages, by service and operation.
type Counts = BTreeMap<String, i64>;

/// A manager, workers of one slot, and what they ask of the server.
struct Counted {
    fleet: Fleet,
    manager: Daemon,
    _workers: Vec<Daemon>,
    recorder: Recorder,
    runtime: tokio::runtime::Runtime,
}

/// A job that has ended, and everything that was asked of the server until then.
struct Asked {
    job: String,
    exchanges: Vec<Exchange>,
    status: Value,
    receipt: Value,
}

impl Counted {
    /// All settings are those that the programs have by themselves.
    fn new(workers: usize) -> anyhow::Result<Self> {
        let runtime = tokio::runtime::Runtime::new()?;
        let recorder = runtime.block_on(Recorder::before(&server()?))?;
        let fleet = Fleet::at(&recorder.url())?;
        let manager = fleet.manager("manager")?;
        let started = (0..workers).map(|nth| fleet.worker_with(&format!("worker-{nth}"), &["--slots", "1"]));
        let _workers = started.collect::<anyhow::Result<Vec<Daemon>>>()?;
        // Until the leader has written down all of them.
        let give_up = std::time::Instant::now() + MINUTES;
        while get(&manager.address, "/v1/workers")?.json()?["entries"].as_array().map_or(0, Vec::len) < workers {
            ensure!(std::time::Instant::now() < give_up, "the workers are not seen");
            std::thread::sleep(Duration::from_millis(100));
        }
        Ok(Self { fleet, manager, _workers, recorder, runtime })
    }

    /// Runs a job until nothing is asked for it any more. Only then is the manager asked what became of it.
    fn run(&self, pipeline: &str) -> anyhow::Result<Asked> {
        let answer = post(&self.manager.address, "/v1/jobs", &json!({"pipeline": pipeline}))?;
        ensure!(answer.status == 201, "{}: {}", answer.status, String::from_utf8_lossy(&answer.body));
        let job = answer.json()?["job"].as_str().context("it has an id")?.to_owned();
        let closed = self.recorder.until(|exchanges| Asked::is_closed(&job, exchanges));
        let closed = self.runtime.block_on(async { tokio::time::timeout(MINUTES, closed).await });
        let exchanges =
            closed.with_context(|| format!("{job} has not ended; see {}", self.fleet.path("").display()))?;
        let status = get(&self.manager.address, &format!("/v1/jobs/{job}"))?.json()?;
        let receipt = get(&self.manager.address, &format!("/v1/jobs/{job}/receipt"))?.json()?;
        Ok(Asked { job, exchanges, status, receipt })
    }
}

impl Asked {
    /// The job is off the list of active ones, and every message of it is deleted.
    fn is_closed(job: &str, exchanges: &[Exchange]) -> bool {
        let is_off = |it: &Exchange| kind(it) == "DynamoDB DeleteItem" && it.request.contains(job) && it.answer == "{}";
        let messages = Messages::of(job, exchanges);
        exchanges.iter().any(is_off) && messages.received.len() as i64 == messages.sent && messages.left().is_empty()
    }

    /// Whether a request is the job's: it, or its answer, names the job, or deletes a message that does.
    fn is_of_job(&self, exchange: &Exchange, messages: &Messages) -> bool {
        exchange.request.contains(&self.job)
            || exchange.answer.contains(&self.job)
            || deleted(exchange).any(|receipt| messages.received.contains(&receipt))
    }

    /// The requests of the job by kind; and those of nobody that were begun since it was submitted, as what they are for.
    fn sorted(&self) -> (Counts, Counts) {
        let messages = Messages::of(&self.job, &self.exchanges);
        let (mut of_job, mut of_nobody) = (Counts::new(), Counts::new());
        let is_submission = |it: &Exchange| kind(it) == "S3 PutObject" && it.request.contains(&self.job);
        let submitted = self.exchanges.iter().position(is_submission).unwrap_or_default();
        for (at, exchange) in self.exchanges.iter().enumerate() {
            if self.is_of_job(exchange, &messages) {
                *of_job.entry(kind(exchange)).or_default() += 1;
            } else if at >= submitted {
                *of_nobody.entry(format!("{}{}", kind(exchange), purpose(exchange))).or_default() += 1;
            }
        }
        (of_job, of_nobody)
    }

    fn messages(&self) -> Messages {
        Messages::of(&self.job, &self.exchanges)
    }

    /// How many requests of a kind there were for objects whose keys have this in them.
    fn objects(&self, kind_of: &str, part: &str) -> i64 {
        let is_one = |it: &&Exchange| kind(it) == kind_of && it.request.contains(part);
        self.exchanges.iter().filter(is_one).count() as i64
    }

    /// What the receipt says.
    fn told(&self) -> anyhow::Result<Counts> {
        let operations = self.receipt["requests"]["operations"].as_array().context("the receipt tells requests")?;
        let one = |told: &Value| Some((told["operation"].as_str()?.to_owned(), told["requests"].as_i64()?));
        operations.iter().map(|told| one(told).with_context(|| told.to_string())).collect()
    }

    /// The list price of what the receipt says, of us-east-1, in dollars: reckoned here by the services' price lists.
    fn price(&self) -> anyhow::Result<f64> {
        let operations = self.receipt["requests"]["operations"].as_array().context("the receipt tells requests")?;
        let price = |told: &Value| {
            let usd_per_million = match told["operation"].as_str()? {
                "S3 PutObject" | "S3 ListObjectsV2" => 5.0,
                "S3 GetObject" | "S3 HeadObject" => 0.40,
                "DynamoDB GetItem" | "DynamoDB Query" => 0.125,
                operation if operation.starts_with("DynamoDB ") => 0.625,
                operation if operation.starts_with("SQS ") => 0.40,
                _ => return None,
            };
            Some(told["units"].as_f64()? * usd_per_million / 1e6)
        };
        operations.iter().map(|told| price(told).with_context(|| format!("no price of {told}"))).sum()
    }
}

/// The messages of a job.
#[derive(Default)]
struct Messages {
    sent: i64,
    /// Their receipts.
    received: BTreeSet<String>,
    deleted: BTreeSet<String>,
}

impl Messages {
    fn of(job: &str, exchanges: &[Exchange]) -> Self {
        let mut messages = Self::default();
        for exchange in exchanges {
            let says_so = |message: &Value, name: &str| message[name].as_str().is_some_and(|body| body.contains(job));
            let sent = list(&exchange.request, "Entries");
            messages.sent += sent.iter().filter(|message| says_so(message, "MessageBody")).count() as i64;
            let received = list(&exchange.answer, "Messages").into_iter().filter(|message| says_so(message, "Body"));
            messages.received.extend(received.filter_map(|it| Some(it["ReceiptHandle"].as_str()?.to_owned())));
        }
        let deleted = exchanges.iter().filter(|it| !it.answer.is_empty()).flat_map(deleted);
        messages.deleted = deleted.filter(|receipt| messages.received.contains(receipt)).collect();
        messages
    }

    fn left(&self) -> Vec<&String> {
        self.received.difference(&self.deleted).collect()
    }
}

fn kind(exchange: &Exchange) -> String {
    format!("{} {}", exchange.operation.service, exchange.operation.name)
}

/// A list in a document of a service.
fn list(document: &str, name: &str) -> Vec<Value> {
    let document: Value = serde_json::from_str(document).unwrap_or_default();
    document[name].as_array().cloned().unwrap_or_default()
}

/// The receipts of the messages that a request deletes.
fn deleted(exchange: &Exchange) -> impl Iterator<Item = String> {
    let is_one = exchange.operation.name == "DeleteMessageBatch";
    let entries = if is_one { list(&exchange.request, "Entries") } else { Vec::new() };
    entries.into_iter().filter_map(|entry| Some(entry["ReceiptHandle"].as_str()?.to_owned()))
}

/// What a request is for that is no job's: the row, or what the message says.
fn purpose(exchange: &Exchange) -> &'static str {
    let about = ["TOKENS", "LEADER", "WORKER", "ACTIVE", "heartbeat"];
    let names = |word: &&&str| exchange.request.contains(**word) || exchange.answer.contains(**word);
    match about.iter().find(names) {
        Some(&"TOKENS") => " of tokens",
        Some(&"LEADER") => " of the lease",
        Some(&"WORKER") => " of workers",
        Some(&"ACTIVE") => " of active jobs",
        Some(_) => " of a heartbeat",
        None => "",
    }
}

/// What one item costs, exactly: not a request more, not one less.
const OF_ONE_ITEM: [(&str, i64); 11] = [
    // The submission for the leader and for the worker, the manifest.
    ("S3 GetObject", 3),
    // Is it cancelled?
    ("S3 HeadObject", 1),
    // The submission, the manifest, the receipt.
    ("S3 PutObject", 3),
    // The submission.
    ("DynamoDB TransactWriteItems", 1),
    // The job, as the submission is answered.
    ("DynamoDB GetItem", 2),
    // The list of active jobs, the job's rows, earlier jobs of the pipeline.
    ("DynamoDB Query", 3),
    // As it is handed out: the stage, the shard, the job. Before the receipt: the shard and the job; after it: the job.
    ("DynamoDB PutItem", 6),
    // Off the list of active jobs.
    ("DynamoDB DeleteItem", 1),
    // That there is a job, its task, and its end.
    ("SQS SendMessageBatch", 3),
    ("SQS ReceiveMessage", 3),
    // The task; that there was a job, together with its end where that comes within a second.
    ("SQS DeleteMessageBatch", 2),
];

/// What the receipt does not tell: the answer to the submission, itself, and what comes after it.
const UNTOLD: [(&str, i64); 5] = [
    ("DynamoDB GetItem", 2),
    ("S3 PutObject", 1),
    ("DynamoDB PutItem", 1),
    ("DynamoDB DeleteItem", 1),
    ("SQS DeleteMessageBatch", 2),
];

/// Receives that were under way when the job came, the leader's and the worker's: they are nobody's, or the job's.
const UNDER_WAY: i64 = 2;

/// What goes on at all times, whether or not there is a job; how much of it falls into a job's time is chance.
const OF_NOBODY: [&str; 9] = [
    "DynamoDB Query of tokens",
    "DynamoDB PutItem of the lease",
    "DynamoDB PutItem of workers",
    "DynamoDB Query of active jobs",
    "SQS SendMessageBatch of a heartbeat",
    "SQS ReceiveMessage of a heartbeat",
    // Those of heartbeats, by their receipts.
    "SQS DeleteMessageBatch",
    // Without an answer, or with none in it.
    "SQS ReceiveMessage",
    // How deep the queue is.
    "SQS GetQueueAttributes",
];

fn counts(counts: &[(&str, i64)]) -> Counts {
    counts.iter().map(|(kind, count)| ((*kind).to_owned(), *count)).collect()
}

fn a_job_of_one_item_asks_for_so_much_and_no_more_and_its_receipt_says_so() -> anyhow::Result<()> {
    let grid = Counted::new(1)?;
    let asked = grid.run("name: one\nstages:\n  work: {list: [a], run: [\"true\"]}\n")?;
    assert_eq!(asked.status["state"], "succeeded", "{}", asked.status);
    let messages = asked.messages();
    assert_eq!((messages.sent, messages.received.len(), messages.deleted.len()), (3, 3, 3));
    let (mut of_job, of_nobody) = asked.sorted();
    // On a machine that takes longer than a second for it, the first of the three messages is deleted by itself.
    of_job.entry("SQS DeleteMessageBatch".to_owned()).and_modify(|calls| *calls = 2.min(*calls));
    assert_eq!(of_job, counts(&OF_ONE_ITEM));
    assert!(of_nobody.keys().all(|kind| OF_NOBODY.contains(&kind.as_str())), "nothing else is asked: {of_nobody:#?}");

    let told = asked.told()?;
    let untold = counts(&UNTOLD);
    for (kind, count) in counts(&OF_ONE_ITEM) {
        let expected = count - untold.get(&kind).copied().unwrap_or_default();
        // What goes on at all times is the job's, too, while there is no other.
        let beside: i64 = of_nobody.iter().filter(|(name, _)| name.starts_with(&kind)).map(|(_, count)| count).sum();
        let least = if kind == "SQS ReceiveMessage" { expected - UNDER_WAY } else { expected };
        let told = told.get(&kind).copied().unwrap_or_default();
        assert!((least..=expected + beside).contains(&told), "{told} {kind} are told, not {expected} and {beside}");
    }
    Ok(())
}

fn a_tiny_item_costs_a_fiftieth_of_a_request() -> anyhow::Result<()> {
    const ITEMS: i64 = 10_000;
    const WORKERS: usize = 2;
    let grid = Counted::new(WORKERS)?;
    let pipeline = format!("name: tiny\nstages:\n  work: {{range: 1..{ITEMS}, run: [\"true\"]}}\n");
    let asked = grid.run(&pipeline)?;
    assert_eq!((&asked.status["state"], &asked.status["stages"][0]["ok"]), (&json!("succeeded"), &json!(ITEMS)));
    let (of_job, of_nobody) = asked.sorted();
    let total: i64 = of_job.values().chain(of_nobody.values()).sum();
    assert!(total * 50 <= ITEMS, "{total} requests for {ITEMS} items: {of_job:#?} {of_nobody:#?}");

    // How many tasks there are is a matter of how fast they are; what each costs is not.
    let tasks = asked.objects("S3 PutObject", "/work/done/");
    assert_eq!(of_job["S3 PutObject"], tasks + 2, "a manifest a task, the submission, the receipt");
    assert_eq!(asked.objects("S3 GetObject", "/work/done/"), tasks, "each manifest is read once");
    let readers = asked.objects("S3 GetObject", "/job.json");
    assert_eq!(of_job["S3 GetObject"], tasks + readers, "nothing else is read");
    assert!(readers <= 1 + WORKERS as i64, "{readers} read the submission");
    let messages = asked.messages();
    let sent = 1 + 2 * tasks;
    assert_eq!(
        (messages.sent, messages.deleted.len() as i64),
        (sent, sent),
        "a task and its end, and that there is a job"
    );

    assert_eq!((&asked.receipt["requests"]["region"], &asked.receipt["balanced"]), (&json!("us-east-1"), &json!(true)));
    let usd: f64 = asked.receipt["requests"]["usd"].as_str().context("a price")?.parse()?;
    let price = asked.price()?;
    assert!((usd - price).abs() < 1e-9, "${usd} are told, ${price} are the list price");
    assert!(usd * 1e6 / (ITEMS as f64) < 0.06, "${usd}: a million would cost more than six cents");
    Ok(())
}

// One server is enough: it answers what it is asked.
gridmill_tests::on_ministack! {
    a_job_of_one_item_asks_for_so_much_and_no_more_and_its_receipt_says_so
    a_tiny_item_costs_a_fiftieth_of_a_request
}
