//! `pilotline rejected`: what was refused, what registry lines would mend it, and the replay.

use serde_json::Value;

use crate::Failure;
use crate::args::RejectedArgs;
use crate::config::Config;
use crate::control::Request;
use crate::office;

pub(crate) fn rejected(arguments: &RejectedArgs) -> Result<(), Failure> {
    let config = Config::load(&arguments.place)?;
    let request = if arguments.replay {
        Request::Replay
    } else if arguments.suggest {
        Request::Suggest
    } else {
        Request::Rejected { since: arguments.since.clone() }
    };
    let answer = office::ask_or_open(&config, request)?;
    if arguments.json {
        println!("{answer}");
    } else if arguments.replay {
        println!("{} messages looked at, {} taken", answer["looked_at"], answer["taken"]);
    } else if arguments.suggest {
        print!("{}", answer.as_str().unwrap_or_default());
    } else {
        answer.as_array().into_iter().flatten().for_each(print_row);
    }
    Ok(())
}

/// `time  times  topic  reason: detail`, one line per refusal.
fn print_row(row: &Value) {
    for refusal in row["refusals"].as_array().into_iter().flatten() {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        println!(
            "{}  {}x  {}  {}: {}",
            text(&row["last_at"]),
            row["times"],
            text(&row["topic"]),
            text(&refusal["reason"]),
            text(&refusal["detail"])
        );
    }
}
