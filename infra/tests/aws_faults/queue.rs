//! Batches of which a part fails, and long polls.

use std::time::Duration;

use infra::queue::{Receipt, SqsQueue, TaskQueue};
use infra::{ErrorKind, Result};

use crate::service::{Answer, Service, rejects, says};

const URL: &str = "http://elsewhere.test/000000000000/tasks";

async fn queue(answers: impl IntoIterator<Item = Answer>) -> (Service, SqsQueue) {
    let (service, clients) = Service::that(answers);
    (service, SqsQueue::open(clients.sqs, URL).await.unwrap())
}

fn kinds(answers: Vec<Result<()>>) -> Vec<Option<ErrorKind>> {
    answers.into_iter().map(|answer| answer.err().map(|error| error.kind)).collect()
}

const PARTLY: &str = r#"{
    "Successful": [{"Id": "2", "MessageId": "m", "MD5OfMessageBody": "x"}],
    "Failed": [{"Id": "0", "SenderFault": false, "Code": "InternalError", "Message": "words"}]
}"#;

#[tokio::test(start_paused = true)]
async fn each_entry_of_a_batch_has_an_answer_whatever_the_service_says() {
    let bodies = ["a", "b", "c"].map(str::to_owned);
    let (service, queue) = queue([says(PARTLY), says(PARTLY), says(PARTLY)]).await;
    // The second entry is neither among the successful nor among the failed.
    let expected = [Some(ErrorKind::Unavailable), Some(ErrorKind::Unavailable), None];
    assert_eq!(kinds(queue.send(&bodies).await.unwrap()), expected);
    let receipts = ["r", "s", "t"].map(|receipt| Receipt(receipt.to_owned()));
    assert_eq!(kinds(queue.delete(&receipts).await.unwrap()), expected);
    assert_eq!(kinds(queue.extend(&receipts, Duration::from_secs(60)).await.unwrap()), expected);
    // It is for the caller to send again what failed, and nothing else.
    assert_eq!(service.seen().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_is_refused_says_nothing_of_the_others() {
    let large = vec!["x".repeat(200 << 10); 2];
    let sent = r#"{"Successful": [{"Id": "1", "MessageId": "m", "MD5OfMessageBody": "x"}], "Failed": []}"#;
    let (service, queue) = queue([rejects(400, "InvalidMessageContents"), says(sent)]).await;
    assert_eq!(kinds(queue.send(&large).await.unwrap()), [Some(ErrorKind::Invalid), None]);
    assert_eq!(service.seen().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_breaks_is_sent_again_and_a_queue_is_named_by_its_whole_url() {
    let sent = r#"{"Successful": [{"Id": "0", "MessageId": "m", "MD5OfMessageBody": "x"}], "Failed": []}"#;
    let (service, queue) = queue([Answer::Breaks, rejects(503, "ServiceUnavailable"), says(sent)]).await;
    assert_eq!(kinds(queue.send(&["a".to_owned()]).await.unwrap()), [None]);
    for seen in service.seen() {
        assert_eq!(seen.header("x-amz-target"), "AmazonSQS.SendMessageBatch");
        assert!(seen.body.contains(URL), "{}", seen.body);
    }
}

#[tokio::test(start_paused = true)]
async fn a_long_poll_is_waited_for_and_silence_beyond_it_is_not() {
    let nothing = || Box::new(says(r#"{"Messages": []}"#));
    let lease = Duration::from_secs(60);
    let poll = Duration::from_secs(20);
    let (service, quiet) = queue([Answer::Late(Duration::from_secs(29), nothing())]).await;
    assert_eq!(quiet.receive(10, lease, poll).await.unwrap(), []);
    assert_eq!(service.seen().len(), 1);
    let (_service, silent) = queue((0..5).map(|_| Answer::Nothing)).await;
    let refused = silent.receive(10, lease, poll).await.unwrap_err();
    assert_eq!(refused.kind, ErrorKind::Unavailable);
}

#[tokio::test(start_paused = true)]
async fn a_count_that_is_missing_is_not_nought() {
    let (_service, queue) = queue([says(r#"{"Attributes": {"ApproximateNumberOfMessages": "3"}}"#)]).await;
    assert_eq!(queue.depth().await.unwrap_err().kind, ErrorKind::Invalid);
}

#[tokio::test(start_paused = true)]
async fn a_queue_that_is_not_there_is_named() {
    let (_service, clients) = Service::that([rejects(400, "QueueDoesNotExist"), says("{}")]);
    let refused = SqsQueue::open(clients.sqs.clone(), "tasks").await.unwrap_err();
    assert_eq!(refused.kind, ErrorKind::NotFound);
    assert!(refused.to_string().starts_with("failed to find queue tasks"), "{refused}");
    assert_eq!(SqsQueue::open(clients.sqs, "tasks").await.unwrap_err().kind, ErrorKind::Invalid);
}
