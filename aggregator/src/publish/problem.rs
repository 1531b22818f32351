//! Errors as RFC 9457 problem details: what is wrong with which parameter, and what would be right.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use store::StoreError;

use super::corrections::Mistake;

/// One problem, as it leaves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Problem {
    #[serde(rename = "type")]
    kind: &'static str,
    title: &'static str,
    status: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    parameter: Option<String>,
    detail: String,
    /// Every mistake of a request that may hold several.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<Mistake>,
    #[serde(skip)]
    retry_after_seconds: Option<u16>,
}

impl Problem {
    pub(crate) fn new(status: StatusCode, detail: impl Into<String>) -> Problem {
        let title = status.canonical_reason().unwrap_or("Error");
        let (status, detail) = (status.as_u16(), detail.into());
        Problem {
            kind: "about:blank",
            title,
            status,
            parameter: None,
            detail,
            errors: Vec::new(),
            retry_after_seconds: None,
        }
    }

    /// 400: a parameter is wrong; `detail` says what would be right.
    pub(crate) fn parameter(name: &str, detail: impl Into<String>) -> Problem {
        Problem { parameter: Some(name.to_owned()), ..Problem::new(StatusCode::BAD_REQUEST, detail) }
    }

    /// The same with every mistake of the request.
    pub(crate) fn with_errors(self, errors: Vec<Mistake>) -> Problem {
        Problem { errors, ..self }
    }

    /// 404 that never repeats what was asked for: what is foreign and what is missing answer the same bytes.
    pub(crate) fn not_found(name: &str, detail: &'static str) -> Problem {
        Problem { parameter: Some(name.to_owned()), ..Problem::new(StatusCode::NOT_FOUND, detail) }
    }

    /// 503: what was acknowledged before the request is not yet in the figures.
    pub(crate) fn not_yet() -> Problem {
        let detail = "what was acknowledged before this request is not yet in the answer; ask again in a moment";
        Problem { retry_after_seconds: Some(2), ..Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail) }
    }

    /// 500: the store failed. The chain goes to the log, not to the client: it names files.
    pub(crate) fn store(error: &StoreError) -> Problem {
        tracing::error!(error = error as &dyn std::error::Error, "request not answered: the store failed");
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "the store could not be read; the log of the server says why")
    }

    pub(crate) fn status(&self) -> StatusCode {
        // Safe because it was made from a status code.
        StatusCode::from_u16(self.status).expect("a status code")
    }

    pub(crate) fn detail(&self) -> &str {
        &self.detail
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        // Safe because strings and integers always serialize.
        let body = serde_json::to_string(&self).expect("a problem serializes");
        let mut response = (self.status(), body).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(seconds) = self.retry_after_seconds {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}
