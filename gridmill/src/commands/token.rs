//! `gridmill token`: who may do what at a manager. A manager is asked, with a token of scope `admin`; or the grid's table is
//! written to, with the settings of a manager, which is how the first token comes about.

use std::env;

use grid_api::{NewToken, Scope, Token};
use infra::Grid;
use infra::aws::Settings;
use job_manager::tokens::{self, TokenRequest};
use serde_json::json;

use crate::cli::{ManagerFlags, NewTokenArgs, TokenCommand};
use crate::client::{Client, Repeat, Route};
use crate::console::{Column, Console, answer, table};
use crate::exit::{Exit, Fault, Outcome};
use crate::text::harmless;
use crate::{local, place};

/// Who is asked.
enum Keeper {
    Manager(Box<Client>),
    /// The table of a grid on AWS.
    Table(Box<Grid>),
}

/// Makes, lists or revokes tokens.
pub fn token(command: &TokenCommand, console: Console) -> Outcome {
    local::runtime()?.block_on(async {
        match command {
            TokenCommand::Create(args) => {
                let made = Keeper::open(&args.manager).await?.create(args).await?;
                shown(&made, console)
            }
            TokenCommand::List(args) => {
                let tokens = Keeper::open(&args.manager).await?.list().await?;
                listed(&tokens, console)
            }
            TokenCommand::Revoke(args) => match Keeper::open(&args.manager).await?.revoke(&args.id).await? {
                true => {
                    console.say(format!("token {} is worthless now", harmless(&args.id)));
                    Ok(Exit::Done)
                }
                false => Err(Fault::usage(format!("there is no token {}", harmless(&args.id)))
                    .help("`gridmill token list` shows their ids: they are no secrets")),
            },
        }
    })
}

/// The secret on standard output, for a script to take; everything else is talk.
fn shown(made: &NewToken, console: Console) -> Outcome {
    match console.json {
        true => console.document(made)?,
        false => {
            console.say("this secret is shown once; give it to gridmill as GRIDMILL_TOKEN:");
            answer(|out| writeln!(out, "{}", made.secret))?;
            console.say(words(&made.token));
        }
    }
    Ok(Exit::Done)
}

/// `token 01ab.. may submit for finance, until 2027-01-01T00:00:00Z`.
fn words(token: &Token) -> String {
    let tenant = token.tenant.as_ref().map_or_else(String::new, |tenant| format!(" for {}", harmless(tenant)));
    let expires = token.expires.as_ref().map_or_else(String::new, |expires| format!(", until {expires}"));
    format!("token {} may {}{tenant}{expires}", token.id, scope_word(token.scope))
}

fn scope_word(scope: Scope) -> &'static str {
    match scope {
        Scope::Read => "read",
        Scope::Submit => "submit",
        Scope::Admin => "admin",
    }
}

fn listed(tokens: &[Token], console: Console) -> Outcome {
    if console.json {
        tokens.iter().try_for_each(|token| console.line(token))?;
        return Ok(Exit::Done);
    }
    if tokens.is_empty() {
        console.say("there are no tokens: a manager on this machine's loopback serves everybody here");
        return Ok(Exit::Done);
    }
    let columns = ["id", "scope", "tenant", "created", "expires", "note"].map(Column::Text);
    let row = |token: &Token| {
        let tenant = token.tenant.as_deref().map_or_else(|| "(all)".to_owned(), harmless);
        let expires = token.expires.clone().unwrap_or_else(|| "never".to_owned());
        vec![
            token.id.clone(),
            scope_word(token.scope).to_owned(),
            tenant,
            token.created.clone(),
            expires,
            harmless(&token.note).replace('\n', " "),
        ]
    };
    console.text(&table(&columns, tokens.iter().map(row)))?;
    Ok(Exit::Done)
}

impl Keeper {
    async fn open(manager: &ManagerFlags) -> Outcome<Self> {
        match manager.given() {
            Some(manager) => Ok(Self::Manager(Box::new(place::client(&manager)?))),
            None => {
                let help = "name a manager with --manager URL, or set what its daemon is told: the grid's table is written \
                            to then";
                let settings = Settings::from_vars(|name| env::var(name).ok());
                let settings = settings.map_err(|error| Fault::usage(error).help(help))?;
                Ok(Self::Table(Box::new(infra::aws::open(&settings).await?)))
            }
        }
    }

    async fn create(&self, args: &NewTokenArgs) -> Outcome<NewToken> {
        match self {
            Self::Manager(client) => {
                let mut body = json!({ "scope": args.scope, "note": args.note });
                if let Some(tenant) = &args.tenant {
                    body["tenant"] = json!(tenant);
                }
                if let Some(expires) = args.expires {
                    body["expires_secs"] = json!(expires.as_secs());
                }
                // A second one would be a token that nobody has the secret of.
                Ok(client.post(&Route::v1(["tokens"]), &body, Repeat::IfNotDone).await?)
            }
            Self::Table(grid) => {
                let lives_ms = args.expires.map(|expires| expires.as_millis() as u64);
                let request = TokenRequest {
                    scope: args.scope,
                    tenant: args.tenant.clone(),
                    note: args.note.clone(),
                    expires_ms: lives_ms.map(|lives_ms| grid.clock.now_ms().saturating_add(lives_ms)),
                };
                Ok(tokens::create(grid, request).await?)
            }
        }
    }

    async fn list(&self) -> Outcome<Vec<Token>> {
        match self {
            Self::Manager(client) => Ok(client.pages(Route::v1(["tokens"])).take(usize::MAX).await?),
            Self::Table(grid) => Ok(tokens::list(grid).await?),
        }
    }

    async fn revoke(&self, id: &str) -> Outcome<bool> {
        match self {
            Self::Manager(client) => Ok(client.delete(&Route::v1(["tokens", id])).await?),
            Self::Table(grid) => Ok(tokens::revoke(grid, id).await?),
        }
    }
}
