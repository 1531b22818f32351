//! The demo: within 10 s a fleet on the page, within 60 s its history since 2015, and figures that agree with the truth.

use std::time::{Duration, Instant};

use crate::harness::{Server, eventually};

#[test]
fn the_demo_shows_a_fleet_whose_figures_agree_with_the_known_truth() {
    let started = Instant::now();
    let server = Server::start(&["demo"]);
    assert!(started.elapsed() < Duration::from_secs(10), "the page was up after {:?}", started.elapsed());
    let page = server.get("/?lang=zh");
    assert_eq!(page.status, 200);
    let pilots = server.json("/api/v1/pilots");
    let pilots = pilots.as_array().unwrap();
    assert_eq!(pilots.len(), 12);
    let distinct =
        |key: &str| pilots.iter().map(|p| p[key].to_string()).collect::<std::collections::BTreeSet<_>>().len();
    assert_eq!(distinct("region"), 6);
    assert!(distinct("sector") >= 8);
    assert_eq!(distinct("class"), 3);

    println!("{}", server.wait_for_line("history is in"));
    println!("{:?} after the start", started.elapsed());
    assert!(started.elapsed() < Duration::from_secs(60), "the history was in after {:?}", started.elapsed());
    let mut compared = 0;
    for pilot in pilots {
        let id = pilot["id"].as_str().unwrap();
        for truth in pilot["demo"]["truth"]["reductions"].as_array().unwrap() {
            let (indicator, year) = (truth["indicator"].as_str().unwrap(), truth["year"].as_i64().unwrap());
            let path = format!("/api/v1/figures?scope=pilot:{id}&indicator={indicator}&period={year}");
            let figure = &server.json(&path)[0];
            if figure["state"] == "insufficient" {
                continue;
            }
            let (told, found) = (truth["reduction"].as_f64().unwrap(), figure["reduction"].as_f64().unwrap());
            assert!((told - found).abs() < 0.03, "{id} {indicator} {year}: told {told}, found {found}");
            compared += 1;
        }
    }
    assert!(compared > 12 * 4 * 5, "only {compared} figures could be compared");

    let baseline = server.get("/?period=2015&lang=en").text();
    assert!(baseline.contains("2015 is the baseline period: nothing has a standing."), "{baseline}");

    let before = server.count("received");
    eventually("live data", || server.count("received") > before);
    assert_eq!(server.terminate(), Some(0));
}
