//! MQTT in: the doors, then one pipeline: decode → normalize → commit.
//!
//! A door turns packets into [`Observation`]s and nothing else; [`normalize`] is stateless, so that a message means the
//! same whatever came before it; the committer is the only thread that judges duplicates and writes the journal, and the
//! door acknowledges when it says so.
//!
//! Invariants:
//! - PUBACK and PUBREC leave only after the commit that holds the message, in receive order per connection;
//! - received = committed + duplicate + rejected;
//! - a gateway speaks only for itself: topic, payload and login agree on the pilot, or the message is rejected.

pub mod auth;
pub mod broker;
pub mod commit;
pub mod correct;
pub mod decode;
pub mod explain;
pub mod foreign;
pub mod healing;
pub mod hub;
pub mod import;
pub mod index;
pub mod listener;
pub mod mapping;
pub mod normalize;
pub mod observation;
pub mod publisher;
pub mod replay;
pub mod replayer;
pub mod sources;
pub mod sparkplug;
pub mod suggest;

pub use observation::{Identity, Observation};
