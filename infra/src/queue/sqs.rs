//! A queue in SQS: a standard one, whose lease is the visibility timeout.
//!
//! SQS counts in whole seconds. A lease is rounded up, so that nobody loses it early; a wait is rounded down.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_sqs::Client;
use aws_sdk_sqs::config::Builder;
use aws_sdk_sqs::types::{
    BatchResultErrorEntry, ChangeMessageVisibilityBatchRequestEntry, DeleteMessageBatchRequestEntry, Message,
    MessageSystemAttributeName, QueueAttributeName, SendMessageBatchRequestEntry,
};
use futures::future::join_all;
use grid_core::limits::{MAX_MESSAGE_BYTES, MAX_POLL};
use grid_core::spending::{Asked, Spending};

use super::rules::{check_batch, check_body, check_lease, check_receive};
use super::{Depth, Receipt, Received, TaskQueue};
use crate::aws::client::{BILLED_BYTES, patience};
use crate::aws::error::{failed, kind_of_answer, required};
use crate::{Error, ErrorKind, Result};

/// A queue by its URL.
#[derive(Clone, Debug)]
pub struct SqsQueue {
    client: Client,
    /// Never taken apart and never dialled: only SQS knows what it means.
    url: String,
}

/// What an entry of a batch is about to become: its place in the caller's list, and what the service says of it.
type Answers = BTreeMap<String, Result<()>>;

impl SqsQueue {
    /// The queue of a URL or a name. `NotFound` when there is none of that name.
    pub async fn open(client: Client, queue: &str) -> Result<Self> {
        if queue.contains("://") {
            return Ok(Self { client, url: queue.to_owned() });
        }
        let found = client.get_queue_url().queue_name(queue).send().await;
        let found = found.map_err(|error| failed(format!("find queue {queue}"), error))?;
        let url = required(found.queue_url, || format!("URL of queue {queue}"))?;
        Ok(Self { client, url })
    }

    /// The queue of a name that belongs to an account, which may be another one than ours.
    pub(crate) async fn of_account(client: Client, account: &str, queue: &str) -> Result<Self> {
        let found = client.get_queue_url().queue_name(queue).queue_owner_aws_account_id(account).send().await;
        let found = found.map_err(|error| failed(format!("find queue {queue} of account {account}"), error))?;
        let url = required(found.queue_url, || format!("URL of queue {queue}"))?;
        Ok(Self { client, url })
    }

    /// The queue's URL.
    pub fn url(&self) -> &str {
        &self.url
    }

    fn context(&self, verb: &str) -> String {
        format!("{verb} queue {}", self.url)
    }

    async fn send_some(&self, entries: Vec<SendMessageBatchRequestEntry>) -> Result<Answers> {
        let request = self.client.send_message_batch().queue_url(&self.url).set_entries(Some(entries));
        let sent = request.send().await.map_err(|error| failed(self.context("send to"), error))?;
        Ok(answers(sent.successful.into_iter().map(|entry| entry.id), sent.failed, |_| false))
    }
}

#[async_trait]
impl TaskQueue for SqsQueue {
    async fn send(&self, bodies: &[String]) -> Result<Vec<Result<()>>> {
        check_batch(bodies.len())?;
        let checked: Vec<Result<()>> = bodies.iter().map(|body| check_body(body)).collect();
        let right = (0..bodies.len()).filter(|&place| checked[place].is_ok());
        let batches = batches(right.map(|place| (place, bodies[place].len())));
        let sending = batches.iter().map(|batch| async {
            let entries = batch.iter().map(|&place| {
                let entry = SendMessageBatchRequestEntry::builder().id(place.to_string()).message_body(&bodies[place]);
                entry.build().map_err(incomplete)
            });
            self.send_some(entries.collect::<Result<_>>()?).await
        });
        let mut answers = Answers::new();
        for (batch, sent) in batches.iter().zip(join_all(sending).await) {
            match sent {
                Ok(said) => answers.extend(said),
                Err(error) if batches.len() == 1 => return Err(error),
                // Other batches may have been sent: only these entries have to be sent again.
                Err(error) => answers.extend(batch.iter().map(|place| (place.to_string(), Err(same(&error))))),
            }
        }
        Ok(in_place(checked, answers))
    }

    async fn receive(&self, max: usize, lease: Duration, wait: Duration) -> Result<Vec<Received>> {
        check_receive(max, lease)?;
        let wait = wait.min(MAX_POLL);
        let request = self
            .client
            .receive_message()
            .queue_url(&self.url)
            .max_number_of_messages(max as i32)
            .visibility_timeout(whole_seconds(lease))
            .wait_time_seconds(wait.as_secs() as i32)
            .message_system_attribute_names(MessageSystemAttributeName::ApproximateReceiveCount);
        let patient = Builder::new().timeout_config(patience(wait));
        let received = request.customize().config_override(patient).send().await;
        let received = received.map_err(|error| failed(self.context("receive from"), error))?;
        received.messages.unwrap_or_default().into_iter().map(read_message).collect()
    }

