//! `pilotline projection` and `pilotline rebuild`: how a projection is, and sending all of it again.

use aggregator::projection::Report;
use serde_json::{Value, json};

use crate::Failure;
use crate::args::{ProjectionArgs, RebuildArgs};
use crate::config::Config;
use crate::control::Request;
use crate::office::{self, Office};
use crate::say::say;

/// Refused lines listed at most; the API lists as many.
const REFUSED_SHOWN: u32 = 100;
/// Hours that differ, printed at most.
const HOURS_SHOWN: usize = 50;

pub(crate) fn projection(arguments: &ProjectionArgs) -> Result<(), Failure> {
    let config = Config::load(&arguments.place)?;
    let answer = office::ask_or_open(&config, Request::Projection)?;
    if arguments.json {
        say!("{answer}");
        return Ok(());
    }
    let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    say!("{} at {} into `{}`", text(&answer["server"]), text(&answer["url"]), text(&answer["bucket"]));
    for sentence in answer["guarantees"].as_array().into_iter().flatten() {
        say!("  {}", text(sentence));
    }
    say!("{} points wait, the oldest since {}", answer["points_waiting"], text(&answer["oldest"]));
    if let Some(trouble) = answer["trouble"].as_str() {
        say!("nothing is sent: {trouble}");
    }
    say!("{} lines were refused", answer["quarantined"]);
    for refused in answer["refused"].as_array().into_iter().flatten() {
        say!("  {}  {}\n    {}", text(&refused["at"]), text(&refused["reason"]), text(&refused["line"]));
    }
    Ok(())
}

pub(crate) fn rebuild(arguments: &RebuildArgs) -> Result<(), Failure> {
    let config = Config::load(&arguments.place)?;
    let request = if arguments.verify { Request::CountProjection } else { Request::Rebuild };
    let answer = office::ask_or_open(&config, request)?;
    if arguments.json {
        say!("{answer}");
    }
    if !arguments.verify {
        if !arguments.json {
            say!(
                "{} series and {} sets of figures are sent again; a running server does it, the latest first",
                answer["series"],
                answer["figures"]
            );
        }
        return Ok(());
    }
    let differing = answer.as_array().map_or(&[][..], Vec::as_slice);
    if !arguments.json {
        for hour in differing.iter().take(HOURS_SHOWN) {
            eprintln!(
                "{} {}: {} points there, {} here",
                hour["measurement"].as_str().unwrap_or_default(),
                hour["hour"].as_str().unwrap_or_default(),
                hour["found"],
                hour["expected"]
            );
        }
    }
    if !differing.is_empty() {
        return Err(anyhow::anyhow!(
            "{} hours differ; `pilotline rebuild influx` sends everything again",
            differing.len()
        )
        .into());
    }
    if !arguments.json {
        say!("every hour holds as many readings, rollups and figures there as here");
    }
    Ok(())
}

impl Office {
    /// How the projection is, with the latest lines that were refused.
    pub(crate) fn projected(&self) -> anyhow::Result<Value> {
        let mut report = match self.projecting.get() {
            Some(status) => status.report(),
            None => {
                let mut report = Report { name: "influx", ..Report::default() };
                if let Some(settings) = self.projection_settings() {
                    (report.url, report.bucket) = (settings.url.clone(), settings.bucket.clone());
                }
                report.trouble = Some("no server runs over this data directory".to_owned());
                report
            }
        };
        let size = self.store.outbox_size()?;
        (report.points_waiting, report.oldest) = (size.points, size.oldest);
        report.quarantined = self.store.n_quarantined()?;
        let mut shown = serde_json::to_value(&report)?;
        shown["refused"] = serde_json::to_value(self.store.quarantined(REFUSED_SHOWN)?)?;
        Ok(shown)
    }

    /// Has everything sent again.
    pub(crate) fn rebuild_projection(&self) -> Result<Value, Failure> {
        let noted = self.aggregator.rebuild_projection(model::clock::now()).map_err(anyhow::Error::from)?;
        let (series, figures) = noted.ok_or_else(none)?;
        Ok(json!({ "series": series, "figures": figures }))
    }

    /// Counts what is there against what is here.
    pub(crate) fn count_projection(&self, progress: &dyn Fn(f64)) -> Result<Value, Failure> {
        let settings = self.projection_settings().ok_or_else(none)?;
        let differing = self.aggregator.verify_projection(settings, progress).map_err(anyhow::Error::from)?;
        Ok(serde_json::to_value(differing).map_err(anyhow::Error::from)?)
    }
}

fn none() -> Failure {
    Failure::Arguments("nothing is projected; name a config file with `[projection.influx]` (--config FILE)".to_owned())
}
