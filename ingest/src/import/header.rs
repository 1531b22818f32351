//! Finds out what the columns of a table are: by the words of its header, in English or Chinese, or by a layout.
//!
//! Invariant: a column is what exactly one word says; what is not understood is left out and told, never guessed.

use std::collections::BTreeMap;

use model::Unit;
use serde::{Deserialize, Serialize};

use super::cell::{Cell, Row, half_width};
use super::layout::{Field, Kind, Layout, N_FIELDS};
use crate::decode::shown;

/// A series as the header of a meter book or a registry names it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct SeriesName {
    pub asset: String,
    pub name: String,
    pub product: Option<String>,
}

/// What the columns of a table are.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Columns {
    Readings(Fields),
    Orders(Fields),
    Wide { fields: Fields, series: Vec<SeriesColumn> },
}

/// Where each field comes from.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Fields([Option<Source>; N_FIELDS]);

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Source {
    Column(usize),
    Constant(String),
}

/// A column of a meter book.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct SeriesColumn {
    pub(super) column: usize,
    /// As its header says.
    pub(super) title: String,
    pub(super) series: SeriesName,
    pub(super) unit: Option<String>,
}

impl Fields {
    pub(super) fn has(&self, field: Field) -> bool {
        self.0[field as usize].is_some()
    }

    fn set(&mut self, field: Field, source: Source) {
        self.0[field as usize] = Some(source);
    }

    /// The cell of a field; none if the table has no such field.
    pub(super) fn cell<'r>(&'r self, field: Field, row: &'r Row<'_>) -> Option<std::borrow::Cow<'r, Cell<'r>>> {
        use std::borrow::Cow;
        match self.0[field as usize].as_ref()? {
            Source::Column(column) => Some(row.cells.get(*column).map_or(Cow::Owned(Cell::Blank), Cow::Borrowed)),
            Source::Constant(text) => Some(Cow::Owned(Cell::Text(Cow::Borrowed(text)))),
        }
    }

    /// The text of a field; none if it is blank or the table has no such field.
    pub(super) fn label(&self, field: Field, row: &Row<'_>) -> Option<String> {
        self.cell(field, row).and_then(|cell| cell.label().map(std::borrow::Cow::into_owned))
    }
}

/// A header that was understood, and what was not.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Understood {
    pub(super) columns: Columns,
    /// Columns that hold nothing that is wanted.
    pub(super) left_out: Vec<String>,
}

/// The words for each field. Compared without blanks, underscores and case.
const WORDS: [(Field, &[&str]); N_FIELDS] = [
    (
        Field::At,
        &[
            "at",
            "time",
            "timestamp",
            "datetime",
            "date",
            "month",
            "day",
            "时间",
            "日期",
            "月份",
            "年月",
            "月",
            "日期时间",
            "抄表时间",
            "抄表日期",
            "时间戳",
            "统计月份",
        ],
    ),
    (Field::Clock, &["clock", "timeofday", "时刻"]),
    (
        Field::Asset,
        &["asset", "device", "meter", "machine", "设备", "设备名称", "资产", "仪表", "电表", "表号", "表计", "产线"],
    ),
    (Field::Name, &["name", "series", "tag", "名称", "指标", "测点", "点位", "项目", "参数"]),
    (Field::Value, &["value", "amount", "reading", "数值", "值", "读数", "用量", "示数", "金额"]),
    (Field::Unit, &["unit", "单位", "计量单位"]),
    (Field::Product, &["product", "产品", "产品名称", "产品型号", "型号", "品种"]),
    (Field::Id, &["id", "编号", "单号", "票号", "发票号", "批号"]),
    (Field::Quality, &["quality", "质量", "数据质量"]),
    (
        Field::Order,
        &["order", "orderid", "orderno", "workorder", "工单", "工单号", "订单", "订单号", "生产订单", "生产订单号"],
    ),
    (Field::Released, &["released", "下达", "下达时间", "下达日期", "下单时间", "下单日期"]),
    (
        Field::Started,
        &["started", "start", "开始", "开始时间", "开始日期", "开工", "开工时间", "开工日期", "实际开始", "实际开工"],
    ),
    (
        Field::Completed,
        &[
            "completed",
            "finished",
            "end",
            "完成",
            "完成时间",
            "完成日期",
            "完工",
            "完工时间",
            "完工日期",
            "结束",
            "结束时间",
            "实际完成",
            "实际完工",
        ],
    ),
    (Field::Cancelled, &["cancelled", "canceled", "取消", "取消时间", "取消日期"]),
    (Field::Quantity, &["quantity", "数量", "计划数量", "订单数量", "投产数"]),
    (Field::Good, &["good", "合格", "合格数", "合格数量", "合格品", "良品", "良品数"]),
    (
        Field::Defective,
        &[
            "defective",
            "defects",
            "不良",
            "不良数",
            "不良数量",
            "不合格",
            "不合格数",
            "不合格品",
            "次品",
            "废品",
            "不良品",
        ],
    ),
];

