//! When a request is sent again, and after which wait.

use std::time::Duration;

use super::error::ClientError;

/// What may be asked twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repeat {
    /// Twice is the same as once.
    Harmless,
    /// Only when the first one was surely not carried out.
    IfNotDone,
}

/// How often and how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// Tries in all.
    pub tries: u32,
    /// The longest wait before the second try; it doubles with every further one.
    pub first: Duration,
    /// The longest wait of all, also where the manager wishes a longer one.
    pub longest: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self { tries: 4, first: Duration::from_millis(250), longest: Duration::from_secs(10) }
    }
}

impl Patience {
    /// The wait before the next try, after `failed` tries of which the last ended with `error`; `None` to give up.
    /// `chance` is from 0 to 1: waits are drawn evenly up to their bound, so that many clients do not come back at once.
    pub fn wait(&self, repeat: Repeat, failed: u32, error: &ClientError, chance: f64) -> Option<Duration> {
        if failed >= self.tries || !may_pass(error, repeat) {
            return None;
        }
        let doubled = self.first.saturating_mul(1 << (failed - 1).min(16)).min(self.longest);
        let drawn = doubled.mul_f64(chance.clamp(0.0, 1.0));
        Some(error.retry_after().map_or(drawn, |wished| drawn.max(wished.min(self.longest))))
    }
}

/// Whether the same request may well succeed a little later, and may be sent again.
fn may_pass(error: &ClientError, repeat: Repeat) -> bool {
    match error {
        ClientError::Unreachable { .. } => true,
        ClientError::Broken { .. } | ClientError::Silent { .. } => repeat == Repeat::Harmless,
        ClientError::Refused { problem, .. } => match problem.status {
            429 => true,
            408 | 500 | 502 | 503 | 504 => repeat == Repeat::Harmless,
            _ => false,
        },
        ClientError::Strange { .. } | ClientError::Address(_) | ClientError::File(_) => false,
    }
}

/// An even chance from 0 to 1.
pub fn chance() -> f64 {
    (uuid::Uuid::now_v7().as_u64_pair().1 & 0xffff_ffff) as f64 / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use grid_api::Problem;

    use super::*;

    const PATIENCE: Patience =
        Patience { tries: 5, first: Duration::from_millis(100), longest: Duration::from_millis(300) };

    fn refused(status: u16, retry_after: Option<u64>) -> ClientError {
        let problem = Problem {
            kind: String::new(),
            title: String::new(),
            status,
            detail: String::new(),
            errors: Vec::new(),
            request_id: None,
        };
        ClientError::Refused { problem: Box::new(problem), retry_after: retry_after.map(Duration::from_millis) }
    }

    fn broken() -> ClientError {
        ClientError::Broken { host: String::new(), source: "reset".into() }
    }

    #[test]
    fn waits_double_up_to_a_bound_and_end() {
        let waits = |chance| (1..=5).map(|n| PATIENCE.wait(Repeat::Harmless, n, &broken(), chance)).collect::<Vec<_>>();
        let ms = |ms| Some(Duration::from_millis(ms));
        assert_eq!(waits(1.0), [ms(100), ms(200), ms(300), ms(300), None]);
        assert_eq!(waits(0.5), [ms(50), ms(100), ms(150), ms(150), None]);
    }

    #[test]
    fn what_may_have_been_done_is_not_asked_for_twice() {
        let again = |repeat, error: &ClientError| PATIENCE.wait(repeat, 1, error, 1.0).is_some();
        assert!(again(Repeat::Harmless, &broken()) && !again(Repeat::IfNotDone, &broken()));
        let unreachable = ClientError::Unreachable { host: String::new(), source: "refused".into() };
        assert!(again(Repeat::IfNotDone, &unreachable));
        for (status, harmless, if_not_done) in
            [(503, true, false), (429, true, true), (400, false, false), (404, false, false), (409, false, false)]
        {
            let error = refused(status, None);
            let is = (again(Repeat::Harmless, &error), again(Repeat::IfNotDone, &error));
            assert_eq!(is, (harmless, if_not_done), "{status}");
        }
    }

    #[test]
    fn a_manager_may_wish_a_longer_wait_but_not_any() {
        let wait = |ms| PATIENCE.wait(Repeat::Harmless, 1, &refused(503, Some(ms)), 0.1);
        assert_eq!(wait(50), Some(Duration::from_millis(50)));
        assert_eq!(wait(5), Some(Duration::from_millis(10)));
        assert_eq!(wait(3_600_000), Some(PATIENCE.longest));
    }
}
