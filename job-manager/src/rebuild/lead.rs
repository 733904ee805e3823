//! Rebuilding leads, so that nobody else does.

use std::time::Duration;

use infra::Grid;
use tokio::time::{Instant, sleep};

use super::{RebuildError, RebuildNews, patiently};
use crate::ManagerConfig;
use crate::lease::{Claim, Lead, Look, Sight};

/// Time between two looks at who leads.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Takes the lead where it is free, or where the leader has gone without a word.
pub(super) async fn take(grid: &Grid, tell: &mut impl FnMut(RebuildNews)) -> Result<(Claim, Lead), RebuildError> {
    let config = ManagerConfig { name: "gridmill rebuild".into(), ..ManagerConfig::default() };
    let claim = Claim::new(grid, &config);
    let (mut sight, began, mut told) = (Sight::default(), Instant::now(), false);
    loop {
        let leader = match patiently(async || claim.look(&mut sight).await).await? {
            Look::Taken(lead) => return Ok((claim, lead)),
            Look::Other(leader) => leader,
        };
        // A leader that lives renews its lease, which begins anew with that.
        if began.elapsed() > Duration::from_millis(leader.lease_ms) + LOOK_EVERY {
            return Err(RebuildError::Led(leader.name));
        }
        if !std::mem::replace(&mut told, true) {
            tell(RebuildNews::Led(leader.name));
        }
        sleep(LOOK_EVERY).await;
    }
}
