//! `pilotline publish`: cuts versions of what differs from what was published, now; and the thread of a server that cuts what is due.

use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use aggregator::Aggregator;
use aggregator::ledger::{Cause, Published, Rules, Version};
use anyhow::Context;
use model::Scope;
use store::StoreError;

use crate::Failure;
use crate::args::PublishArgs;
use crate::config::Config;
use crate::control::Request;
use crate::office::{self, Office};
use crate::say::say;

/// How often a server looks for what is due: grace is days and quiet an hour, and a look at 1,350 pilots takes under a second.
const LOOK_EVERY: Duration = Duration::from_secs(60);

pub(crate) fn publish(arguments: &PublishArgs) -> Result<(), Failure> {
    let config = Config::load(&arguments.place)?;
    let answer = office::ask_or_open(&config, Request::Publish { scope: arguments.scope.clone() })?;
    if arguments.json {
        say!("{answer}");
        return Ok(());
    }
    let published: Published = serde_json::from_value(answer).context("the answer is not what publishing says")?;
    report(&published);
    Ok(())
}

fn report(published: &Published) {
    let Published { n_entries, n_first, n_restated, restated } = published;
    if *n_entries == 0 {
        say!("nothing to publish: every figure that is beyond its grace is published as it is now");
        return;
    }
    say!("{n_first} figures published for the first time, {n_restated} again, in {n_entries} scopes");
    for version in restated {
        say!("{}", line(version));
    }
    if *n_restated > restated.len() {
        say!("and {} more; /api/v1/versions lists them all", n_restated - restated.len());
    }
}

/// A restatement as a person reads it.
fn line(version: &Version) -> String {
    let percent = |reduction: Option<f64>| reduction.map_or("none".to_owned(), |r| format!("{:.1} %", r * 100.0));
    let reasons = serde_json::to_value(version.reasons).unwrap_or_default();
    let reasons = reasons.as_array().into_iter().flatten().filter_map(|reason| reason.as_str());
    format!(
        "{} {} {} version {}: {} → {} ({})",
        version.scope,
        version.indicator,
        version.period,
        version.version,
        percent(version.before.and_then(|before| before.values.reduction_shown())),
        percent(version.values.reduction_shown()),
        reasons.collect::<Vec<_>>().join(", ")
    )
}

/// Reads the scope of a request.
///
/// # Errors
/// If it is none, or none that exists here.
pub(crate) fn scope_of(office: &Office, text: Option<&str>) -> Result<Option<Scope>, Failure> {
    let Some(text) = text else { return Ok(None) };
    let Some(scope) = Scope::parse(text) else {
        let right = "programme, region:R, sector:S, class:C, pilot:ID or workshop:PILOT/W";
        return Err(Failure::Arguments(format!("--scope `{text}` is no scope; right are {right}")));
    };
    if office.aggregator.knows(&scope) {
        return Ok(Some(scope));
    }
    Err(Failure::Arguments(format!(
        "there is no scope `{scope}` here; the files of --pilots name pilots and their groups"
    )))
}

/// The thread that cuts what is due; stopped and joined when dropped.
pub(crate) struct Keeper {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Keeper {
    /// Starts it.
    ///
    /// # Errors
    /// If no thread can be had.
    pub(crate) fn start(office: &Office, rules: Rules) -> std::io::Result<Keeper> {
        let aggregator = Arc::clone(&office.aggregator);
        let (stop, stopped) = channel::<()>();
        let run = move || {
            // The channel ends when the keeper is dropped.
            let go_on = |wait| stopped.recv_timeout(wait) == Err(RecvTimeoutError::Timeout);
            while go_on(LOOK_EVERY) {
                match look(&aggregator, rules, &|| go_on(Duration::ZERO)) {
                    Ok(published) if published.n_entries > 0 => {
                        let Published { n_entries, n_first, n_restated, .. } = published;
                        tracing::info!(n_entries, n_first, n_restated, "figures published");
                    }
                    Ok(_) => {}
                    Err(error) => tracing::error!(error = &error as &dyn std::error::Error, "figures not published"),
                }
            }
        };
        let thread = std::thread::Builder::new().name("ledger".to_owned()).spawn(run)?;
        Ok(Keeper { stop: Some(stop), thread: Some(thread) })
    }
}

/// Cuts what is due, scope by scope while it may go on.
fn look(aggregator: &Aggregator, rules: Rules, go_on: &dyn Fn() -> bool) -> Result<Published, StoreError> {
    let mut published = Published::default();
    for scope in aggregator.scopes_to_publish()? {
        if !go_on() {
            break;
        }
        published.add(aggregator.publish_scope(&scope, model::clock::now(), rules, Cause::Due)?);
    }
    Ok(published)
}

impl Drop for Keeper {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the ledger's thread panicked");
        }
    }
}