fn bare(text: &str) -> String {
    let bare = half_width(text).to_lowercase();
    bare.chars().filter(|c| !c.is_whitespace() && *c != '_').collect()
}

fn field_of(title: &str) -> Option<Field> {
    let bare = bare(title);
    WORDS.iter().find(|(_, words)| words.contains(&bare.as_str())).map(|(field, _)| *field)
}

/// Whether a text is a title of this field.
pub(super) fn names(field: Field, text: &str) -> bool {
    field_of(text) == Some(field) || field_of(parted(text).0) == Some(field)
}

/// A title and the unit in brackets behind it.
fn parted(title: &str) -> (&str, Option<String>) {
    for (open, close) in [('[', ']'), ('(', ')'), ('（', '）')] {
        let inner = title.strip_suffix(close).and_then(|rest| rest.rsplit_once(open));
        if let Some((base, unit)) = inner
            && (open == '[' || Unit::parse(unit.trim()).is_some())
        {
            return (base.trim_end(), Some(unit.trim().to_owned()));
        }
    }
    (title, None)
}

/// The series that a title of a meter book names: `asset/name`, `asset/name@product`; what is registered goes first, because
/// any part may hold a slash or an `@`.
fn series_of(title: &str, registered: &[SeriesName]) -> Option<SeriesName> {
    let written = |series: &SeriesName, title: &str| {
        let plain = format!("{}/{}", series.asset, series.name);
        let full = series.product.as_ref().map_or_else(|| plain.clone(), |product| format!("{plain}@{product}"));
        title == full
    };
    if let Some(series) = registered.iter().find(|series| written(series, title)) {
        return Some(series.clone());
    }
    let (title, _) = parted(title);
    if let Some(series) = registered.iter().find(|series| written(series, title)) {
        return Some(series.clone());
    }
    let (plain, product) = title.rsplit_once('@').map_or((title, None), |(plain, product)| (plain, Some(product)));
    let (asset, name) = plain.rsplit_once('/')?;
    let product = product.map(|product| product.trim().to_owned());
    let (asset, name) = (asset.trim().to_owned(), name.trim().to_owned());
    (!asset.is_empty() && !name.is_empty()).then_some(SeriesName { asset, name, product })
}

/// Understands a row as a header; none if it is none.
///
/// # Errors
/// Where it is a header that contradicts the layout or itself.
pub(super) fn understand(
    row: &Row<'_>,
    layout: &Layout,
    registered: &[SeriesName],
) -> Result<Option<Understood>, String> {
    let titles: Vec<String> =
        row.cells.iter().map(|cell| cell.label().map(std::borrow::Cow::into_owned).unwrap_or_default()).collect();
    let mut found = Found::of(&titles, layout)?;
    let kind = layout.table.or_else(|| found.kind());
    let has = |field| found.fields.has(field);
    let columns = match kind {
        Some(Kind::Orders) if has(Field::Order) => Columns::Orders(std::mem::take(&mut found.fields)),
        Some(Kind::Readings) if [Field::At, Field::Asset, Field::Name, Field::Value].into_iter().all(has) => {
            Columns::Readings(std::mem::take(&mut found.fields))
        }
        Some(Kind::Wide) | None if has(Field::At) => {
            let series = found.take_series(layout, registered)?;
            if series.is_empty() {
                return Ok(None);
            }
            Columns::Wide { fields: std::mem::take(&mut found.fields), series }
        }
        Some(_) | None => return Ok(None),
    };
    Ok(Some(Understood { columns, left_out: found.strange.into_iter().map(|(_, title)| title).collect() }))
}

/// What the titles say.
struct Found {
    fields: Fields,
    /// Columns whose title names no field.
    strange: Vec<(usize, String)>,
}

