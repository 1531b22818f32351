//! The HTTP client of a projection: one request, one answer with status, headers and body, whatever the status is.
//!
//! The token is read from its file for every request, so that a new one is in use at once. Every request has an end: a server
//! that accepts and says nothing counts as not answering.

use std::io::Write as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use ureq::Agent;
use ureq::http::Response;
use ureq::tls::{PemItem, RootCerts, TlsConfig, parse_pem};

use super::Settings;

/// How long a server may take for one answer. A batch of 5,000 lines is written in well under a second; a query over a month
/// of hours may take some.
const TIMEOUT: Duration = Duration::from_secs(30);
/// How long it may take until it accepts a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Bytes of an answer that are read: a month of hourly counts is some 50 kB.
const ANSWER_MAX: u64 = 4 << 20;
/// What most Linux systems keep their certificate authorities in.
const SYSTEM_CA: &str = "/etc/ssl/certs/ca-certificates.crt";

/// What a server said.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: String,
    pub(crate) retry_after: Option<String>,
    /// `X-Influxdb-Version`.
    pub(crate) version: Option<String>,
    /// `X-Server-Hostname`: VictoriaMetrics says it with every answer.
    pub(crate) host: Option<String>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unanswered {
    #[error("token file `{path}` cannot be read: {source}")]
    Token { path: PathBuf, source: std::io::Error },
    #[error("no answer: {0}")]
    Failed(String),
}

/// Why no client can be made.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    #[error(
        "certificates in `{path}` cannot be read: {text}; `ca` names a PEM file of who signed the server's certificate"
    )]
    Certificates { path: PathBuf, text: String },
    #[error("`url` is `{0}`; write http://HOST:PORT or https://HOST:PORT, with the server's prefix if it has one")]
    Url(String),
}

/// What is sent.
pub(crate) enum Body<'a> {
    /// Nothing: GET.
    None,
    /// Nothing: POST.
    Empty,
    Json(&'a str),
    Lines(&'a str),
}

/// Talks to one server.
pub(crate) struct Client {
    agent: Agent,
    url: String,
    token_file: Option<PathBuf>,
}

impl Client {
    /// Does not connect yet.
    pub(crate) fn new(settings: &Settings) -> Result<Client, ClientError> {
        let url = settings.url.trim_end_matches('/').to_owned();
        let host = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://"));
        if host.is_none_or(|host| host.is_empty() || host.contains(['?', '#', '@'])) {
            return Err(ClientError::Url(settings.url.clone()));
        }
        let mut config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .timeout_global(Some(TIMEOUT))
            .timeout_connect(Some(CONNECT_TIMEOUT))
            .user_agent(concat!("pilotline/", env!("CARGO_PKG_VERSION")));
        if url.starts_with("https://") {
            config = config.tls_config(tls(settings)?);
        }
        Ok(Client { agent: config.build().new_agent(), url, token_file: settings.token_file.clone() })
    }

    /// The server's address as it was configured.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// One request to `path` below the server's address.
    pub(crate) fn ask(&self, path: &str, query: &[(&str, &str)], body: &Body<'_>) -> Result<Answer, Unanswered> {
        let url = format!("{}{path}", self.url);
        let token = self.token()?;
        let sent = match body {
            Body::None => {
                let mut request = self.agent.get(&url).query_pairs(query.iter().copied());
                if let Some(token) = &token {
                    request = request.header("Authorization", token);
                }
                request.call()
            }
            Body::Empty | Body::Json(_) | Body::Lines(_) => {
                let mut request = self.agent.post(&url).query_pairs(query.iter().copied());
                if let Some(token) = &token {
                    request = request.header("Authorization", token);
                }
                match body {
                    Body::None | Body::Empty => request.send_empty(),
                    Body::Json(json) => request.header("Content-Type", "application/json").send(*json),
                    Body::Lines(lines) => request
                        .header("Content-Type", "text/plain; charset=utf-8")
                        .header("Content-Encoding", "gzip")
                        .send(zipped(lines)?.as_slice()),
                }
            }
        };
        read(sent.map_err(|error| Unanswered::Failed(error.to_string()))?)
    }

    /// The header's value; none without a token file.
    fn token(&self) -> Result<Option<String>, Unanswered> {
        let Some(path) = &self.token_file else { return Ok(None) };
        let text = std::fs::read_to_string(path).map_err(|source| Unanswered::Token { path: path.clone(), source })?;
        Ok(Some(format!("Token {}", text.trim())))
    }
}

fn read(response: Response<ureq::Body>) -> Result<Answer, Unanswered> {
    let header = |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let (retry_after, version) = (header("Retry-After"), header("X-Influxdb-Version"));
    let (status, host) = (response.status().as_u16(), header("X-Server-Hostname"));
    let body = response.into_body().into_with_config().limit(ANSWER_MAX).lossy_utf8(true).read_to_string();
    let body = body.map_err(|error| Unanswered::Failed(format!("the answer broke off: {error}")))?;
    Ok(Answer { status, body, retry_after, version, host })
}

fn zipped(lines: &str) -> Result<Vec<u8>, Unanswered> {
    // The fastest level: lines of one series shrink to a tenth with it, and a fiftieth less with the best.
    let mut gzip = GzEncoder::new(Vec::with_capacity(lines.len() / 8), Compression::fast());
    let done = gzip.write_all(lines.as_bytes()).and_then(|()| gzip.finish());
    done.map_err(|error| Unanswered::Failed(format!("the batch does not compress: {error}")))
}

fn tls(settings: &Settings) -> Result<TlsConfig, ClientError> {
    let path = settings.ca.clone().unwrap_or_else(|| SYSTEM_CA.into());
    let wrong = |text: String| ClientError::Certificates { path: path.clone(), text };
    let pem = std::fs::read(&path).map_err(|error| wrong(error.to_string()))?;
    let mut certificates = Vec::new();
    for item in parse_pem(&pem) {
        if let PemItem::Certificate(certificate) = item.map_err(|error| wrong(error.to_string()))? {
            certificates.push(certificate);
        }
    }
    if certificates.is_empty() {
        return Err(wrong("it holds no certificate".to_owned()));
    }
    Ok(TlsConfig::builder()
        .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .root_certs(RootCerts::Specific(Arc::new(certificates)))
        .build())
}
