//! Why a manager's answer cannot be had, and what that means for the command that wanted it.

use std::time::Duration;

use grid_api::Problem;
use hyper::StatusCode;

use super::address::AddressFault;
use crate::exit::Fault;
use crate::text::harmless;

/// What else went wrong, as libraries tell it.
pub type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// There is no connection: nothing was sent.
    #[error("{host} cannot be reached")]
    Unreachable {
        /// Who was called.
        host: String,
        /// Why.
        source: Cause,
    },
    /// The connection broke: what was asked for may have been done or not.
    #[error("the connection to {host} broke")]
    Broken {
        /// Who was called.
        host: String,
        /// Why.
        source: Cause,
    },
    /// Nothing went to and fro for too long.
    #[error("{host} has said nothing for {} seconds", silence.as_secs())]
    Silent {
        /// Who was called.
        host: String,
        /// For how long.
        silence: Duration,
    },
    /// It says no.
    #[error("{}", in_words(problem))]
    Refused {
        /// Its own words.
        problem: Box<Problem>,
        /// When it says that it may be asked again.
        retry_after: Option<Duration>,
    },
    /// It says something that no manager of this version says.
    #[error("the answer of {host} is not what a job manager says: {what}")]
    Strange {
        /// Who was called.
        host: String,
        /// What is strange.
        what: String,
    },
    /// It cannot be asked at all.
    #[error(transparent)]
    Address(#[from] AddressFault),
    /// A file that should have been sent cannot be read.
    #[error("{0}")]
    File(String),
}

impl ClientError {
    /// The status of a refusal.
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Refused { problem, .. } => Some(problem.status),
            Self::Unreachable { .. }
            | Self::Broken { .. }
            | Self::Silent { .. }
            | Self::Strange { .. }
            | Self::Address(_)
            | Self::File(_) => None,
        }
    }

    /// When the manager says that it may be asked again.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Refused { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}

/// The problem with its faults, each on a line of its own where there are several.
fn in_words(problem: &Problem) -> String {
    let faults: Vec<String> = problem
        .errors
        .iter()
        .map(|fault| match fault.pointer.as_str() {
            "" | "#" => harmless(&fault.message),
            pointer => format!("{}: {}", harmless(pointer), harmless(&fault.message)),
        })
        .collect();
    let detail = harmless(if problem.detail.is_empty() { &problem.title } else { &problem.detail });
    match faults.as_slice() {
        [] => detail,
        [one] if one.contains(&detail) => one.clone(),
        all => format!("error: {detail}\n  - {}", all.join("\n  - ")),
    }
}

impl From<ClientError> for Fault {
    fn from(error: ClientError) -> Self {
        match &error {
            ClientError::Unreachable { .. } => Self::back_end(error)
                .help("is the job manager running there? its address is --manager or GRIDMILL_MANAGER"),
            ClientError::Broken { .. } | ClientError::Silent { .. } => {
                Self::back_end(error).help("the job, if there is one, goes on without this command; try again")
            }
            ClientError::Strange { .. } => {
                Self::back_end(error).help("is that address a gridmill job manager, and of this version?")
            }
            ClientError::Address(AddressFault::Unencrypted(_)) => {
                Self::usage(error).help("use https://, or say --allow-plain-http where you trust the network")
            }
            ClientError::Address(_) | ClientError::File(_) => Self::usage(error),
            ClientError::Refused { problem, .. } => refused(problem.status, problem.request_id.clone(), error),
        }
    }
}

fn refused(status: u16, request_id: Option<String>, error: ClientError) -> Fault {
    let named = request_id.map(|id| format!("the manager's log knows more of request {}", harmless(&id)));
    match StatusCode::from_u16(status) {
        Ok(StatusCode::UNAUTHORIZED) => {
            Fault::usage(error).help("put a token into GRIDMILL_TOKEN: `gridmill token create` makes one")
        }
        Ok(StatusCode::FORBIDDEN) => {
            Fault::usage(error).help("the token in GRIDMILL_TOKEN may not do this; an admin can make another one")
        }
        Ok(StatusCode::CONFLICT) => Fault::failed(error),
        Ok(status) if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS => {
            let fault = Fault::back_end(error);
            match named {
                Some(help) => fault.help(help),
                None => fault,
            }
        }
        Ok(_) | Err(_) => Fault::usage(error),
    }
}

#[cfg(test)]
mod tests {
    use grid_api::ProblemError;

    use super::*;
    use crate::exit::Exit;

    fn refusal(status: u16, detail: &str, errors: &[(&str, &str)]) -> Fault {
        let fault =
            |(pointer, message): &(&str, &str)| ProblemError { pointer: (*pointer).into(), message: (*message).into() };
        let problem = Problem {
            kind: "about:blank".into(),
            title: "Title".into(),
            status,
            detail: detail.into(),
            errors: errors.iter().map(fault).collect(),
            request_id: Some("r-1".into()),
        };
        ClientError::Refused { problem: Box::new(problem), retry_after: None }.into()
    }

    #[test]
    fn a_problem_is_shown_with_all_its_faults() {
        let fault = refusal(
            422,
            "the job cannot be accepted",
            &[("#/params/year", "is no integer"), ("#/inputs/a", "is missing")],
        );
        let shown = "error: the job cannot be accepted\n  - #/params/year: is no integer\n  - #/inputs/a: is missing";
        assert_eq!((fault.to_string().as_str(), fault.exit), (shown, Exit::Usage));
        assert_eq!(refusal(404, "there is no job 7", &[]).to_string(), "there is no job 7");
        assert_eq!(refusal(400, "", &[]).to_string(), "Title");
    }

    #[test]
    fn exit_codes_tell_who_is_at_fault() {
        let codes =
            [400, 401, 403, 404, 409, 413, 422, 429, 500, 503].map(|status| refusal(status, "no", &[]).exit.code());
        assert_eq!(codes, [2, 2, 2, 2, 1, 2, 2, 5, 5, 5]);
        let gone = ClientError::Unreachable { host: "http://grid".into(), source: "refused".into() };
        let fault = Fault::from(gone);
        assert_eq!((fault.exit, fault.to_string().as_str()), (Exit::BackEnd, "http://grid cannot be reached: refused"));
    }

    #[test]
    fn a_manager_cannot_steer_the_terminal() {
        assert_eq!(refusal(400, "a\u{1b}[2J", &[]).to_string(), "a\u{241b}[2J");
    }
}
