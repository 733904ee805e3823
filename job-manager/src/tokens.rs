//! API tokens: `grd_{id}_{secret}`. The table keeps the id and a digest of the secret, never the secret.

use grid_api::{NewToken, Scope, Token};
use grid_core::rows::{TOKENS, TokenRow};
use infra::Grid;
use infra::clock::Clock;
use infra::state::{Expect, RowKey, StateStore, Write};

use crate::ManagerError;
use crate::finish::rfc3339;
use crate::submit::{read_row, write};
use crate::table::all_rows;

/// What every token begins with, so that leak scanners know it.
const PREFIX: &str = "grd_";

/// Random bytes in an id: it is no secret, it only has to be unique.
const ID_BYTES: usize = 6;

/// Random bytes in a secret.
const SECRET_BYTES: usize = 32;

/// A token to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenRequest {
    /// What it may do.
    pub scope: Scope,
    /// The tenant that it acts for; without it, all.
    pub tenant: Option<String>,
    /// What its owner calls it.
    pub note: String,
    /// Unix milliseconds; without it, it does not expire.
    pub expires_ms: Option<u64>,
}

/// Makes a token. Its secret is in the answer and nowhere else.
pub async fn create(grid: &Grid, request: TokenRequest) -> Result<NewToken, ManagerError> {
    let (id, secret) = (random_hex::<ID_BYTES>()?, random_hex::<SECRET_BYTES>()?);
    let row = TokenRow {
        digest: blake3::hash(secret.as_bytes()).to_hex().to_string(),
        scope: request.scope,
        tenant: request.tenant,
        note: request.note,
        created_ms: grid.clock.now_ms(),
        expires_ms: request.expires_ms,
    };
    grid.state.transact(vec![write(TOKENS, &id, Expect::Absent, &row)]).await?;
    Ok(NewToken { secret: format!("{PREFIX}{id}_{secret}"), token: shown(id, row) })
}

/// All tokens that were not revoked, those that have expired included, by id.
pub async fn list(grid: &Grid) -> Result<Vec<Token>, ManagerError> {
    Ok(rows(grid.state.as_ref()).await?.into_iter().map(|(id, row)| shown(id, row)).collect())
}

/// Makes a token worthless; `false` when there is none of that id.
pub async fn revoke(grid: &Grid, id: &str) -> Result<bool, ManagerError> {
    if !is_hex(id, ID_BYTES) {
        return Ok(false);
    }
    let Some((version, _)) = read_row::<TokenRow>(grid, TOKENS, id).await? else { return Ok(false) };
    let key = RowKey { partition: TOKENS.to_owned(), sort: id.to_owned() };
    let removal = Write { key, expect: Expect::Version(version), epoch: 0, body: None, expires_ms: None };
    grid.state.transact(vec![removal]).await?;
    Ok(true)
}

/// The token of that secret, if there is one and it has not expired. What cannot be a token costs no look at the table.
pub async fn verify(grid: &Grid, text: &str) -> Result<Option<Token>, ManagerError> {
    let Some((id, secret)) = parse(text) else { return Ok(None) };
    let Some((_, row)) = read_row::<TokenRow>(grid, TOKENS, id).await? else { return Ok(None) };
    // Comparing `blake3::Hash`es takes the same time wherever they differ.
    let is_right = blake3::Hash::from_hex(&row.digest).is_ok_and(|digest| digest == blake3::hash(secret.as_bytes()));
    Ok((is_right && is_alive(&row, grid.clock.now_ms())).then(|| shown(id.to_owned(), row)))
}

/// Whether there is any token that can be used now.
pub async fn any(state: &dyn StateStore, clock: &dyn Clock) -> Result<bool, ManagerError> {
    let now_ms = clock.now_ms();
    Ok(rows(state).await?.iter().any(|(_, row)| is_alive(row, now_ms)))
}

