//! Who may see what: tokens, their scopes, and the gate in front of every path.
//!
//! A token is `plt_<letter>_<32 base62>_<crc>`: the letter names its scope's kind, the middle carries 190 random bits, the
//! end is the CRC-32 of what stands before it, so that a mistyped token is told from a revoked one without a look into the
//! store. Only its SHA-256 is kept; it needs no slow hash because nobody chose it.
//!
//! Invariants:
//! - on a loopback listener everybody sees everything; on any other nothing but `/healthz` and `/metrics` answers without
//!   a token;
//! - hashes are compared in constant time;
//! - a [`Viewer`] is an argument of every query: there is no way to ask without one.

use std::net::SocketAddr;

use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use model::{Pilot, PilotId, Registry, Scope, Slug, UnixMillis};
use sha2::{Digest, Sha256};
use store::Token;

use super::problem::Problem;

const BASE62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/// Characters of a token's random part: 32 · log2(62) = 190 bits.
const RANDOM_CHARS: usize = 32;
/// Characters of the checksum: 62^6 > 2^32.
const CRC_CHARS: usize = 6;

/// Whom a token speaks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TokenScope {
    /// Sees everything and may POST.
    Operator,
    /// Sees everything.
    Programme,
    Region(Slug),
    Sector(Slug),
    Pilot(PilotId),
}

impl TokenScope {
    /// Reads `operator`, `programme`, `region:R`, `sector:S` or `pilot:ID`.
    ///
    /// # Errors
    /// Says what would be right.
    pub fn parse(text: &str) -> Result<TokenScope, String> {
        let wrong = || format!("scope `{text}` is none of operator, programme, region:R, sector:S, pilot:ID");
        match (text, Scope::parse(text)) {
            ("operator", _) => Ok(TokenScope::Operator),
            (_, Some(Scope::Programme)) => Ok(TokenScope::Programme),
            (_, Some(Scope::Region(id))) => Ok(TokenScope::Region(id)),
            (_, Some(Scope::Sector(id))) => Ok(TokenScope::Sector(id)),
            (_, Some(Scope::Pilot(id))) => Ok(TokenScope::Pilot(id)),
            (_, Some(Scope::Class(_) | Scope::Workshop(..)) | None) => Err(wrong()),
        }
    }

    fn letter(&self) -> char {
        match self {
            TokenScope::Operator => 'o',
            TokenScope::Programme => 'g',
            TokenScope::Region(_) => 'r',
            TokenScope::Sector(_) => 's',
            TokenScope::Pilot(_) => 'p',
        }
    }
}

/// A new token of a scope, to be shown once, and the hash to keep.
///
/// # Errors
/// If the machine has no random numbers.
pub fn generate_token(scope: &TokenScope) -> Result<(String, [u8; 32]), getrandom::Error> {
    let mut random = String::with_capacity(RANDOM_CHARS);
    let mut byte = [0u8];
    while random.len() < RANDOM_CHARS {
        getrandom::fill(&mut byte)?;
        // 248 = 4 · 62: bytes above it would make the first characters likelier.
        if byte[0] < 248 {
            random.push(char::from(BASE62[usize::from(byte[0]) % 62]));
        }
    }
    let body = format!("plt_{}_{random}", scope.letter());
    let token = format!("{body}_{}", checksum(&body));
    let hash = hash(&token);
    Ok((token, hash))
}

/// Whether the server may start: on an address that others reach it needs a token in the store.
///
/// # Errors
/// Names the command that makes one.
pub fn check_start(address: SocketAddr, tokens: &[Token]) -> Result<(), String> {
    if address.ip().is_loopback() || !tokens.is_empty() {
        return Ok(());
    }
    Err(format!(
        "--http {address} can be reached from other machines and no token exists; make one with \
         `pilotline token add NAME --scope operator`, or listen on 127.0.0.1"
    ))
}

