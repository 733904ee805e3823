//! Rows in one DynamoDB table: keys `pk` and `sk`, the row's `version`, its last writer's `epoch`, and its `body`.
//!
//! Every read is strongly consistent and every write has a condition. There is no batch write: it knows no conditions.

use std::collections::{BTreeMap, HashMap};

use async_trait::async_trait;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::query::builders::QueryFluentBuilder;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::{AttributeValue, Delete, Put, TimeToLiveStatus, TransactWriteItem};
use futures::{StreamExt, stream};
use grid_core::spending::{Asked, Spending};

use super::rules::{check_sizes, check_transaction, name};
use super::{Expect, Row, RowKey, StateStore, Write};
use crate::aws::error::{failed, kind_of_answer};
use crate::requests::Requests;
use crate::{Error, ErrorKind, Result};

/// The partition key.
pub(crate) const PARTITION: &str = "pk";
/// The sort key.
pub(crate) const SORT: &str = "sk";
const VERSION: &str = "version";
const EPOCH: &str = "epoch";
const BODY: &str = "body";
/// Epoch seconds: the table's attribute for the time to live. Rows without it stay.
pub(crate) const EXPIRES: &str = "expires";

/// What the service calls itself where requests are counted.
const SERVICE: &str = "DynamoDB";

/// Writes of one call that are under way at the same time.
const WRITES_AT_ONCE: usize = 16;

/// Bytes of rows in one transaction: DynamoDB takes 4 MB with keys and attribute names.
const MAX_TRANSACT_BYTES: usize = 3 << 20;

type Item = HashMap<String, AttributeValue>;

/// Rows in a table that exists.
#[derive(Clone, Debug)]
pub struct DynamoState {
    client: Client,
    table: String,
    requests: Requests,
}

/// A write in DynamoDB's words.
struct Conditional {
    key: Item,
    /// `None` removes the row.
    item: Option<Item>,
    condition: &'static str,
    values: Option<Item>,
    version: u64,
}

impl DynamoState {
    /// Asks nobody.
    pub fn new(client: Client, table: &str) -> Self {
        Self { client, table: table.to_owned(), requests: Requests::default() }
    }

    /// Says there what its requests are billed as, beside their number.
    pub fn billed_to(self, requests: Requests) -> Self {
        Self { requests, ..self }
    }

    /// The attribute by whose time the table forgets rows; `None` where it keeps all of them.
    pub async fn forgets_by(&self) -> Result<Option<String>> {
        let request = self.client.describe_time_to_live().table_name(&self.table);
        let described = request.send().await;
        let described = described.map_err(|error| failed(format!("read what table {} forgets", self.table), error))?;
        let is_on =
            |status: &TimeToLiveStatus| matches!(status, TimeToLiveStatus::Enabled | TimeToLiveStatus::Enabling);
        let described = described.time_to_live_description.filter(|it| it.time_to_live_status().is_some_and(is_on));
        Ok(described.and_then(|described| described.attribute_name))
    }

    /// A consistent read is billed by 4 KiB of what it found.
    fn bill_read(&self, operation: &str, bytes: usize) {
        self.requests.weigh(SERVICE, operation, bytes.div_ceil(4 << 10) as u64);
    }

    async fn apply(&self, write: &Write) -> Result<u64> {
        check_sizes(write)?;
        let Conditional { key, item, condition, values, version } = Conditional::of(write);
        let applied = match item {
            Some(item) => {
                self.requests.weigh(SERVICE, "PutItem", write_units(write));
                let put = self.client.put_item().table_name(&self.table).set_item(Some(item));
                let put = put.condition_expression(condition).set_expression_attribute_values(values).send().await;
                put.map(drop).map_err(|error| failed(self.context("write", &write.key), error))
            }
            None => {
                let delete = self.client.delete_item().table_name(&self.table).set_key(Some(key));
                let delete =
                    delete.condition_expression(condition).set_expression_attribute_values(values).send().await;
                delete.map(drop).map_err(|error| failed(self.context("remove", &write.key), error))
            }
        };
        applied.map(|()| version).map_err(|error| explain(error, write))
    }

    /// Applies the writes of one row, which follow each other.
    async fn apply_in_order(&self, writes: Vec<(usize, Write)>) -> Vec<(usize, Result<u64>)> {
        let mut answers = Vec::with_capacity(writes.len());
        for (place, write) in writes {
            answers.push((place, self.apply(&write).await));
        }
        answers
    }

    /// The rows of a partition that come after `start`, in whatever order they are read.
    fn rows_of<'a>(&'a self, partition: &'a str, start: Option<&str>, limit: usize) -> Wanted<'a> {
        let start = start.map(|start| item_key(&row_key(partition, start)));
        Wanted { state: self, partition, start, limit }
    }

