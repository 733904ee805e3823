//! A whole grid on a server: URLs for others, inputs, wrong settings, and what the doctor says.

use std::collections::BTreeMap;
use std::time::Duration;

use aws_sdk_dynamodb::types::TimeToLiveSpecification;
use aws_sdk_sqs::types::QueueAttributeName;
use bytes::Bytes;
use futures::TryStreamExt;
use grid_core::limits::MAX_RECEIVES;
use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use infra::aws::check::{Finding, Role, Verdict, check};
use infra::aws::settings::{BUCKET, DEAD_TASK_QUEUE, REPORT_QUEUE, TABLE, TASK_QUEUE};
use infra::aws::{Clients, Settings, WorkerSettings, open, open_worker};
use infra::objects::{ObjectStore, S3Objects, S3Sources, UploadedPart, Uploads};
use infra::{ErrorKind, Result};

/// What a grid has, and its settings.
pub struct Fresh {
    clients: Clients,
    vars: BTreeMap<&'static str, String>,
}

macro_rules! grid_checks {
    ($call:ident! $arguments:tt) => {
        $call! { $arguments
            whoever_has_a_url_reads_the_object
            an_upload_by_urls_becomes_an_object
            an_upload_that_was_given_up_is_gone
            inputs_are_read_and_never_written
            a_listing_goes_on_among_letters_of_all_kinds
            a_grid_opens_and_a_wrong_setting_is_named
            a_worker_needs_neither_table_nor_dead_tasks
            the_doctor_finds_a_good_grid_good_and_leaves_nothing
            the_doctor_says_what_is_wrong
            the_doctor_says_whether_the_table_forgets_what_has_expired
        }
    };
}
pub(crate) use grid_checks;

/// Runs one check.
pub async fn run(check: &str, fresh: Fresh) {
    match check {
        "whoever_has_a_url_reads_the_object" => whoever_has_a_url_reads_the_object(fresh).await,
        "an_upload_by_urls_becomes_an_object" => an_upload_by_urls_becomes_an_object(fresh).await,
        "an_upload_that_was_given_up_is_gone" => an_upload_that_was_given_up_is_gone(fresh).await,
        "inputs_are_read_and_never_written" => inputs_are_read_and_never_written(fresh).await,
        "a_listing_goes_on_among_letters_of_all_kinds" => a_listing_goes_on_among_letters_of_all_kinds(fresh).await,
        "a_grid_opens_and_a_wrong_setting_is_named" => a_grid_opens_and_a_wrong_setting_is_named(fresh).await,
        "a_worker_needs_neither_table_nor_dead_tasks" => a_worker_needs_neither_table_nor_dead_tasks(fresh).await,
        "the_doctor_finds_a_good_grid_good_and_leaves_nothing" => {
            the_doctor_finds_a_good_grid_good_and_leaves_nothing(fresh).await;
        }
        "the_doctor_says_what_is_wrong" => the_doctor_says_what_is_wrong(fresh).await,
        "the_doctor_says_whether_the_table_forgets_what_has_expired" => {
            the_doctor_says_whether_the_table_forgets_what_has_expired(fresh).await;
        }
        unknown => panic!("there is no check {unknown}"),
    }
}

/// A grid of its own.
pub async fn fresh() -> Fresh {
    let clients = crate::clients().await;
    let tasks = crate::make_queue(&clients, MAX_RECEIVES).await;
    let vars = BTreeMap::from([
        (BUCKET, crate::make_bucket(&clients).await),
        (DEAD_TASK_QUEUE, format!("{tasks}-dead")),
        (TASK_QUEUE, tasks),
        (REPORT_QUEUE, crate::make_queue(&clients, 20).await),
        (TABLE, crate::make_table(&clients).await),
    ]);
    Fresh { clients, vars }
}

impl Fresh {
    fn objects(&self) -> S3Objects {
        S3Objects::new(self.clients.s3.clone(), &self.vars[BUCKET], None).unwrap()
    }

    fn settings(&self) -> Settings {
        Settings::from_vars(|name| self.vars.get(name).cloned()).unwrap()
    }

    async fn check(&self, role: Role) -> Vec<Finding> {
        check(role, |name| self.vars.get(name).cloned()).await
    }
}

/// Status, ETag and body of an answer, without credentials.
async fn http(method: &str, url: &str, body: Vec<u8>) -> (u16, String, Bytes) {
    let client = Client::builder(TokioExecutor::new()).build::<_, Full<Bytes>>(HttpConnector::new());
    let request = Request::builder().method(method).uri(url).body(Full::from(body)).unwrap();
    let answer = client.request(request).await.unwrap();
    let etag = answer.headers().get("etag").map_or("", |etag| etag.to_str().unwrap()).to_owned();
    (answer.status().as_u16(), etag, answer.into_body().collect().await.unwrap().to_bytes())
}

