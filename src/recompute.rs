//! `pilotline recompute`: rebuilds every rollup and figure from readings, or proves that they are what a rebuild gives.

use anyhow::bail;
use serde_json::Value;

use crate::Failure;
use crate::args::RecomputeArgs;
use crate::config::Config;
use crate::control::Request;
use crate::office;
use crate::say::say;

pub(crate) fn recompute(arguments: &RecomputeArgs) -> Result<(), Failure> {
    let config = Config::load(&arguments.place)?;
    let request = if arguments.verify { Request::Verify } else { Request::Recompute };
    let answer = office::ask_or_open(&config, request)?;
    if arguments.json {
        say!("{answer}");
    }
    if arguments.verify { Ok(report(&answer, arguments.json)?) } else { Ok(()) }
}

fn report(answer: &Value, json: bool) -> anyhow::Result<()> {
    let differences = answer.as_array().map_or(&[][..], Vec::as_slice);
    if !json {
        for difference in differences {
            eprintln!("{}: {}", difference["place"], difference["text"]);
        }
    }
    if !differences.is_empty() {
        bail!("{} stored values differ from a recompute", differences.len());
    }
    if !json {
        say!("every rollup, month sum and figure is what a recompute gives, bit for bit");
    }
    Ok(())
}