    async fn delete(&self, receipts: &[Receipt]) -> Result<Vec<Result<()>>> {
        check_batch(receipts.len())?;
        if receipts.is_empty() {
            return Ok(Vec::new());
        }
        let entries = receipts.iter().enumerate().map(|(place, receipt)| {
            let entry = DeleteMessageBatchRequestEntry::builder().id(place.to_string()).receipt_handle(&receipt.0);
            entry.build().map_err(incomplete)
        });
        let entries = entries.collect::<Result<_>>()?;
        let request = self.client.delete_message_batch().queue_url(&self.url).set_entries(Some(entries));
        let deleted = request.send().await.map_err(|error| failed(self.context("delete from"), error))?;
        // A stale receipt is no error: the message is gone, or somebody else's.
        let answers = answers(deleted.successful.into_iter().map(|entry| entry.id), deleted.failed, is_over);
        Ok(in_place(receipts.iter().map(|_| Ok(())).collect(), answers))
    }

    async fn extend(&self, receipts: &[Receipt], lease: Duration) -> Result<Vec<Result<()>>> {
        check_lease(lease)?;
        check_batch(receipts.len())?;
        if receipts.is_empty() {
            return Ok(Vec::new());
        }
        let entries = receipts.iter().enumerate().map(|(place, receipt)| {
            let entry = ChangeMessageVisibilityBatchRequestEntry::builder().id(place.to_string());
            let entry = entry.receipt_handle(&receipt.0).visibility_timeout(whole_seconds(lease));
            entry.build().map_err(incomplete)
        });
        let entries = entries.collect::<Result<_>>()?;
        let request = self.client.change_message_visibility_batch().queue_url(&self.url).set_entries(Some(entries));
        let extended = request.send().await.map_err(|error| failed(self.context("extend leases of"), error))?;
        let answers = answers(extended.successful.into_iter().map(|entry| entry.id), extended.failed, |_| false);
        Ok(in_place(receipts.iter().map(|_| Ok(())).collect(), answers))
    }

    fn send_asks(&self, bodies: &[String]) -> Spending {
        let mut spending = Spending::default();
        for batch in batches(bodies.iter().map(String::len).enumerate()) {
            let bytes: usize = batch.iter().map(|&place| bodies[place].len()).sum();
            let extra_units = (bytes.div_ceil(BILLED_BYTES) as u64).saturating_sub(1);
            spending.ask("SQS SendMessageBatch", Asked { requests: 1, extra_units });
        }
        spending
    }

    async fn depth(&self) -> Result<Depth> {
        use QueueAttributeName::{
            ApproximateNumberOfMessages as Visible, ApproximateNumberOfMessagesDelayed as Delayed,
            ApproximateNumberOfMessagesNotVisible as InFlight,
        };
        let request = self.client.get_queue_attributes().queue_url(&self.url);
        let request = request.set_attribute_names(Some(vec![Visible, Delayed, InFlight]));
        let found = request.send().await.map_err(|error| failed(self.context("count messages of"), error))?;
        let count = |name: QueueAttributeName| -> Result<u64> {
            let text = found.attributes().and_then(|attributes| attributes.get(&name));
            required(text.and_then(|text| text.parse().ok()), || format!("{name} of queue {}", self.url))
        };
        Ok(Depth { waiting: count(Visible)? + count(Delayed)?, in_flight: count(InFlight)? })
    }
}

/// Places in batches that SQS takes: all bodies of one together are no larger than one may be.
fn batches(sizes: impl Iterator<Item = (usize, usize)>) -> Vec<Vec<usize>> {
    let mut batches: Vec<Vec<usize>> = Vec::new();
    let mut room = 0;
    for (place, bytes) in sizes {
        match batches.last_mut() {
            Some(batch) if bytes <= room => batch.push(place),
            _ => {
                batches.push(vec![place]);
                room = MAX_MESSAGE_BYTES;
            }
        }
        room -= bytes;
    }
    batches
}

/// What the service says of each entry by its id; those for which `is_fine` holds have succeeded all the same.
fn answers(
    successful: impl Iterator<Item = String>,
    failed: Vec<BatchResultErrorEntry>,
    is_fine: impl Fn(&BatchResultErrorEntry) -> bool,
) -> Answers {
    let mut answers: Answers = successful.map(|id| (id, Ok(()))).collect();
    answers.extend(failed.into_iter().map(|entry| {
        let answer = if is_fine(&entry) { Ok(()) } else { Err(entry_error(&entry)) };
        (entry.id, answer)
    }));
    answers
}

/// One answer for each entry: ours where it was refused before it was sent, else the service's. An entry that it says
/// nothing of may or may not have been applied.
fn in_place(checked: Vec<Result<()>>, mut answers: Answers) -> Vec<Result<()>> {
    let silence = || Err(Error::new(ErrorKind::Unavailable, "the queue said nothing of this entry of a batch"));
    let answer = |(place, checked): (usize, Result<()>)| {
        checked.and_then(|()| answers.remove(&place.to_string()).unwrap_or_else(silence))
    };
    checked.into_iter().enumerate().map(answer).collect()
}