fn hash(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

/// CRC-32 (IEEE) in six base62 digits. Bit by bit: it runs once a request, over 38 bytes.
fn checksum(body: &str) -> String {
    let mut crc = !0u32;
    for byte in body.bytes() {
        crc ^= u32::from(byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ if crc & 1 == 1 { 0xEDB8_8320 } else { 0 };
        }
    }
    let mut rest = !crc;
    let mut digits = [b'0'; CRC_CHARS];
    for digit in digits.iter_mut().rev() {
        *digit = BASE62[(rest % 62) as usize];
        rest /= 62;
    }
    digits.iter().map(|&digit| char::from(digit)).collect()
}

/// Whether a text is a token at all: prefix, length, alphabet and checksum.
fn is_well_formed(token: &str) -> bool {
    let Some((body, crc)) = token.rsplit_once('_') else { return false };
    let shape = body.len() == "plt_x_".len() + RANDOM_CHARS && body.starts_with("plt_");
    shape && token.is_ascii() && checksum(body) == crc
}

/// Equal without telling by time how much of it is.
fn is_same_hash(a: &[u8; 32], b: &[u8; 32]) -> bool {
    let differing = a.iter().zip(b).fold(0u8, |differing, (a, b)| differing | (a ^ b));
    std::hint::black_box(differing) == 0
}

/// Whether the listener asks for tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gate {
    /// Loopback: whoever is on this machine may read.
    Open,
    Tokens,
}

impl Gate {
    /// The gate of a listener by its address.
    pub fn of(address: SocketAddr) -> Gate {
        if address.ip().is_loopback() { Gate::Open } else { Gate::Tokens }
    }
}

/// What one request may see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Viewer(TokenScope);

impl Viewer {
    /// Sees everything: a loopback listener.
    pub fn of_loopback() -> Viewer {
        Viewer(TokenScope::Operator)
    }

    /// Whether it sees all pilots and the sums over them.
    pub fn sees_all(&self) -> bool {
        matches!(self.0, TokenScope::Operator | TokenScope::Programme)
    }

    /// Whether it may change what is stored.
    pub fn may_correct(&self) -> bool {
        self.0 == TokenScope::Operator
    }

    /// Whether it sees a pilot.
    pub fn sees(&self, pilot: &Pilot) -> bool {
        match &self.0 {
            TokenScope::Operator | TokenScope::Programme => true,
            TokenScope::Region(id) => pilot.region == *id,
            TokenScope::Sector(id) => pilot.sector == *id,
            TokenScope::Pilot(id) => pilot.id == *id,
        }
    }

    /// Whether it sees the pilot of this id. Pilots that left the registry are seen only by who sees all.
    pub fn sees_id(&self, id: &PilotId, registry: &Registry) -> bool {
        self.sees_all() || registry.pilots.get(id).is_some_and(|pilot| self.sees(pilot))
    }

    /// Whether it sees the figures of a scope: its own group's, and those of its pilots and their workshops.
    pub fn sees_scope(&self, scope: &Scope, registry: &Registry) -> bool {
        match scope {
            Scope::Programme | Scope::Class(_) => self.sees_all(),
            Scope::Region(id) => self.sees_all() || self.0 == TokenScope::Region(id.clone()),
            Scope::Sector(id) => self.sees_all() || self.0 == TokenScope::Sector(id.clone()),
            Scope::Pilot(id) | Scope::Workshop(id, _) => self.sees_id(id, registry),
        }
    }

    /// The widest scope it sees, for the front page.
    pub fn home(&self) -> Scope {
        match &self.0 {
            TokenScope::Operator | TokenScope::Programme => Scope::Programme,
            TokenScope::Region(id) => Scope::Region(id.clone()),
            TokenScope::Sector(id) => Scope::Sector(id.clone()),
            TokenScope::Pilot(id) => Scope::Pilot(id.clone()),
        }
    }

    /// Text of its scope, as a cache key.
    pub(super) fn key(&self) -> String {
        if self.sees_all() { String::new() } else { self.home().to_string() }
    }
}

/// The token of a request: `Authorization: Bearer TOKEN`, or Basic with the token as password (for browsers).
fn token_of(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, rest) = value.split_once(' ')?;
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(rest.trim().to_owned());
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = String::from_utf8(BASE64_STANDARD.decode(rest.trim()).ok()?).ok()?;
    decoded.split_once(':').map(|(_, password)| password.to_owned())
}

/// The well-formed token of a request, so that garbage never reaches the store.
pub(super) fn presented(headers: &HeaderMap) -> Option<String> {
    token_of(headers).filter(|token| is_well_formed(token))
}

/// The viewer of a token, if it is one of `tokens`, not expired, and its scope can be read.
pub(super) fn viewer(token: &str, tokens: &[Token], now: UnixMillis) -> Option<Viewer> {
    let hash = hash(token);
    let mut found = None;
    // All are compared, so that the time does not tell which place it has.
    for candidate in tokens {
        if is_same_hash(&candidate.sha256, &hash) {
            found = Some(candidate);
        }
    }
    let valid = found.filter(|token| token.expires.is_none_or(|expires| now < expires))?;
    TokenScope::parse(&valid.scope).ok().map(Viewer)
}

