//! The bucket: create-once, the rights of a role, the clock, and the rule for uploads that were left.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use aws_sdk_s3::Client;
use aws_sdk_s3::config::interceptors::BeforeDeserializationInterceptorContextRef;
use aws_sdk_s3::config::{Builder, ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_s3::error::{BoxError, ProvideErrorMetadata};
use aws_sdk_s3::primitives::{DateTime, DateTimeFormat};
use aws_sdk_s3::types::{ExpirationStatus, LifecycleRule};
use aws_smithy_runtime_api::client::interceptors::dyn_dispatch_hint;
use bytes::Bytes;

use super::{MAX_SKEW, Role};
use crate::aws::check::report::Report;
use crate::aws::error::failed;
use crate::objects::{ObjectStore, S3Objects, judge};
use crate::{Error, ErrorKind, Result};

const BODY: Bytes = Bytes::from_static(b"gridmill looks whether it may write here");

pub(super) async fn check_bucket(report: &mut Report, client: &Client, role: Role, bucket: &str, prefix: Option<&str>) {
    let place = format!("bucket {bucket}");
    let objects = S3Objects::new(client.clone(), bucket, prefix);
    let Some(objects) =
        report.judge(&place, objects, |_| "a name that can be used".to_owned(), "correct GRIDMILL_PREFIX")
    else {
        return;
    };
    // Where a worker may write, and take away what it wrote.
    let folder = format!("jobs/probe-{}/", uuid::Uuid::now_v7());
    let key = format!("{folder}probe/data/00/probe");
    let created = objects.create(&key, BODY).await;
    if report.right(&format!("{place}, write"), created, "s3:PutObject").is_none() {
        return;
    }
    let second = judge(&place, objects.create(&key, BODY).await);
    report.judge(
        &format!("{place}, create once"),
        second,
        |()| "If-None-Match is honoured".to_owned(),
        "use another store",
    );
    let read = objects.get(&key, None).await.and_then(|read| match read == BODY {
        true => Ok(()),
        false => Err(Error::new(ErrorKind::Invalid, "what was read is not what was written")),
    });
    report.right(&format!("{place}, read"), read, "s3:GetObject");
    let missing = objects.head(&format!("{key}-missing")).await;
    report.right(&format!("{place}, tell what is missing"), found_missing(missing), "s3:ListBucket");
    let listed = objects.list(&folder, None, 2).await;
    report.right(&format!("{place}, list"), listed.map(drop), "s3:ListBucket");
    report.right(&format!("{place}, delete"), objects.delete(&key).await, "s3:DeleteObject");
    check_clock(report, client, bucket).await;
    if role == Role::Manager {
        check_leftovers(report, client, bucket, prefix).await;
    }
}

/// Without the right to list, S3 answers 403 for an object that is not there.
fn found_missing<T>(answer: Result<T>) -> Result<()> {
    match answer {
        Err(error) if error.kind == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
        Ok(_) => Err(Error::new(ErrorKind::Invalid, "an object is said to be there that nobody has written")),
    }
}

/// Takes the service's time from an answer, whatever that is.
#[derive(Clone, Debug, Default)]
struct ServersClock(Arc<Mutex<Option<String>>>);

#[dyn_dispatch_hint]
impl Intercept for ServersClock {
    fn name(&self) -> &'static str {
        "ServersClock"
    }

    fn read_before_deserialization(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> std::result::Result<(), BoxError> {
        let date = context.response().headers().get("date").map(str::to_owned);
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = date;
        Ok(())
    }
}

async fn check_clock(report: &mut Report, client: &Client, bucket: &str) {
    let clock = ServersClock::default();
    let request = client.list_objects_v2().bucket(bucket).max_keys(1).customize();
    // Only the time of the answer counts here; what it says was looked at above.
    let _ = request.config_override(Builder::new().interceptor(clock.clone())).send().await;
    let date = clock.0.lock().unwrap_or_else(PoisonError::into_inner).take();
    let theirs = date.and_then(|date| DateTime::from_str(&date, DateTimeFormat::HttpDate).ok());
    let theirs = theirs.and_then(|date| SystemTime::try_from(date).ok());
    match theirs.map(|theirs| distance(SystemTime::now(), theirs)) {
        Some(skew) if skew <= MAX_SKEW => report.ok("clock", format!("{} s from the service's", skew.as_secs())),
        Some(skew) => report.wrong(
            "clock",
            format!("{} s from the service's, which refuses requests that are off by 900 s", skew.as_secs()),
            "set this machine's clock, best by NTP or chrony",
        ),
        None => {
            report.advise("clock", "the service does not tell its time", "make sure that this machine's clock is right")
        }
    }
}

fn distance(one: SystemTime, other: SystemTime) -> Duration {
    one.duration_since(other).unwrap_or_else(|behind| behind.duration())
}

async fn check_leftovers(report: &mut Report, client: &Client, bucket: &str, prefix: Option<&str>) {
    const RULE: &str = "incomplete uploads";
    let advice = "add a lifecycle rule with AbortIncompleteMultipartUpload after 2 days: what a dead worker had begun to \
                  upload is billed until then";
    let answer = client.get_bucket_lifecycle_configuration().bucket(bucket).send().await;
    let rules = match answer {
        Ok(found) => found.rules.unwrap_or_default(),
        Err(error) if error.code() == Some("NoSuchLifecycleConfiguration") => Vec::new(),
        Err(error) => {
            let error = failed("read the lifecycle rules", error);
            let grant = "grant s3:GetLifecycleConfiguration to have this looked at";
            return report.advise(RULE, error.to_string(), grant);
        }
    };
    match rules.iter().find_map(|rule| days_until_abort(rule, prefix.unwrap_or_default())) {
        Some(days) => report.ok(RULE, format!("removed after {days} days")),
        None => report.advise(RULE, "no rule of the bucket removes them", advice),
    }
}

fn days_until_abort(rule: &LifecycleRule, prefix: &str) -> Option<i32> {
    let applies_to = rule.filter().and_then(|filter| filter.prefix()).unwrap_or_default();
    let applies = rule.status() == &ExpirationStatus::Enabled && prefix.starts_with(applies_to);
    rule.abort_incomplete_multipart_upload().filter(|_| applies)?.days_after_initiation()
}

#[cfg(test)]
mod tests {
    use aws_sdk_s3::types::{AbortIncompleteMultipartUpload, LifecycleRuleFilter};

    use super::*;

    #[test]
    fn a_rule_counts_if_it_is_on_and_covers_the_prefix() {
        let abort = AbortIncompleteMultipartUpload::builder().days_after_initiation(2).build();
        let rule = |status, prefix: &str| {
            let filter = LifecycleRuleFilter::builder().prefix(prefix).build();
            let rule = LifecycleRule::builder().status(status).filter(filter);
            rule.abort_incomplete_multipart_upload(abort.clone()).build().unwrap()
        };
        assert_eq!(days_until_abort(&rule(ExpirationStatus::Enabled, ""), "a/b"), Some(2));
        assert_eq!(days_until_abort(&rule(ExpirationStatus::Enabled, "a/"), "a/b"), Some(2));
        assert_eq!(days_until_abort(&rule(ExpirationStatus::Enabled, "c/"), "a/b"), None);
        assert_eq!(days_until_abort(&rule(ExpirationStatus::Disabled, ""), "a/b"), None);
    }

    #[test]
    fn a_missing_object_must_be_told_from_a_hidden_one() {
        let answer = |kind| found_missing::<()>(Err(Error::new(kind, "words"))).map_err(|error| error.kind);
        assert_eq!(answer(ErrorKind::NotFound), Ok(()));
        assert_eq!(answer(ErrorKind::Denied), Err(ErrorKind::Denied));
        assert!(found_missing(Ok(())).is_err());
    }
}
