//! The arguments of `gridmill token`.

use std::time::Duration;

use clap::{Args, Subcommand};
use grid_api::Scope;
use grid_core::units::parse_duration;

use super::ManagerFlags;

/// A century.
const LONGEST: Duration = Duration::from_secs(100 * 365 * 86_400);

/// `gridmill token`.
#[derive(Clone, Debug, Subcommand)]
pub enum TokenCommand {
    /// Make a token; its secret is printed once, on standard output
    Create(NewTokenArgs),
    /// List the tokens, without their secrets
    List(TokensArgs),
    /// Make a token worthless, at once
    Revoke(OldTokenArgs),
}

/// `gridmill token create`.
#[derive(Args, Clone, Debug)]
pub struct NewTokenArgs {
    /// What it may do: read, submit (and act on jobs) or admin, each including those before it
    #[arg(long, value_name = "SCOPE", value_parser = scope)]
    pub scope: Scope,

    /// The tenant that it acts for [default: all]
    #[arg(long, value_name = "NAME")]
    pub tenant: Option<String>,

    /// What you call it
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub note: String,

    /// How long it may be used, such as 12h or 30d [default: until it is revoked]
    #[arg(long, value_name = "DURATION", value_parser = lifetime)]
    pub expires: Option<Duration>,

    #[command(flatten)]
    pub manager: ManagerFlags,
}

/// `gridmill token list`.
#[derive(Args, Clone, Debug)]
pub struct TokensArgs {
    #[command(flatten)]
    pub manager: ManagerFlags,
}

/// `gridmill token revoke`.
#[derive(Args, Clone, Debug)]
pub struct OldTokenArgs {
    /// The token's id, which is no secret: what stands between the first two `_` of a token
    #[arg(value_name = "ID")]
    pub id: String,

    #[command(flatten)]
    pub manager: ManagerFlags,
}

fn scope(text: &str) -> Result<Scope, String> {
    serde_json::from_value(text.into()).map_err(|_| format!("`{text}` is no scope: write read, submit or admin"))
}

fn lifetime(text: &str) -> Result<Duration, String> {
    match parse_duration(text)? {
        short if short < Duration::from_secs(1) => Err("a token lives a second at least".to_owned()),
        long if long > LONGEST => Err("a token lives a century at most".to_owned()),
        lifetime => Ok(lifetime),
    }
}
