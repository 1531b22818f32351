//! Files beside a running server: bills and books of two years become the reduction that a hand computes, once.

use std::fmt::Write;
use std::path::Path;

use crate::harness::{Server, TempDir, ran};

const WORKS: &str = r#"
[pilot]
id = "works"
name = "Works"
region = "hami"
sector = "electronics"
class = "pilot"
zone = "Asia/Shanghai"
earliest = 2015-01-01
[baseline]
from = 2015-01-01
to = 2015-12-31
[[series]]
asset = "main"
name = "electricity"
quantity = "energy.electricity"
kind = "delta"
unit = "kWh"
max_gap = "32d"
[[series]]
asset = "line-a"
name = "good"
quantity = "output.good"
kind = "delta"
unit = "piece"
[[series]]
asset = "line-a"
name = "defective"
quantity = "output.defective"
kind = "delta"
unit = "piece"
"#;

/// A month a row.
fn book(year: i32, mwh: f64, good: u32, defective: u32) -> String {
    let mut text = "月份,main/electricity [MWh],line-a/good,line-a/defective\n".to_owned();
    for month in 1..=12 {
        writeln!(text, "{year}年{month}月,{mwh},{good},{defective}").unwrap();
    }
    text
}

/// Three orders a month of so many days.
fn orders(year: i32, days: u32) -> String {
    let mut text = "工单,开始,完成,合格,不良\n".to_owned();
    for (month, n) in (1..=11).flat_map(|month| [2, 7, 12].map(|n| (month, n))) {
        writeln!(
            text,
            "W{year}-{month}-{n},{year}-{month:02}-{n:02} 08:00,{year}-{month:02}-{:02} 08:00,100,1",
            n + days
        )
        .unwrap();
    }
    text
}

fn import(dir: &Path, name: &str, text: &str) -> serde_json::Value {
    let (file, data) = (dir.join(name), dir.join("data"));
    std::fs::write(&file, text).unwrap();
    let words = ["--pilot", "works", "--author", "Wang Li", "--source", "books", "--json", "--strict"];
    let place = [file.to_str().unwrap(), "--data", data.to_str().unwrap()];
    let (code, out, err) = ran(&[&["import"], &words[..], &place[..]].concat());
    assert_eq!(code, 0, "{out}{err}");
    serde_json::from_str(&out).unwrap()
}

#[test]
fn books_of_two_years_become_the_reduction_that_a_hand_computes() {
    let dir = TempDir::new("import");
    std::fs::create_dir_all(dir.path().join("pilots")).unwrap();
    std::fs::write(dir.path().join("pilots/works.toml"), WORKS).unwrap();
    let server = Server::run(dir.path());
    let files = [
        ("book-2015.csv", book(2015, 1.0, 100, 10)),
        ("book-2020.csv", book(2020, 0.9, 120, 6)),
        ("orders-2015.csv", orders(2015, 10)),
        ("orders-2020.csv", orders(2020, 8)),
    ];
    for (name, text) in &files {
        let report = import(dir.path(), name, text);
        assert_eq!(report["n_conflicts"], 0, "{report}");
        assert!(report["import"].is_u64(), "{report}");
    }
    let figures = server.json("/api/v1/figures?scope=pilot:works&period=2020");
    let reduction = |indicator: &str| {
        let figure = figures.as_array().unwrap().iter().find(|figure| figure["indicator"] == indicator).unwrap();
        figure["reduction"].as_f64().unwrap_or_else(|| panic!("{figure}"))
    };
    // 12 · 900 kWh for 1440 pieces instead of 12 · 1000 for 1200; 72 of 1512 instead of 10 of 110; 8 days instead of 10.
    for (indicator, by_hand) in [
        ("energy_intensity", 1.0 - (10_800.0 / 1_440.0) / (12_000.0 / 1_200.0)),
        ("defect_rate", 1.0 - 72.0 / (1_512.0 * (10.0 / 110.0))),
        ("production_cycle", 0.2),
    ] {
        let found = reduction(indicator);
        assert!((found - by_hand).abs() < 1e-12, "{indicator}: {found}, by hand {by_hand}");
    }

    let status = server.json("/api/v1/status");
    let report = import(dir.path(), "again.csv", &files[0].1);
    assert_eq!((&report["import"], &report["imported_before"]), (&serde_json::Value::Null, &1.into()), "{report}");
    assert_eq!(server.json("/api/v1/status")["received"], status["received"]);
    assert_eq!(server.json("/api/v1/figures?scope=pilot:works&period=2020")[0]["reduction"], figures[0]["reduction"]);

    let edited = import(dir.path(), "edited.csv", &files[1].1.replace("2020年3月,0.9", "2020年3月,0.8"));
    assert_eq!((&edited["n_conflicts"], &edited["conflicts"][0]["row"]), (&1.into(), &4.into()), "{edited}");
    let imports = server.json("/api/v1/imports?pilot=works");
    assert_eq!(imports.as_array().unwrap().len(), 5, "{imports}");
    assert_eq!((&imports[0]["author"], &imports[0]["is_complete"]), (&"Wang Li".into(), &true.into()));
}
