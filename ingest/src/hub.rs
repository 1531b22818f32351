//! What we publish ourselves: rebirth requests to edge nodes and our STATE, handed to whichever door reaches the receiver.
//!
//! On the listener a subscription of a client leads here; on a broker door the broker client drains its own queue.
//!
//! Invariants:
//! - only topics that this process publishes can be subscribed to;
//! - what waits for a receiver is bounded: a rebirth request that finds no room is dropped, and asked for again later.

/// See the module's comment.
#[derive(Default)]
pub struct Hub {}
