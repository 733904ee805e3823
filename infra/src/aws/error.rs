//! What an error of the SDK means to us: the only place that knows the services' codes.

use std::error::Error as StdError;
use std::fmt::Write as _;

use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};

use crate::{Error, ErrorKind, Result};

/// Our error for one of the SDK's; `context` reads after "failed to", as in "write s3://bucket/key".
pub(crate) fn failed<E>(context: impl AsRef<str>, error: SdkError<E, HttpResponse>) -> Error
where
    E: StdError + ProvideErrorMetadata + Send + Sync + 'static,
{
    let kind = kind(&error);
    Error::new(kind, format!("failed to {}: {}", context.as_ref(), words(&error)))
}

/// What a caller does about it.
pub(crate) fn kind<E: ProvideErrorMetadata>(error: &SdkError<E, HttpResponse>) -> ErrorKind {
    match error {
        SdkError::ServiceError(service) => {
            kind_of_answer(service.err().code().unwrap_or_default(), service.raw().status().as_u16())
        }
        SdkError::ConstructionFailure(_) => ErrorKind::Invalid,
        // No answer, half an answer, or none that can be read: whether it was applied is not known.
        _ => ErrorKind::Unavailable,
    }
}

/// What an answer must have. `thing` reads after "the service gave no", as in "URL of queue tasks".
pub(crate) fn required<T>(value: Option<T>, thing: impl FnOnce() -> String) -> Result<T> {
    value.ok_or_else(|| Error::new(ErrorKind::Invalid, format!("the service gave no {}", thing())))
}

/// The HTTP status of the answer, if there was one.
pub(crate) fn status<E>(error: &SdkError<E, HttpResponse>) -> Option<u16> {
    error.raw_response().map(|response| response.status().as_u16())
}

/// The meaning of an error code, and of the status where the code is unknown or missing (a HEAD has no body).
pub(crate) fn kind_of_answer(code: &str, status: u16) -> ErrorKind {
    match code.rsplit(['#', '.']).next().unwrap_or(code) {
        "NoSuchKey"
        | "NoSuchUpload"
        | "NotFound"
        | "NonExistentQueue"
        | "QueueDoesNotExist"
        | "ResourceNotFoundException" => ErrorKind::NotFound,
        // A bucket that is not there is no object that is not there: a manifest must not seem to be missing.
        "NoSuchBucket" | "PermanentRedirect" | "AuthorizationHeaderMalformed" => ErrorKind::Invalid,
        "PreconditionFailed" | "ConditionalCheckFailedException" => ErrorKind::Conflict,
        "SlowDown"
        | "Throttling"
        | "ThrottlingException"
        | "ThrottledException"
        | "ThrottlingError"
        | "RequestThrottled"
        | "RequestThrottledException"
        | "RequestLimitExceeded"
        | "BandwidthLimitExceeded"
        | "TooManyRequestsException"
        | "ProvisionedThroughputExceeded"
        | "ProvisionedThroughputExceededException"
        | "TransactionConflict"
        | "TransactionConflictException"
        | "TransactionInProgressException"
        | "ConditionalRequestConflict"
        | "OperationAborted"
        | "ScalingActivityInProgress"
        | "ResourceContention"
        | "OverLimit" => ErrorKind::Throttled,
        // Credentials are renewed; a request that came too late, or damaged, or in part can be made again.
        "ExpiredToken"
        | "ExpiredTokenException"
        | "RequestExpired"
        | "RequestTimeout"
        | "BadDigest"
        | "XAmzContentChecksumMismatch"
        | "XAmzContentSHA256Mismatch"
        | "IncompleteBody"
        | "InternalError"
        | "InternalServerError"
        | "InternalFailure"
        | "ServiceUnavailable"
        | "UnrecoverableFailure" => ErrorKind::Unavailable,
        "AccessDenied"
        | "AccessDeniedException"
        | "InvalidAccessKeyId"
        | "SignatureDoesNotMatch"
        | "InvalidSignatureException"
        | "IncompleteSignature"
        | "IncompleteSignatureException"
        | "UnrecognizedClientException"
        | "InvalidClientTokenId"
        | "MissingAuthenticationToken"
        | "MissingAuthenticationTokenException"
        | "RequestTimeTooSkewed" => ErrorKind::Denied,
        _ => match status {
            401 | 403 => ErrorKind::Denied,
            404 => ErrorKind::NotFound,
            412 => ErrorKind::Conflict,
            409 | 429 | 503 => ErrorKind::Throttled,
            500.. => ErrorKind::Unavailable,
            _ => ErrorKind::Invalid,
        },
    }
}

fn words<E: StdError + ProvideErrorMetadata + 'static>(error: &SdkError<E, HttpResponse>) -> String {
    if let SdkError::ServiceError(service) = error {
        let status = service.raw().status().as_u16();
        return match (service.err().code(), service.err().message()) {
            (Some(code), Some(message)) => format!("{message} ({code}, HTTP {status})"),
            (Some(code), None) => format!("{code} (HTTP {status})"),
            (None, _) => format!("HTTP {status}"),
        };
    }
    let mut words = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        let _ = write!(words, ": {next}");
        cause = next.source();
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_says_what_to_do_next() {
        let codes = [
            ("NoSuchKey", 404, ErrorKind::NotFound),
            ("", 404, ErrorKind::NotFound),
            ("NoSuchBucket", 404, ErrorKind::Invalid),
            ("AWS.SimpleQueueService.NonExistentQueue", 400, ErrorKind::NotFound),
            ("com.amazonaws.dynamodb.v20120810#ResourceNotFoundException", 400, ErrorKind::NotFound),
            ("PreconditionFailed", 412, ErrorKind::Conflict),
            ("SomethingElse", 412, ErrorKind::Conflict),
            ("ConditionalRequestConflict", 409, ErrorKind::Throttled),
            ("ConditionalCheckFailedException", 400, ErrorKind::Conflict),
            ("SlowDown", 503, ErrorKind::Throttled),
            ("ScalingActivityInProgress", 400, ErrorKind::Throttled),
            ("ResourceContention", 500, ErrorKind::Throttled),
            ("", 503, ErrorKind::Throttled),
            ("ProvisionedThroughputExceededException", 400, ErrorKind::Throttled),
            ("InternalError", 500, ErrorKind::Unavailable),
            ("", 502, ErrorKind::Unavailable),
            ("RequestTimeout", 400, ErrorKind::Unavailable),
            ("BadDigest", 400, ErrorKind::Unavailable),
            ("ExpiredToken", 400, ErrorKind::Unavailable),
            ("AccessDenied", 403, ErrorKind::Denied),
            ("", 403, ErrorKind::Denied),
            ("UnrecognizedClientException", 400, ErrorKind::Denied),
            ("ValidationException", 400, ErrorKind::Invalid),
            ("EntityTooLarge", 400, ErrorKind::Invalid),
        ];
        for (code, status, expected) in codes {
            assert_eq!(kind_of_answer(code, status), expected, "{code} {status}");
        }
    }
}
