//! `pilotline rejected`: what was refused, what registry lines would mend it, and the replay.

use serde_json::Value;

use crate::Failure;
use crate::args::{RejectedAction, RejectedArgs};
use crate::config::Config;
use crate::control::Request;
use crate::office;

pub(crate) fn rejected(arguments: &RejectedArgs) -> Result<(), Failure> {
    let config = Config::load(&arguments.place)?;
    let request = match action(arguments) {
        RejectedAction::List => Request::Rejected { since: arguments.since.clone() },
        RejectedAction::Suggest => Request::Suggest,
        RejectedAction::Replay => Request::Replay,
    };
    let answer = office::ask_or_open(&config, request)?;
    if arguments.json {
        println!("{answer}");
        return Ok(());
    }
    match action(arguments) {
        RejectedAction::List => answer.as_array().into_iter().flatten().for_each(print_row),
        RejectedAction::Suggest => print!("{}", answer.as_str().unwrap_or_default()),
        RejectedAction::Replay => {
            println!("{} messages looked at, {} taken", answer["looked_at"], answer["taken"]);
        }
    }
    Ok(())
}

fn action(arguments: &RejectedArgs) -> RejectedAction {
    if arguments.replay {
        RejectedAction::Replay
    } else if arguments.suggest {
        RejectedAction::Suggest
    } else {
        arguments.action
    }
}

/// `time  times  topic  reason: detail`, one line per refusal.
fn print_row(row: &Value) {
    for refusal in row["message"]["refusals"].as_array().into_iter().flatten() {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        println!(
            "{}  {}x  {}  {}: {}",
            text(&row["last_at"]),
            row["times"],
            text(&row["message"]["topic"]),
            text(&refusal["reason"]),
            text(&refusal["detail"])
        );
    }
}