impl Found {
    fn of(titles: &[String], layout: &Layout) -> Result<Found, String> {
        let mut found = Found { fields: Fields::default(), strange: Vec::new() };
        let mut named: BTreeMap<usize, Field> = BTreeMap::new();
        for (field, title) in &layout.columns {
            let Some(column) = column_of(title, titles, layout.has_header()) else {
                return Err(format!("the layout's column {} is not in the header: {}", shown(title), listed(titles)));
            };
            named.insert(column, *field);
            found.fields.set(*field, Source::Column(column));
        }
        for (field, text) in &layout.constants {
            found.fields.set(*field, Source::Constant(text.clone()));
        }
        let is_series = |title: &str| layout.series.iter().any(|series| series.column == title);
        for (column, title) in titles.iter().enumerate().filter(|(_, title)| !title.is_empty()) {
            if named.contains_key(&column) || !layout.has_header() {
                continue;
            }
            let (base, unit) = parted(title);
            match field_of(title).or_else(|| field_of(base)).filter(|_| !is_series(title)) {
                Some(field) if !found.fields.has(field) => {
                    found.fields.set(field, Source::Column(column));
                    if let (Field::Value, Some(unit)) = (field, unit.filter(|_| !found.fields.has(Field::Unit))) {
                        found.fields.set(Field::Unit, Source::Constant(unit));
                    }
                }
                Some(field) if !layout.columns.contains_key(&field) && !layout.constants.contains_key(&field) => {
                    return Err(format!(
                        "{} and another column both mean `{field:?}`; name one in a layout: [columns] {} = \"…\"",
                        shown(title),
                        format!("{field:?}").to_lowercase()
                    ));
                }
                Some(_) | None => found.strange.push((column, title.clone())),
            }
        }
        Ok(found)
    }

    fn kind(&self) -> Option<Kind> {
        let has = |field| self.fields.has(field);
        if has(Field::Order) && [Field::Started, Field::Released, Field::Completed].into_iter().any(has) {
            return Some(Kind::Orders);
        }
        (has(Field::Asset) && has(Field::Name) && has(Field::Value)).then_some(Kind::Readings)
    }

    /// Takes the columns that name a series out of those that are strange.
    fn take_series(&mut self, layout: &Layout, registered: &[SeriesName]) -> Result<Vec<SeriesColumn>, String> {
        let mut series = Vec::new();
        for declared in layout.series.iter() {
            let titles: Vec<String> = self.strange.iter().map(|(_, title)| title.clone()).collect();
            let column = match layout.has_header() {
                true => self.strange.iter().find(|(_, title)| *title == declared.column).map(|(column, _)| *column),
                false => column_of(&declared.column, &titles, false),
            };
            let Some(column) = column else {
                return Err(format!(
                    "the layout's column {} is not in the header: {}",
                    shown(&declared.column),
                    listed(&titles)
                ));
            };
            let name = SeriesName {
                asset: declared.asset.clone(),
                name: declared.name.clone(),
                product: declared.product.clone(),
            };
            series.push(SeriesColumn {
                column,
                title: declared.column.clone(),
                series: name,
                unit: declared.unit.clone(),
            });
        }
        let is_taken = |column: usize| series.iter().any(|taken| taken.column == column);
        let asset = layout.constants.get(&Field::Asset);
        let (mut rest, mut named) = (Vec::new(), Vec::new());
        for (column, title) in std::mem::take(&mut self.strange) {
            if is_taken(column) {
                continue;
            }
            let (base, unit) = parted(&title);
            let of_asset = || asset.and_then(|asset| series_of(&format!("{asset}/{base}"), registered));
            match series_of(&title, registered).or_else(of_asset) {
                // Brackets of a registered name are no unit.
                Some(series) => {
                    let unit = unit.filter(|_| !series.name.ends_with([']', ')', '）']));
                    named.push(SeriesColumn { column, title, series, unit });
                }
                None => rest.push((column, title)),
            }
        }
        self.strange = rest;
        series.extend(named);
        Ok(series)
    }
}

/// The place of a column: by its title, or by number (from 1) or letter where there is no header.
fn column_of(name: &str, titles: &[String], has_header: bool) -> Option<usize> {
    if has_header {
        return titles.iter().position(|title| title == name.trim());
    }
    if let Ok(number) = name.trim().parse::<usize>() {
        return number.checked_sub(1);
    }
    let letters = name.trim().to_ascii_uppercase();
    if letters.is_empty() || letters.len() > 3 || !letters.bytes().all(|byte| byte.is_ascii_uppercase()) {
        return None;
    }
    let number = letters.bytes().fold(0, |number, letter| number * 26 + usize::from(letter - b'A') + 1);
    number.checked_sub(1)
}

/// Titles in a sentence.
pub(super) fn listed(titles: &[String]) -> String {
    const SHOWN_MAX: usize = 20;
    let named: Vec<String> =
        titles.iter().filter(|title| !title.is_empty()).take(SHOWN_MAX).map(|title| shown(title)).collect();
    if named.is_empty() { "it is empty".to_owned() } else { format!("it has {}", named.join(", ")) }
}

