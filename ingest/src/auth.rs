//! Logins of gateways: which credential speaks for which pilot.
//!
//! Generated secrets are stored as SHA-256 and compared in constant time: they have too many bits to be guessed, so a slow
//! hash would only slow down ten thousand gateways that connect at once. Passwords chosen by people are argon2id, one
//! verification at a time per core; what succeeded is remembered in memory under a keyed hash until the process ends.
//!
//! Invariants:
//! - a secret is never logged, never kept, and never part of an error;
//! - a login stands for one pilot, and for one gateway of it if it names one.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use sha2::{Digest, Sha256};
use store::{Login, Secret, Store, StoreError};
use tokio::sync::Semaphore;

use crate::Identity;

/// Verified passwords remembered. Beyond it all are forgotten, and each costs one verification again.
const VERIFIED_MAX: usize = 16_384;

/// Characters of a generated secret: 62^32 is 190 bits.
const SECRET_CHARS: usize = 32;

/// Why an access to logins failed.
#[derive(Debug, thiserror::Error)]
pub enum AuthError {
    #[error("failed to read the logins")]
    Read(#[source] StoreError),
    #[error("failed to hash the password: {0}")]
    Hash(String),
}

/// The logins in force.
pub struct Logins {
    by_name: RwLock<HashMap<String, Arc<Login>>>,
    /// Keyed hashes of (password hash, password) that were verified.
    verified: Mutex<HashSet<[u8; 32]>>,
    /// Drawn at start, so that the remembered hashes mean nothing outside this process.
    key: [u8; 32],
    cores: Arc<Semaphore>,
}

impl Logins {
    /// Reads the logins of a store.
    ///
    /// # Errors
    /// If they cannot be read.
    pub fn load(store: &Store) -> Result<Logins, AuthError> {
        Ok(Logins::new(store.logins().map_err(AuthError::Read)?))
    }

    /// These logins.
    pub fn new(logins: Vec<Login>) -> Logins {
        let n_cores = std::thread::available_parallelism().map_or(1, usize::from);
        let mut key = [0; 32];
        fill(&mut key);
        Logins {
            by_name: RwLock::new(by_name(logins)),
            verified: Mutex::default(),
            key,
            cores: Arc::new(Semaphore::new(n_cores)),
        }
    }

