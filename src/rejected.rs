//! `pilotline rejected`: what was refused, what registry lines would mend it, and the replay.

use serde_json::Value;

use crate::Failure;
use crate::args::RejectedArgs;
use crate::config::Config;
use crate::control::Request;
use crate::office;
use crate::say::say;

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
        say!("{answer}");
    } else if arguments.replay {
        say!("{} messages looked at, {} taken", answer["looked_at"], answer["taken"]);
    } else if arguments.suggest {
        if let Some(lines) = answer.as_str().filter(|lines| !lines.is_empty()) {
            say!("{}", lines.trim_end());
        }
    } else {
        let rows = || answer.as_array().into_iter().flatten();
        rows().filter(|row| row["replayed"] != true).for_each(print_row);
        match rows().filter(|row| row["replayed"] == true).count() {
            0 => {}
            n => say!("{n} more were taken since (--json lists them)"),
        }
    }
    Ok(())
}

/// `time  times  topic  reason: detail`, one line per refusal.
fn print_row(row: &Value) {
    for refusal in row["refusals"].as_array().into_iter().flatten() {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        say!(
            "{}  {}x  {}  {}: {}",
            text(&row["last_at"]),
            row["times"],
            text(&row["topic"]),
            text(&refusal["reason"]),
            text(&refusal["detail"])
        );
    }
}