/// What would be a header, for the error that none was found.
pub(super) const WANTED: &str = "a header is expected: `at, asset, name, value[, unit, product, id, quality]` for readings, `order, product, \
     started, completed, good, defective` for orders, or a time column and one column a series named `asset/name [unit]`; \
     anything else needs a layout file (--layout)";

#[cfg(test)]
mod tests {
    use super::*;

    fn row(titles: &[&str]) -> Row<'static> {
        let cells = titles.iter().map(|title| Cell::Text((*title).to_owned().into())).collect();
        Row { number: 1, cells }
    }

    #[track_caller]
    fn check(titles: &[&str], layout: &str, expected: &str) {
        let layout = Layout::parse("l.toml", layout).unwrap();
        let registered = [SeriesName { asset: "a/b".to_owned(), name: "c/d".to_owned(), product: None }];
        let found = match understand(&row(titles), &layout, &registered) {
            Err(wrong) => wrong,
            Ok(None) => "no header".to_owned(),
            Ok(Some(Understood { columns, left_out })) => {
                let text = match columns {
                    Columns::Readings(fields) => format!("readings {}", told(&fields)),
                    Columns::Orders(fields) => format!("orders {}", told(&fields)),
                    Columns::Wide { fields, series } => {
                        let each = series.iter().map(|one| {
                            let SeriesName { asset, name, product } = &one.series;
                            let product = product.as_ref().map(|product| format!("@{product}")).unwrap_or_default();
                            let unit = one.unit.as_ref().map(|unit| format!("[{unit}]")).unwrap_or_default();
                            format!("{}={asset}|{name}{product}{unit}", one.column)
                        });
                        format!("wide {} {}", told(&fields), each.collect::<Vec<_>>().join(" "))
                    }
                };
                if left_out.is_empty() { text } else { format!("{text} without {}", left_out.join(",")) }
            }
        };
        assert_eq!(found, expected, "{titles:?}");
    }

    fn told(fields: &Fields) -> String {
        let each = fields.0.iter().enumerate().filter_map(|(index, source)| {
            let name = format!("{:?}", WORDS[index].0).to_lowercase();
            match source.as_ref()? {
                Source::Column(column) => Some(format!("{name}={column}")),
                Source::Constant(text) => Some(format!("{name}:{text}")),
            }
        });
        each.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn words_stand_in_the_order_of_the_fields() {
        for (index, (field, _)) in WORDS.into_iter().enumerate() {
            assert_eq!(field as usize, index, "{field:?}");
        }
    }

    #[test]
    fn headers_are_understood_in_both_languages_and_any_order() {
        check(&["at", "asset", "name", "value"], "", "readings at=0 asset=1 name=2 value=3");
        check(
            &["数值（千瓦时）", "时间", "设备", "名称", "备注"],
            "",
            "readings at=1 asset=2 name=3 value=0 unit:千瓦时 without 备注",
        );
        check(
            &["工单号", "产品", "开始时间", "完成时间", "合格", "不良"],
            "",
            "orders product=1 order=0 started=2 completed=3 good=4 defective=5",
        );
        check(&["Order", "Start", "End", "Good"], "", "orders order=0 started=1 completed=2 good=3");
        check(
            &["月份", "main/electricity [MWh]", "line-a/good@A12", "a/b/c/d", "天气"],
            "",
            "wide at=0 1=main|electricity[MWh] 2=line-a|good@A12 3=a/b|c/d without 天气",
        );
        check(&["2015年用电量"], "", "no header");
        check(&["at", "temperature"], "", "no header");
        check(
            &["date", "time", "main/x"],
            "",
            "`time` and another column both mean `At`; name one in a layout: [columns] at = \"…\"",
        );
    }

    #[test]
    fn a_layout_says_what_a_header_does_not() {
        check(
            &["Datum", "kWh"],
            "table = \"readings\"\n[columns]\nat = \"Datum\"\nvalue = \"kWh\"\n[constants]\nasset = \"m\"\nname = \"e\"",
            "readings at=0 asset:m name:e value=1",
        );
        check(
            &["时间", "总表"],
            "[[series]]\ncolumn = \"总表\"\nasset = \"main\"\nname = \"electricity\"\nunit = \"kWh\"",
            "wide at=0 1=main|electricity[kWh]",
        );
        check(
            &["2015-01-01", "5"],
            "header = false\ntable = \"readings\"\n[columns]\nat = \"A\"\nvalue = \"2\"\n[constants]\nasset = \"m\"\nname = \"e\"",
            "readings at=0 asset:m name:e value=1",
        );
        check(&["a"], "[columns]\nat = \"Datum\"", "the layout's column `Datum` is not in the header: it has `a`");
    }
}