    /// Reads the logins again; connections that are open stay open. Returns how many there are.
    ///
    /// # Errors
    /// If they cannot be read; the old ones stay in force.
    pub fn reload(&self, store: &Store) -> Result<usize, AuthError> {
        let logins = by_name(store.logins().map_err(AuthError::Read)?);
        let n_logins = logins.len();
        *self.by_name.write().unwrap_or_else(PoisonError::into_inner) = logins;
        Ok(n_logins)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.by_name.read().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    /// Whom a name and secret speak for, if they are right.
    pub async fn verify(&self, name: &str, secret: &[u8]) -> Option<Identity> {
        let login = self.by_name.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned()?;
        let is_right = match &login.secret {
            Secret::Sha256(hash) => is_equal(&Sha256::digest(secret).into(), hash),
            Secret::Argon2(phc) => self.verify_password(phc, secret).await,
            // A certificate is shown in the TLS handshake, never as a password.
            Secret::Certificate(_) => false,
        };
        is_right.then(|| identity(&login))
    }

    /// Whom the subject of a verified client certificate speaks for.
    pub fn by_certificate(&self, subject: &str) -> Option<Identity> {
        let logins = self.by_name.read().unwrap_or_else(PoisonError::into_inner);
        let is_it = |login: &&Arc<Login>| matches!(&login.secret, Secret::Certificate(own) if own == subject);
        // By name, so that of two logins with one subject always the same one is taken.
        logins.values().filter(is_it).min_by_key(|login| login.name.clone()).map(|login| identity(login))
    }

    async fn verify_password(&self, phc: &str, password: &[u8]) -> bool {
        let known = self.keyed(phc, password);
        if self.verified.lock().unwrap_or_else(PoisonError::into_inner).contains(&known) {
            return true;
        }
        // The semaphore is never closed; were it, nobody would be let in.
        let Ok(core) = Arc::clone(&self.cores).acquire_owned().await else { return false };
        let (phc, password) = (phc.to_owned(), password.to_vec());
        let verifying = tokio::task::spawn_blocking(move || {
            let is_right = is_password(&phc, &password);
            drop(core);
            is_right
        });
        // A verification that panicked has verified nothing.
        let is_right = verifying.await.unwrap_or(false);
        if is_right {
            let mut verified = self.verified.lock().unwrap_or_else(PoisonError::into_inner);
            if verified.len() >= VERIFIED_MAX {
                verified.clear();
            }
            verified.insert(known);
        }
        is_right
    }

    fn keyed(&self, phc: &str, password: &[u8]) -> [u8; 32] {
        let mut hasher = Sha256::new();
        hasher.update(self.key);
        hasher.update((phc.len() as u64).to_le_bytes());
        hasher.update(phc);
        hasher.update(password);
        hasher.finalize().into()
    }
}

/// A new secret: 32 characters of `0-9 A-Z a-z`, 190 bits.
pub fn generate_secret() -> String {
    const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut secret = String::with_capacity(SECRET_CHARS);
    while secret.len() < SECRET_CHARS {
        let mut bytes = [0; SECRET_CHARS];
        fill(&mut bytes);
        // 248 is the greatest multiple of 62 in a byte: what lies above would make the first characters likelier.
        let fair = bytes.iter().filter(|byte| **byte < 248).map(|byte| char::from(ALPHABET[usize::from(byte % 62)]));
        secret.extend(fair.take(SECRET_CHARS - secret.len()));
    }
    secret
}

/// How a generated secret is stored.
pub fn hash_generated(secret: &str) -> Secret {
    Secret::Sha256(Sha256::digest(secret).into())
}

/// How a password chosen by a person is stored: argon2id with a salt of its own.
///
/// # Errors
/// If the password is longer than argon2 takes.
pub fn hash_password(password: &str) -> Result<Secret, AuthError> {
    let hash =
        Argon2::default().hash_password(password.as_bytes()).map_err(|error| AuthError::Hash(error.to_string()))?;
    Ok(Secret::Argon2(hash.to_string()))
}

fn is_password(phc: &str, password: &[u8]) -> bool {
    PasswordHash::new(phc).is_ok_and(|hash| Argon2::default().verify_password(password, &hash).is_ok())
}

/// Compares every byte whatever the first ones say, so that the time taken tells nothing.
fn is_equal(a: &[u8; 32], b: &[u8; 32]) -> bool {
    std::hint::black_box(a.iter().zip(b).fold(0, |differs, (a, b)| differs | (a ^ b))) == 0
}

fn identity(login: &Login) -> Identity {
    Identity::Login { name: login.name.clone(), pilot: login.pilot.clone(), gateway: login.gateway.clone() }
}

fn by_name(logins: Vec<Login>) -> HashMap<String, Arc<Login>> {
    logins.into_iter().map(|login| (login.name.clone(), Arc::new(login))).collect()
}

fn fill(bytes: &mut [u8]) {
    // Safe because a machine without random numbers cannot make or keep any secret.
    getrandom::fill(bytes).expect("the operating system's random numbers");
}

#[cfg(test)]
mod tests {
    use model::PilotId;

    use super::*;

    fn login(name: &str, secret: Secret) -> Login {
        Login { name: name.to_owned(), pilot: PilotId::parse("p-1").unwrap(), gateway: None, secret }
    }

    #[tokio::test]
    async fn a_generated_secret_opens_its_login_and_no_other() {
        let secret = generate_secret();
        let logins =
            Logins::new(vec![login("a", hash_generated(&secret)), login("b", hash_generated(&generate_secret()))]);
        assert_eq!(logins.verify("a", secret.as_bytes()).await.unwrap().login(), Some("a"));
        assert_eq!(logins.verify("b", secret.as_bytes()).await, None);
        assert_eq!(logins.verify("c", secret.as_bytes()).await, None);
        assert_eq!(logins.verify("a", b"").await, None);
    }

    #[tokio::test]
    async fn a_password_opens_its_login_again_without_being_hashed_again() {
        let logins = Logins::new(vec![login("a", hash_password("korrekt horse").unwrap())]);
        assert_eq!(logins.verify("a", b"wrong").await, None);
        assert!(logins.verify("a", b"korrekt horse").await.is_some());
        assert_eq!(logins.verified.lock().unwrap().len(), 1);
        // With no core to verify on, only what is remembered can open it.
        logins.cores.close();
        assert!(logins.verify("a", b"korrekt horse").await.is_some());
        assert_eq!(logins.verify("a", b"korrekt horsf").await, None);
    }

    #[tokio::test]
    async fn a_certificate_is_no_password() {
        let logins = Logins::new(vec![login("a", Secret::Certificate("gw-1".to_owned()))]);
        assert_eq!(logins.verify("a", b"gw-1").await, None);
        assert_eq!(logins.by_certificate("gw-1").unwrap().login(), Some("a"));
        assert_eq!(logins.by_certificate("gw-2"), None);
    }

    #[test]
    fn secrets_differ_and_are_long() {
        let (a, b) = (generate_secret(), generate_secret());
        assert_ne!(a, b);
        assert_eq!(a.len(), SECRET_CHARS);
        assert!(a.bytes().all(|byte| byte.is_ascii_alphanumeric()));
    }
}
