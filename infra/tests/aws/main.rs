//! The back ends on AWS against the contracts, on whatever server `AWS_ENDPOINT_URL` names.
//!
//! Ignored unless asked for: start a server, set `AWS_ENDPOINT_URL`, `AWS_REGION` and credentials, and run
//! `cargo test -p infra --test aws -- --include-ignored localstack::` (or the module of another server). Every test makes a bucket,
//! queues or a table of its own, so that they can run side by side and again.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a failing helper is a failing test")]

mod fleet;
mod grid;
mod notify;

use std::sync::Arc;
use std::time::Duration;

use aws_sdk_dynamodb::client::Waiters;
use aws_sdk_dynamodb::operation::create_table::CreateTableError;
use aws_sdk_dynamodb::types::{AttributeDefinition, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType};
use aws_sdk_sqs::types::QueueAttributeName;
use infra::aws::Clients;
use infra::contract::{fleet as machines, notify as notices, objects, queue, state};
use infra::objects::S3Objects;
use infra::queue::SqsQueue;
use infra::state::DynamoState;
use infra::{fleet_checks, notify_checks, object_checks, queue_checks, state_checks};

use self::fleet::doctor_checks;
use self::grid::grid_checks;

/// Receives before a message of a test is a dead letter.
const MAX_RECEIVES: u32 = 3;

/// Makes a module of tests for one back end; real time, since a server does not follow a paused clock.
macro_rules! tests {
    ([$suite:ident $name:ident] $($check:ident)*) => {
        mod $name {
            use super::*;

            $(#[tokio::test]
            #[ignore = "needs a server in AWS_ENDPOINT_URL"]
            async fn $check() {
                let fresh = super::super::$name().await;
                judge(stringify!($check), DIFFERENCES, $suite::run(stringify!($check), fresh)).await;
            })*
        }
    };
}

macro_rules! server {
    ($server:ident differs: $differences:expr) => {
        mod $server {
            use super::*;

            const DIFFERENCES: &[&str] = &$differences;

            object_checks!(tests! [objects s3]);
            queue_checks!(tests! [queue sqs]);
            state_checks!(tests! [state dynamodb]);
            notify_checks!(tests! [notices notifier]);
            grid_checks!(tests! [grid whole]);
        }
    };
}

server!(localstack differs: [
    // It extends leases that are over, or last longer than 12 hours all in all.
    "a_lease_that_is_over_cannot_be_extended",
    "leases_are_limited",
    // It compares keys as they are written in URLs.
    "a_listing_goes_on_among_letters_of_all_kinds",
    // Its DynamoDB Local takes no more than 10 writes.
    "a_transaction_is_limited",
]);
server!(ministack differs: ["a_lease_that_is_over_cannot_be_extended", "leases_are_limited"]);
// It has Auto Scaling, which the others have not, or not whole. What it knows of the rest is not asked here.
mod moto {
    use super::*;

    const DIFFERENCES: &[&str] = &[];

    fleet_checks!(tests! [machines groups]);
    doctor_checks!(tests! [fleet doctor]);
}
// A real account, for those who want to spend some cents: set GRIDMILL_TEST_ON_AWS.
server!(aws differs: []);

/// A check passes; where a server is known to differ from AWS it must fail, so that the list stays true.
async fn judge(check: &str, differences: &[&str], run: impl Future<Output = ()> + Send + 'static) {
    let outcome = tokio::spawn(run).await;
    match (outcome, differences.contains(&check)) {
        (Ok(()), false) => {}
        (Ok(()), true) => panic!("this server does as AWS does: take {check} from the list of its differences"),
        (Err(failed), false) => std::panic::resume_unwind(failed.into_panic()),
        (Err(failed), true) => assert!(failed.is_panic()),
    }
}

/// Clients whose SDK reads the environment, as those of the daemons do.
async fn clients() -> Clients {
    if std::env::var_os("AWS_ENDPOINT_URL").is_none() && std::env::var_os("GRIDMILL_TEST_ON_AWS").is_none() {
        panic!("AWS_ENDPOINT_URL names no server");
    }
    Clients::from_env().await.unwrap()
}

fn unique() -> String {
    format!("gridmill-test-{}", uuid::Uuid::now_v7())
}

async fn whole() -> grid::Fresh {
    grid::fresh().await
}

async fn notifier() -> notices::Fresh {
    notify::fresh().await
}

async fn doctor() {}

async fn groups() -> machines::Fresh {
    fleet::fresh().await
}

async fn s3() -> objects::Fresh {
    let clients = clients().await;
    let bucket = make_bucket(&clients).await;
    Arc::new(S3Objects::new(clients.s3, &bucket, Some("some/where")).unwrap())
}

async fn make_bucket(clients: &Clients) -> String {
    let bucket = unique();
    clients.s3.create_bucket().bucket(&bucket).send().await.unwrap();
    bucket
}

/// The name of a queue; that of its dead letters is the same with `-dead`.
async fn make_queue(clients: &Clients, receives: u32) -> String {
    let name = unique();
    let dead = clients.sqs.create_queue().queue_name(format!("{name}-dead")).send().await.unwrap();
    let request = clients.sqs.get_queue_attributes().queue_url(dead.queue_url().unwrap());
    let attributes = request.attribute_names(QueueAttributeName::QueueArn).send().await.unwrap();
    let arn = &attributes.attributes().unwrap()[&QueueAttributeName::QueueArn];
    let redrive = format!(r#"{{"deadLetterTargetArn":"{arn}","maxReceiveCount":"{receives}"}}"#);
    let request = clients.sqs.create_queue().queue_name(&name).attributes(QueueAttributeName::RedrivePolicy, redrive);
    request.send().await.unwrap();
    name
}

async fn sqs() -> queue::Fresh {
    let clients = clients().await;
    let name = make_queue(&clients, MAX_RECEIVES).await;
    let open = async |name: &str| Arc::new(SqsQueue::open(clients.sqs.clone(), name).await.unwrap());
    queue::Fresh {
        queue: open(&name).await,
        dead_letters: open(&format!("{name}-dead")).await,
        max_receives: MAX_RECEIVES,
        // Servers on one machine take a hundredth of what SQS does.
        many: if std::env::var_os("AWS_ENDPOINT_URL").is_some() { 1_000 } else { 10_000 },
    }
}

async fn dynamodb() -> state::Fresh {
    let clients = clients().await;
    let table = make_table(&clients).await;
    Arc::new(DynamoState::new(clients.dynamodb, &table))
}

async fn make_table(clients: &Clients) -> String {
    let table = unique();
    let attribute = |name| {
        let attribute = AttributeDefinition::builder().attribute_name(name).attribute_type(ScalarAttributeType::S);
        attribute.build().unwrap()
    };
    let key = |name, kind| KeySchemaElement::builder().attribute_name(name).key_type(kind).build().unwrap();
    let request = clients.dynamodb.create_table().table_name(&table).billing_mode(BillingMode::PayPerRequest);
    let request = request.attribute_definitions(attribute("pk")).attribute_definitions(attribute("sk"));
    let request = request.key_schema(key("pk", KeyType::Hash)).key_schema(key("sk", KeyType::Range));
    match request.send().await.map_err(|error| error.into_service_error()) {
        // A slow server was asked twice.
        Ok(_) | Err(CreateTableError::ResourceInUseException(_)) => {}
        Err(error) => panic!("{error:?}"),
    }
    let ready = clients.dynamodb.wait_until_table_exists().table_name(&table);
    ready.wait(Duration::from_secs(60)).await.unwrap();
    table
}
