//! `pilotline login` and `pilotline token`: who may publish, and who may read.

use std::path::Path;

use aggregator::publish::access::{TokenScope, generate_token};
use anyhow::{Context, bail};
use model::{GatewayId, PilotId};
use serde_json::{Value, json};
use store::{Access, Login, Secret, Store, StoreError, Token};

use crate::Failure;
use crate::args::{LoginCommand, TokenCommand};
use crate::control::{Request, ask};
use crate::say::say;

/// `pilotline login …`
pub(crate) fn login(command: LoginCommand) -> Result<(), Failure> {
    match command {
        LoginCommand::Add { name, pilot, gateway, password_stdin, certificate, data } => {
            model::check_name(&name).with_context(|| format!("login name `{name}`"))?;
            let pilot = PilotId::parse(&pilot).context("--pilot")?;
            let gateway = gateway.map(|id| GatewayId::parse(&id)).transpose().context("--gateway")?;
            let (secret, shown) = secret(password_stdin, certificate)?;
            let known = put(&data.data, Request::Logins)?;
            if known.as_array().into_iter().flatten().any(|login| login["name"] == *name) {
                eprintln!("login `{name}` was there: its secret and its pilot are replaced");
            }
            put(&data.data, Request::PutLogin(Login { name, pilot, gateway, secret }))?;
            if let Some(shown) = shown {
                say!("{shown}");
            }
            Ok(())
        }
        LoginCommand::List { json, data } => {
            let logins = put(&data.data, Request::Logins)?;
            list(&logins, json, &["name", "pilot", "gateway", "secret"])
        }
        LoginCommand::Remove { name, data } => put(&data.data, Request::RemoveLogin(name)).map(drop),
    }
}

/// The secret as it is stored, and what the person has to see once.
fn secret(password_stdin: bool, certificate: Option<String>) -> anyhow::Result<(Secret, Option<String>)> {
    if let Some(common_name) = certificate {
        return Ok((Secret::Certificate(common_name), None));
    }
    if password_stdin {
        let mut password = String::new();
        std::io::stdin().read_line(&mut password).context("failed to read the password")?;
        let password = password.trim_end_matches(['\r', '\n']);
        if password.is_empty() {
            bail!("the password on standard input is empty");
        }
        return Ok((ingest::auth::hash_password(password)?, None));
    }
    let generated = ingest::auth::generate_secret();
    Ok((ingest::auth::hash_generated(&generated), Some(generated)))
}

/// `pilotline token …`
pub(crate) fn token(command: TokenCommand) -> Result<(), Failure> {
    match command {
        TokenCommand::Add { name, scope, expires, data } => {
            model::check_name(&name).with_context(|| format!("token name `{name}`"))?;
            let expires = expires.map(|day| last_instant(&day)).transpose()?;
            let (shown, token) = new_token(name, scope, expires)?;
            put(&data.data, Request::PutToken(token))?;
            say!("{shown}");
            Ok(())
        }
        TokenCommand::List { json, data } => {
            let tokens = put(&data.data, Request::Tokens)?;
            list(&tokens, json, &["name", "scope", "created", "expires"])
        }
        TokenCommand::Remove { name, data } => put(&data.data, Request::RemoveToken(name)).map(drop),
    }
}

fn new_token(name: String, scope: String, expires: Option<model::UnixMillis>) -> anyhow::Result<(String, Token)> {
    let parsed = TokenScope::parse(&scope).map_err(anyhow::Error::msg).context("--scope")?;
    let (shown, sha256) = generate_token(&parsed).context("failed to get random bytes")?;
    Ok((shown, Token { name, scope, sha256, created: model::clock::now(), expires }))
}

/// The end of a day, UTC.
fn last_instant(day: &str) -> anyhow::Result<model::UnixMillis> {
    let date: jiff::civil::Date =
        day.parse().with_context(|| format!("--expires `{day}` is no date like 2027-12-31"))?;
    let next = date.tomorrow().context("--expires lies beyond the calendar")?;
    Ok(model::period::midnight(next, &jiff::tz::TimeZone::UTC).plus(-1))
}

/// Asks the running server, or opens the directory if none runs.
fn put(data: &Path, request: Request) -> Result<Value, Failure> {
    if let Some(answer) = ask(data, &request)? {
        return answer.into_result();
    }
    let store = Store::open(data, Access::Owner).context("failed to open the store")?;
    match apply(&store, &request) {
        Some(done) => Ok(done.context("failed to change the store")?),
        None => Err(anyhow::anyhow!("`{request:?}` needs a running server").into()),
    }
}

/// Does what concerns logins and tokens; none for every other request.
pub(crate) fn apply(store: &Store, request: &Request) -> Option<Result<Value, StoreError>> {
    let done = match request {
        Request::PutLogin(login) => store.write(|tx| tx.put_login(login)).map(|()| json!({})),
        Request::RemoveLogin(name) => store.write(|tx| tx.remove_login(name)).map(|found| json!({ "removed": found })),
        Request::Logins => store.logins().map(|logins| logins.iter().map(shown_login).collect()),
        Request::PutToken(token) => store.write(|tx| tx.put_token(token)).map(|()| json!({})),
        Request::RemoveToken(name) => store.write(|tx| tx.remove_token(name)).map(|found| json!({ "removed": found })),
        Request::Tokens => store.tokens().map(|tokens| tokens.iter().map(shown_token).collect()),
        Request::Reload
        | Request::Rejected { .. }
        | Request::Suggest
        | Request::Replay
        | Request::Explain(_)
        | Request::Import(_)
        | Request::Recompute
        | Request::Publish { .. }
        | Request::Correct(_)
        | Request::WouldCorrect(_)
        | Request::Corrections { .. }
        | Request::Verify
        | Request::Projection
        | Request::Rebuild
        | Request::CountProjection => return None,
    };
    Some(done)
}

/// A login without its secret.
fn shown_login(login: &Login) -> Value {
    let secret = match &login.secret {
        Secret::Sha256(_) => "generated".to_owned(),
        Secret::Argon2(_) => "password".to_owned(),
        Secret::Certificate(common_name) => format!("certificate {common_name}"),
    };
    json!({ "name": login.name, "pilot": login.pilot, "gateway": login.gateway, "secret": secret })
}

fn shown_token(token: &Token) -> Value {
    json!({ "name": token.name, "scope": token.scope, "created": token.created, "expires": token.expires })
}

/// Prints rows as JSON, or as tab-separated columns.
fn list(rows: &Value, json: bool, columns: &[&str]) -> Result<(), Failure> {
    if json {
        say!("{rows}");
        return Ok(());
    }
    for row in rows.as_array().into_iter().flatten() {
        let cell = |column: &&str| match &row[*column] {
            Value::String(text) => text.clone(),
            Value::Null => "-".to_owned(),
            number @ (Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_)) => number.to_string(),
        };
        say!("{}", columns.iter().map(cell).collect::<Vec<_>>().join("\t"));
    }
    Ok(())
}
