//! What an answer to a write means. Pure: one table, no I/O.
//!
//! Nothing is ever dropped for a status: what was refused for its content is found line by line and set aside with the
//! server's words, everything else waits.

use std::time::Duration;

use jiff::fmt::rfc2822::DateTimeParser;
use model::UnixMillis;

use super::client::{Answer, Unanswered};

/// The longest pause that a server can ask for.
pub(crate) const PAUSE_MAX: Duration = Duration::from_secs(600);
/// What an unreadable `Retry-After` counts as.
const PAUSE_UNREADABLE: Duration = Duration::from_secs(10);
/// Characters of a server's words that are kept.
const WORDS_MAX: usize = 300;

/// What to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Reaction {
    Done,
    /// Something of the batch is wrong, or was left out: send the halves, down to the line. `all` of it, if the server says so.
    Refused {
        words: String,
        all: All,
    },
    TooLarge,
    /// The outcome is unknown or the server is busy: again, not before so long.
    Again {
        words: String,
        after: Option<Duration>,
    },
    /// Only a person can help: keep everything, say so, look again from time to time.
    Hold(String),
}

/// Whether a server says that it took nothing of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum All {
    No,
    Dropped,
}

/// Reads the answer to a write of `n_lines` lines.
pub(crate) fn react(answer: &Result<Answer, Unanswered>, n_lines: usize, now: UnixMillis) -> Reaction {
    let answer = match answer {
        Ok(answer) => answer,
        Err(error @ Unanswered::Token { .. }) => return Reaction::Hold(error.to_string()),
        Err(error @ Unanswered::Failed(_)) => return Reaction::Again { words: error.to_string(), after: None },
    };
    let words = words(answer);
    let refused = || Reaction::Refused { words: words.clone(), all: dropped(&answer.body, n_lines) };
    match answer.status {
        204 => Reaction::Done,
        400 if answer.body.contains("invalid precision") => Reaction::Hold(words),
        400 | 422 => refused(),
        // Old servers of version 2.0 said it so.
        500 if answer.body.contains("partial write") => refused(),
        413 => Reaction::TooLarge,
        408 | 429 | 499 => Reaction::Again { words, after: pause(answer.retry_after.as_deref(), now) },
        300..=499 => Reaction::Hold(words),
        _ => Reaction::Again { words, after: pause(answer.retry_after.as_deref(), now) },
    }
}

/// An answer in one line, for a person.
pub(crate) fn words(answer: &Answer) -> String {
    let body: serde_json::Value = serde_json::from_str(&answer.body).unwrap_or_default();
    let said = ["message", "error"].iter().find_map(|key| body.get(key)?.as_str()).unwrap_or(answer.body.trim());
    let said: String = said.chars().map(|c| if c.is_control() { ' ' } else { c }).take(WORDS_MAX).collect();
    let meaning = match answer.status {
        301..=308 => " (`url` is not the server's own)",
        401 => " (the token is not known there)",
        403 => " (the token has no right to this)",
        404 => " (organisation, bucket or path is not there)",
        _ => "",
    };
    if said.is_empty() { format!("{}{meaning}", answer.status) } else { format!("{}{meaning}: {said}", answer.status) }
}

/// Whether a partial write left out every line.
fn dropped(body: &str, n_lines: usize) -> All {
    let n = body.split("dropped=").nth(1).and_then(|rest| {
        let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
        digits.parse::<usize>().ok()
    });
    if n.is_some_and(|n| n >= n_lines) { All::Dropped } else { All::No }
}

/// `Retry-After` in seconds or as an HTTP date.
fn pause(header: Option<&str>, now: UnixMillis) -> Option<Duration> {
    static DATES: DateTimeParser = DateTimeParser::new();
    let header = header?.trim();
    let asked = match header.parse::<u64>() {
        Ok(seconds) => Duration::from_secs(seconds),
        // No number is a date, or nothing that reads.
        Err(_) => match DATES.parse_timestamp(header) {
            Ok(at) => Duration::from_millis(u64::try_from(at.as_millisecond() - now.0).unwrap_or(0)),
            Err(error) => {
                tracing::debug!(%error, header, "Retry-After does not read");
                PAUSE_UNREADABLE
            }
        },
    };
    Some(asked.min(PAUSE_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixMillis = UnixMillis(1_445_412_480_000); // 2015-10-21T07:28:00Z

    fn answer(status: u16, body: &str, retry_after: Option<&str>) -> Result<Answer, Unanswered> {
        Ok(Answer { status, body: body.to_owned(), retry_after: retry_after.map(str::to_owned), ..Answer::default() })
    }

    #[test]
    fn every_status_has_its_reaction() {
        let check = |status, body: &str, wanted: &str| {
            let reaction = match react(&answer(status, body, None), 10, NOW) {
                Reaction::Done => "done",
                Reaction::Refused { all: All::No, .. } => "bisect",
                Reaction::Refused { all: All::Dropped, .. } => "set aside",
                Reaction::TooLarge => "halve",
                Reaction::Again { .. } => "again",
                Reaction::Hold(_) => "hold",
            };
            assert_eq!(reaction, wanted, "{status} {body}");
        };
        check(204, "", "done");
        check(200, "<html>", "again");
        check(302, "", "hold");
        check(400, r#"{"code":"invalid","message":"unable to parse 'x': missing fields"}"#, "bisect");
        check(
            400,
            r#"{"code":"invalid","message":"invalid precision; valid precision units are ns, us, ms, and s"}"#,
            "hold",
        );
        check(400, r#"{"error":"partial write: field type conflict: … dropped=1"}"#, "bisect");
        check(
            422,
            r#"{"code":"unprocessable entity","message":"partial write: points beyond retention policy dropped=10"}"#,
            "set aside",
        );
        check(422, r#"{"message":"partial write: … dropped=9"}"#, "bisect");
        check(500, r#"{"code":"internal error","message":"partial write: … dropped=2"}"#, "bisect");
        check(500, r#"{"code":"internal error","message":"timeout"}"#, "again");
        for status in [401, 403, 404, 405, 418] {
            check(status, "", "hold");
        }
        check(413, "", "halve");
        for status in [408, 429, 499, 502, 503, 504] {
            check(status, "", "again");
        }
        let silent = Err(Unanswered::Failed("timeout".to_owned()));
        assert!(matches!(react(&silent, 1, NOW), Reaction::Again { after: None, .. }));
    }

    #[test]
    fn retry_after_is_seconds_or_a_date_and_never_too_long() {
        let check =
            |header, seconds| assert_eq!(pause(Some(header), NOW), Some(Duration::from_secs(seconds)), "{header}");
        check("7", 7);
        check("86400", 600);
        check("Wed, 21 Oct 2015 07:28:30 GMT", 30);
        check("Wed, 21 Oct 2015 07:00:00 GMT", 0);
        check("soon", 10);
        assert_eq!(pause(None, NOW), None);
    }

    #[test]
    fn words_are_the_servers_own_in_one_line() {
        let of = |status, body: &str| words(&answer(status, body, None).unwrap());
        insta::assert_snapshot!(of(401, r#"{"code":"unauthorized","message":"unauthorized access"}"#),
            @"401 (the token is not known there): unauthorized access");
        insta::assert_snapshot!(of(503, "<html>\nbusy</html>"), @"503: <html> busy</html>");
        insta::assert_snapshot!(of(404, ""), @"404 (organisation, bucket or path is not there)");
    }
}
