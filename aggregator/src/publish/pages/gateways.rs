//! The page "gateways": who sends, who does not, and why nothing arrives.

use maud::{Markup, html};
use model::{PilotId, UnixMillis};

use super::words::Lang;
use super::{Frame, Note, frame, instant};
use crate::publish::gateways::{
    Connection, EdgeNode, GatewaysView, SeriesHeard, SeriesOfPilot, Source, SourceKind, SourceRow, SourceState,
    UnheardPilot,
};
use crate::publish::{Door, number};

/// Most sources on one page; those that need a person stand first, and each pilot has a page of its own.
const SOURCES_SHOWN: usize = 500;

/// Renders the page "gateways".
pub fn gateways_page(view: &GatewaysView, lang: Lang) -> Markup {
    let title = lang.of("Gateways", "网关");
    let body = html! {
        (breadcrumb(view, lang))
        h1 { (lang.of("What arrives, and what does not", "数据到达情况")) }
        p class="lead" { (headline(view, lang)) }
        (doors(&view.doors, lang))
        (sources(view, lang))
        (unheard(view, lang))
        @if let Some(series) = &view.series { (series_section(series, view.as_of, lang)) }
        (connections(view, lang))
        (remedies(lang))
    };
    let here = view.pilot.as_ref().map_or_else(|| "/gateways?".to_owned(), |pilot| format!("/gateways?pilot={pilot}&"));
    frame(&Frame { lang, title, here, loading: None, as_of: Some(view.as_of), note: Note::Counts }, &body)
}

fn breadcrumb(view: &GatewaysView, lang: Lang) -> Markup {
    html! {
        nav class="kicker" aria-label=(lang.of("Path", "路径")) {
            @match &view.pilot {
                None => (lang.of("Gateways of all pilots in sight", "所有可见试点的网关")),
                Some(pilot) => {
                    a href={ "/gateways?lang=" (lang.code()) } { (lang.of("Gateways", "网关")) } " / "
                    a href={ "/pilots/" (pilot) "?lang=" (lang.code()) } { (name_of(view, pilot, lang)) }
                }
            }
        }
    }
}

fn name_of<'a>(view: &'a GatewaysView, pilot: &'a PilotId, lang: Lang) -> &'a str {
    view.names.get(pilot).map_or(pilot.as_str(), |name| lang.label(name))
}

/// The word of a state.
fn word(lang: Lang, state: SourceState) -> &'static str {
    match state {
        SourceState::Refused => lang.of("refused", "被拒"),
        SourceState::Partly => lang.of("partly refused", "部分被拒"),
        SourceState::Offline => lang.of("offline", "离线"),
        SourceState::Silent => lang.of("silent", "静默"),
        SourceState::Unheard => lang.of("not heard", "未收到"),
        SourceState::Sending => lang.of("sending", "正常"),
    }
}

fn class(state: SourceState) -> &'static str {
    match state {
        SourceState::Refused => "behind",
        SourceState::Partly | SourceState::Offline | SourceState::Silent => "atrisk",
        SourceState::Unheard => "insufficient",
        SourceState::Sending => "achieved",
    }
}

fn headline(view: &GatewaysView, lang: Lang) -> String {
    let counts: Vec<String> = SourceState::ALL
        .into_iter()
        .map(|state| (state, view.n_in(state)))
        .filter(|(_, n)| *n > 0)
        .map(|(state, n)| match lang {
            Lang::En => format!("{n} {}", word(lang, state)),
            Lang::Zh => format!("{}{n}个", word(lang, state)),
        })
        .collect();
    let since = view.since.map(instant).unwrap_or_default();
    let (n, counts) = (view.sources.len(), counts.join(lang.of(", ", "，")));
    match (lang, view.sources.is_empty()) {
        (Lang::En, true) => format!("Nothing was heard since {since}."),
        (Lang::Zh, true) => format!("自 {since} 以来未收到任何消息。"),
        (Lang::En, false) => {
            format!("{n} source{}: {counts}. Counted since {since}.", if n == 1 { "" } else { "s" })
        }
        (Lang::Zh, false) => format!("共{n}个数据源：{counts}。统计自 {since}。"),
    }
}

fn doors(doors: &[Door], lang: Lang) -> Markup {
    html! {
        ul class="doors" aria-label=(lang.of("Doors", "接入口")) {
            @for door in doors {
                li {
                    @match &door.trouble {
                        None => { span class="standing achieved" { (lang.of("open", "开放")) } " " (door.name) " " span class="num" { (door.address) } },
                        Some(trouble) => {
                            span class="standing behind" { (lang.of("closed", "中断")) } " " (door.name) " " span class="num" { (door.address) } ": " (trouble)
                        }
                    }
                    @for warning in &door.warnings { small class="atrisk" { (warning) } }
                }
            }
        }
    }
}

