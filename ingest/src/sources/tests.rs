//! What is one source, what it counts, and that made-up topics stay bounded.

use crate::normalize::fixture::{Plant, RECEIVED_AT, pilot_id, timed};
use crate::normalize::normalize;

use super::*;

fn hear(sources: &Sources, plant: &Plant, observation: &Observation) {
    let outcome = normalize(observation, &Identity::Anonymous, &plant.index);
    sources.heard(observation, &Identity::Anonymous, &outcome);
}

fn all(sources: &Sources) -> Vec<SourceStatus> {
    sources.list(RECEIVED_AT, |_| true)
}

const POWER: &str = r#"{"asset":"press-01","name":"power","value":17.2}"#;

#[test]
fn what_was_taken_and_what_was_refused_stands_at_its_sender() {
    let (plant, sources) = (Plant::new(), Sources::default());
    hear(&sources, &plant, &timed(POWER));
    hear(&sources, &plant, &timed(&format!(r#"{POWER},{{"asset":"press-01","name":"power","value":"x"}}"#)));
    let good = &all(&sources)[0];
    assert_eq!(good.pilot, Some(pilot_id()));
    assert!(matches!(&good.sender, Sender::Gateway(_)), "{good:?}");
    assert_eq!((good.n_messages, good.n_rejected, good.n_readings), (2, 0, 2));
    assert_eq!(good.refusals, [(Reason::BadField, 1)]);
    assert_eq!(good.last, LastMessage::Partly);
    hear(&sources, &plant, &Observation { payload: "{".into(), ..timed(POWER) });
    let refused = &all(&sources)[0];
    assert_eq!((refused.n_messages, refused.n_rejected), (3, 1));
    assert_eq!(refused.last, LastMessage::Refused);
    let last = refused.last_refusal.as_ref().unwrap();
    assert_eq!(last.reason, Reason::BadJson);
    assert!(last.detail.contains("JSON"), "{last:?}");
}

#[test]
fn a_topic_that_nobody_binds_is_a_source_without_pilot() {
    let (plant, sources) = (Plant::new(), Sources::default());
    hear(&sources, &plant, &Observation { topic: "tele/plug/SENSOR".to_owned(), ..timed(POWER) });
    let found = &all(&sources)[0];
    assert_eq!((&found.pilot, &found.sender), (&None, &Sender::Topic("tele/plug/SENSOR".to_owned())));
    assert_eq!(found.refusals, [(Reason::BadTopic, 1)]);
    assert_eq!(sources.list(RECEIVED_AT, |pilot| pilot.is_some()), []);
}

#[test]
fn an_edge_node_is_one_source_over_all_types_and_devices() {
    let (plant, sources) = (Plant::new(), Sources::default());
    for topic in ["spBv1.0/g/NBIRTH/e", "spBv1.0/g/DDATA/e/d1", "spBv1.0/g/DDATA/e/d2", "spBv1.0/g/NDATA/other"] {
        hear(&sources, &plant, &Observation { topic: topic.to_owned(), ..timed(POWER) });
    }
    let found: Vec<_> = all(&sources).into_iter().map(|source| (source.sender, source.n_messages)).collect();
    let node = |edge: &str| Sender::EdgeNode { group: "g".to_owned(), edge: edge.to_owned() };
    assert_eq!(found, [(node("e"), 3), (node("other"), 1)]);
    assert_eq!(Sender::of("spBv1.0/STATE/host"), Sender::Topic("spBv1.0/STATE/host".to_owned()));
}

#[test]
fn made_up_topics_share_a_row_and_leave_the_neighbours_theirs() {
    let (plant, sources) = (Plant::new(), Sources::default());
    let n = SOURCES_PER_PILOT_MAX + 10;
    for index in 0..n {
        hear(&sources, &plant, &Observation { topic: format!("made/up/{index}"), ..timed(POWER) });
    }
    hear(&sources, &plant, &timed(POWER));
    let found = all(&sources);
    assert_eq!(found.len(), SOURCES_PER_PILOT_MAX + 2);
    assert_eq!(found.iter().map(|source| source.n_messages).sum::<u64>(), n as u64 + 1);
    let others = found.iter().find(|source| source.sender == Sender::Others).unwrap();
    assert_eq!(others.n_messages, 10);
    assert!(found.iter().any(|source| source.pilot == Some(pilot_id()) && source.n_readings == 1));
}

#[test]
fn the_rate_is_that_of_the_last_minutes() {
    let at = |seconds: i64| UnixMillis(RECEIVED_AT.0 + seconds * 1_000);
    let mut rate = Rate { since: at(0), at: at(0), weight: 0.0 };
    for second in (0..1_800).step_by(10) {
        rate.count(at(second));
        if second >= 60 {
            let found = rate.per_minute(at(second));
            assert!((5.0..8.0).contains(&found), "{found} after {second} s");
        }
    }
    assert!((rate.per_minute(at(1_800)) - 6.0).abs() < 0.3);
    assert!(rate.per_minute(at(1_800 + 1_500)) < 0.1, "five spans of silence fade it");
    rate.count(at(0)); // A clock that went back neither panics nor raises it.
    assert!(rate.per_minute(at(1_800)) < 7.0);
}

#[test]
fn connections_turned_away_are_counted_by_client_and_remedy() {
    let sources = Sources::default();
    for second in 0..3 {
        sources.turned_away("gw", Some("press"), "wrong secret", UnixMillis(second));
    }
    sources.turned_away("", None, "no CONNECT", UnixMillis(9));
    let found = sources.refused_connections();
    assert_eq!(
        found.iter().map(|refused| (refused.client.as_str(), refused.times)).collect::<Vec<_>>(),
        [("", 1), ("gw", 3)]
    );
    for index in 0..2 * REFUSED_CONNECTIONS_MAX {
        sources.turned_away(&index.to_string(), None, "x", UnixMillis(10));
    }
    assert_eq!(sources.refused_connections().len(), REFUSED_CONNECTIONS_MAX);
}