/// 401 that says how to present a token.
pub(super) fn unauthorized() -> Response {
    let problem = Problem::new(
        StatusCode::UNAUTHORIZED,
        "this address needs a token: send `Authorization: Bearer plt_…`; in a browser give any user name and the token as \
         password; `pilotline token add NAME --scope programme` makes one",
    );
    let mut response = problem.into_response();
    let headers = response.headers_mut();
    headers.append(header::WWW_AUTHENTICATE, HeaderValue::from_static(r#"Bearer realm="pilotline""#));
    headers.append(
        header::WWW_AUTHENTICATE,
        HeaderValue::from_static(r#"Basic realm="pilotline: the token is the password", charset="UTF-8""#),
    );
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(scope: &str, sha256: [u8; 32], expires: Option<UnixMillis>) -> Token {
        Token { name: "t".to_owned(), scope: scope.to_owned(), sha256, created: UnixMillis(0), expires }
    }

    #[test]
    fn a_token_is_recognised_by_its_hash_alone_and_a_typo_by_its_checksum() {
        let (secret, sha256) = generate_token(&TokenScope::Programme).unwrap();
        assert!(is_well_formed(&secret), "{secret}");
        let tokens = [token("programme", [7; 32], None), token("programme", sha256, None)];
        assert_eq!(viewer(&secret, &tokens, UnixMillis(0)), Some(Viewer(TokenScope::Programme)));
        let mut typo = secret.clone().into_bytes();
        typo[10] = if typo[10] == b'a' { b'b' } else { b'a' };
        assert!(!is_well_formed(&String::from_utf8(typo).unwrap()));
        assert!(!is_well_formed(&secret[..secret.len() - 1]));
        assert!(!is_well_formed(&secret.to_lowercase()) || secret == secret.to_lowercase());
        assert_eq!(viewer(&secret, &tokens[..1], UnixMillis(0)), None);
    }

    #[test]
    fn an_expired_token_opens_nothing() {
        let (secret, sha256) = generate_token(&TokenScope::Operator).unwrap();
        let tokens = [token("operator", sha256, Some(UnixMillis(1_000)))];
        assert!(viewer(&secret, &tokens, UnixMillis(999)).is_some());
        assert!(viewer(&secret, &tokens, UnixMillis(1_000)).is_none());
    }

    #[test]
    fn bearer_and_basic_carry_the_same_token() {
        check("Bearer plt_x", Some("plt_x"));
        check("bearer  plt_x ", Some("plt_x"));
        check(&format!("Basic {}", BASE64_STANDARD.encode("me:plt_x")), Some("plt_x"));
        check("Basic %%%", None);
        check("Digest plt_x", None);
        check("plt_x", None);

        #[track_caller]
        fn check(header_value: &str, expected: Option<&str>) {
            let mut headers = HeaderMap::new();
            headers.insert(header::AUTHORIZATION, header_value.parse().unwrap());
            assert_eq!(token_of(&headers).as_deref(), expected, "{header_value}");
        }
    }

    #[test]
    fn a_start_that_others_can_reach_needs_a_token() {
        let open: SocketAddr = "0.0.0.0:8080".parse().unwrap();
        check_start("127.0.0.1:8080".parse().unwrap(), &[]).unwrap();
        check_start("[::1]:8080".parse().unwrap(), &[]).unwrap();
        check_start(open, &[token("operator", [0; 32], None)]).unwrap();
        insta::assert_snapshot!(check_start(open, &[]).unwrap_err(),
            @"--http 0.0.0.0:8080 can be reached from other machines and no token exists; make one with `pilotline token add NAME --scope operator`, or listen on 127.0.0.1");
    }

    #[test]
    fn a_scope_of_a_token_is_one_of_five() {
        for text in ["operator", "programme", "region:hami", "sector:electronics", "pilot:p-1"] {
            TokenScope::parse(text).unwrap();
        }
        for text in ["class:pilot", "workshop:p/w", "root", "", "region:"] {
            TokenScope::parse(text).unwrap_err();
        }
    }

    #[test]
    fn the_checksum_is_crc32_of_ieee() {
        // CRC-32 of "123456789" is 0xCBF43926 = 3421780262.
        let mut value = 0u64;
        for digit in checksum("123456789").bytes() {
            value = value * 62 + BASE62.iter().position(|&b| b == digit).unwrap() as u64;
        }
        assert_eq!(value, 0xCBF4_3926);
    }
}