fn sources(view: &GatewaysView, lang: Lang) -> Markup {
    let heads = [
        lang.of("Last message", "最近消息"),
        lang.of("per minute", "每分钟"),
        lang.of("Messages", "消息"),
        lang.of("Readings", "读数"),
        lang.of("Refused", "被拒"),
        lang.of("Missing", "缺失"),
    ];
    html! {
        @if !view.sources.is_empty() {
            section aria-labelledby="sources" {
                h2 id="sources" { (lang.of("Sources", "数据源")) }
                p class="sub" { (lang.of(
                    "Those that need somebody come first. Refused counts messages and parts of messages as they came, also those that were taken later; missing counts holes in the source's own numbering.",
                    "需要处理的排在前面。“被拒”按到达时计，含整条消息及其部分，之后已重放的仍计入；“缺失”按数据源自身序号计。")) }
                table class="rows" role="table" {
                    thead role="rowgroup" { tr role="row" {
                        th role="columnheader" scope="col" { (lang.of("Source", "数据源")) }
                        th role="columnheader" scope="col" { (lang.of("State", "状态")) }
                        @for head in heads { th role="columnheader" scope="col" class="n" { (head) } }
                    } }
                    @for row in view.sources.iter().take(SOURCES_SHOWN) { (source_rows(view, row, &heads, lang)) }
                }
                @if view.sources.len() > SOURCES_SHOWN {
                    p class="sub" { (lang.of("More sources are on the pages of the single pilots, and in the ", "其余数据源见各试点页面及"))
                        a href="/api/v1/gateways" { (lang.of("API", "接口")) } "." }
                }
            }
        }
    }
}

fn source_rows(view: &GatewaysView, row: &SourceRow, heads: &[&str; 6], lang: Lang) -> Markup {
    let SourceRow { state, source } = row;
    let refused: u64 = source.refusals.values().sum();
    let cells = [
        html! { @match source.last_at { Some(at) => (ago(at, view.as_of, lang)), None => "–" } },
        html! { @if source.last_at.is_some() { (rate(source.per_minute)) } @else { "–" } },
        html! { (count(source.messages)) },
        html! { (count(source.readings + source.orders)) },
        html! { (count(refused)) },
        html! { (count(source.missing)) },
    ];
    html! {
        tbody role="rowgroup" {
            tr role="row" {
                th role="rowheader" scope="row" { b { (source.name) } small { (about(view, source, lang)) } }
                td role="cell" { span class={ "standing " (class(*state)) } { (word(lang, *state)) } }
                @for (head, cell) in heads.iter().zip(cells) { td role="cell" class="n num" data-label=(head) { (cell) } }
            }
            @if has_notes(source) { tr role="row" class="notes" { td role="cell" colspan="8" { (notes(source, lang)) } } }
        }
    }
}

/// Pilot, dialect and door of a source, and who it logs in as.
fn about(view: &GatewaysView, source: &Source, lang: Lang) -> Markup {
    let kind = match source.kind {
        SourceKind::Gateway => lang.of("gateway", "网关"),
        SourceKind::EdgeNode => lang.of("Sparkplug edge node", "Sparkplug 边缘节点"),
        SourceKind::Topic => lang.of("topic", "主题"),
        SourceKind::Others => lang.of("further topics, not told apart", "其他主题（合并）"),
    };
    html! {
        @match (&source.pilot, &view.pilot) {
            (Some(pilot), None) => {
                a href={ "/gateways?pilot=" (pilot) "&lang=" (lang.code()) } { (name_of(view, pilot, lang)) } " · "
            }
            (None, _) => { (lang.of("no pilot", "无试点")) " · " }
            (Some(_), Some(_)) => {}
        }
        (kind)
        @if !source.door.is_empty() && source.door != "listener" { " · " (lang.of("broker ", "代理 ")) (source.door) }
        @if let Some(login) = &source.login { " · " (lang.of("login ", "账号 ")) (login) }
        @if source.connected == Some(false) { " · " (lang.of("not connected", "未连接")) }
    }
}

fn has_notes(source: &Source) -> bool {
    source.last_refusal.is_some() || source.edge_node.is_some() || source.liveness.is_some()
}

