//! What a job asks of services: counted between real processes and a server, and told by the receipt.
//!
//! Ignored unless asked for, as the [flows](processes) are.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, ensure};
use gridmill_tests::fleet::{Daemon, Fleet, get, post, server};
use gridmill_tests::recorder::Recorder;
use serde_json::{Value, json};

const MINUTES: Duration = Duration::from_secs(600);

/// Requests by service and operation.
type Counts = BTreeMap<String, i64>;

/// A manager, workers of one slot, and what they ask of the server.
struct Counted {
    fleet: Fleet,
    manager: Daemon,
    _workers: Vec<Daemon>,
    recorder: Recorder,
    _runtime: tokio::runtime::Runtime,
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
        Ok(Self { fleet, manager, _workers, recorder, _runtime: runtime })
    }

    /// Runs a job to its end: what it became, its receipt, and what was asked from its submission until its receipt was
    /// written.
    fn run(&self, pipeline: &str) -> anyhow::Result<(Value, Value, Counts)> {
        self.recorder.forget();
        self.recorder.await_path("/receipt.json");
        let answer = post(&self.manager.address, "/v1/jobs", &json!({"pipeline": pipeline}))?;
        ensure!(answer.status == 201, "{}: {}", answer.status, String::from_utf8_lossy(&answer.body));
        let job = answer.json()?["job"].as_str().context("it has an id")?.to_owned();
        let end = self.fleet.end_of(&|| vec![self.manager.address.clone()], &job, MINUTES)?;
        let counts = self.recorder.counts_at_path().context("a receipt was written")?;
        let receipt = get(&self.manager.address, &format!("/v1/jobs/{job}/receipt"))?.json()?;
        let counts = counts.into_iter().map(|(kind, count)| (format!("{} {}", kind.service, kind.name), count as i64));
        Ok((end, receipt, counts.collect()))
    }
}

/// What the receipt says.
fn told(receipt: &Value) -> anyhow::Result<Counts> {
    let operations = receipt["requests"]["operations"].as_array().context("the receipt tells requests")?;
    let one = |told: &Value| Some((told["operation"].as_str()?.to_owned(), told["requests"].as_i64()?));
    operations.iter().map(|told| one(told).with_context(|| told.to_string())).collect()
}

/// What was counted and not told, by kind.
fn untold(counted: &Counts, told: &Counts) -> Counts {
    let mut left = counted.clone();
    told.iter().for_each(|(kind, count)| *left.entry(kind.clone()).or_default() -= count);
    left.retain(|_, count| *count != 0);
    left
}

/// How many, least and most; and how many of them the receipt does not tell.
type Bounds<'a> = (&'a str, [i64; 2], [i64; 2]);

/// Where both ends are the same, nothing hangs on time. Elsewhere: the leader renews its lease every five seconds, and every
/// program has a receive under way when the job comes and another one when it ends; which of them were asked before
/// the job came, and which deletions and signs of life fall into its time, is chance. So is whether the API is first asked
/// before the receipt is written.
const OF_ONE_ITEM: [Bounds<'static>; 10] = [
    // The submission for the leader and for the worker, the manifest; and what the API shows, which is no job's.
    ("S3 GetObject", [3, 4], [0, 1]),
    // Is it cancelled?
    ("S3 HeadObject", [1, 1], [0, 0]),
    // The submission, the manifest, and the receipt, which cannot tell of itself.
    ("S3 PutObject", [3, 3], [1, 1]),
    // The submission.
    ("DynamoDB TransactWriteItems", [1, 1], [0, 0]),
    // What the API shows.
    ("DynamoDB GetItem", [0, 3], [0, 3]),
    // The list of jobs, the job's rows and those of earlier ones; the API has as many. A look at the list every minute.
    ("DynamoDB Query", [3, 7], [0, 3]),
    // The rows of the job as it is handed out and, before the receipt, as it ends: its own and the shard's.
    ("DynamoDB PutItem", [5, 6], [0, 1]),
    // That there is a job, its task, and its end.
    ("SQS SendMessageBatch", [3, 4], [-1, 1]),
    ("SQS ReceiveMessage", [2, 5], [-2, 2]),
    ("SQS DeleteMessageBatch", [0, 3], [-1, 3]),
];

fn a_job_of_one_item_asks_for_so_much_and_no_more_and_its_receipt_says_so() -> anyhow::Result<()> {
    let grid = Counted::new(1)?;
    let (end, receipt, counted) = grid.run("name: one\nstages:\n  work: {list: [a], run: [\"true\"]}\n")?;
    assert_eq!(end["state"], "succeeded", "{end}");
    let mut untold = untold(&counted, &told(&receipt)?);
    let mut counted = counted;
    for (kind, count, left) in OF_ONE_ITEM {
        let (has, lacks) = (counted.remove(kind).unwrap_or_default(), untold.remove(kind).unwrap_or_default());
        assert!((count[0]..=count[1]).contains(&has), "{has} {kind}, not {count:?}");
        assert!((left[0]..=left[1]).contains(&lacks), "{lacks} {kind} of {has} are not told, not {left:?}");
    }
    assert_eq!((counted, untold), (Counts::new(), Counts::new()), "nothing else is asked");
    Ok(())
}

fn a_tiny_item_costs_a_fiftieth_of_a_request() -> anyhow::Result<()> {
    const ITEMS: i64 = 10_000;
    let grid = Counted::new(2)?;
    let pipeline = format!("name: tiny\nstages:\n  work: {{range: 1..{ITEMS}, run: [\"true\"]}}\n");
    let (end, receipt, counted) = grid.run(&pipeline)?;
    assert_eq!((&end["state"], &end["stages"][0]["ok"]), (&json!("succeeded"), &json!(ITEMS)), "{end}");
    let total: i64 = counted.values().sum();
    assert!(total * 50 <= ITEMS, "{total} requests for {ITEMS} items: {counted:#?}");
    // Three programs have a few requests under way when it begins and when it ends.
    let untold: i64 = untold(&counted, &told(&receipt)?).values().map(|count| count.abs()).sum();
    assert!(untold <= 12, "{untold} of {total} requests are told otherwise: {counted:#?} {:#}", receipt["requests"]);
    assert_eq!((&receipt["requests"]["region"], &receipt["balanced"]), (&json!("us-east-1"), &json!(true)));
    let usd: f64 = receipt["requests"]["usd"].as_str().context("a price")?.parse()?;
    assert!(usd * 1e6 / (ITEMS as f64) < 0.06, "${usd}: a million would cost more than six cents");
    Ok(())
}

// One server is enough: it answers what it is asked.
gridmill_tests::on_ministack! {
    a_job_of_one_item_asks_for_so_much_and_no_more_and_its_receipt_says_so
    a_tiny_item_costs_a_fiftieth_of_a_request
}
