//! Reads a request's parameters, strictly: an unknown or repeated one is a 400 that names it and what exists.

use axum::extract::Query;
use axum::http::Uri;
use model::{PilotId, UnixMillis};

use super::problem::Problem;

/// The parameters of one request, all of them known.
#[derive(Debug, Default)]
pub(crate) struct Params(Vec<(String, String)>);

impl Params {
    /// Reads the query of `uri`; only the names in `known` may stand in it, each once.
    pub(crate) fn read(uri: &Uri, known: &[&str]) -> Result<Params, Problem> {
        let Query(pairs) = Query::<Vec<(String, String)>>::try_from_uri(uri)
            .map_err(|error| Problem::parameter("query", format!("the query cannot be read: {error}")))?;
        for (index, (name, _)) in pairs.iter().enumerate() {
            if !known.contains(&name.as_str()) {
                let exist = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
                let detail = format!("there is no parameter `{}` here; there are: {exist}", shortened(name));
                return Err(Problem::parameter(shortened(name), detail));
            }
            if pairs[..index].iter().any(|(earlier, _)| earlier == name) {
                return Err(Problem::parameter(name, format!("`{name}` stands twice; give it once")));
            }
        }
        Ok(Params(pairs))
    }

    /// The text of a parameter, if it is there.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    /// A parameter that must be there and not empty.
    pub(crate) fn required(&self, name: &str) -> Result<&str, Problem> {
        match self.get(name) {
            Some(value) if !value.is_empty() => Ok(value),
            Some(_) | None => Err(Problem::parameter(name, format!("`{name}` is missing; it must be given"))),
        }
    }

    /// A pilot id; none if absent.
    pub(crate) fn pilot(&self) -> Result<Option<PilotId>, Problem> {
        let Some(text) = self.get("pilot") else { return Ok(None) };
        PilotId::parse(text).map(Some).map_err(|error| Problem::parameter("pilot", error.to_string()))
    }

    /// An instant; none if absent.
    pub(crate) fn instant(&self, name: &str) -> Result<Option<UnixMillis>, Problem> {
        let Some(text) = self.get(name) else { return Ok(None) };
        read_instant(text).map(Some).ok_or_else(|| {
            let example = "`2025-03-01T08:00:00+08:00` (`+` sent as `%2B`) or `1740787200000`";
            Problem::parameter(
                name,
                format!("`{name}` is no RFC 3339 time with offset nor epoch milliseconds: {example}"),
            )
        })
    }

    /// `from` and `to`, half-open; all of time where absent.
    pub(crate) fn span(&self) -> Result<(UnixMillis, UnixMillis), Problem> {
        let from = self.instant("from")?.unwrap_or(UnixMillis(i64::MIN));
        let to = self.instant("to")?.unwrap_or(UnixMillis(i64::MAX));
        if from > to {
            return Err(Problem::parameter("to", "`to` lies before `from`; it is exclusive and must not"));
        }
        Ok((from, to))
    }

    /// `limit`: rows of one page; none = everything.
    pub(crate) fn limit(&self) -> Result<Option<usize>, Problem> {
        let Some(text) = self.get("limit") else { return Ok(None) };
        let limit = text.parse::<usize>().ok().filter(|limit| (1..=LIMIT_MAX).contains(limit));
        let wrong = || Problem::parameter("limit", format!("`limit` must be a number from 1 to {LIMIT_MAX}"));
        limit.map(Some).ok_or_else(wrong)
    }

    /// `cursor`: where a page begins, as the page before wrote it.
    pub(crate) fn cursor(&self) -> Result<Cursor, Problem> {
        let Some(text) = self.get("cursor") else { return Ok(Cursor::default()) };
        let read = || {
            let (at, skip) = text.split_once('.')?;
            Some(Cursor { at: Some(UnixMillis(at.parse().ok()?)), skip: skip.parse().ok()? })
        };
        read().ok_or_else(|| Problem::parameter("cursor", "`cursor` must come from the `Link` of the page before"))
    }

    /// `offset`: rows to skip in a list that does not grow with time.
    pub(crate) fn offset(&self) -> Result<usize, Problem> {
        let Some(text) = self.get("cursor") else { return Ok(0) };
        let wrong = || Problem::parameter("cursor", "`cursor` must come from the `Link` of the page before");
        text.parse().ok().ok_or_else(wrong)
    }

