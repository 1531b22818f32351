//! `cargo xtask test | bench | dashboards`: the one command that installs what the outer tiers need and runs every tier, the
//! one that measures, and the one that writes the Grafana dashboards.
//!
//! Invariants:
//! - a tier that cannot run fails; it is never passed over in silence;
//! - ports are picked free at run time, and nothing is left running.

mod bench;
mod dashboards;
mod install;

use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::sync::OnceLock;
use std::time::Instant;

use anyhow::{Context, bail};

const USAGE: &str = "usage:
  cargo xtask test            formatting, lints, all tests of all tiers (installs what they need, as root on Debian)
  cargo xtask bench [NAME …]  publish, restart, decode, sparkplug, store, figures; all of them if none is named
  cargo xtask dashboards      writes deploy/grafana/dashboards/ from xtask/src/dashboards/";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let result = match arguments.first().map(String::as_str) {
        Some("test") => test(),
        Some("bench") => bench::run_named(&arguments[1..]),
        Some("dashboards") => dashboards::write(),
        Some(_) | None => Err(anyhow::anyhow!(USAGE)),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Runs every tier, the cheapest first. The last one's own closing lines end the output.
fn test() -> anyhow::Result<()> {
    tier("formatting", cargo(&["fmt", "--all", "--check"]))?;
    tier("lints", cargo(&["clippy", "--workspace", "--all-targets", "--quiet", "--", "-D", "warnings"]))?;
    // Targets that plain `cargo test` leaves out are not among `--all-targets`.
    tier("lints of the process tests", cargo(&["clippy", "--test", "process", "--quiet", "--", "-D", "warnings"]))?;
    tier("unit, property and simulation tests", cargo(&["test", "--workspace", "--quiet"]))?;
    let tools = install::outer_tools()?;
    // The build that the tests before it made: another one would take longer than all tests together.
    let mut process = cargo(&["test", "--workspace", "--test", "process"]);
    process.envs(tools);
    tier("process tests: the real binary with real clients", process)
}

/// Says what runs, runs it. Nothing is printed behind it, so that the last tier's own closing lines end the output.
fn tier(name: &str, command: Command) -> anyhow::Result<()> {
    println!("\n==> {name} ({} s since the start)", started().elapsed().as_secs());
    run(command)
}

/// When this process first asked.
fn started() -> Instant {
    static STARTED: OnceLock<Instant> = OnceLock::new();
    *STARTED.get_or_init(Instant::now)
}

/// A cargo command at the workspace's root.
fn cargo(arguments: &[&str]) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(arguments).current_dir(root());
    command
}

fn root() -> PathBuf {
    let mut root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    root.pop();
    root
}

/// Where cargo puts what it builds.
fn target_dir() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// Runs a command to its end.
fn run(mut command: Command) -> anyhow::Result<()> {
    let shown = format!("{command:?}");
    let status = command.status().with_context(|| format!("failed to start {shown}"))?;
    if !status.success() {
        bail!("{shown} ended with {status}");
    }
    Ok(())
}
