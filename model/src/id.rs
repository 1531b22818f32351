//! Ids and names as CONTRACT fixes them: pilots, gateways and slugs are ASCII, names are any short UTF-8.
//!
//! Invariants:
//! - a [`PilotId`] or [`Slug`] matches `[a-z0-9][a-z0-9-]{0,63}`; a [`GatewayId`] also takes `A-Z . _`, and is neither
//!   `.` nor `..`;
//! - ids are cheap to clone (one reference count).

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Longest id of a pilot, gateway, workshop, region or sector, in bytes.
pub const ID_BYTES_MAX: usize = 64;
/// Longest product, order, asset, name or reading id, in bytes.
pub const NAME_BYTES_MAX: usize = 256;

/// Why a text is no id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    #[error("{what} id is empty; it needs 1 to 64 of {allowed}")]
    Empty { what: &'static str, allowed: &'static str },
    #[error("{what} id `{id}` has {len} bytes; at most 64 are allowed")]
    Long { what: &'static str, id: String, len: usize },
    #[error("{what} id `{id}` has `{found}` at byte {at}; allowed: {allowed}")]
    Character { what: &'static str, id: String, found: char, at: usize, allowed: &'static str },
}

/// Why a text is no name (product, order, asset, name, id).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    #[error("is empty; it needs 1 to 256 bytes")]
    Empty,
    #[error("has {0} bytes; at most 256 are allowed")]
    Long(usize),
    #[error("has `{}` at byte {at}; control characters, `+` and `#` are not allowed", found.escape_default())]
    Character { found: char, at: usize },
}

/// Checks an asset, name, product, order or reading id: 1–256 bytes of UTF-8 without control characters, `+` or `#`.
///
/// # Errors
/// Says which rule the text breaks and where.
pub fn check_name(name: &str) -> Result<(), NameError> {
    if name.is_empty() {
        return Err(NameError::Empty);
    }
    if name.len() > NAME_BYTES_MAX {
        return Err(NameError::Long(name.len()));
    }
    match name.char_indices().find(|&(_, c)| c.is_control() || c == '+' || c == '#') {
        None => Ok(()),
        Some((at, found)) => Err(NameError::Character { found, at }),
    }
}

const SLUG_ALLOWED: &str = "a-z, 0-9 and `-`, the first not `-`";
const GATEWAY_ALLOWED: &str = "A-Z, a-z, 0-9, `.`, `_` and `-`, the first not `-`";

fn check_slug(what: &'static str, id: &str) -> Result<(), IdError> {
    check_id(what, id, SLUG_ALLOWED, |c| matches!(c, 'a'..='z' | '0'..='9'))
}

fn check_id(what: &'static str, id: &str, allowed: &'static str, first: impl Fn(char) -> bool) -> Result<(), IdError> {
    if id.is_empty() {
        return Err(IdError::Empty { what, allowed });
    }
    if id.len() > ID_BYTES_MAX {
        return Err(IdError::Long { what, id: id.to_owned(), len: id.len() });
    }
    let fits = |(at, c): (usize, char)| first(c) || (at > 0 && c == '-');
    match id.char_indices().find(|&found| !fits(found)) {
        None => Ok(()),
        Some((at, found)) => Err(IdError::Character { what, id: id.to_owned(), found, at, allowed }),
    }
}

/// The id of a pilot: the name of its registry file and a level of its topics.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PilotId(Arc<str>);

impl PilotId {
    /// The only way to make one.
    ///
    /// # Errors
    /// Names the byte that is not allowed.
    pub fn parse(id: &str) -> Result<PilotId, IdError> {
        check_slug("pilot", id)?;
        Ok(PilotId(id.into()))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The id of a gateway, unique within its pilot.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GatewayId(Arc<str>);

impl GatewayId {
    /// The only way to make one.
    ///
    /// # Errors
    /// Names the byte that is not allowed.
    pub fn parse(id: &str) -> Result<GatewayId, IdError> {
        let first = |c: char| matches!(c, 'a'..='z' | 'A'..='Z' | '0'..='9' | '.' | '_');
        check_id("gateway", id, GATEWAY_ALLOWED, first)?;
        if id == "." || id == ".." {
            let (what, allowed) = ("gateway", GATEWAY_ALLOWED);
            return Err(IdError::Character { what, id: id.to_owned(), found: '.', at: 0, allowed });
        }
        Ok(GatewayId(id.into()))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The id of a workshop, region, sector or programme.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slug(Arc<str>);

impl Slug {
    /// The only way to make one.
    ///
    /// # Errors
    /// Names the byte that is not allowed.
    pub fn parse(id: &str) -> Result<Slug, IdError> {
        check_slug("", id)?;
        Ok(Slug(id.into()))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Writes the traits that the three ids share: text in, text out, hashed and compared as text.
macro_rules! as_text {
    ($id:ident) => {
        impl fmt::Display for $id {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl Borrow<str> for $id {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
        impl Serialize for $id {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }
        impl<'de> Deserialize<'de> for $id {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<$id, D::Error> {
                let text = String::deserialize(deserializer)?;
                $id::parse(&text).map_err(serde::de::Error::custom)
            }
        }
    };
}
as_text!(PilotId);
as_text!(GatewayId);
as_text!(Slug);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pilot_id_names_the_byte_that_is_wrong() {
        insta::assert_snapshot!(PilotId::parse("site/Line 1").unwrap_err(),
            @"pilot id `site/Line 1` has `/` at byte 4; allowed: a-z, 0-9 and `-`, the first not `-`");
        insta::assert_snapshot!(PilotId::parse("").unwrap_err(),
            @"pilot id is empty; it needs 1 to 64 of a-z, 0-9 and `-`, the first not `-`");
        assert!(PilotId::parse("-a").is_err());
        assert!(PilotId::parse(&"a".repeat(64)).is_ok());
        assert!(PilotId::parse(&"a".repeat(65)).is_err());
    }

    #[test]
    fn a_gateway_id_is_never_a_path() {
        assert!(GatewayId::parse("..").is_err());
        assert!(GatewayId::parse(".").is_err());
        assert!(GatewayId::parse("Gw_1.a").is_ok());
        assert!(GatewayId::parse("a/b").is_err());
    }

    #[test]
    fn names_are_any_short_text_without_wildcards() {
        for good in ["A相电流", "em:0", "line-a/test"] {
            check_name(good).unwrap();
        }
        for bad in ["", "a+b", "a#", "a\u{0}b", "tab\t"] {
            assert!(check_name(bad).is_err(), "{bad:?}");
        }
    }
}