const HOUR: Duration = Duration::from_secs(3_600);

async fn whoever_has_a_url_reads_the_object(fresh: Fresh) {
    let objects = fresh.objects();
    objects.put("a folder/50%+1", Bytes::from_static(b"hello")).await.unwrap();
    let url = objects.presign_get("a folder/50%+1", HOUR).await.unwrap().unwrap();
    let (status, _, body) = http("GET", &url, Vec::new()).await;
    assert_eq!((status, &body[..]), (200, &b"hello"[..]), "{url}");
    assert!(objects.presign_get("key", Duration::from_secs(8 * 86_400)).await.is_err());
}

async fn an_upload_by_urls_becomes_an_object(fresh: Fresh) {
    let objects = fresh.objects();
    let upload = objects.begin("key").await.unwrap();
    let bodies = [vec![b'a'; 5 << 20], b"end".to_vec()];
    let mut parts = Vec::new();
    for (number, body) in [(2, &bodies[1]), (1, &bodies[0])] {
        let url = objects.presign_part(&upload, number, HOUR).await.unwrap();
        let (status, etag, said) = http("PUT", &url, body.clone()).await;
        assert_eq!(status, 200, "{said:?}");
        parts.push(UploadedPart { number, etag });
    }
    assert!(objects.head("key").await.is_err());
    let meta = objects.complete(&upload, &parts).await.unwrap();
    assert_eq!((meta.key.as_str(), meta.size), ("key", (5 << 20) + 3));
    assert_eq!(objects.get("key", None).await.unwrap(), bodies.concat());
    assert!(objects.presign_part(&upload, 0, HOUR).await.is_err());
}

async fn an_upload_that_was_given_up_is_gone(fresh: Fresh) {
    let objects = fresh.objects();
    let upload = objects.begin("key").await.unwrap();
    objects.abort(&upload).await.unwrap();
    objects.abort(&upload).await.unwrap();
    let parts = [UploadedPart { number: 1, etag: "\"none\"".to_owned() }];
    assert_eq!(kind(objects.complete(&upload, &parts).await), Some(ErrorKind::NotFound));
}

async fn inputs_are_read_and_never_written(fresh: Fresh) {
    let bucket = &fresh.vars[BUCKET];
    let sources = S3Sources::new(fresh.clients.s3.clone());
    for key in ["in/a b", "in/c//d", "in/z%+"] {
        let put = fresh.clients.s3.put_object().bucket(bucket).key(key).body(Bytes::from_static(b"0123456789").into());
        put.send().await.unwrap();
        let named = format!("{bucket}/{key}");
        let pieces: Vec<Bytes> = sources.stream(&named, Some(3..6)).await.unwrap().try_collect().await.unwrap();
        assert_eq!(pieces.concat(), b"345");
        let meta = sources.head(&named).await.unwrap();
        assert_eq!((meta.key, meta.size), (named, 10));
    }
    let found = sources.list(&format!("{bucket}/in/"), Some(&format!("{bucket}/in/a b")), 10).await.unwrap();
    let keys: Vec<&str> = found.iter().map(|meta| meta.key.strip_prefix(bucket.as_str()).unwrap()).collect();
    assert_eq!(keys, ["/in/c//d", "/in/z%+"]);
    let key = format!("{bucket}/in/new");
    assert_eq!(kind(sources.put(&key, Bytes::new()).await), Some(ErrorKind::Denied));
    assert_eq!(kind(sources.delete(&key).await), Some(ErrorKind::Denied));
    assert_eq!(kind(sources.get(&key, None).await), Some(ErrorKind::NotFound));
    assert_eq!(kind(sources.get("no-such-bucket-anywhere/key", None).await), Some(ErrorKind::Invalid));
    assert_eq!(kind(sources.get("bucket-alone", None).await), Some(ErrorKind::Invalid));
}

async fn a_listing_goes_on_among_letters_of_all_kinds(fresh: Fresh) {
    let objects = fresh.objects();
    for key in ["a", "b", "ü"] {
        objects.put(key, Bytes::new()).await.unwrap();
    }
    let found = objects.list("", Some("b"), 10).await.unwrap();
    assert_eq!(found.iter().map(|meta| meta.key.as_str()).collect::<Vec<_>>(), ["ü"]);
}

