//! Workbooks as spreadsheets write them, and as nobody should.

use super::*;
use crate::import::tests::{BOOKS, foretold};
use crate::normalize::fixture::Plant;

#[test]
fn a_format_says_how_finely_a_date_is_meant() {
    for (code, expected) in [
        ("yyyy-mm-dd", Shown::Day),
        ("yyyy\"年\"m\"月\"d\"日\"", Shown::Day),
        ("yyyy\"年\"m\"月\"", Shown::Month),
        ("mmm-yy", Shown::Month),
        ("[$-804]yyyy/m/d h:mm;@", Shown::Time),
        ("h:mm", Shown::OfDay),
        ("0.00%", Shown::Percent),
        ("#,##0.00", Shown::Plain),
        ("\"day\" 0", Shown::Plain),
        ("General", Shown::Plain),
    ] {
        assert_eq!(Shown::of_code(code), expected, "{code}");
    }
}

#[test]
fn serial_numbers_are_days_of_one_of_two_calendars() {
    assert_eq!(local(42_005.0, false).unwrap().to_string(), "2015-01-01T00:00:00");
    assert_eq!(local(42_005.010_416_666_7, false).unwrap().to_string(), "2015-01-01T00:15:00");
    assert_eq!(local(40_543.0, true).unwrap().to_string(), "2015-01-01T00:00:00");
    assert_eq!(local(f64::NAN, false), None);
    assert_eq!(local(1e300, false), None);
}

const CELL_STYLES: &str = r#"<styleSheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main">
<numFmts count="3"><numFmt numFmtId="164" formatCode="yyyy&quot;年&quot;m&quot;月&quot;"/><numFmt numFmtId="165" formatCode="yyyy\\-mm\\-dd"/>
<numFmt numFmtId="166" formatCode="yyyy\\-mm\\-dd\\ hh:mm"/></numFmts>
<cellXfs count="5"><xf numFmtId="0"/><xf numFmtId="164"/><xf numFmtId="165"/><xf numFmtId="166"/><xf numFmtId="10"/></cellXfs></styleSheet>"#;

