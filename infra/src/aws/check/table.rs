//! The table: its keys, the manager's rights, and whether it forgets what has expired.

use aws_sdk_dynamodb::Client;

use super::report::Report;
use crate::state::{DynamoState, EXPIRES, Expect, RowKey, StateStore, Write};
use crate::{Error, ErrorKind, Result};

pub(super) async fn check_table(report: &mut Report, client: &Client, name: &str) {
    let place = format!("table {name}");
    let state = DynamoState::new(client.clone(), name);
    let key = RowKey { partition: format!("PROBE#{}", uuid::Uuid::now_v7()), sort: "PROBE".to_owned() };
    let read = state.get(&key).await.map(drop);
    let remedy = match &read {
        Err(error) if error.kind == ErrorKind::Denied => "grant dynamodb:GetItem",
        _ => "create it with the text keys pk (partition) and sk (sort), or correct GRIDMILL_TABLE",
    };
    if report.judge(&place, read, |()| "read".to_owned(), remedy).is_none() {
        return;
    }
    let queried = state.query(&key.partition, "", None, 1).await.map(drop);
    report.right(&format!("{place}, query"), queried, "dynamodb:Query");
    let write = |expect, body| Write { key: key.clone(), expect, epoch: 0, body, expires_ms: None };
    let created = one(&state, write(Expect::Absent, Some(b"probe".to_vec()))).await;
    if report.right(&format!("{place}, write"), created, "dynamodb:PutItem").is_none() {
        return;
    }
    let again = match one(&state, write(Expect::Absent, Some(b"again".to_vec()))).await {
        Err(refused) if refused.kind == ErrorKind::Conflict => Ok(()),
        Err(error) => Err(error),
        Ok(()) => Err(Error::new(ErrorKind::Invalid, "it replaces a row although told to create it only")),
    };
    report.judge(&format!("{place}, conditions"), again, |()| "honoured".to_owned(), "use another table service");
    let removed = one(&state, write(Expect::Version(1), None)).await;
    report.right(&format!("{place}, delete"), removed, "dynamodb:DeleteItem");
    check_expiry(report, &format!("{place}, expiry"), name, state.forgets_by().await);
}

/// Rows that mean nothing any more are the table's to remove: without that it grows, and the grid works all the same.
fn check_expiry(report: &mut Report, what: &str, table: &str, forgets_by: Result<Option<String>>) {
    let enable = format!(
        "aws dynamodb update-time-to-live --table-name {table} --time-to-live-specification \
         Enabled=true,AttributeName={EXPIRES}"
    );
    match forgets_by {
        Ok(Some(attribute)) if attribute == EXPIRES => report.ok(what, "on"),
        Ok(Some(attribute)) => {
            let seen = format!("the table forgets rows by `{attribute}`, which ours do not have: it keeps all of them");
            report.advise(what, seen, format!("disable that; after an hour, {enable}"));
        }
        Ok(None) => {
            report.advise(what, "off: rows of uploads and idempotency keys stay when their time is over", enable)
        }
        Err(error) => {
            let remedy = match error.kind {
                ErrorKind::Denied => "grant dynamodb:DescribeTimeToLive to the role or user of these credentials",
                _ => "the table service may have no expiry; then rows of uploads and idempotency keys stay",
            };
            report.advise(what, format!("not to be seen: {error}"), remedy);
        }
    }
}

async fn one(state: &DynamoState, write: Write) -> Result<()> {
    let answer = state.write(vec![write]).await?.pop();
    let silence = || Err(Error::new(ErrorKind::Unavailable, "the table said nothing of a write"));
    answer.unwrap_or_else(silence).map(drop)
}
