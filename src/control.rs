//! The control socket: how a command asks the server that owns a data directory to do something.
//!
//! `DIR/control.sock`, mode 0600: one JSON line in, one JSON line out, per connection. A command that finds no server opens
//! the directory itself and runs the same code.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use serde::{Deserialize, Serialize};
use store::{Login, Token};

use crate::Failure;
use crate::explain::Question;
use crate::import::Step;
use crate::office::Office;

/// What can be asked.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum Request {
    Reload,
    PutLogin(Login),
    RemoveLogin(String),
    Logins,
    PutToken(Token),
    RemoveToken(String),
    Tokens,
    Rejected {
        since: Option<String>,
    },
    Suggest,
    Replay,
    Explain(Question),
    Import(Step),
    Recompute,
    Publish {
        scope: Option<String>,
    },
    Verify,
    Projection,
    Rebuild,
    CountProjection,
    /// Rows of named fields.
    Correct(Vec<serde_json::Value>),
    WouldCorrect(Vec<serde_json::Value>),
    Corrections {
        pilot: Option<String>,
        since: Option<String>,
    },
}

/// What is answered.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Answer {
    Done(serde_json::Value),
    /// Mistakes in files: (file, line, text).
    Mistakes(Vec<(String, usize, String)>),
    Failed(String),
    /// The arguments were wrong.
    Refused(String),
}

impl Answer {
    /// As the command that asked ends.
    ///
    /// # Errors
    /// What the server answered instead of a result.
    pub(crate) fn into_result(self) -> Result<serde_json::Value, Failure> {
        match self {
            Answer::Done(value) => Ok(value),
            Answer::Failed(text) => Err(Failure::Other(anyhow::Error::msg(text))),
            Answer::Refused(text) => Err(Failure::Arguments(text)),
            Answer::Mistakes(mistakes) => {
                let mistake = |(file, line, text)| model::registry::Mistake { file, line, text };
                Err(Failure::Mistakes(mistakes.into_iter().map(mistake).collect()))
            }
        }
    }
}

impl From<Result<serde_json::Value, Failure>> for Answer {
    fn from(result: Result<serde_json::Value, Failure>) -> Answer {
        match result {
            Ok(value) => Answer::Done(value),
            Err(Failure::Other(error)) => Answer::Failed(format!("{error:#}")),
            Err(Failure::Arguments(text)) => Answer::Refused(text),
            Err(Failure::Told) => Answer::Failed(String::new()),
            Err(Failure::Mistakes(mistakes)) => {
                Answer::Mistakes(mistakes.into_iter().map(|m| (m.file, m.line, m.text)).collect())
            }
        }
    }
}

fn path(data: &Path) -> PathBuf {
    data.join("control.sock")
}

/// Asks the server that owns `data`; none if no server listens there.
///
/// # Errors
/// If a server listens but does not answer.
pub(crate) fn ask(data: &Path, request: &Request) -> anyhow::Result<Option<Answer>> {
    let Ok(mut stream) = UnixStream::connect(path(data)) else { return Ok(None) };
    let mut line = serde_json::to_string(request)?;
    line.push('\n');
    stream.write_all(line.as_bytes()).context("failed to ask the running server")?;
    let mut answer = String::new();
    BufReader::new(stream).read_line(&mut answer).context("the running server did not answer")?;
    Ok(Some(serde_json::from_str(&answer).context("the running server answered something else than JSON")?))
}

/// The socket, removed when dropped.
pub(crate) struct Control {
    path: PathBuf,
}

impl Drop for Control {
    fn drop(&mut self) {
        // Whoever finds a stale socket is refused by connect; leaving it behind is harmless.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Listens and answers, one request at a time, on a thread of its own. The caller holds the directory's lock.
///
/// # Errors
/// If the socket cannot be made.
pub(crate) fn listen(data: &Path, office: Arc<Office>) -> anyhow::Result<Control> {
    let path = path(data);
    // We hold the lock, so a socket that lies there is a dead server's.
    let _ = std::fs::remove_file(&path);
    let listener = UnixListener::bind(&path).with_context(|| format!("failed to make `{}`", path.display()))?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))
        .with_context(|| format!("failed to protect `{}`", path.display()))?;
    std::thread::Builder::new()
        .name("control".to_owned())
        .spawn(move || {
            for stream in listener.incoming().flatten() {
                if let Err(error) = answer(&stream, &office) {
                    tracing::warn!(error = format!("{error:#}"), "control request not answered");
                }
            }
        })
        .context("failed to start the control thread")?;
    Ok(Control { path })
}

fn answer(stream: &UnixStream, office: &Office) -> anyhow::Result<()> {
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line)?;
    let request: Request = serde_json::from_str(&line).context("no request")?;
    let answer = Answer::from(office.execute(request, &|_share| {}));
    let mut line = serde_json::to_string(&answer)?;
    line.push('\n');
    let mut stream = stream;
    stream.write_all(line.as_bytes())?;
    Ok(())
}