async fn a_grid_opens_and_a_wrong_setting_is_named(fresh: Fresh) {
    let grid = open(&fresh.settings()).await.unwrap();
    assert!(grid.requests.counts().values().sum::<u64>() > 3, "{:?}", grid.requests.counts());
    assert_eq!(fresh.objects().list("", None, 10).await.unwrap(), [], "the probe is taken away");
    for name in fresh.vars.keys() {
        let mut vars = fresh.vars.clone();
        vars.insert(name, "gridmill-test-that-is-not-there".to_owned());
        let settings = Settings::from_vars(|name| vars.get(name).cloned()).unwrap();
        let refused = open(&settings).await.unwrap_err();
        assert!(!refused.is_transient(), "{refused}");
        assert!(refused.to_string().contains(&format!("by the setting {name}")), "{name}: {refused}");
    }
}

async fn a_worker_needs_neither_table_nor_dead_tasks(fresh: Fresh) {
    let settings = WorkerSettings::from_vars(|name| {
        fresh.vars.get(name).filter(|_| name != TABLE && name != DEAD_TASK_QUEUE).cloned()
    });
    let settings = settings.unwrap();
    let grid = open_worker(&settings).await.unwrap();
    assert_eq!(grid.tasks.receive(1, Duration::from_secs(1), Duration::ZERO).await.unwrap(), []);
    let wrong = WorkerSettings { report_queue: "gridmill-test-that-is-not-there".to_owned(), ..settings };
    let refused = open_worker(&wrong).await.unwrap_err();
    assert!(refused.to_string().contains(REPORT_QUEUE), "{refused}");
}

async fn the_doctor_finds_a_good_grid_good_and_leaves_nothing(fresh: Fresh) {
    let grid = open(&fresh.settings()).await.unwrap();
    grid.tasks.send(&["{}".to_owned()]).await.unwrap().remove(0).unwrap();
    for role in [Role::Manager, Role::Worker] {
        let findings = fresh.check(role).await;
        let bad: Vec<&Finding> = findings.iter().filter(|found| found.verdict > Verdict::Advice).collect();
        assert!(bad.is_empty(), "{role:?}: {bad:#?}");
    }
    assert_eq!(fresh.objects().list("", None, 10).await.unwrap(), []);
    let rows = fresh.clients.dynamodb.scan().table_name(&fresh.vars[TABLE]).send().await.unwrap();
    assert_eq!(rows.count(), 0);
    // A receive of the doctor's would count.
    let message = grid.tasks.receive(1, Duration::from_secs(1), Duration::from_secs(5)).await.unwrap().remove(0);
    assert_eq!((message.body.as_str(), message.receives), ("{}", 1));
}

async fn the_doctor_says_what_is_wrong(mut fresh: Fresh) {
    let sqs = &fresh.clients.sqs;
    let url = sqs.get_queue_url().queue_name(&fresh.vars[TASK_QUEUE]).send().await.unwrap().queue_url.unwrap();
    let change = sqs.set_queue_attributes().queue_url(url);
    let change = change.attributes(QueueAttributeName::RedrivePolicy, "");
    change.attributes(QueueAttributeName::MessageRetentionPeriod, "3600").send().await.unwrap();
    fresh.vars.insert(TABLE, "gridmill-test-that-is-not-there".to_owned());
    fresh.vars.insert(BUCKET, "gridmill-test-that-is-not-there".to_owned());
    fresh.vars.remove(REPORT_QUEUE);
    let findings = fresh.check(Role::Manager).await;
    let wrong = |name: &str| {
        let found = findings.iter().find(|found| found.name.starts_with(name) && found.verdict != Verdict::Ok);
        found.is_some_and(|found| found.remedy.is_some())
    };
    for name in ["redrive of tasks", "table gridmill-test", "bucket gridmill-test", REPORT_QUEUE] {
        assert!(wrong(name), "{name}: {findings:#?}");
    }
    let retention = findings.iter().find(|found| found.name.ends_with(", retention")).unwrap();
    assert_eq!(retention.verdict, Verdict::Advice);
}

async fn the_doctor_says_whether_the_table_forgets_what_has_expired(fresh: Fresh) {
    let table = &fresh.vars[TABLE];
    let expiry = async || {
        let findings = fresh.check(Role::Manager).await;
        findings.into_iter().find(|found| found.name.ends_with(", expiry")).unwrap()
    };
    let off = expiry().await;
    let remedy = off.remedy.as_deref().unwrap_or_default();
    assert_eq!(off.verdict, Verdict::Advice, "{off}");
    assert!(remedy.contains(&format!("update-time-to-live --table-name {table} ")), "{off}");
    let by = TimeToLiveSpecification::builder().enabled(true).attribute_name("expires").build().unwrap();
    let update = fresh.clients.dynamodb.update_time_to_live().table_name(table);
    update.time_to_live_specification(by).send().await.unwrap();
    let on = expiry().await;
    assert_eq!((on.verdict, on.remedy), (Verdict::Ok, None));
}

fn kind<T>(answer: Result<T>) -> Option<ErrorKind> {
    answer.err().map(|error| error.kind)
}
