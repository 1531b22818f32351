//! The page "why this number": one figure, what changed, the arithmetic step by step, and the inputs down to their readings.
//!
//! Tables come from [`crate::evidence`] as data; this page names their columns and knows nothing of what is in them.

use maud::{Markup, html};
use model::programme::Label;
use model::{Effects, Figure, Scope, UnixMillis};

use super::programme::standing;
use super::view::{interval_of, reduction_of};
use super::words::{self, Lang};
use super::{Frame, Note, frame, svg};
use crate::evidence::{Cell, Evidence, Table};
use crate::publish::number;
use crate::publish::query;

/// What the page is made from.
pub struct FigureView {
    pub evidence: Evidence,
    pub scope_name: Label,
    pub as_of: UnixMillis,
}

/// Tables that open by themselves; the others open when asked for.
const OPEN: [&str; 7] = ["steps", "adjustments", "products", "cohorts", "beside", "fit", "pilots"];

/// Renders the page.
pub fn figure_page(view: &FigureView, lang: Lang) -> Markup {
    let figure = &view.evidence.figure;
    let indicator = words::indicator(lang, &figure.indicator);
    let here = address(&figure.scope, &figure.indicator.to_string(), &figure.period.to_string());
    let title = format!("{indicator}, {}", words::period(lang, figure.period));
    let body = html! {
        nav class="kicker" aria-label=(lang.of("Path", "路径")) {
            a href={ (parent(figure)) "lang=" (lang.code()) } { (lang.label(&view.scope_name)) }
        }
        h1 { (title) }
        (svg::symbol_sheet(&svg::Scale::around(reduction_of(figure).into_iter()), &[]))
        div class="panel why" {
            div class="reading" {
                span class="big num" { (reduction_of(figure).map_or_else(|| "–".to_owned(), |r| lang.percent(r))) }
                (standing(lang, figure))
            }
            p class="per-unit" { (summary(figure, lang)) }
            @if !figure.findings.is_empty() {
                ul class="findings" { @for finding in &figure.findings { li { (words::finding(lang, finding)) } } }
            }
        }
        (checked(view, lang))
        @if let Some(effects) = &figure.effects { (effects_section(effects, &figure.unit, lang)) }
        @for table in &view.evidence.tables { (section(view, table, lang)) }
        section {
            h2 { (lang.of("For machines", "机器可读")) }
            p class="sub" {
                a href={ "/api/v1/evidence" (query_of(&figure.scope, &figure.indicator.to_string(), &figure.period.to_string())) } {
                    (lang.of("The same as JSON, with every digit", "同一内容的 JSON，含全部位数")) }
            }
        }
    };
    let note = Note::Evidence;
    frame(&Frame { lang, title: &title, here, loading: None, as_of: Some(view.as_of), note }, &body)
}

/// The address of the page of a figure, ending in `&`.
pub(super) fn address(scope: &Scope, indicator: &str, period: &str) -> String {
    format!("/figure{}&", query_of(scope, indicator, period))
}

fn query_of(scope: &Scope, indicator: &str, period: &str) -> String {
    let scope = scope.to_string();
    query::of(&[("scope", &scope), ("indicator", indicator), ("period", period)])
}

/// Where one comes from, ending in `?` or `&`.
fn parent(figure: &Figure) -> String {
    match &figure.scope {
        Scope::Pilot(id) | Scope::Workshop(id, _) => format!("/pilots/{id}?period={}&", figure.period),
        scope @ (Scope::Programme | Scope::Region(_) | Scope::Sector(_) | Scope::Class(_)) => {
            format!("/?scope={scope}&period={}&", figure.period)
        }
    }
}

/// Method, interval, coverage and validity in a line.
fn summary(figure: &Figure, lang: Lang) -> String {
    let mut parts = Vec::new();
    if let Some(ends) = interval_of(figure) {
        let interval = words::interval(lang, ends);
        parts.push(format!("{}{}{interval}", lang.percent_short(figure.confidence), lang.of(" interval ", "置信区间")));
    }
    if let Some(method) = figure.method {
        parts.push(words::method(lang, method).to_owned());
    }
    if let Some(coverage) = figure.coverage {
        parts.push(format!("{}{}", lang.of("coverage ", "覆盖率"), lang.percent(coverage)));
    }
    parts.push(words::validity(lang, figure.validity).to_owned());
    parts.push(words::state(lang, figure.state).to_owned());
    if let Some(baseline) = figure.baseline {
        parts.push(format!("{}{baseline}", lang.of("baseline ", "基准 ")));
    }
    if let Some(plan) = figure.plan {
        parts.push(format!("{}{plan}", lang.of("plan ", "计划 ")));
    }
    parts.join(lang.of("; ", "；"))
}

fn checked(view: &FigureView, lang: Lang) -> Markup {
    html! {
        @match view.evidence.comes_out_again {
            Some(true) => p class="sub" { (lang.of(
                "Computed again from the inputs below just now: the same digits.",
                "刚才已由下列输入重新计算，各位数字一致。")) },
            Some(false) => p class="sub" { strong { (lang.of(
                "The inputs below have moved on since the figure was stored; it is about to be computed again.",
                "自结果存储以来输入已有变化，结果即将重新计算。")) } },
            None => {},
        }
    }
}