    fn context(&self, verb: &str, key: &RowKey) -> String {
        format!("{verb} row {} of table {}", name(key), self.table)
    }
}

/// A write is billed by the KiB of its row.
fn write_units(write: &Write) -> u64 {
    let body = write.body.as_ref().map_or(0, Vec::len);
    (key_bytes(&write.key) + body).div_ceil(1 << 10) as u64
}

/// Each write of a transaction is billed twice, since it is prepared and then made.
fn transact_units(writes: &[Write]) -> u64 {
    writes.iter().map(|write| write_units(write) * 2).sum()
}

fn row_bytes(row: &Row) -> usize {
    key_bytes(&row.key) + row.body.len()
}

/// With the names of the attributes, and the two numbers.
fn key_bytes(key: &RowKey) -> usize {
    const OTHERS: usize = PARTITION.len() + SORT.len() + VERSION.len() + EPOCH.len() + BODY.len() + 2 * 8;
    key.partition.len() + key.sort.len() + OTHERS
}

/// Rows of a partition that are wanted.
struct Wanted<'a> {
    state: &'a DynamoState,
    partition: &'a str,
    /// The row that they come after.
    start: Option<Item>,
    limit: usize,
}

impl Wanted<'_> {
    /// Reads page by page, with queries that `select` has told which rows.
    async fn read(mut self, select: impl Fn(QueryFluentBuilder) -> QueryFluentBuilder) -> Result<Vec<Row>> {
        let DynamoState { client, table, .. } = self.state;
        let mut rows = Vec::new();
        while rows.len() < self.limit {
            let wanted = i32::try_from(self.limit - rows.len()).unwrap_or(i32::MAX);
            let query = client.query().table_name(table).consistent_read(true).limit(wanted);
            let query = query.expression_attribute_values(":partition", text(self.partition));
            let page = select(query.set_exclusive_start_key(self.start.take())).send().await;
            let page =
                page.map_err(|error| failed(format!("read rows of {} of table {table}", self.partition), error))?;
            let before = rows.len();
            for item in page.items.unwrap_or_default() {
                rows.push(read_row(item)?);
            }
            self.state.bill_read("Query", rows[before..].iter().map(row_bytes).sum());
            self.start = page.last_evaluated_key;
            if self.start.is_none() {
                break;
            }
        }
        Ok(rows)
    }
}

#[async_trait]
impl StateStore for DynamoState {
    async fn get(&self, key: &RowKey) -> Result<Option<Row>> {
        let request = self.client.get_item().table_name(&self.table).set_key(Some(item_key(key))).consistent_read(true);
        let found = request.send().await.map_err(|error| failed(self.context("read", key), error))?;
        let row = found.item.map(read_row).transpose()?;
        self.bill_read("GetItem", row.as_ref().map_or(0, row_bytes));
        Ok(row)
    }

    async fn query(&self, partition: &str, prefix: &str, after: Option<&str>, limit: usize) -> Result<Vec<Row>> {
        let start = match after.filter(|after| !after.is_empty()) {
            // A start outside of the prefix is an error to DynamoDB.
            Some(after) if after.starts_with(prefix) => Some(after),
            Some(after) if after > prefix => return Ok(Vec::new()),
            _ => None,
        };
        let rows = self.rows_of(partition, start, limit);
        if prefix.is_empty() {
            return rows.read(|query| query.key_condition_expression("pk = :partition")).await;
        }
        // Not begins_with: DynamoDB Local takes `%` and `_` in a prefix for wildcards.
        rows.read(|query| {
            let query = query.key_condition_expression("pk = :partition AND sk BETWEEN :first AND :last");
            let query = query.expression_attribute_values(":first", text(prefix));
            query.expression_attribute_values(":last", text(&format!("{prefix}{}", char::MAX)))
        })
        .await
    }

    async fn query_back(&self, partition: &str, before: Option<&str>, limit: usize) -> Result<Vec<Row>> {
        if before.is_some_and(str::is_empty) {
            return Ok(Vec::new());
        }
        let rows = self.rows_of(partition, before, limit);
        rows.read(|query| query.key_condition_expression("pk = :partition").scan_index_forward(false)).await
    }

