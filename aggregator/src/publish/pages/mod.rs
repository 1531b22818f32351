//! The pages: server-rendered HTML with inline SVG, without script, in Chinese and English, for screen and paper.
//!
//! [`view`] says what a page needs; [`programme`], [`pilot`], [`figure`] and [`gateways`] turn that into markup and nothing else, so that a page can
//! be looked at without a server (`cargo run --example render_pages`).
//!
//! Invariants:
//! - everything that came from outside is text to `maud`, which escapes it; no attribute holds a style or a script;
//! - the policy of [`CONTENT_POLICY`] allows the one style sheet, by its hash, and no other origin.

mod corrections;
pub mod figure;
mod gateways;
mod pilot;
mod programme;
mod style;
mod svg;
pub mod view;
mod words;

use std::sync::LazyLock;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use model::programme::Label;
use model::{Period, UnixMillis};
use sha2::{Digest, Sha256};

pub use figure::{FigureView, figure_page};
pub use gateways::gateways_page;
pub use pilot::pilot_page;
pub use programme::programme_page;
pub use view::{Loading, PilotView, ProgrammeView};
pub use words::Lang;

/// The Content-Security-Policy of every page.
pub(crate) static CONTENT_POLICY: LazyLock<String> = LazyLock::new(|| {
    let hash = BASE64_STANDARD.encode(Sha256::digest(style::SHEET.as_bytes()));
    format!(
        "default-src 'none'; style-src 'sha256-{hash}'; img-src 'self' data:; base-uri 'none'; form-action 'none'; \
         frame-ancestors 'none'"
    )
});

/// Seconds between two looks at a page while the demo loads.
const REFRESH_SECONDS: u32 = 2;

/// What surrounds every page.
struct Frame<'a> {
    lang: Lang,
    title: &'a str,
    /// Path and query of this page without `lang`, ending in `?` or `&`.
    here: String,
    loading: Option<Loading>,
    /// None on pages that say only why there is no page.
    as_of: Option<UnixMillis>,
    note: Note,
}

/// What the numbers of a page are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Note {
    Figures,
    /// One figure, and what is behind it.
    Evidence,
    /// Counts of messages, none of them a figure.
    Counts,
}

fn frame(frame: &Frame<'_>, body: &Markup) -> Markup {
    let lang = frame.lang;
    html! {
        (DOCTYPE)
        html lang=(lang.tag()) {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                @if frame.loading.is_some() { meta http-equiv="refresh" content=(REFRESH_SECONDS); }
                title { (frame.title) " · Pilotline" }
                link rel="icon" href="data:,";
                style { (PreEscaped(style::SHEET)) }
            }
            body {
                a class="skip" href="#main" { (lang.of("Skip to content", "跳到正文")) }
                header class="top" {
                    nav class="places" aria-label=(lang.of("Pages", "页面")) {
                        a class="brand" href={ "/?lang=" (lang.code()) } { "Pilotline" }
                        a href={ "/gateways?lang=" (lang.code()) } { (lang.of("Gateways", "网关")) }
                    }
                    nav aria-label=(lang.of("Language", "语言")) {
                        @for (other, name, tag) in [(Lang::En, "English", "en"), (Lang::Zh, "中文", "zh-Hans")] {
                            @if other == lang { span lang=(tag) aria-current="true" { (name) } }
                            @else { a lang=(tag) hreflang=(tag) href={ (frame.here) "lang=" (other.code()) } { (name) } }
                        }
                    }
                }
                @if let Some(loading) = frame.loading { (loading_bar(lang, loading)) }
                main id="main" { (body) }
                footer {
                    p { @match frame.note {
                        Note::Figures => {
                            (lang.of("Every number on this page is a stored figure, rounded half to even; the ", "本页每个数字均为已存储的结果，按“四舍六入五成双”修约；未修约数值见"))
                            a href="/api/v1/figures?scope=programme" { (lang.of("API", "接口")) }
                            (lang.of(" gives it in full.", "。"))
                        }
                        Note::Evidence => {
                            (lang.of("The figure is stored; what is behind it was computed for this page from the same data.", "结果为已存储数值；其依据由同一数据为本页即时计算。"))
                        }
                        Note::Counts => {
                            (lang.of("Counts of messages before duplicates are told apart; the same as JSON: ", "按消息计数（未剔除重复）；JSON 数据："))
                            a href="/api/v1/gateways" { (lang.of("API", "接口")) }
                        }
                    } }
                    @if let Some(at) = frame.as_of {
                        p { (lang.of("As of ", "截至 ")) time datetime=(at) { (instant(at)) } }
                    }
                }
            }
        }
    }
}

fn loading_bar(lang: Lang, loading: Loading) -> Markup {
    html! {
        div class="loading" role="status" {
            @match loading {
                Loading::History(share) => {
                    label for="loading" { (lang.of("History is being loaded through the MQTT door", "正在经 MQTT 导入历史数据")) }
                    progress id="loading" max="1" value=(share) {}
                    span class="num" { (lang.percent(share)) }
                }
                Loading::Figures(seconds) => {
                    label for="loading" { (lang.of("All data are in; figures are being computed", "数据已全部入库，正在计算结果")) }
                    progress id="loading" {}
                    span class="num" { (format!("{seconds:.0}")) (lang.of(" s behind", " 秒")) }
                }
            }
        }
    }
}

/// The day of an instant.
fn day(at: UnixMillis) -> String {
    at.to_string().chars().take(10).collect()
}

/// An instant as a person reads it.
fn instant(at: UnixMillis) -> String {
    let text = at.to_string();
    match text.get(..16) {
        Some(minute) => format!("{} UTC", minute.replace('T', " ")),
        None => text,
    }
}

/// The years to choose from; the one on show is no link.
fn years(lang: Lang, shown: Period, years: &[Period], link: &dyn Fn(Period) -> String) -> Markup {
    html! {
        nav class="years" aria-label=(lang.of("Year", "年份")) {
            @for &year in years {
                @if year == shown { strong aria-current="page" { (year) } }
                @else { a href=(link(year)) { (year) } }
            }
            @if !years.contains(&shown) { strong aria-current="page" { (shown) } }
        }
    }
}

/// A page that says why there is none.
pub(crate) fn problem_page(lang: Lang, status: u16, detail: &str) -> Markup {
    let title = match status {
        404 => lang.of("Not found", "未找到"),
        503 => lang.of("Not yet ready", "尚未就绪"),
        _ => lang.of("This page cannot be shown", "无法显示此页"),
    };
    let body = html! {
        h1 { (title) }
        p class="lead" { (detail) }
        p { a href={ "/?lang=" (lang.code()) } { (lang.of("To the programme", "返回方案总览")) } }
    };
    frame(&Frame { lang, title, here: "/?".to_owned(), loading: None, as_of: None, note: Note::Figures }, &body)
}

/// A label, its other language below it when they differ.
fn both(lang: Lang, label: &Label) -> Markup {
    let (other, tag) = match lang {
        Lang::En => (&label.zh, "zh-Hans"),
        Lang::Zh => (&label.en, "en"),
    };
    html! { @if other != lang.label(label) { p class="other-name" lang=(tag) { (other) } } }
}
