//! Files as people make them, from their bytes to what becomes of each row.

use std::path::{Path, PathBuf};

use super::*;
use crate::commit::Committer;
use crate::index::Index;
use crate::normalize::fixture::{Plant, RECEIVED_AT, pilot_id};

/// Series of a plant with books of 2015.
pub(super) const BOOKS: &str = r#"
[[product]]
id = "A12"
[[product]]
id = "B7"
[[series]]
asset = "main"
name = "electricity"
quantity = "energy.electricity"
kind = "delta"
unit = "kWh"
max_gap = "32d"
[[series]]
asset = "main"
name = "meter"
quantity = "energy.electricity"
kind = "counter"
unit = "kWh"
part_of = "main/electricity"
[[series]]
asset = "main"
name = "power"
quantity = "power.main"
kind = "gauge"
unit = "kW"
[[series]]
asset = "line-a"
name = "good"
quantity = "output.good"
kind = "delta"
unit = "piece"
"#;

struct TempFile(PathBuf);

impl TempFile {
    fn of(name: &str, bytes: &[u8]) -> TempFile {
        use std::sync::atomic::{AtomicU32, Ordering};
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let unique = format!("pilotline-import-{}-{}-{name}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(unique);
        std::fs::write(&path, bytes).unwrap();
        TempFile(path)
    }
}

impl Drop for TempFile {
    fn drop(&mut self) {
        std::fs::remove_file(&self.0).unwrap();
    }
}

fn open(plant: &Plant, path: &Path, layout: &str) -> Result<TableFile, ImportError> {
    let layout = Layout::parse("l.toml", layout).unwrap();
    TableFile::open(path, &layout, &surroundings(pilot_id().as_str(), &plant.index).unwrap())
}

fn messages(table: &TableFile) -> (Vec<Message>, Notes) {
    let mut messages = Vec::new();
    let notes = table.messages(&mut |message| {
        messages.push(message);
        Flow::On
    });
    (messages, notes.unwrap())
}

/// One line per series, orders and problem; the file's own path left out of errors.
pub(super) fn foretold(plant: &Plant, bytes: &[u8], layout: &str) -> Vec<String> {
    let file = TempFile::of("table", bytes);
    let told = || -> Result<Vec<String>, ImportError> {
        let table = open(plant, &file.0, layout)?;
        let mut lines = Vec::new();
        let mut messages = Vec::new();
        let notes = table.messages(&mut |message| {
            messages.push(message);
            Flow::On
        })?;
        for message in messages {
            let foreseen = foresee("p-1", message.payload.clone(), RECEIVED_AT, &plant.index).unwrap();
            for tally in &foreseen.series {
                let Tally { series, counts, sum, first, last, .. } = tally;
                let known = if tally.declared.is_some() { "" } else { " unregistered" };
                lines.push(format!(
                    "{series}{known}: {} of {sum} {} from {} to {}",
                    counts.all(),
                    tally.unit,
                    first.0,
                    last.0
                ));
            }
            if foreseen.orders.counts.all() > 0 {
                let OrderTally { counts, good, defective, .. } = foreseen.orders;
                lines.push(format!("orders: {} events, {good} good, {defective} defective", counts.all()));
            }
            lines.extend(foreseen.problems.iter().map(|problem| told_problem(&message, problem)));
            for origin in message.readings.iter().filter(|origin| origin.rival.is_some()) {
                lines.push(format!("row {} rivals row {}", origin.row, origin.rival.unwrap()));
            }
        }
        lines.extend(notes.left_out.iter().map(|(row, why)| format!("row {row} left out: {why}")));
        Ok(lines)
    };
    told().unwrap_or_else(|error| vec![error.to_string().replace(&file.0.display().to_string(), "FILE")])
}

fn told_problem(message: &Message, problem: &Problem) -> String {
    match problem {
        Problem::Refused(refusal) => {
            let origin = message.origin(refusal.part).unwrap();
            let detail = origin.problem.as_ref().unwrap_or(&refusal.detail);
            format!("row {} {}: {detail}", origin.row, refusal.reason.as_str())
        }
        Problem::Conflict { part, what, stands, sent, wins } => {
            let row = message.origin(*part).unwrap().row;
            format!("row {row} conflict: {what}: {stands} stands, {sent} sent, wins: {wins}")
        }
    }
}

#[track_caller]
fn check(text: &str, layout: &str, expected: &[&str]) {
    let plant = Plant::of(BOOKS);
    assert_eq!(foretold(&plant, text.as_bytes(), layout), expected, "{text}");
}

#[test]
fn a_long_table_of_readings_is_read_whatever_its_order_language_and_separator() {
    let expected = ["main/electricity: 2 of 3500 kWh from 2015-01-31T16:00:00.000Z to 2015-02-28T16:00:00.000Z"];
    check("at,asset,name,value,unit\n2015-01,main,electricity,1500,\n2015-02,main,electricity,2,MWh\n", "", &expected);
    check(
        "数值;单位;时间;设备;名称\n1500;;2015年1月;main;electricity\n2;MWh;2015年2月;main;electricity\n",
        "",
        &expected,
    );
    check(
        "\u{feff}value\tat\tasset\tname\r\n1,500\t2015/01/31\tmain\telectricity\r\n２，０００\t2015-02-28\tmain\telectricity\r\n",
        "",
        &expected,
    );
    check(
        "Zähler,\n\nDatum;kWh\n31/01/2015;1.500,0\n28/02/2015;2000\n",
        "skip_rows = 2\nseparator = \";\"\ntable = \"readings\"\ndecimal = \"comma\"\ntime_format = \"%d/%m/%Y\"\n[columns]\nat = \"Datum\"\n\
         value = \"kWh\"\n[constants]\nasset = \"main\"\nname = \"electricity\"",
        &expected,
    );
}

#[test]
fn gbk_is_found_without_being_named() {
    let text = "时间,设备,名称,数值\n2015-01,main,electricity,1\n2015-02,main,电,2\n";
    let (bytes, _, _) = encoding_rs::GBK.encode(text);
    let plant = Plant::of(BOOKS);
    let told = foretold(&plant, &bytes, "");
    assert_eq!(told.len(), 2, "{told:?}");
    assert_eq!(told[1], "main/电 unregistered: 1 of 2  from 2015-02-28T16:00:00.000Z to 2015-02-28T16:00:00.000Z");
    assert!(told[0].starts_with("main/electricity: 1 of 1 kWh"), "{told:?}");
}

#[test]
fn an_order_a_row_becomes_its_events() {
    check(
        "工单,产品,开始,完成,合格,不良,备注\nW-1,A12,2015-01-05,2015-01-05,98,2,\nW-2,A12,2015-01-06 08:00,,,,\n",
        "",
        &["orders: 3 events, 98 good, 2 defective"],
    );
    let file = TempFile::of(
        "orders",
        "order,product,started,completed,good,defective\nW-1,A12,2015-01-05,2015-01-05,98,2\n".as_bytes(),
    );
    let plant = Plant::of(BOOKS);
    let (messages, notes) = messages(&open(&plant, &file.0, "").unwrap());
    assert_eq!(
        String::from_utf8(messages[0].payload.clone()).unwrap(),
        r#"{"orders":[{"order":"W-1","product":"A12","event":"started","at":1420387200000},{"order":"W-1","product":"A12","event":"completed","at":1420473600000,"good":98,"defective":2}]}"#
    );
    assert_eq!(notes.order_days, 2);
}

#[test]
fn a_meter_book_has_a_column_a_series() {
    check(
        "月份,main/electricity [MWh],line-a/good@A12,line-a/good@B7,天气\n2015-01,1.5,100,,晴\n2015-02,,110,5,雨\n合计,1.5,210,5,\n",
        "",
        &[
            "line-a/good@A12: 2 of 210 piece from 2015-01-31T16:00:00.000Z to 2015-02-28T16:00:00.000Z",
            "line-a/good@B7: 1 of 5 piece from 2015-02-28T16:00:00.000Z to 2015-02-28T16:00:00.000Z",
            "main/electricity: 1 of 1500 kWh from 2015-01-31T16:00:00.000Z to 2015-01-31T16:00:00.000Z",
            "row 4 left out: a sum",
        ],
    );
}

#[test]
fn a_meter_called_total_is_no_sum() {
    check(
        "asset,at,name,value\ntotal,2015-01,electricity,10\n合计,,,10\nmain,Total:,,10\n",
        "",
        &[
            "total/electricity unregistered: 1 of 10  from 2015-01-31T16:00:00.000Z to 2015-01-31T16:00:00.000Z",
            "row 3 left out: a sum",
            "row 4 left out: a sum",
        ],
    );
}

#[test]
fn a_row_that_is_refused_says_why_and_keeps_no_other_from_being_taken() {
    check(
        "at,asset,name,value,unit,product\n2015-01,main,electricity,\"1,5\",,\n2015-02,main,electricity,7,m3,\nsoon,main,electricity,7,,\n\
         2015-03,main,power,7,,\n1999-01,main,electricity,7,,\n2014-06,main,electricity,7,,\n2015-04,line-a,good,7,,C9\n\
         2015-05,,electricity,7,,\n2015-06,main,electricity,8,,\n2015-06,main,electricity,9,,\n2015-07,main,electricity,,,\n",
        "",
        &[
            "main/electricity: 2 of 17 kWh from 2015-06-30T16:00:00.000Z to 2015-06-30T16:00:00.000Z",
            "row 2 bad_field: `1,5` is no number; a comma may only part thousands; where it is a decimal comma say `--decimal-comma`",
            "row 3 wrong_unit: asset `main`, name `electricity`: unit `m3` measures volume, but the series is declared in kWh (energy)",
            "row 4 bad_field: `soon` is no time; write 2015-01-31 08:15, 2015-01-31 or 2015-01, or name the form with `--time-format`",
            "row 5 bad_field: 2015-03 is a month; a gauge is read at an instant, and a mean of a month is no reading",
            "row 6 time_out_of_window: asset `main`, name `electricity`: `at` is 1999-01-31T16:00:00.000Z; instants from \
             2014-12-31T16:00:00.000Z to 2025-03-01T00:20:00.000Z (receipt + 10 min) are taken",
            "row 7 time_out_of_window: asset `main`, name `electricity`: `at` is 2014-06-30T16:00:00.000Z; instants from \
             2014-12-31T16:00:00.000Z to 2025-03-01T00:20:00.000Z (receipt + 10 min) are taken; [pilot] earliest in the pilot's file is \
             where they begin",
            "row 8 unknown_product: asset `line-a`, name `good`: product `C9` is not in the registry; it lists A12, B7",
            "row 9 bad_field: the asset is missing",
            "row 11 rivals row 10",
            "row 12 left out: no value",
        ],
    );
}

#[test]
fn what_is_no_table_is_named_with_what_would_be_right() {
    for (text, layout, expected) in [
        ("", "", "`FILE`: is empty"),
        ("at,asset,name,value\n1/2/2015,a,b,1\n", "", "`FILE`, row 2: `1/2/2015` may be day/month or month/day"),
        ("a,b\n1,2\n", "", "`FILE`: no row is a header that is understood; of its first row: it has `a`, `b`"),
        ("at,asset,name,value\n\"2015-01,a,b,1\n", "", "`FILE`: line 2 opens a quote that no line closes"),
        ("at,asset,name,value\n1,a,b,1", "charset = \"klingon\"", "charset `klingon` is not known"),
        ("at,asset,name,value\n1,a,b,1", "zone = \"Mars\"", "zone `Mars` is not known"),
    ] {
        let plant = Plant::of(BOOKS);
        let told = foretold(&plant, text.as_bytes(), layout);
        assert!(told[0].starts_with(expected), "{text:?}: {told:?}");
    }
    let plant = Plant::of(BOOKS);
    let told = foretold(&plant, b"at,asset\n\xff\xff\xff", "");
    assert_eq!(told, ["`FILE`: is neither UTF-8 nor GB18030 text; name its charset with `--charset`"]);
    let told = foretold(&plant, b"PK\x03\x04 no zip", "");
    assert!(told[0].starts_with("`FILE`: is no XLSX workbook"), "{told:?}");
}

#[test]
fn a_file_longer_than_a_block_gives_every_row_once() {
    let mut text = "at,asset,name,value,quality\n".to_owned();
    let n = 60_000;
    for minute in 0..n {
        let at = UnixMillis(1_425_168_000_000 + minute * 60_000);
        text.push_str(&format!("{at},main,electricity,1,\"good\"\n"));
    }
    assert!(text.len() > 2 << 20);
    let file = TempFile::of("long", text.as_bytes());
    let plant = Plant::of(BOOKS);
    let (messages, notes) = messages(&open(&plant, &file.0, "").unwrap());
    assert_eq!(notes.rows, n.unsigned_abs());
    let rows: Vec<u64> = messages.iter().flat_map(|message| &message.readings).map(|origin| origin.row).collect();
    assert_eq!(rows, (2..n.unsigned_abs() + 2).collect::<Vec<u64>>());
    assert!(messages.iter().all(|message| message.readings.len() <= 5_000 && message.payload.len() < 1 << 20));
}

/// Commits every message of a text; what each became.
fn brought_in(index: &Index, committer: &CommitterHandle, text: &str, plant: &Plant) -> Vec<Became> {
    let file = TempFile::of("table", text.as_bytes());
    let (messages, _) = messages(&open(plant, &file.0, "").unwrap());
    let commit_one = |message: Message| commit("p-1", message.payload, RECEIVED_AT, (index, committer)).unwrap();
    messages.into_iter().map(commit_one).collect()
}

#[test]
fn the_same_file_again_changes_nothing_and_an_edited_one_conflicts() {
    let plant = Plant::of(BOOKS);
    let committer = Committer::start(plant.store()).unwrap();
    let settling = plant.store().start_settling();
    let book =
        "at,asset,name,value\n2015-01,main,electricity,10\n2015-02,main,electricity,x\n2015-03,main,electricity,30\n";
    let settled =
        || assert!(plant.store().wait_settled(plant.store().last_commit(), std::time::Duration::from_secs(10)));
    assert_eq!(brought_in(&plant.index, &committer.handle(), book, &plant), [Became::Committed]);
    settled();
    assert_eq!(brought_in(&plant.index, &committer.handle(), book, &plant), [Became::Duplicate]);
    assert_eq!(
        brought_in(&plant.index, &committer.handle(), "at,asset,name,value\nx,main,a,1\n", &plant),
        [Became::Rejected]
    );
    settled();
    let counters = plant.store().counters();
    assert_eq!((counters.received, counters.committed, counters.duplicate), (3, 1, 1));
    assert_eq!(counters.rejected.iter().sum::<u64>(), 1);
    // What was refused is kept with its bytes.
    let kept = plant.store().rejections(UnixMillis(0), 0, 10).unwrap();
    assert_eq!(
        kept.iter().map(|row| (row.has_bytes, row.message.refusals.len())).collect::<Vec<_>>(),
        [(true, 1), (true, 1)]
    );
    let edited = book.replace(",10", ",11").replace(",30", ",29");
    let told = foretold(&plant, edited.as_bytes(), "");
    assert_eq!(
        told[2..],
        [
            "row 2 conflict: main/electricity at 2015-01-31T16:00:00.000Z: 10 kWh, good stands, 11 kWh, good sent, wins: true",
            "row 4 conflict: main/electricity at 2015-03-31T16:00:00.000Z: 30 kWh, good stands, 29 kWh, good sent, wins: false",
        ]
        .map(str::to_owned)
    );
    let series = plant.store().catalogue_of(&pilot_id())[0].id;
    let readings = plant.store().readings(series, UnixMillis(0), RECEIVED_AT).unwrap();
    assert_eq!(readings.iter().map(|reading| reading.flags.words()).collect::<Vec<_>>(), [["imported"], ["imported"]]);
    committer.stop();
    drop(settling);
}

#[test]
fn months_open_where_no_other_ends() {
    let book = "at,asset,name,value\n2015-03,main,electricity,30\n2015-01,main,electricity,10\n2015-02,main,electricity,20\n\
                2015-06,main,electricity,60\n2015-07,main,electricity,x\n2015-07,main,meter,7\n";
    let (file, plant) = (TempFile::of("book", book.as_bytes()), Plant::of(BOOKS));
    let (_, notes) = messages(&open(&plant, &file.0, "").unwrap());
    let at: Vec<String> = notes.openings.iter().map(|opening| opening.at.to_string()).collect();
    assert_eq!(at, ["2014-12-31T16:00:00.000Z", "2015-05-31T16:00:00.000Z"]);
    let message = opened(&notes.openings).unwrap();
    let foreseen = foresee("p-1", message.payload, RECEIVED_AT, &plant.index).unwrap();
    assert_eq!((foreseen.series[0].counts.new, foreseen.series[0].sum, foreseen.problems.len()), (2, 0.0, 0));
}

proptest::proptest! {
    #![proptest_config(proptest::test_runner::Config::with_cases(64))]
    #[test]
    fn no_text_makes_it_panic(rest in "[0-9a-z,;\"\t\r\n年月日:/. %-]{0,200}", bytes in proptest::collection::vec(0u8.., 0..100)) {
        let plant = Plant::of(BOOKS);
        let text = format!("at,asset,name,value,unit\n{rest}");
        for bytes in [text.as_bytes(), &bytes, &[b"at,asset,name,value\n", &bytes[..]].concat()] {
            let n_lines = bytes.iter().filter(|&&byte| byte == b'\n').count() as u64 + 1;
            let file = TempFile::of("any", bytes);
            let Ok(table) = open(&plant, &file.0, "") else { continue };
            let walked = table.messages(&mut |message| {
                assert!(message.readings.iter().all(|origin| origin.row <= n_lines));
                foresee("p-1", message.payload, RECEIVED_AT, &plant.index).unwrap();
                Flow::On
            });
            drop(walked);
        }
    }
}
