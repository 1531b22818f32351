//! The words of Pilotline: pilots, series, readings, order events, windows, periods, figures and targets.
//!
//! Everything else in the workspace speaks in these types. Nothing here does I/O, is async or reads a clock: time is
//! always an argument, text comes in as `&str` and goes out as a value or an error that says what would be right.
//!
//! Invariants:
//! - an id, a name or a unit that exists as a value of its type has been checked;
//! - an instant is an integer of milliseconds UTC;
//! - a value is canonical: two values that are equal as numbers are equal as bytes.

pub mod clock;
pub mod document;
pub mod figure;
pub mod id;
pub mod order;
pub mod period;
pub mod programme;
pub mod quantity;
pub mod reading;
pub mod reason;
pub mod registry;
pub mod time;
pub mod unit;
pub mod value;
pub mod window;

pub use figure::{
    Effects, Figure, Finding, Fingerprint, Indicator, Method, Scope, StageStanding, Standing, State, Validity, Variance,
};
pub use id::{GatewayId, PilotId, Slug, check_name};
pub use order::{OrderEvent, OrderEventKind};
pub use period::{Period, PeriodKind};
pub use programme::{Programme, Stage, Target};
pub use quantity::{Kind, OutputKind, Quantity};
pub use reading::{Flags, Quality, Reading, SeriesId, SeriesKey};
pub use reason::{Reason, Refusal};
pub use registry::{Pilot, Registry, Series};
pub use time::UnixMillis;
pub use unit::{Dimension, Unit};
pub use value::Value;
pub use window::Window;
