//! How we talk to AWS: time-outs, retries and counting, the same for every service.
//!
//! Retries are the SDK's and nobody else's: full jitter, a budget (a bucket of tokens for each service, so that an outage
//! is not answered with more load), and its adaptive mode, which measures the rate at which a service began to refuse
//! and stays below it, rising again by and by. Callers above retry operations whose outcome they do not know, not
//! requests.

use std::time::Duration;

use aws_config::stalled_stream_protection::StalledStreamProtectionConfig;
use aws_config::{BehaviorVersion, SdkConfig};
use aws_sdk_s3::config::interceptors::{BeforeTransmitInterceptorContextRef, InterceptorContext};
use aws_sdk_s3::config::retry::{ClassifyRetry, RetryAction, RetryConfig};
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::config::{ConfigBag, Intercept, ProvideCredentials, RuntimeComponents};
use aws_sdk_s3::error::BoxError;
use aws_smithy_runtime_api::client::interceptors::dyn_dispatch_hint;
use aws_smithy_runtime_api::client::orchestrator::Metadata;

use crate::requests::Requests;
use crate::{Error, ErrorKind, Result};

/// Until a connection stands.
const CONNECT: Duration = Duration::from_secs(3);
/// One try of a small request.
const ATTEMPT: Duration = Duration::from_secs(10);
/// A small request with all its tries.
const OPERATION: Duration = Duration::from_secs(60);
/// Tries of a request.
const ATTEMPTS: u32 = 5;
/// The first wait before another try is drawn from 0 to this; it doubles.
const FIRST_BACKOFF: Duration = Duration::from_millis(100);
/// The longest wait before another try.
const LAST_BACKOFF: Duration = Duration::from_secs(10);
/// Until S3 has put the parts of a large object together: some minutes, it says.
pub(crate) const ASSEMBLY: Duration = Duration::from_secs(300);
/// How long a body may stand still.
const STALL: Duration = Duration::from_secs(20);
/// A body that is sent is given a second for so many bytes, beside the time of a small request.
const SLOWEST_BYTES_A_SECOND: usize = 128 << 10;

/// Each so many bytes of messages are a request to the bill.
pub(crate) const BILLED_BYTES: usize = 64 << 10;

/// Clients of the services, with what they share: connections, credentials, the count of requests.
#[derive(Clone, Debug)]
pub struct Clients {
    /// For objects.
    pub s3: aws_sdk_s3::Client,
    /// For messages.
    pub sqs: aws_sdk_sqs::Client,
    /// For rows.
    pub dynamodb: aws_sdk_dynamodb::Client,
    /// For machines.
    pub autoscaling: aws_sdk_autoscaling::Client,
    /// What they asked for so far.
    pub requests: Requests,
}

impl Clients {
    /// Clients by the SDK's own settings. `Invalid` without a region, `Denied` without credentials.
    pub async fn from_env() -> Result<Self> {
        let config = aws_config::defaults(BehaviorVersion::v2026_01_12()).load().await;
        require_region(&config)?;
        require_credentials(&config).await?;
        Ok(Self::new(&config))
    }

    /// Clients by a configuration; our time-outs and retries come on top.
    pub fn new(config: &SdkConfig) -> Self {
        let retries = RetryConfig::adaptive()
            .with_max_attempts(ATTEMPTS)
            .with_initial_backoff(FIRST_BACKOFF)
            .with_max_backoff(LAST_BACKOFF);
        let stalled = StalledStreamProtectionConfig::enabled().grace_period(STALL).build();
        let config = config
            .to_builder()
            .timeout_config(patience(Duration::ZERO))
            .retry_config(retries)
            .stalled_stream_protection(stalled)
            .build();
        let requests = Requests::default();
        let s3 = aws_sdk_s3::config::Builder::from(&config)
            // Servers elsewhere than on AWS have no host name for each bucket.
            .force_path_style(config.endpoint_url().is_some() || is_set("AWS_ENDPOINT_URL_S3"))
            .retry_classifier(RaceOfCreators)
            .interceptor(Counter(requests.clone()));
        let sqs = aws_sdk_sqs::config::Builder::from(&config).interceptor(Counter(requests.clone()));
        let dynamodb = aws_sdk_dynamodb::config::Builder::from(&config).interceptor(Counter(requests.clone()));
        let autoscaling = aws_sdk_autoscaling::config::Builder::from(&config).interceptor(Counter(requests.clone()));
        Self {
            autoscaling: aws_sdk_autoscaling::Client::from_conf(autoscaling.build()),
            s3: aws_sdk_s3::Client::from_conf(s3.build()),
            sqs: aws_sdk_sqs::Client::from_conf(sqs.build()),
            dynamodb: aws_sdk_dynamodb::Client::from_conf(dynamodb.build()),
            requests,
        }
    }
}

/// Time-outs of a request that takes `longer` than a small one: a long poll, or a body to send.
pub(crate) fn patience(longer: Duration) -> TimeoutConfig {
    TimeoutConfig::builder()
        .connect_timeout(CONNECT)
        .operation_attempt_timeout(ATTEMPT + longer)
        .operation_timeout(OPERATION + longer * 2)
        .build()
}

/// How much longer than a small request one may take that sends `bytes`.
pub(crate) fn time_to_send(bytes: usize) -> Duration {
    Duration::from_secs((bytes / SLOWEST_BYTES_A_SECOND) as u64)
}

fn require_region(config: &SdkConfig) -> Result<()> {
    if config.region().is_some() {
        return Ok(());
    }
    let context = "missing setting AWS_REGION: set it, or a region in the profile of ~/.aws/config";
    Err(Error::new(ErrorKind::Invalid, context))
}

async fn require_credentials(config: &SdkConfig) -> Result<()> {
    let context = "no AWS credentials were found: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY or AWS_PROFILE, or give \
                   this machine a role";
    let Some(provider) = config.credentials_provider() else {
        return Err(Error::new(ErrorKind::Denied, context));
    };
    match provider.provide_credentials().await {
        Ok(_) => Ok(()),
        Err(cause) => Err(Error::caused(ErrorKind::Denied, context, cause)),
    }
}

fn is_set(name: &str) -> bool {
    std::env::var_os(name).is_some_and(|value| !value.is_empty())
}

/// Counts what is sent, each try for itself, as AWS bills it.
#[derive(Debug)]
struct Counter(Requests);

#[dyn_dispatch_hint]
impl Intercept for Counter {
    fn name(&self) -> &'static str {
        "Counter"
    }

    fn read_before_transmit(
        &self,
        context: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        config: &mut ConfigBag,
    ) -> std::result::Result<(), BoxError> {
        if let Some(operation) = config.load::<Metadata>() {
            self.0.count(operation.service(), operation.name());
            // What is received is far below one more.
            if let ("SQS", Some(body)) = (operation.service(), context.request().body().bytes()) {
                self.0.weigh(operation.service(), operation.name(), body.len().div_ceil(BILLED_BYTES) as u64);
            }
        }
        Ok(())
    }
}

/// Two creates of one key at the same moment: S3 answers 409 to one of them, which then knows nothing yet. Asking again
/// tells whether there is such an object now.
#[derive(Debug)]
struct RaceOfCreators;

impl ClassifyRetry for RaceOfCreators {
    fn classify_retry(&self, context: &InterceptorContext) -> RetryAction {
        match context.response().map(|response| response.status().as_u16()) {
            Some(409) => RetryAction::transient_error(),
            _ => RetryAction::NoActionIndicated,
        }
    }

    fn name(&self) -> &'static str {
        "RaceOfCreators"
    }
}
