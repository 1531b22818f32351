//! The `pilotline` command: arguments and wiring, one file a subcommand, nothing else.
//!
//! Exit codes: 0 stopped cleanly, 2 bad arguments or configuration (every mistake named with file and line), 1 anything
//! else. Answers go to standard output, the log and mistakes to standard error.

mod accepted;
mod access;
mod args;
mod check;
mod config;
mod control;
mod correct;
mod demo;
mod explain;
mod files;
mod gateways;
mod health;
mod import;
mod ingest;
mod log;
mod mappings;
mod office;
mod progress;
mod projection;
mod publish;
mod recompute;
mod rejected;
mod reload;
mod run;
mod say;
mod simulate;

use std::process::ExitCode;

use clap::Parser;
use model::registry::Mistake;

use crate::args::{Cli, Command};

/// Why a command ended badly.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Exit code 2: every mistake of arguments, config or registry.
    Mistakes(Vec<Mistake>),
    /// Exit code 1.
    Other(anyhow::Error),
    /// Exit code 2: an argument that names nothing.
    Arguments(String),
    /// Exit code 1; standard output has said why.
    Told,
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Failure {
        Failure::Other(error)
    }
}

impl From<Vec<Mistake>> for Failure {
    fn from(mistakes: Vec<Mistake>) -> Failure {
        Failure::Mistakes(mistakes)
    }
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    log::start(cli.log);
    let done = match cli.command {
        Command::Demo(arguments) => demo::demo(&arguments),
        Command::Run(place) => run::run(&place),
        Command::Ingest(place) => ingest::ingest(&place),
        Command::Check(arguments) => check::check(&arguments),
        Command::Explain(arguments) => explain::explain(&arguments),
        Command::Mappings(arguments) => mappings::mappings(&arguments),
        Command::Rejected(arguments) => rejected::rejected(&arguments),
        Command::Import(arguments) => import::import(&arguments),
        Command::Correct(arguments) => correct::correct(&arguments),
        Command::Recompute(arguments) => recompute::recompute(&arguments),
        Command::Projection(arguments) => projection::projection(&arguments),
        Command::Rebuild(arguments) => projection::rebuild(&arguments),
        Command::Publish(arguments) => publish::publish(&arguments),
        Command::Simulate(arguments) => simulate::simulate(&arguments),
        Command::Login(command) => access::login(command),
        Command::Token(command) => access::token(command),
        Command::Reload(data) => reload::reload(&data),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Mistakes(mistakes)) => {
            for mistake in &mistakes {
                eprintln!("{mistake}");
            }
            ExitCode::from(2)
        }
        Err(Failure::Arguments(text)) => {
            eprintln!("pilotline: {text}");
            ExitCode::from(2)
        }
        Err(Failure::Told) => ExitCode::FAILURE,
        Err(Failure::Other(error)) => {
            eprintln!("pilotline: {error:#}");
            ExitCode::FAILURE
        }
    }
}