fn notes(source: &Source, lang: Lang) -> Markup {
    html! {
        @if let Some(edge) = &source.edge_node { (edge_notes(edge, lang)) }
        @if let Some(liveness) = source.liveness {
            p { (lang.of("Says it is ", "自报"))
                (if liveness.online { lang.of("online", "在线") } else { lang.of("offline", "离线") })
                (lang.of(", ", "，")) (instant(liveness.at)) }
        }
        @if !source.refusals.is_empty() {
            p { (lang.of("Refused: ", "被拒原因："))
                @for (place, (reason, n)) in source.refusals.iter().enumerate() { @if place > 0 { ", " } code { (reason) } " " (n) } }
        }
        @if let Some(last) = &source.last_refusal {
            p class="why" { (instant(last.at)) " " code { (last.reason) } ": " (last.detail) }
        }
    }
}

/// The word of an edge node's or a device's state.
fn edge_state(state: &str, lang: Lang) -> String {
    let zh = match state {
        "online" => "在线",
        "offline" => "离线",
        "awaiting_birth" => "等待重生",
        "silent" => "无应答",
        "link_lost" => "链路中断",
        "stale" => "过期",
        "unknown" => "未知",
        other => other,
    };
    lang.of(state, zh).replace('_', " ")
}

fn edge_notes(edge: &EdgeNode, lang: Lang) -> Markup {
    let gone = edge.devices.iter().filter(|device| device.state != "online");
    html! {
        p {
            (lang.of("Edge node ", "边缘节点 ")) b { (edge_state(edge.state, lang)) }
            @if let Some(since) = edge.since { (lang.of(" since ", "，自 ")) (instant(since)) }
            " · " (lang.of("metrics: ", "指标：")) (edge.metrics)
            @if !edge.devices.is_empty() { " · " (lang.of("devices: ", "设备：")) (edge.devices.len()) }
            @for device in gone { (lang.of(", ", "，")) (device.name) " " (edge_state(device.state, lang)) }
            @if edge.rebirths_asked > 0 {
                " · " (lang.of("births asked for ", "请求重生 ")) (edge.rebirths_asked) (lang.of(", answered ", "，应答 ")) (edge.rebirths_answered)
            }
        }
        @if !edge.deviations.is_empty() {
            p { (lang.of("Strays from the standard: ", "偏离标准："))
                @for (place, (deviation, n)) in edge.deviations.iter().enumerate() { @if place > 0 { ", " } code { (deviation) } " " (n) } }
        }
    }
}

/// Messages a minute: a decimal where it says something.
fn rate(per_minute: f64) -> String {
    if per_minute < 10.0 { format!("{per_minute:.1}") } else { format!("{per_minute:.0}") }
}

/// A count, grouped from five digits on.
fn count(n: u64) -> String {
    if n < 10_000 { n.to_string() } else { number::amount(n as f64) }
}

/// How long ago, with the instant to look up.
fn ago(at: UnixMillis, now: UnixMillis, lang: Lang) -> Markup {
    let seconds = now.0.saturating_sub(at.0).max(0) / 1_000;
    let (n, unit) = match seconds {
        0..120 => (seconds, lang.of("s", "秒")),
        120..7_200 => (seconds / 60, lang.of("min", "分钟")),
        7_200..172_800 => (seconds / 3_600, lang.of("h", "小时")),
        _ => (seconds / 86_400, lang.of("d", "天")),
    };
    html! { time datetime=(at) title=(instant(at)) { (n) " " (unit) (lang.of(" ago", "前")) } }
}

fn unheard(view: &GatewaysView, lang: Lang) -> Markup {
    let row = |pilot: &UnheardPilot| {
        html! {
            tr {
                th scope="row" { a href={ "/gateways?pilot=" (pilot.pilot) "&lang=" (lang.code()) } { (lang.label(&pilot.name)) } }
                td class="text" { @for topic in &pilot.topics { code { (topic) } " " } }
                td class="num" { @match pilot.last_reading { Some(at) => (ago(at, view.as_of, lang)), None => (lang.of("never", "从未")) } }
            }
        }
    };
    html! {
        @if !view.unheard.is_empty() {
            section aria-labelledby="unheard" {
                h2 id="unheard" { (lang.of("Pilots not heard", "未收到消息的试点")) }
                p class="sub" { (lang.of(
                    "No message since the start of the process. Is the gateway on, does it reach this address, and does it publish on one of these topics?",
                    "自进程启动以来没有消息。网关是否开机、能否连到本机、是否发布到以下主题？")) }
                table class="data wrap" {
                    thead { tr {
                        th scope="col" { (lang.of("Pilot", "试点")) }
                        th scope="col" class="text" { (lang.of("Listened to on", "监听主题")) }
                        th scope="col" { (lang.of("Latest data", "最近数据")) }
                    } }
                    tbody { @for pilot in &view.unheard { (row(pilot)) } }
                }
            }
        }
    }
}