/// The four effects as bars around a common zero.
fn effects_section(effects: &Effects, unit: &str, lang: Lang) -> Markup {
    const HALF: f64 = 150.0;
    let all = [
        (lang.of("Activity: more or fewer pieces", "规模：产量增减"), effects.activity),
        (lang.of("Structure: other products, other hours", "结构：产品与用能时段变化"), effects.structure),
        (lang.of("Intensity: per standardised piece", "强度：单位产出变化"), effects.intensity),
        (lang.of("Price", "价格"), effects.price),
    ];
    let largest = all.iter().map(|(_, effect)| effect.abs()).fold(0.0, f64::max);
    let length = |effect: f64| if largest > 0.0 { effect.abs() / largest * HALF } else { 0.0 };
    let place = |effect: f64| if effect < 0.0 { HALF - length(effect) } else { HALF };
    let unit = words::unit(lang, unit);
    html! {
        section aria-labelledby="effects" {
            h2 id="effects" { (lang.of("Why the amount changed", "数量为何变化")) }
            p class="sub" {
                (lang.of("From ", "由")) span class="num" { (number::amount(effects.from)) }
                (lang.of(" in the baseline's same months to ", "（基准期同月）变为")) span class="num" { (number::amount(effects.to)) }
                " " (unit) (lang.of("; the parts add up to the difference (LMDI-I).", "；各项之和等于差值（LMDI-I）。"))
            }
            table class="data effects" {
                tbody {
                    @for (name, effect) in all {
                        tr {
                            th scope="row" { (name) }
                            td { svg viewBox="0 0 300 14" height="14" aria-hidden="true" {
                                rect class="seg ontrack"
                                    x=(format!("{:.1}", place(effect))) y="2" height="10" width=(format!("{:.1}", length(effect))) {}
                                line class="zero" x1="150" x2="150" y1="0" y2="14" {}
                            } }
                            td class="num" { (signed(effect)) }
                        }
                    }
                }
                tfoot { tr { th scope="row" { (lang.of("Together", "合计")) } td {} td class="num" { (signed(effects.to - effects.from)) } } }
            }
        }
    }
}

fn signed(amount: f64) -> String {
    let sign = if amount > 0.0 { "+" } else { "" };
    format!("{sign}{}", number::amount(amount))
}

fn section(view: &FigureView, table: &Table, lang: Lang) -> Markup {
    let (title, sub) = words::table(lang, table.id);
    let body = rows(view, table, lang);
    html! {
        section aria-labelledby=(table.id) {
            h2 id=(table.id) { (title) }
            @if !sub.is_empty() { p class="sub" { (sub) } }
            @if OPEN.contains(&table.id) { (body) }
            @else {
                details { summary { (table.rows.len()) (lang.of(" rows", "行")) } (body) }
            }
        }
    }
}

fn rows(view: &FigureView, table: &Table, lang: Lang) -> Markup {
    // What links to readings needs no columns of its own.
    let shown: Vec<usize> = (0..table.columns.len())
        .filter(|&n| table.id != "inputs" || !matches!(table.columns[n], "from" | "to"))
        .collect();
    html! {
        div class="scroll" tabindex="0" role="region" aria-label=(words::table(lang, table.id).0) {
            table class="data" {
                thead { tr { @for &n in &shown {
                    th scope="col" class=[is_text(table, n).then_some("text")] { (words::column(lang, table.columns[n])) } } } }
                tbody { @for row in &table.rows { tr { @for &n in &shown {
                    td class=(if is_text(table, n) { "text" } else { "num" }) {
                        @if table.columns[n] == "readings" && table.id == "inputs" {
                            a href=(readings(view, table, row)) { (cell(&row[n], table.columns[n], lang)) }
                        } @else if table.columns[n] == "pilot" {
                            (pilot(view, &row[n], lang))
                        } @else { (cell(&row[n], table.columns[n], lang)) }
                    }
                } } } }
            }
        }
    }
}

/// Whether a column holds words.
fn is_text(table: &Table, column: usize) -> bool {
    table.rows.iter().any(|row| matches!(row[column], Cell::Text(_)))
}

fn cell(cell: &Cell, column: &str, lang: Lang) -> String {
    match cell {
        Cell::Nothing => "–".to_owned(),
        Cell::Text(text) => words::cell(lang, text),
        Cell::Number(number) if matches!(column, "coverage" | "share" | "reduction" | "baseline_rate") => {
            lang.percent(*number)
        }
        Cell::Number(number) => number::precise(*number),
        Cell::Count(count) => number::precise(*count as f64),
        Cell::At(at) => super::instant(*at),
    }
}

/// The readings of an input row.
fn readings(view: &FigureView, table: &Table, row: &[Cell]) -> String {
    let value = |column: &str| match table.columns.iter().position(|name| *name == column).map(|n| &row[n]) {
        Some(Cell::Text(text)) => text.clone(),
        Some(Cell::At(at)) => at.to_string(),
        Some(Cell::Nothing | Cell::Number(_) | Cell::Count(_)) | None => String::new(),
    };
    let pilot = match &view.evidence.figure.scope {
        Scope::Pilot(id) | Scope::Workshop(id, _) => id.to_string(),
        Scope::Programme | Scope::Region(_) | Scope::Sector(_) | Scope::Class(_) => String::new(),
    };
    let (asset, name, product) = (value("asset"), value("name"), value("product"));
    let (from, to) = (value("from"), value("to"));
    let mut params = vec![("pilot", pilot.as_str()), ("asset", &asset), ("name", &name)];
    if !product.is_empty() {
        params.push(("product", &product));
    }
    params.extend([("from", from.as_str()), ("to", to.as_str())]);
    format!("/api/v1/readings{}", query::of(&params))
}

fn pilot(view: &FigureView, name: &Cell, lang: Lang) -> Markup {
    let Cell::Text(text) = name else { return html! {} };
    let figure = &view.evidence.figure;
    match Scope::parse(text) {
        Some(scope) => html! {
            a href={ (address(&scope, &figure.indicator.to_string(), &figure.period.to_string())) "lang=" (lang.code()) } {
                (text.trim_start_matches("pilot:")) }
        },
        None => html! { (text) },
    }
}