/// A workbook of sheets, each the XML of its rows.
fn workbook(sheets: &[(&str, &str)], shared: &[u8]) -> Vec<u8> {
    const MAIN: &str = "http://schemas.openxmlformats.org/spreadsheetml/2006/main";
    const RELATIONS: &str = "http://schemas.openxmlformats.org/officeDocument/2006/relationships";
    const PACKAGE: &str = "http://schemas.openxmlformats.org/package/2006/relationships";
    let (mut list, mut relations) = (String::new(), String::new());
    for (index, (name, _)) in sheets.iter().enumerate() {
        list.push_str(&format!(r#"<sheet name="{name}" sheetId="{n}" r:id="rId{n}"/>"#, n = index + 1));
        let target = format!("worksheets/sheet{}.xml", index + 1);
        relations.push_str(&format!(
            r#"<Relationship Id="rId{}" Type="{RELATIONS}/worksheet" Target="{target}"/>"#,
            index + 1
        ));
    }
    relations.push_str(&format!(r#"<Relationship Id="s" Type="{RELATIONS}/styles" Target="styles.xml"/>"#));
    relations
        .push_str(&format!(r#"<Relationship Id="t" Type="{RELATIONS}/sharedStrings" Target="sharedStrings.xml"/>"#));
    let root = format!(r#"<Relationship Id="w" Type="{RELATIONS}/officeDocument" Target="xl/workbook.xml"/>"#);
    let mut files = vec![
        ("_rels/.rels".to_owned(), format!(r#"<Relationships xmlns="{PACKAGE}">{root}</Relationships>"#)),
        (
            "xl/workbook.xml".to_owned(),
            format!(r#"<workbook xmlns="{MAIN}" xmlns:r="{RELATIONS}"><sheets>{list}</sheets></workbook>"#),
        ),
        (
            "xl/_rels/workbook.xml.rels".to_owned(),
            format!(r#"<Relationships xmlns="{PACKAGE}">{relations}</Relationships>"#),
        ),
        ("xl/styles.xml".to_owned(), CELL_STYLES.to_owned()),
    ];
    for (index, (_, rows)) in sheets.iter().enumerate() {
        let sheet = format!(r#"<worksheet xmlns="{MAIN}"><sheetData>{rows}</sheetData></worksheet>"#);
        files.push((format!("xl/worksheets/sheet{}.xml", index + 1), sheet));
    }
    let mut writer = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let options = zip::write::SimpleFileOptions::default();
    for (name, text) in
        files.iter().map(|(name, text)| (name.as_str(), text.as_bytes())).chain([("xl/sharedStrings.xml", shared)])
    {
        writer.start_file(name, options).unwrap();
        std::io::Write::write_all(&mut writer, text).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

const NO_TEXTS: &[u8] = br#"<sst xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"/>"#;

/// The XML of rows; a cell is `style|value`, a text begins with a quote, none is left out.
fn rows(rows: &[(u64, &[&str])]) -> String {
    let mut xml = String::new();
    for (number, cells) in rows {
        xml.push_str(&format!(r#"<row r="{number}">"#));
        for (letter, cell) in ('A'..).zip(cells.iter()) {
            let (style, value) = cell.split_once('|').unwrap_or(("0", cell));
            match value.strip_prefix('"') {
                Some(text) => {
                    xml.push_str(&format!(r#"<c r="{letter}{number}" t="inlineStr"><is><t>{text}</t></is></c>"#))
                }
                None if value.is_empty() => {}
                None => xml.push_str(&format!(r#"<c r="{letter}{number}" s="{style}"><v>{value}</v></c>"#)),
            }
        }
        xml.push_str("</row>");
    }
    xml
}

#[test]
fn a_meter_book_of_a_spreadsheet_is_read_as_it_is_shown() {
    let sheet = rows(&[
        (1, &["\"某厂 2015 年用电量"]),
        (3, &["\"月份", "\"main/electricity [MWh]", "\"备注"]),
        (4, &["1|42005", "101.5", "\"x"]),
        (5, &["1|42036", "\"１０５"]),
        (6, &["1|42064", ""]),
        (8, &["\"合计", "206.5"]),
    ]);
    let told = told(&workbook(&[("2015", &sheet), ("notes", &rows(&[(1, &["\"hello"])]))], NO_TEXTS), "");
    assert_eq!(
        told,
        [
            "main/electricity: 2 of 206500 kWh from 2015-01-31T16:00:00.000Z to 2015-02-28T16:00:00.000Z",
            "row 6 left out: no value",
            "row 8 left out: a sum",
        ]
    );
}

#[test]
fn days_times_and_shares_are_what_their_formats_show() {
    let head = ["\"时间", "\"设备", "\"名称", "\"数值"];
    let day = rows(&[(1, &head), (2, &["2|42005", "\"main", "\"electricity", "7"])]);
    let time = rows(&[(1, &head), (2, &["3|42005", "\"main", "\"electricity", "7"])]);
    let share = rows(&[(1, &head), (2, &["3|42005", "\"main", "\"electricity", "4|0.985"])]);
    let hidden = rows(&[(1, &head), (2, &["2|42005.25", "\"main", "\"electricity", "7"])]);
    let bare = rows(&[(1, &head), (2, &["42005", "\"main", "\"electricity", "7"])]);
    for (sheet, expected) in [
        (&day, "main/electricity: 1 of 7 kWh from 2015-01-01T16:00:00.000Z"),
        (&time, "main/electricity: 1 of 7 kWh from 2014-12-31T16:00:00.000Z"),
        (&share, "row 2 wrong_unit: asset `main`, name `electricity`: unit `1` measures number"),
        (
            &hidden,
            "`FILE`, row 2: a cell shows the date 2015-01-01 and holds 06:00:00 too; format the column as date and time",
        ),
        (&bare, "`FILE`, row 2: `42005` is a bare number, perhaps a date of a spreadsheet"),
    ] {
        let told = told(&workbook(&[("a", sheet)], NO_TEXTS), "");
        assert!(told[0].starts_with(expected), "{told:?}");
    }
    let two = told(&workbook(&[("a", &day), ("b", &time)], NO_TEXTS), "");
    assert_eq!(two, ["`FILE`: several sheets hold tables: a, b; name one with --sheet"]);
    assert!(
        told(&workbook(&[("a", &day), ("b", &time)], NO_TEXTS), "sheet = \"b\"")[0]
            .ends_with("2014-12-31T16:00:00.000Z")
    );
}

#[test]
fn a_torn_or_swollen_workbook_is_an_error_and_no_panic() {
    let sheet =
        rows(&[(1, &["\"at", "\"asset", "\"name", "\"value"]), (2, &["2|42005", "\"main", "\"electricity", "7"])]);
    let whole = workbook(&[("a", &sheet)], NO_TEXTS);
    for end in (4..whole.len()).step_by(97) {
        let told = told(&whole[..end], "");
        assert!(told[0].contains("is no XLSX workbook"), "{end}: {told:?}");
    }
    for at in (4..whole.len()).step_by(41) {
        let mut flipped = whole.clone();
        flipped[at] ^= 0x55;
        told(&flipped, "");
    }
    let swollen = workbook(&[("a", &sheet)], &vec![b' '; usize::try_from(OTHERS_MAX + 1).unwrap()]);
    assert!(swollen.len() < 1 << 20);
    let told = told(&swollen, "");
    assert_eq!(told, ["`FILE`: inflates to more than a workbook of plain tables holds; save the sheet as CSV"]);
}

fn told(bytes: &[u8], layout: &str) -> Vec<String> {
    foretold(&Plant::of(BOOKS), bytes, layout)
}