fn series_section(series: &SeriesOfPilot, now: UnixMillis, lang: Lang) -> Markup {
    let row = |one: &SeriesHeard| {
        html! {
            tr {
                th scope="row" { (one.asset) " / " (one.name) @if let Some(product) = &one.product { " / " (product) } }
                td class="text" { @match &one.quantity { Some(quantity) => (quantity), None => (lang.of("not registered", "未登记")) } }
                td class="num" { @match one.last_at { Some(at) => (ago(at, now, lang)), None => (lang.of("never", "从未")) } }
            }
        }
    };
    html! {
        section aria-labelledby="series" {
            h2 id="series" { (lang.of("Series", "数据序列")) }
            p class="sub" { (lang.of(
                "Latest reading of each registered series, of all time. Readings of series that nobody registered are kept and count nowhere; ",
                "各登记序列的最近读数（不限本次启动）。未登记序列的读数会保留但不参与计算；"))
                code { "pilotline rejected --suggest" } (lang.of(" writes their registry lines.", " 可生成登记内容。")) }
            table class="data wrap" {
                thead { tr {
                    th scope="col" { (lang.of("Asset / name", "资产 / 名称")) }
                    th scope="col" class="text" { (lang.of("Quantity", "物理量")) }
                    th scope="col" { (lang.of("Latest reading", "最近读数")) }
                } }
                tbody {
                    @for one in &series.registered { (row(one)) }
                    @for one in &series.unregistered { (row(one)) }
                }
            }
            @if series.n_unregistered > series.unregistered.len() {
                p class="sub" { (series.n_unregistered) (lang.of(" series are not registered; the first are shown.", " 个序列未登记，仅列出前面部分。")) }
            }
        }
    }
}

fn connections(view: &GatewaysView, lang: Lang) -> Markup {
    let client = |client: &str, login: Option<&str>| {
        html! {
            @if client.is_empty() { (lang.of("no client id", "无客户端标识")) } @else { (client) }
            @if let Some(login) = login { " · " (lang.of("login ", "账号 ")) (login) }
        }
    };
    let idle = |connection: &Connection| {
        html! {
            li { b { (client(&connection.client, connection.login.as_deref())) } (lang.of(": connected, and sent nothing; since ", "：已连接但未发送任何消息，自 "))
                (instant(connection.since)) }
        }
    };
    html! {
        @if !view.idle_connections.is_empty() || !view.refused_connections.is_empty() {
            section aria-labelledby="connections" {
                h2 id="connections" { (lang.of("Connections", "连接")) }
                ul class="plain" {
                    @for refused in &view.refused_connections {
                        li { b { (client(&refused.client, refused.login.as_deref())) } (lang.of(": turned away ", "：被拒绝 ")) (refused.times)
                            (lang.of("×, last ", " 次，最近 ")) (ago(refused.last_at, view.as_of, lang)) ": " (refused.why) }
                    }
                    @for connection in &view.idle_connections { (idle(connection)) }
                }
            }
        }
    }
}

/// What to do about each state.
fn remedies(lang: Lang) -> Markup {
    let rows = [
        (SourceState::Refused,
            lang.of("the last message was refused whole. The line below says why; `pilotline explain --topic T FILE` tries a mended mapping, `pilotline rejected --replay` takes what was kept.",
                "最近一条消息整条被拒，原因见下一行；可用 pilotline explain --topic T FILE 试验修改后的映射，再用 pilotline rejected --replay 重放。")),
        (SourceState::Partly, lang.of("parts of the last message were refused, or are of a series that nobody registered; the rest was taken.", "最近一条消息部分被拒，或含未登记序列；其余已收下。")),
        (SourceState::Offline,
            lang.of("it said so itself, or its edge node's death did, or the link to its broker is lost.", "自报离线、边缘节点死亡或与代理的连接中断。")),
        (SourceState::Silent,
            lang.of("no message for ten of its usual intervals, at least five minutes. An edge node that is online may be silent: it reports changes only.",
                "超过其通常间隔的十倍（至少五分钟）没有消息。在线的边缘节点只报变化，不算静默。")),
        (SourceState::Unheard,
            lang.of("known by its numbering from before the last start, and not heard since.", "上次启动前有序号记录，此后未收到。")),
    ];
    html! {
        section class="box" aria-labelledby="remedies" {
            h2 id="remedies" { (lang.of("What the states mean", "状态说明")) }
            dl class="meanings" {
                @for (state, text) in rows {
                    div { dt class={ "standing " (class(state)) } { (word(lang, state)) } dd { (text) } }
                }
            }
        }
    }
}
