//! Rows, when the table is busy, slow, or somebody else's.

use aws_sdk_s3::primitives::SdkBody;
use infra::state::{DynamoState, Expect, RowKey, StateStore, Write};
use infra::{ErrorKind, Result};

use crate::service::{Answer, Service, rejects, says};

fn table(answers: impl IntoIterator<Item = Answer>) -> (Service, DynamoState) {
    let (service, clients) = Service::that(answers);
    (service, DynamoState::new(clients.dynamodb, "rows"))
}

fn write(sort: &str) -> Write {
    let key = RowKey { partition: "p".to_owned(), sort: sort.to_owned() };
    Write { key, expect: Expect::Version(3), epoch: 7, body: Some(b"body".to_vec()), expires_ms: None }
}

fn kind<T>(answer: Result<T>) -> Option<ErrorKind> {
    answer.err().map(|error| error.kind)
}

#[tokio::test(start_paused = true)]
async fn a_throttled_write_is_tried_again_and_a_refused_one_is_not() {
    let throttled = || rejects(400, "ProvisionedThroughputExceededException");
    let (service, state) = table([throttled(), Answer::Breaks, says("{}")]);
    assert_eq!(state.write(vec![write("a")]).await.unwrap().remove(0).unwrap(), 4);
    assert_eq!(service.seen().len(), 3);
    let (_service, state) = table([rejects(400, "ConditionalCheckFailedException")]);
    assert_eq!(kind(state.write(vec![write("a")]).await.unwrap().remove(0)), Some(ErrorKind::Conflict));
    let (_service, state) = table((0..5).map(|_| throttled()));
    assert_eq!(kind(state.write(vec![write("a")]).await.unwrap().remove(0)), Some(ErrorKind::Throttled));
}

#[tokio::test(start_paused = true)]
async fn a_table_forgets_by_an_attribute_only_where_that_is_on() {
    let described = |words: &str| says(&format!(r#"{{"TimeToLiveDescription": {{{words}}}}}"#));
    let cases = [
        (r#""TimeToLiveStatus": "ENABLED", "AttributeName": "expires""#, Some("expires")),
        (r#""TimeToLiveStatus": "ENABLING", "AttributeName": "other""#, Some("other")),
        (r#""TimeToLiveStatus": "DISABLING", "AttributeName": "expires""#, None),
        (r#""TimeToLiveStatus": "DISABLED""#, None),
        ("", None),
    ];
    for (words, by) in cases {
        let (_service, state) = table([described(words)]);
        assert_eq!(state.forgets_by().await.unwrap().as_deref(), by, "{words}");
    }
    let (_service, state) = table([rejects(400, "AccessDeniedException")]);
    assert_eq!(kind(state.forgets_by().await), Some(ErrorKind::Denied));
}

#[tokio::test(start_paused = true)]
async fn every_write_has_a_condition_on_version_and_epoch() {
    let (service, state) = table([says("{}"), says("{}")]);
    let writes = vec![write("a"), Write { body: None, ..write("a") }];
    state.write(writes).await.unwrap();
    for seen in service.seen() {
        assert!(
            seen.body.contains(r#""ConditionExpression":"version = :version AND epoch <= :epoch""#),
            "{}",
            seen.body
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_transaction_that_another_one_got_in_the_way_of_may_be_tried_again() {
    let cancelled = |codes: [&str; 2]| {
        let reasons = codes.map(|code| format!(r#"{{"Code":"{code}"}}"#)).join(",");
        let body = format!(
            r#"{{"__type":"com.amazonaws.dynamodb.v20120810#TransactionCanceledException","CancellationReasons":[{reasons}]}}"#
        );
        Answer::Says(400, Vec::new(), SdkBody::from(body))
    };
    let cases = [
        (["None", "TransactionConflict"], ErrorKind::Throttled),
        (["TransactionConflict", "ConditionalCheckFailed"], ErrorKind::Conflict),
    ];
    for (codes, expected) in cases {
        let (service, state) = table([cancelled(codes)]);
        assert_eq!(kind(state.transact(vec![write("a"), write("b")]).await), Some(expected), "{codes:?}");
        assert_eq!(service.seen().len(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_transaction_whose_answer_was_lost_is_repeated_under_the_same_token() {
    let (service, state) = table([Answer::Breaks, says("{}")]);
    state.transact(vec![write("a")]).await.unwrap();
    let bodies: Vec<String> = service.seen().into_iter().map(|seen| seen.body).collect();
    assert!(bodies[0].contains("ClientRequestToken"), "{}", bodies[0]);
    assert_eq!(bodies[0], bodies[1]);
}

const ROW: &str = r#"{"pk":{"S":"p"},"sk":{"S":"SORT"},"version":{"N":"1"},"epoch":{"N":"1"},"body":{"B":"Ym9keQ=="}}"#;

#[tokio::test(start_paused = true)]
async fn rows_are_read_page_by_page_in_both_directions() {
    let row = |sort: &str| ROW.replace("SORT", sort);
    let page = |sort: &str, more: bool| {
        let last = format!(r#","LastEvaluatedKey":{{"pk":{{"S":"p"}},"sk":{{"S":"{sort}"}}}}"#);
        says(&format!(r#"{{"Items":[{}]{}}}"#, row(sort), if more { last.as_str() } else { "" }))
    };
    let (service, state) = table([page("b", true), page("a", false), page("a", true), page("b", false)]);
    let sorts = |rows: Vec<infra::state::Row>| rows.into_iter().map(|row| row.key.sort).collect::<Vec<_>>();
    assert_eq!(sorts(state.query_back("p", Some("c"), 5).await.unwrap()), ["b", "a"]);
    assert_eq!(sorts(state.query("p", "", None, 5).await.unwrap()), ["a", "b"]);
    let bodies: Vec<String> = service.seen().into_iter().map(|seen| seen.body).collect();
    let back = |body: &String| body.contains(r#""ScanIndexForward":false"#);
    assert_eq!(bodies.iter().map(back).collect::<Vec<_>>(), [true, true, false, false]);
    for (body, start) in bodies.iter().zip(["c", "b", "", "a"]) {
        assert!(body.contains(r#""ConsistentRead":true"#), "{body}");
        let given = format!(r#""sk":{{"S":"{start}"}}"#);
        assert_eq!(body.contains("ExclusiveStartKey"), !start.is_empty());
        assert!(start.is_empty() || body.contains(&given), "{body}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_table_that_is_not_there_is_no_missing_row() {
    let (_service, state) = table([rejects(400, "ResourceNotFoundException")]);
    let key = RowKey { partition: "p".to_owned(), sort: "s".to_owned() };
    assert!(state.get(&key).await.is_err());
}