    async fn write(&self, writes: Vec<Write>) -> Result<Vec<Result<u64>>> {
        let count = writes.len();
        let mut rows: BTreeMap<RowKey, Vec<(usize, Write)>> = BTreeMap::new();
        for (place, write) in writes.into_iter().enumerate() {
            rows.entry(write.key.clone()).or_default().push((place, write));
        }
        let rows = stream::iter(rows.into_values().map(|writes| self.apply_in_order(writes)));
        let mut answers: Vec<(usize, Result<u64>)> = rows.buffer_unordered(WRITES_AT_ONCE).concat().await;
        answers.sort_unstable_by_key(|(place, _)| *place);
        debug_assert_eq!(answers.len(), count);
        Ok(answers.into_iter().map(|(_, answer)| answer).collect())
    }

    async fn transact(&self, writes: Vec<Write>) -> Result<()> {
        check_transaction(&writes)?;
        writes.iter().try_for_each(check_sizes)?;
        let bytes: usize = writes.iter().filter_map(|write| write.body.as_ref()).map(Vec::len).sum();
        if bytes > MAX_TRANSACT_BYTES {
            let context = format!("a transaction holds at most {MAX_TRANSACT_BYTES} bytes, not {bytes}");
            return Err(Error::new(ErrorKind::Invalid, context));
        }
        if writes.is_empty() {
            return Ok(());
        }
        let items = writes.iter().map(|write| transact_item(&self.table, write)).collect::<Result<_>>()?;
        self.requests.weigh(SERVICE, "TransactWriteItems", transact_units(&writes));
        let done = self.client.transact_write_items().set_transact_items(Some(items)).send().await;
        done.map(drop).map_err(|error| self.cancelled(error, &writes))
    }

    fn transact_asks(&self, writes: &[Write]) -> Spending {
        let mut spending = Spending::default();
        let extra_units = transact_units(writes).saturating_sub(1);
        spending.ask("DynamoDB TransactWriteItems", Asked { requests: 1, extra_units });
        spending
    }
}

impl DynamoState {
    /// A cancelled transaction has one reason for each write: a condition that did not hold counts before anything else,
    /// since trying again would not help.
    fn cancelled(
        &self,
        error: SdkError<TransactWriteItemsError, aws_sdk_dynamodb::config::http::HttpResponse>,
        writes: &[Write],
    ) -> Error {
        if let Some(TransactWriteItemsError::TransactionCanceledException(cancelled)) = error.as_service_error() {
            let codes = cancelled.cancellation_reasons().iter().map(|reason| reason.code().unwrap_or("None"));
            if let Some((kind, write, code)) = worst(codes.zip(writes)) {
                let context =
                    format!("failed to write row {} in a transaction of {}: {code}", name(&write.key), self.table);
                return Error::new(kind, context);
            }
        }
        failed(format!("write {} rows in a transaction of {}", writes.len(), self.table), error)
    }
}

/// The reason that decides what a caller does about a cancelled transaction.
fn worst<'a>(reasons: impl Iterator<Item = (&'a str, &'a Write)>) -> Option<(ErrorKind, &'a Write, &'a str)> {
    let reasons = reasons.filter(|(code, _)| *code != "None");
    let kinds = reasons.map(|(code, write)| {
        let kind = match code {
            "ConditionalCheckFailed" => ErrorKind::Conflict,
            "ValidationError" | "ItemCollectionSizeLimitExceeded" => ErrorKind::Invalid,
            code => kind_of_answer(code, 500),
        };
        (kind, write, code)
    });
    kinds.min_by_key(|(kind, ..)| match kind {
        ErrorKind::Conflict => 0,
        ErrorKind::Invalid => 1,
        _ => 2,
    })
}

impl Conditional {
    fn of(write: &Write) -> Self {
        let key = item_key(&write.key);
        let (condition, values, version) = match write.expect {
            Expect::Absent => ("attribute_not_exists(pk)", None, 1),
            Expect::Version(version) => {
                let values = [(":version", number(version)), (":epoch", number(write.epoch))];
                let values = values.map(|(name, value)| (name.to_owned(), value));
                ("version = :version AND epoch <= :epoch", Some(Item::from(values)), version + 1)
            }
        };
        let item = write.body.as_ref().map(|body| item(key.clone(), version, write, body));
        let version = if item.is_some() { version } else { 0 };
        Self { key, item, condition, values, version }
    }
}

fn transact_item(table: &str, write: &Write) -> Result<TransactWriteItem> {
    let Conditional { key, item, condition, values, .. } = Conditional::of(write);
    let incomplete = |cause| Error::caused(ErrorKind::Invalid, "failed to build a write of a transaction", cause);
    let part = TransactWriteItem::builder();
    Ok(match item {
        Some(item) => {
            let put = Put::builder().table_name(table).set_item(Some(item)).condition_expression(condition);
            part.put(put.set_expression_attribute_values(values).build().map_err(incomplete)?)
        }
        None => {
            let delete = Delete::builder().table_name(table).set_key(Some(key)).condition_expression(condition);
            part.delete(delete.set_expression_attribute_values(values).build().map_err(incomplete)?)
        }
    }
    .build())
}

