//! The page "gateways" and its API: what a viewer sees of who sends and who does not.

use std::collections::BTreeMap;

use super::*;
use crate::publish::gateways::{Connection, Heard, LastMessage, LastRefusal, RefusedConnection, Source, SourceKind};

pub(super) fn source(pilot_id: Option<&str>, kind: SourceKind, name: &str) -> Source {
    Source {
        pilot: pilot_id.map(pilot),
        door: "listener".to_owned(),
        kind,
        name: name.to_owned(),
        client: Some(format!("client of {name}")),
        login: None,
        connected: Some(true),
        first_at: Some(UnixMillis(START)),
        last_at: Some(model::clock::now()),
        per_minute: 2.0,
        messages: 7,
        rejected: 0,
        readings: 21,
        orders: 0,
        ignored: 0,
        gaps: 0,
        missing: 0,
        refusals: BTreeMap::new(),
        last_refusal: None,
        last_message: LastMessage::Taken,
        liveness: None,
        edge_node: None,
    }
}

/// A site whose doors heard these sources.
pub(super) fn hearing(sources: Vec<Source>) -> Fixture {
    let mut fixture = Fixture::new();
    let connection = |client: &str, of: &str, has_sent| Connection {
        client: client.to_owned(),
        login: None,
        pilot: Some(pilot(of)),
        since: UnixMillis(START),
        has_sent,
    };
    let heard = Heard {
        since: Some(UnixMillis(START)),
        sources,
        connections: vec![connection("mute", "p-2", false), connection("busy", "p-2", true)],
        refused_connections: vec![RefusedConnection {
            client: HOSTILE.to_owned(),
            login: Some("press".to_owned()),
            why: "login or secret is wrong",
            times: 3,
            last_at: UnixMillis(START),
        }],
    };
    let site = Arc::get_mut(&mut fixture.site).unwrap();
    site.heard = Arc::new(move |_wants| heard.clone());
    fixture
}

fn two_pilots_and_a_stray() -> Fixture {
    let refused = Source {
        last_message: LastMessage::Refused,
        rejected: 4,
        refusals: BTreeMap::from([("bad_topic", 4)]),
        last_refusal: Some(LastRefusal {
            at: UnixMillis(START),
            topic: HOSTILE.to_owned(),
            reason: "bad_topic",
            detail: format!("bind {HOSTILE}"),
        }),
        ..source(None, SourceKind::Topic, HOSTILE)
    };
    hearing(vec![source(Some("p-2"), SourceKind::Gateway, "gw-2"), refused])
}

fn names(answer: &serde_json::Value, list: &str, key: &str) -> Vec<String> {
    let rows = answer[list].as_array().unwrap().iter();
    rows.map(|row| row[key].as_str().unwrap_or_default().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_needs_a_person_comes_first_and_earlier_gateways_are_not_forgotten() {
    let site = two_pilots_and_a_stray();
    let answer = site.get("/api/v1/gateways").await.ok().json();
    assert_eq!(names(&answer, "sources", "state"), ["refused", "unheard", "sending"]);
    // `gw` of p-1 is known by the numbering in the store alone: seq 0, 1 and 5.
    let earlier = &answer["sources"][1];
    assert_eq!((&earlier["name"], &earlier["missing"], &earlier["gaps"]), (&"gw".into(), &3.into(), &1.into()));
    assert_eq!(names(&answer, "unheard", "pilot"), ["p-1"]);
    assert_eq!(answer["unheard"][0]["last_reading"], "2025-03-01T02:15:00.000Z");
    assert_eq!(names(&answer, "idle_connections", "client"), ["mute"]);
    assert_eq!(answer["refused_connections"][0]["times"], 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_pilot_shows_when_each_series_was_last_heard() {
    let site = two_pilots_and_a_stray();
    let answer = site.get("/api/v1/gateways?pilot=p-1").await.ok().json();
    assert_eq!(names(&answer, "sources", "name"), ["gw"]);
    let registered = &answer["series"]["registered"];
    assert_eq!(registered[0]["last_at"], "2025-03-01T02:15:00.000Z");
    assert_eq!(
        (&registered[1]["name"], &registered[1]["last_at"]),
        (&"good".into(), &"2025-03-01T00:20:00.000Z".into())
    );
    let never = site.get("/api/v1/gateways?pilot=p-2").await.ok().json();
    assert!(never["series"]["registered"][0]["last_at"].is_null());
    assert_eq!(site.get("/api/v1/gateways?pilot=p-9").await.status, StatusCode::NOT_FOUND);
    assert_eq!(site.get("/api/v1/gateways?pilot=P").await.status, StatusCode::BAD_REQUEST);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scoped_viewer_sees_its_own_sources_only() {
    let site = two_pilots_and_a_stray();
    let token = site.token("pilot:p-1");
    let answer = site.ask_with(&token, "/api/v1/gateways").await.ok().json();
    assert_eq!(names(&answer, "sources", "name"), ["gw"]);
    assert_eq!(names(&answer, "unheard", "pilot"), ["p-1"]);
    for list in ["idle_connections", "refused_connections"] {
        assert_eq!(answer[list], serde_json::json!([]), "{list}");
    }
    let page = site.ask_with(&token, "/gateways").await.ok();
    assert!(!page.body.contains("gw-2") && !page.body.contains("p-2"));
    for path in ["/gateways?pilot=p-2", "/api/v1/gateways?pilot=p-2"] {
        assert_eq!(site.ask_with(&token, path).await.status, StatusCode::NOT_FOUND, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_answers_in_both_languages_and_escapes_what_came_from_outside() {
    let site = two_pilots_and_a_stray();
    for (lang, word) in [("en", "Counted since"), ("zh", "统计自")] {
        let page = site.get(&format!("/gateways?lang={lang}")).await.ok().body;
        assert!(page.contains(word) && page.contains("bad_topic"), "{page}");
        assert!(!page.contains(HOSTILE), "markup of a sender in {lang}");
    }
    let page = site.get("/gateways?pilot=p-2&lang=en").await.ok().body;
    assert!(page.contains("press / electricity") && page.contains("never"), "{page}");
    assert_eq!(site.get("/gateways?lang=fr").await.status, StatusCode::BAD_REQUEST);
}
