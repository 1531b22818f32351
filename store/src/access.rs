//! Logins of gateways and tokens of the HTTP side, as stored.

use rusqlite::Connection;
use serde::de::DeserializeOwned;

use crate::api::{Login, Token};
use crate::error::{StoreError, reading};
use crate::open::Store;
use crate::seal::{seal_value, unseal_value};

fn login_place(name: &str) -> String {
    format!("login/{name}")
}

fn token_place(name: &str) -> String {
    format!("token/{name}")
}

pub(crate) fn seal_login(login: &Login) -> Result<Vec<u8>, StoreError> {
    seal_value(&login_place(&login.name), login)
}

pub(crate) fn seal_token(token: &Token) -> Result<Vec<u8>, StoreError> {
    seal_value(&token_place(&token.name), token)
}

fn all<T: DeserializeOwned>(
    conn: &Connection,
    what: &'static str,
    query: &str,
    place: impl Fn(&str) -> String,
) -> Result<Vec<T>, StoreError> {
    let failed = reading(what);
    let mut statement = conn.prepare_cached(query).map_err(&failed)?;
    let mut rows = statement.query([]).map_err(&failed)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next().map_err(&failed)? {
        let (name, blob): (String, Vec<u8>) = (row.get(0).map_err(&failed)?, row.get(1).map_err(&failed)?);
        found.push(unseal_value(&place(&name), &blob)?);
    }
    Ok(found)
}

impl Store {
    /// All logins, by name.
    ///
    /// # Errors
    /// On reading.
    pub fn logins(&self) -> Result<Vec<Login>, StoreError> {
        self.read(|conn| all(conn, "logins", "SELECT name, blob FROM login ORDER BY name", login_place))
    }

    /// All tokens, by name.
    ///
    /// # Errors
    /// On reading.
    pub fn tokens(&self) -> Result<Vec<Token>, StoreError> {
        self.read(|conn| all(conn, "tokens", "SELECT name, blob FROM token ORDER BY name", token_place))
    }
}
