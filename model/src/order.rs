//! Events of production orders. An order is known by (pilot, order); its events come in any order, late, or twice.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::UnixMillis;

/// What happened to an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OrderEventKind {
    Released,
    Started,
    Completed,
    Cancelled,
}

impl OrderEventKind {
    /// The word used on every surface.
    pub fn as_str(self) -> &'static str {
        match self {
            OrderEventKind::Released => "released",
            OrderEventKind::Started => "started",
            OrderEventKind::Completed => "completed",
            OrderEventKind::Cancelled => "cancelled",
        }
    }

    /// Reads the word.
    pub fn parse(word: &str) -> Option<OrderEventKind> {
        match word {
            "released" => Some(OrderEventKind::Released),
            "started" => Some(OrderEventKind::Started),
            "completed" => Some(OrderEventKind::Completed),
            "cancelled" => Some(OrderEventKind::Cancelled),
            _ => None,
        }
    }
}

/// One event of one order. Quantities are pieces, finite and not negative.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OrderEvent {
    pub order: Arc<str>,
    pub product: Option<Arc<str>>,
    pub event: OrderEventKind,
    pub at: UnixMillis,
    pub quantity: Option<f64>,
    pub good: Option<f64>,
    pub defective: Option<f64>,
}
