//! Drives the real binary with real clients. `cargo xtask test` installs what these tests need and runs them; plain
//! `cargo test` leaves this target out (see `Cargo.toml`).

#![allow(clippy::unwrap_used, reason = "a test ends where something is missing")]

mod bad_input;
mod broker;
mod broker_doors;
mod broker_tls;
mod clients;
mod commands;
mod dashboards;
mod demo;
mod harness;
mod healing;
mod import;
mod kill;
mod loss;
mod monitoring;
mod mosquitto;
mod order;
mod plant;
mod preview;
mod proxy;
mod publisher;
mod sparkplug;
