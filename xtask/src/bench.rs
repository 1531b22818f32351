//! Measures what `ARCHITECTURE.md` promises, in release builds, as ratios within one run.

mod load;
mod mosquitto;
mod pilotline;

use std::process::Command;

use anyhow::bail;

use crate::{cargo, root, run};

/// One benchmark.
type Bench = fn() -> anyhow::Result<()>;

/// What can be measured, in the order in which all of it runs.
const BENCHES: [(&str, Bench); 7] = [
    ("publish", publish),
    ("restart", restart),
    ("decode", decode),
    ("sparkplug", sparkplug),
    ("store", store),
    ("figures", figures),
    ("statistics", statistics),
];

/// Runs the named benchmarks, or all of them.
pub(crate) fn run_named(names: &[String]) -> anyhow::Result<()> {
    if let Some(unknown) = names.iter().find(|name| !BENCHES.iter().any(|(known, _)| known == name)) {
        let known: Vec<&str> = BENCHES.iter().map(|(known, _)| *known).collect();
        bail!("no benchmark `{unknown}`; there are {}", known.join(", "));
    }
    for (name, bench) in BENCHES {
        if names.is_empty() || names.iter().any(|wanted| wanted == name) {
            println!("\n==> {name}");
            bench()?;
        }
    }
    Ok(())
}

/// QoS 1 publishes with fsync before PUBACK, next to the same publishers through a default Mosquitto.
fn publish() -> anyhow::Result<()> {
    run(cargo(&["build", "--release", "--quiet", "--package", "pilotline"]))?;
    let ours = pilotline::measure()?;
    println!("pilotline   {ours}");
    match mosquitto::measure()? {
        None => println!("mosquitto   not installed (Debian: mosquitto); no comparison"),
        Some(theirs) => {
            println!("mosquitto   {theirs}");
            println!("ratio of messages a second that arrived: {:.2}", ours.arrived_per_s / theirs.arrived_per_s);
        }
    }
    Ok(())
}

/// From SIGKILL right after a load to the first accepted message, over ten million readings.
fn restart() -> anyhow::Result<()> {
    run(cargo(&["build", "--release", "--quiet", "--package", "pilotline"]))?;
    let (messages, seconds) = pilotline::restart()?;
    println!("{messages} messages acknowledged, SIGKILL, start: first message accepted after {seconds:.2} s");
    Ok(())
}

fn decode() -> anyhow::Result<()> {
    example("pilotline-ingest", "bench_decode", &[])
}

fn sparkplug() -> anyhow::Result<()> {
    example("pilotline-ingest", "bench_sparkplug", &[])
}

fn store() -> anyhow::Result<()> {
    example("pilotline-store", "bench_store", &["10000000", "20000"])
}

fn figures() -> anyhow::Result<()> {
    example("pilotline-aggregator", "bench_figures", &[])
}

fn statistics() -> anyhow::Result<()> {
    example("pilotline-aggregator", "bench_statistics", &[])
}

/// Runs an example of a crate in release.
fn example(package: &str, name: &str, arguments: &[&str]) -> anyhow::Result<()> {
    let mut command: Command = cargo(&["run", "--release", "--quiet", "--package", package, "--example", name, "--"]);
    command.args(arguments).current_dir(root());
    run(command)
}
