//! Long answers: rows are made on a blocking thread, a page at a time, and leave as they come.
//!
//! Invariant: a client that reads slowly holds at most [`CHUNKS_WAITING`] chunks and one page of rows; one that goes away
//! stops the reading.

use std::io;

use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, header};
use axum::response::Response;
use serde::Serialize;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::problem::Problem;

/// Chunks made and not yet sent: two of them hide the wake-up of the producer, more would only be memory.
const CHUNKS_WAITING: usize = 2;
/// A chunk leaves when it is this large.
const CHUNK_BYTES: usize = 64 * 1024;

/// The client is gone: stop.
#[derive(Debug)]
pub(crate) struct Gone;

/// Why a stream ended early.
#[derive(Debug)]
pub(crate) enum Stop {
    Gone,
    Failed(store::StoreError),
}

impl From<Gone> for Stop {
    fn from(_: Gone) -> Stop {
        Stop::Gone
    }
}

impl From<store::StoreError> for Stop {
    fn from(error: store::StoreError) -> Stop {
        Stop::Failed(error)
    }
}

/// How rows are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// A bare JSON array.
    Json,
    /// RFC 4180 lines, the first names the columns.
    Csv(&'static [&'static str]),
}

/// Where a producer writes its rows.
pub(crate) struct Rows {
    sender: mpsc::Sender<io::Result<Bytes>>,
    buffer: Vec<u8>,
    form: Form,
    n: usize,
}

impl Rows {
    /// Writes one row as JSON.
    pub(crate) fn json(&mut self, row: &impl Serialize) -> Result<(), Gone> {
        self.buffer.extend_from_slice(if self.n == 0 { b"[" } else { b",\n" });
        self.n += 1;
        // Safe because rows are structs with text keys and finite numbers, and a Vec takes every byte.
        serde_json::to_writer(&mut self.buffer, row).expect("a row serializes");
        self.flush_if_full()
    }

    /// Writes one row as CSV.
    pub(crate) fn csv(&mut self, cells: &[&str]) -> Result<(), Gone> {
        self.n += 1;
        csv_line(cells, &mut self.buffer);
        self.flush_if_full()
    }

    fn flush_if_full(&mut self) -> Result<(), Gone> {
        if self.buffer.len() < CHUNK_BYTES { Ok(()) } else { self.flush() }
    }

    fn flush(&mut self) -> Result<(), Gone> {
        let chunk = Bytes::from(std::mem::take(&mut self.buffer));
        // The receiver is dropped with the connection; there is nobody to tell.
        self.sender.blocking_send(Ok(chunk)).map_err(|_unsent| Gone)
    }

    fn finish(&mut self) -> Result<(), Gone> {
        if self.form == Form::Json {
            self.buffer.extend_from_slice(if self.n == 0 { b"[]\n" } else { b"]\n" });
        }
        self.flush()
    }
}

fn csv_line(cells: &[&str], out: &mut Vec<u8>) {
    for (index, cell) in cells.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        if cell.contains(['"', ',', '\r', '\n']) {
            out.push(b'"');
            out.extend_from_slice(cell.replace('"', "\"\"").as_bytes());
            out.push(b'"');
        } else {
            out.extend_from_slice(cell.as_bytes());
        }
    }
    out.extend_from_slice(b"\r\n");
}

/// An answer whose rows `produce` writes on a blocking thread. A failure in the middle cuts the body short, so that a client
/// sees a broken transfer and not a short list.
pub(crate) fn answer(form: Form, produce: impl FnOnce(&mut Rows) -> Result<(), Stop> + Send + 'static) -> Response {
    let (sender, receiver) = mpsc::channel(CHUNKS_WAITING);
    tokio::task::spawn_blocking(move || {
        let mut rows = Rows { sender, buffer: Vec::with_capacity(CHUNK_BYTES), form, n: 0 };
        if let Form::Csv(columns) = form {
            csv_line(columns, &mut rows.buffer);
        }
        let produced = produce(&mut rows).and_then(|()| rows.finish().map_err(Stop::from));
        if let Err(Stop::Failed(error)) = produced {
            tracing::error!(error = &error as &dyn std::error::Error, "answer cut short: the store failed");
            // If the client is gone as well nobody needs to know.
            let _ = rows.sender.blocking_send(Err(io::Error::other("the store failed")));
        }
    });
    let mut response = Response::new(Body::from_stream(ReceiverStream::new(receiver)));
    let kind = match form {
        Form::Json => "application/json",
        Form::Csv(_) => "text/csv; charset=utf-8; header=present",
    };
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

/// A whole list as JSON, with the link to the next page if there is one.
pub(crate) fn page(rows: &[impl Serialize], next: Option<String>) -> Result<Response, Problem> {
    let mut body = Vec::with_capacity(256 * rows.len() + 4);
    // Safe because rows are structs with text keys and finite numbers.
    serde_json::to_writer(&mut body, rows).expect("rows serialize");
    body.push(b'\n');
    let mut response = Response::new(Body::from(body));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    link(&mut response, next);
    Ok(response)
}

/// Names the next page.
pub(crate) fn link(response: &mut Response, next: Option<String>) {
    let Some(next) = next else { return };
    // Safe because everything in it was percent-encoded; if it were not, a page without a link would be a lie.
    let value = HeaderValue::try_from(format!("<{next}>; rel=\"next\"")).expect("an encoded link is a header");
    response.headers_mut().insert(header::LINK, value);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn csv_cells_are_quoted_only_where_they_must() {
        let mut out = Vec::new();
        csv_line(&["a", "1,5", "say \"no\"", "两\n行", ""], &mut out);
        assert_eq!(String::from_utf8(out).unwrap(), "a,\"1,5\",\"say \"\"no\"\"\",\"两\n行\",\r\n");
    }
}