/// The error of a batch, for one of its entries.
fn same(error: &Error) -> Error {
    Error::new(error.kind, error.to_string())
}

fn entry_error(entry: &BatchResultErrorEntry) -> Error {
    let kind = if is_over(entry) {
        ErrorKind::NotFound
    } else {
        kind_of_answer(&entry.code, if entry.sender_fault { 400 } else { 500 })
    };
    Error::new(kind, format!("{} ({})", entry.message.as_deref().unwrap_or("refused"), entry.code))
}

/// Whether a receipt names no lease that lasts. SQS says it in several ways, one of them a code that it also uses for a
/// lease that would last too long.
fn is_over(entry: &BatchResultErrorEntry) -> bool {
    let code = entry.code.rsplit('.').next().unwrap_or_default();
    let message = entry.message.as_deref().unwrap_or_default();
    match code {
        "ReceiptHandleIsInvalid" | "MessageNotInflight" => true,
        "InvalidParameterValue" | "InvalidParameterValueException" => {
            message.contains("ReceiptHandle") || message.contains("not available for visibility timeout change")
        }
        _ => false,
    }
}

fn read_message(message: Message) -> Result<Received> {
    let receives =
        message.attributes().and_then(|known| known.get(&MessageSystemAttributeName::ApproximateReceiveCount));
    let receives = receives.and_then(|count| count.parse().ok());
    match (message.body, message.receipt_handle, receives) {
        (Some(body), Some(receipt), Some(receives)) => Ok(Received { body, receipt: Receipt(receipt), receives }),
        _ => Err(Error::new(ErrorKind::Invalid, "a message came without its body, receipt or count of receives")),
    }
}

fn whole_seconds(lease: Duration) -> i32 {
    lease.as_millis().div_ceil(1_000) as i32
}

fn incomplete(cause: aws_sdk_sqs::error::BuildError) -> Error {
    Error::caused(ErrorKind::Invalid, "failed to build an entry of a batch", cause)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_is_never_shorter_than_asked_for() {
        for (millis, seconds) in [(0, 0), (1, 1), (1_000, 1), (1_001, 2), (60_000, 60)] {
            assert_eq!(whole_seconds(Duration::from_millis(millis)), seconds);
        }
    }

    #[test]
    fn a_batch_holds_no_more_bytes_than_one_message_may_have() {
        let sizes = [MAX_MESSAGE_BYTES, 1, MAX_MESSAGE_BYTES - 1, 1, MAX_MESSAGE_BYTES];
        assert_eq!(batches(sizes.into_iter().enumerate()), [vec![0], vec![1, 2], vec![3], vec![4]]);
        assert_eq!(batches([].into_iter()), [[0_usize; 0]; 0]);
        assert_eq!(batches((0..10).map(|place| (place, 900))), [(0..10).collect::<Vec<_>>()]);
    }

    fn entry(id: &str, code: &str, message: &str) -> BatchResultErrorEntry {
        let entry = BatchResultErrorEntry::builder().id(id).sender_fault(true).code(code).message(message);
        entry.build().unwrap()
    }

    fn kinds(answers: Vec<Result<()>>) -> Vec<Option<ErrorKind>> {
        answers.into_iter().map(|answer| answer.err().map(|error| error.kind)).collect()
    }

    #[test]
    fn every_entry_has_its_answer_whatever_the_service_leaves_out() {
        let failed = vec![entry("1", "InternalError", "try again"), entry("3", "ThrottlingException", "slow")];
        let checked =
            vec![Ok(()), Ok(()), Ok(()), Ok(()), Err(Error::new(ErrorKind::Invalid, "a message body is empty"))];
        let answers = answers(["0".to_owned()].into_iter(), failed, |_| false);
        let expected = [
            None,
            Some(ErrorKind::Unavailable),
            Some(ErrorKind::Unavailable),
            Some(ErrorKind::Throttled),
            Some(ErrorKind::Invalid),
        ];
        assert_eq!(kinds(in_place(checked, answers)), expected);
    }

    #[test]
    fn a_lease_that_is_over_is_told_from_one_that_would_last_too_long() {
        let reason = "Value AQEB for parameter ReceiptHandle is invalid. Reason: Message does not exist or is not \
                      available for visibility timeout change.";
        for over in [
            entry("0", "ReceiptHandleIsInvalid", "The input receipt handle is invalid."),
            entry("0", "AWS.SimpleQueueService.MessageNotInflight", ""),
            entry("0", "InvalidParameterValue", reason),
        ] {
            assert_eq!(entry_error(&over).kind, ErrorKind::NotFound, "{over:?}");
        }
        let long = entry("0", "InvalidParameterValue", "Total VisibilityTimeout for the message is beyond the limit");
        assert_eq!(entry_error(&long).kind, ErrorKind::Invalid);
        assert_eq!(
            kinds(in_place(vec![Ok(())], answers([].into_iter(), vec![long], is_over))),
            [Some(ErrorKind::Invalid)]
        );
    }
}
