//! The block of a pilot's corrections: when the reading was, what it was, what it is, who says so and why.

use maud::{Markup, html};
use model::{Quality, Value};

use super::view::PilotView;
use super::words::Lang;
use super::{day, instant};
use crate::publish::corrections::{Row, Side};

/// The latest corrections; nothing where there are none.
pub(super) fn block(view: &PilotView, lang: Lang) -> Markup {
    let shown = &view.corrections;
    if shown.latest.is_empty() {
        return html! {};
    }
    let label = |en, zh| lang.of(en, zh);
    html! {
        section aria-labelledby="corrections" {
            h2 id="corrections" { (lang.of("Corrections", "数据更正")) }
            p class="sub" {
                (lang.of("Readings that a person has corrected; what was sent is kept beside. ", "由人工更正的读数，原始上报值一并保留。"))
                a href={ "/api/v1/corrections?pilot=" (view.head.id) } {
                    @match lang {
                        Lang::En => { "All " (shown.n) " as JSON" },
                        Lang::Zh => { "全部 " (shown.n) " 条（JSON）" },
                    }
                }
            }
            table class="rows" {
                thead { tr {
                    th scope="col" { (lang.of("Reading", "读数")) }
                    th scope="col" class="n" { (lang.of("Was", "原值")) }
                    th scope="col" class="n" { (lang.of("Is", "现值")) }
                    th scope="col" class="n" { (lang.of("Made", "更正时间")) }
                } }
                @for row in &shown.latest {
                    tbody {
                        tr {
                            th scope="row" { (row.asset) " / " (row.name) @if let Some(product) = &row.product { " / " (product) }
                                small class="num" { time datetime=(row.at) { (instant(row.at)) } @if let Some(id) = &row.id { " · " (id) } } }
                            td class="n num" data-label=(label("Was", "原值")) { (was(row, lang)) }
                            td class="n num" data-label=(label("Is", "现值")) { (now(row, lang)) }
                            td class="n num" data-label=(label("Made", "更正时间")) { time datetime=(row.made_at) { (day(row.made_at)) } }
                        }
                        tr class="notes" { td colspan="4" { "#" (row.number) " " (row.author) (lang.of(": ", "：")) (row.reason) (superseded(row, lang)) } }
                    }
                }
            }
        }
    }
}

fn superseded(row: &Row, lang: Lang) -> String {
    match (row.superseded_by, lang) {
        (None, _) => String::new(),
        (Some(by), Lang::En) => format!(" (superseded by #{by})"),
        (Some(by), Lang::Zh) => format!("（已由 #{by} 取代）"),
    }
}

fn was(row: &Row, lang: Lang) -> String {
    row.was.as_ref().map_or_else(|| lang.of("nothing sent", "无上报").to_owned(), |side| shown(side, row, lang))
}

fn now(row: &Row, lang: Lang) -> String {
    match (&row.now, row.action) {
        (Some(side), _) => shown(side, row, lang),
        (None, "withdraw") => lang.of("as sent", "恢复原值").to_owned(),
        (None, _) => lang.of("void", "作废").to_owned(),
    }
}

fn shown(side: &Side, row: &Row, lang: Lang) -> String {
    let value = side.value.as_ref().map(Value::to_string);
    let number = value.map_or_else(|| "–".to_owned(), |value| format!("{value} {}", row.unit));
    match side.quality {
        Quality::Good => number,
        Quality::Uncertain => format!("{number}{}", lang.of(" (uncertain)", "（存疑）")),
        Quality::Bad => lang.of("bad", "无效").to_owned(),
    }
}
