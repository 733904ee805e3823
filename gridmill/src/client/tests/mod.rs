//! The client against a server that says what it was told to: broken connections, problems, redirects.

mod downloads;
mod proxies;
mod requests;
pub mod scripted;
mod streams;
mod uploads;

use std::time::Duration;

use scripted::Scripted;

use super::{Address, Client, Patience, PlainHttp, Token};

/// Waits that take no time.
pub const AT_ONCE: Patience = Patience { tries: 3, first: Duration::ZERO, longest: Duration::ZERO };

/// A client of that server, with a token.
pub fn client(server: &Scripted) -> Client {
    let address = Address::parse(&server.address()).unwrap();
    let token = Token::new("grd_a_secret").unwrap();
    Client::new(address, Some(token), PlainHttp::Loopback).unwrap().with_patience(AT_ONCE)
}