    /// The query of the next page: these parameters with `name` set to `value`.
    pub(crate) fn with(&self, name: &str, value: &str) -> String {
        let others = self.0.iter().filter(|(found, _)| found != name);
        of(&others.map(|(n, v)| (n.as_str(), v.as_str())).chain([(name, value)]).collect::<Vec<_>>())
    }
}

/// A query of these parameters, `?` first.
pub(crate) fn of(params: &[(&str, &str)]) -> String {
    let mut out = String::new();
    for (name, value) in params {
        out.push(if out.is_empty() { '?' } else { '&' });
        out.push_str(name);
        out.push('=');
        escape(value, &mut out);
    }
    out
}

/// Rows of one page at most: a page is built whole, some 20 MB of text.
const LIMIT_MAX: usize = 100_000;

/// Where a page of rows in time order begins: at this instant, after so many rows of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Cursor {
    pub(crate) at: Option<UnixMillis>,
    pub(crate) skip: usize,
}

impl Cursor {
    pub(crate) fn text(self) -> String {
        format!("{}.{}", self.at.map_or(i64::MIN, |at| at.0), self.skip)
    }
}

/// RFC 3339, or epoch milliseconds. A `+` that was not escaped arrives as a blank and is taken for what it was.
fn read_instant(text: &str) -> Option<UnixMillis> {
    if let Ok(ms) = text.parse::<i64>() {
        // Beyond the calendar nothing can be printed, and nothing is stored.
        return (-62_135_596_800_000..253_402_300_800_000).contains(&ms).then_some(UnixMillis(ms));
    }
    let mended = text.len().checked_sub(6).filter(|&at| text.as_bytes()[at] == b' ').map(|at| {
        let (head, tail) = text.split_at(at);
        format!("{head}+{}", &tail[1..])
    });
    UnixMillis::parse(mended.as_deref().unwrap_or(text)).ok()
}

/// A name from outside, short enough to print.
fn shortened(name: &str) -> &str {
    let end = name.char_indices().nth(64).map_or(name.len(), |(at, _)| at);
    &name[..end]
}

/// Percent-encodes what has a meaning of its own in a query.
fn escape(text: &str, out: &mut String) {
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b':' | b'/' => {
                out.push(char::from(byte))
            }
            _ => {
                let hex = |nibble: u8| char::from(b"0123456789ABCDEF"[usize::from(nibble)]);
                out.extend(['%', hex(byte >> 4), hex(byte & 15)]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn params(query: &str, known: &[&str]) -> Result<Params, Problem> {
        Params::read(&format!("/x?{query}").parse().unwrap(), known)
    }

    #[test]
    fn an_unknown_or_repeated_parameter_is_named_with_what_exists() {
        insta::assert_snapshot!(params("form=1", &["from", "to"]).unwrap_err().detail(),
            @"there is no parameter `form` here; there are: from, to");
        insta::assert_snapshot!(params("from=1&from=2", &["from", "to"]).unwrap_err().detail(),
            @"`from` stands twice; give it once");
    }

    #[test]
    fn a_time_is_rfc3339_or_milliseconds_and_a_lost_plus_is_mended() {
        let at = |text: &str| params(&format!("from={text}"), &["from"]).unwrap().instant("from").ok().flatten();
        let expected = Some(UnixMillis(1_740_787_200_000));
        assert_eq!(at("2025-03-01T08:00:00%2B08:00"), expected);
        assert_eq!(at("2025-03-01T08:00:00+08:00"), expected);
        assert_eq!(at("2025-03-01T00:00:00Z"), expected);
        assert_eq!(at("1740787200000"), expected);
        assert_eq!(at("2025-03-01"), None);
        assert_eq!(at("9999999999999999"), None);
        assert_eq!(at("%E6%97%A5%E6%97%A5%E6%97%A5"), None);
    }

    #[test]
    fn the_next_page_keeps_the_other_parameters_whatever_they_hold() {
        let params = params("asset=A%26%E7%9B%B8%20x&limit=5", &["asset", "limit", "cursor"]).unwrap();
        assert_eq!(params.with("cursor", "12.3"), "?asset=A%26%E7%9B%B8%20x&limit=5&cursor=12.3");
    }
}