/// The rows of all tokens, with their ids.
async fn rows(state: &dyn StateStore) -> Result<Vec<(String, TokenRow)>, ManagerError> {
    let read = |row: infra::state::Row| {
        let name = format!("row {TOKENS}/{}", row.key.sort);
        let token = serde_json::from_slice(&row.body).map_err(|error| ManagerError::damaged(name, error))?;
        Ok((row.key.sort, token))
    };
    all_rows(state, TOKENS).await?.into_iter().map(read).collect()
}

fn is_alive(row: &TokenRow, now_ms: u64) -> bool {
    row.expires_ms.is_none_or(|expires_ms| now_ms < expires_ms)
}

fn parse(text: &str) -> Option<(&str, &str)> {
    let (id, secret) = text.strip_prefix(PREFIX)?.split_once('_')?;
    (is_hex(id, ID_BYTES) && is_hex(secret, SECRET_BYTES)).then_some((id, secret))
}

fn is_hex(text: &str, bytes: usize) -> bool {
    text.len() == 2 * bytes && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

fn shown(id: String, row: TokenRow) -> Token {
    Token {
        id,
        scope: row.scope,
        tenant: row.tenant,
        note: row.note,
        created: rfc3339(row.created_ms),
        expires: row.expires_ms.map(rfc3339),
    }
}

fn random_hex<const N: usize>() -> Result<String, ManagerError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| {
        infra::Error::caused(infra::ErrorKind::Unavailable, "the operating system gives no random bits", error)
    })?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use infra::memory::START_MS;

    use super::*;

    fn request() -> TokenRequest {
        TokenRequest { scope: Scope::Submit, tenant: Some("finance".into()), note: "ci".into(), expires_ms: None }
    }

    #[tokio::test(start_paused = true)]
    async fn a_token_is_known_by_its_secret_until_it_is_revoked() {
        let grid = infra::memory::grid();
        assert!(!any(grid.state.as_ref(), grid.clock.as_ref()).await.unwrap());
        let made = create(&grid, request()).await.unwrap();
        let expected = Token {
            id: made.token.id.clone(),
            scope: Scope::Submit,
            tenant: Some("finance".into()),
            note: "ci".into(),
            created: "2026-01-01T00:00:00Z".into(),
            expires: None,
        };
        assert_eq!(made.secret.len(), PREFIX.len() + 2 * ID_BYTES + 1 + 2 * SECRET_BYTES);
        assert_eq!(verify(&grid, &made.secret).await.unwrap(), Some(expected.clone()));
        assert_eq!(list(&grid).await.unwrap(), [expected]);
        assert!(any(grid.state.as_ref(), grid.clock.as_ref()).await.unwrap());
        assert!(revoke(&grid, &made.token.id).await.unwrap());
        assert!(!revoke(&grid, &made.token.id).await.unwrap());
        assert_eq!(verify(&grid, &made.secret).await.unwrap(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_kept_does_not_open_anything() {
        let grid = infra::memory::grid();
        let (one, other) = (create(&grid, request()).await.unwrap(), create(&grid, request()).await.unwrap());
        let rows = all_rows(grid.state.as_ref(), TOKENS).await.unwrap();
        let (_, secret) = parse(&one.secret).unwrap();
        assert!(rows.iter().all(|row| !String::from_utf8_lossy(&row.body).contains(secret)));
        let swapped = format!("{PREFIX}{}_{secret}", other.token.id);
        assert_eq!(verify(&grid, &swapped).await.unwrap(), None);
        assert_eq!(verify(&grid, "grd_../META_x").await.unwrap(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_token_expires() {
        let grid = infra::memory::grid();
        let made = create(&grid, TokenRequest { expires_ms: Some(START_MS + 1_000), ..request() }).await.unwrap();
        assert!(verify(&grid, &made.secret).await.unwrap().is_some());
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(verify(&grid, &made.secret).await.unwrap(), None);
        assert!(!any(grid.state.as_ref(), grid.clock.as_ref()).await.unwrap());
    }
}