/// Says which condition did not hold.
fn explain(error: Error, write: &Write) -> Error {
    if error.kind != ErrorKind::Conflict {
        return error;
    }
    let why = match write.expect {
        Expect::Absent => "exists".to_owned(),
        Expect::Version(version) => {
            format!("is not at version {version}, or was written in an epoch after {}", write.epoch)
        }
    };
    Error::new(ErrorKind::Conflict, format!("row {} {why}", name(&write.key)))
}

fn row_key(partition: &str, sort: &str) -> RowKey {
    RowKey { partition: partition.to_owned(), sort: sort.to_owned() }
}

fn item_key(key: &RowKey) -> Item {
    HashMap::from([(PARTITION.to_owned(), text(&key.partition)), (SORT.to_owned(), text(&key.sort))])
}

fn item(key: Item, version: u64, write: &Write, body: &[u8]) -> Item {
    let mut item = key;
    item.insert(VERSION.to_owned(), number(version));
    item.insert(EPOCH.to_owned(), number(write.epoch));
    if let Some(expires_ms) = write.expires_ms {
        // Never early.
        item.insert(EXPIRES.to_owned(), number(expires_ms.div_ceil(1_000)));
    }
    // Older servers refuse an empty binary: no body is an empty one.
    if !body.is_empty() {
        item.insert(BODY.to_owned(), AttributeValue::B(Blob::new(body)));
    }
    item
}

fn text(text: &str) -> AttributeValue {
    AttributeValue::S(text.to_owned())
}

fn number(number: u64) -> AttributeValue {
    AttributeValue::N(number.to_string())
}

fn read_row(mut item: Item) -> Result<Row> {
    let mut take_text = |name| match item.remove(name) {
        Some(AttributeValue::S(text)) => Some(text),
        _ => None,
    };
    let (partition, sort) = (take_text(PARTITION), take_text(SORT));
    let mut take_number = |name| match item.remove(name) {
        Some(AttributeValue::N(number)) => number.parse().ok(),
        _ => None,
    };
    let (version, epoch) = (take_number(VERSION), take_number(EPOCH));
    let body = match item.remove(BODY) {
        Some(AttributeValue::B(body)) => Some(body.into_inner()),
        None => Some(Vec::new()),
        Some(_) => None,
    };
    match (partition, sort, version, epoch, body) {
        (Some(partition), Some(sort), Some(version), Some(epoch), Some(body)) => {
            Ok(Row { key: RowKey { partition, sort }, version, epoch, body })
        }
        (partition, sort, ..) => {
            let place = format!("{}/{}", partition.unwrap_or_default(), sort.unwrap_or_default());
            Err(Error::new(ErrorKind::Invalid, format!("row {place} was not written by gridmill")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_that_expires_says_so_in_seconds_and_never_early() {
        let write =
            Write { key: row_key("p", "s"), expect: Expect::Absent, epoch: 1, body: None, expires_ms: Some(5_001) };
        let expires = |write: &Write| item(Item::new(), 1, write, b"body").remove(EXPIRES);
        assert_eq!(expires(&write), Some(number(6)));
        assert_eq!(expires(&Write { expires_ms: None, ..write }), None);
    }

    #[test]
    fn a_condition_that_did_not_hold_counts_before_what_may_pass() {
        let write = |sort: &str| Write {
            key: row_key("p", sort),
            expect: Expect::Absent,
            epoch: 1,
            body: None,
            expires_ms: None,
        };
        let writes = [write("a"), write("b"), write("c")];
        let decides = |codes: [&'static str; 3]| {
            worst(codes.into_iter().zip(&writes)).map(|(kind, write, _)| (kind, write.key.sort.clone()))
        };
        let place = |kind, sort: &str| Some((kind, sort.to_owned()));
        assert_eq!(decides(["None", "None", "None"]), None);
        assert_eq!(decides(["TransactionConflict", "ConditionalCheckFailed", "None"]), place(ErrorKind::Conflict, "b"));
        assert_eq!(decides(["None", "TransactionConflict", "None"]), place(ErrorKind::Throttled, "b"));
        assert_eq!(decides(["None", "None", "ProvisionedThroughputExceeded"]), place(ErrorKind::Throttled, "c"));
        assert_eq!(decides(["ThrottlingError", "ValidationError", "None"]), place(ErrorKind::Invalid, "b"));
    }
}
