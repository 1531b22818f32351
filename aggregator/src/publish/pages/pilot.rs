//! The pilot page: what each indicator came to, how it got there, and how far the data carry it.

use jiff::civil::Date;
use maud::{Markup, html};
use model::period::MonthNo;
use model::{Figure, Indicator, Period, PeriodKind, Scope, Standing};
use seeds::fleet::{TrueReduction, Truth};

use super::corrections;
use super::figure;
use super::programme::standing;
use super::svg::{self, Scale, Span, Trend};
use super::view::{Loading, Panel, PilotHead, PilotView, are_of_baseline, interval_of, judged_by, reduction_of};
use super::words::{self, Lang};
use super::{Frame, Note, both, frame, instant, years};
use crate::publish::number;

/// Renders the page of one pilot; `loading` says what is not in yet.
pub fn pilot_page(view: &PilotView, loading: Option<Loading>, lang: Lang) -> Markup {
    let head = &view.head;
    let of_panel = |panel: &Panel| {
        let figures = panel.yearly.iter().chain(&panel.quarterly).filter_map(reduction_of);
        figures.chain(panel.stages.iter().map(|stage| stage.reduction)).collect::<Vec<f64>>()
    };
    // One scale for all four panels, so that heights compare.
    let scale = Scale::around(view.panels.iter().flat_map(of_panel));
    let name = lang.label(&head.name);
    let body = html! {
        (svg::symbol_sheet(&scale, &[]))
        (breadcrumb(view, lang))
        h1 { (name) }
        (both(lang, &head.name))
        p class="lead" { (headline(view, lang)) }
        (years(lang, view.shown.period, &view.years, &|year| link(head, year, lang)))
        div class="panels" { @for panel in &view.panels { (panel_section(view, panel, lang, &scale)) } }
        (trend_legend(view, lang))
        @if let Some(truth) = &view.truth { (truth_box(view, truth, lang)) }
        (stops(view, lang))
        (restatements(view, lang))
        (corrections::block(view, lang))
        (facts(view, lang))
        (quality(view, lang))
    };
    let here = format!("/pilots/{}?period={}&", head.id, view.shown.period);
    frame(&Frame { lang, title: name, here, loading, as_of: Some(view.as_of), note: Note::Figures }, &body)
}

fn link(head: &PilotHead, period: Period, lang: Lang) -> String {
    format!("/pilots/{}?period={period}&lang={}", head.id, lang.code())
}

fn breadcrumb(view: &PilotView, lang: Lang) -> Markup {
    let (region, name) = &view.head.region;
    let scope = Scope::Region(region.clone());
    html! {
        nav class="kicker" aria-label=(lang.of("Path", "路径")) {
            a href={ "/?period=" (view.shown.period) "&lang=" (lang.code()) } { (lang.label(&view.programme.name)) } " / "
            a href={ "/?scope=" (scope) "&period=" (view.shown.period) "&lang=" (lang.code()) } { (lang.label(name)) }
        }
    }
}

/// The three targets in a sentence: which are reached, which not.
fn headline(view: &PilotView, lang: Lang) -> String {
    let period = words::period(lang, view.shown.period);
    if are_of_baseline(view.panels.iter().map(|panel| &panel.figure)) {
        return words::of_baseline(lang, &period);
    }
    let named = |wanted: &dyn Fn(Option<Standing>) -> bool| -> Vec<String> {
        let figures = view.panels.iter().map(|panel| &panel.figure).filter(|figure| figure.target.is_some());
        let found = figures.filter(|figure| wanted(super::view::standing_of(figure)));
        found.map(|figure| words::indicator(lang, &figure.indicator)).collect()
    };
    let join = |names: Vec<String>| names.join(lang.of(", ", "、"));
    let reached = named(&|standing| standing == Some(Standing::Achieved));
    let on_course = named(&|standing| matches!(standing, Some(Standing::Ahead | Standing::OnTrack)));
    let short = named(&|standing| matches!(standing, Some(Standing::AtRisk | Standing::Behind)));
    let unknown = named(&|standing| standing == Some(Standing::Insufficient));
    let parts = [
        (reached, lang.of("target reached", "已达标")),
        (on_course, lang.of("on course", "进度正常")),
        (short, lang.of("short of the target", "未达进度")),
        (unknown, lang.of("not enough data", "数据不足")),
    ];
    let said = parts.into_iter().filter(|(names, _)| !names.is_empty());
    let said: Vec<String> = match lang {
        Lang::En => said.map(|(names, word)| format!("{word}: {}", join(names).to_lowercase())).collect(),
        Lang::Zh => said.map(|(names, word)| format!("{}{word}", join(names))).collect(),
    };
    match lang {
        Lang::En => format!("In {period} – {}.", said.join("; ")),
        Lang::Zh => format!("{period}：{}。", said.join("；")),
    }
}

fn panel_section(view: &PilotView, panel: &Panel, lang: Lang, scale: &Scale) -> Markup {
    let figure = &panel.figure;
    let span = Span::of(first_day(view), last_period(view), &all_stages(view));
    let truth: Vec<(i32, f64)> = told(view, panel).iter().map(|told| (told.year, told.reduction)).collect();
    let trend = Trend {
        scale: *scale,
        span,
        baseline_end: panel.baseline.to,
        stages: &panel.stages,
        yearly: &panel.yearly,
        quarterly: &panel.quarterly,
        shown: view.shown.period,
        truth: &truth,
    };
    let name = words::indicator(lang, &panel.indicator);
    let label = match lang {
        Lang::En => {
            format!("{name}: yearly and quarterly reduction against the glide path; the table below has the numbers")
        }
        Lang::Zh => format!("{name}：各年与各季度降幅及进度线，数值见下表"),
    };
    html! {
        section class="panel" aria-label=(name) {
            h2 { (name) small { (words::indicator_note(lang, &panel.indicator)) } }
            div class="reading" {
                span class="big num" { (reduction_of(figure).map_or_else(|| "–".to_owned(), |r| lang.percent(r))) }
                (standing(lang, figure))
            }
            (version_line(panel, lang))
            (certainty(figure, lang))
            (per_unit(figure, lang))
            (svg::bullet(lang, scale, figure, &panel.stages))
            (stage_list(figure, lang))
            (svg::trend(lang, &label, &trend))
            (svg::coverage(lang, span, &panel.monthly))
            (findings(figure, lang))
            p class="per-unit" { a href={ (figure::address(&figure.scope, &figure.indicator.to_string(), &figure.period.to_string())) "lang=" (lang.code()) } {
                (lang.of("Why this number", "此数从何而来")) } (effects(figure, lang)) }
            (numbers(panel, lang))
        }
    }
}

/// One axis for all panels, whatever baseline each has.
fn first_day(view: &PilotView) -> Date {
    view.panels.iter().map(|panel| panel.baseline.from).fold(view.head.baseline.from, Date::min)
}

fn all_stages(view: &PilotView) -> Vec<model::Stage> {
    view.panels.iter().flat_map(|panel| panel.stages.iter().copied()).collect()
}

fn last_period(view: &PilotView) -> Period {
    let yearly = view.panels.iter().flat_map(|panel| &panel.yearly).map(|figure| figure.period);
    yearly.max().unwrap_or(view.shown.period).max(view.shown.period)
}

fn told(view: &PilotView, panel: &Panel) -> Vec<TrueReduction> {
    let truths = view.truth.iter().flat_map(|truth| &truth.reductions);
    truths.filter(|truth| truth.indicator == panel.indicator).cloned().collect()
}

/// Which version the figure is, or what was published instead of it.
fn version_line(panel: &Panel, lang: Lang) -> Markup {
    let day = |at| instant(at).chars().take(10).collect::<String>();
    let text = match (panel.figure.version, panel.published) {
        (Some(version), Some(published)) => match lang {
            Lang::En => format!("Version {version}, published {}", day(published.cut_at)),
            Lang::Zh => format!("第{version}版，{}发布", day(published.cut_at)),
        },
        (None, Some(published)) => {
            let said =
                published.reduction.map_or_else(|| lang.of("no figure", "无结果").to_owned(), |r| lang.percent(r));
            let (version, day) = (published.version, day(published.cut_at));
            match lang {
                Lang::En => format!("Provisional: changed since version {version}, which said {said} on {day}"),
                Lang::Zh => format!("初步结果：较{day}发布的第{version}版（{said}）已有变动，尚未重新发布"),
            }
        }
        (Some(_) | None, None) => lang.of("Provisional: not published yet", "初步结果：尚未发布").to_owned(),
    };
    html! { p class="per-unit" { (text) } }
}

/// What was published again: when, why, from what to what.
fn restatements(view: &PilotView, lang: Lang) -> Markup {
    let percent = |value: Option<f64>| value.map_or_else(|| "–".to_owned(), |value| lang.percent(value));
    html! {
        @if !view.restatements.is_empty() {
            section aria-labelledby="restatements" {
                h2 id="restatements" { (lang.of("Restatements", "重新发布")) }
                p class="sub" { (lang.of("Published figures that were published again, latest first. ", "已发布后重新发布的结果，最近者在前。"))
                    a href={ "/api/v1/versions?scope=pilot:" (view.head.id) } { (lang.of("All versions", "全部版本")) } }
                div class="scroll" tabindex="0" {
                    table class="data" {
                        thead { tr {
                            th scope="col" { (lang.of("Published", "发布时间")) }
                            th scope="col" { (lang.of("Indicator", "指标")) }
                            th scope="col" { (lang.of("Period", "时期")) }
                            th scope="col" { (lang.of("Version", "版本")) }
                            th scope="col" { (lang.of("Why", "原因")) }
                            th scope="col" { (lang.of("Reduction before", "原降幅")) }
                            th scope="col" { (lang.of("Reduction now", "现降幅")) }
                        } }
                        tbody {
                            @for version in &view.restatements {
                                tr {
                                    td { time datetime=(version.cut_at) { (instant(version.cut_at)) } }
                                    td { (words::indicator(lang, &version.indicator)) }
                                    th scope="row" { (version.period) }
                                    td class="num" { (version.version) }
                                    td { (words::reasons(lang, version.reasons)) }
                                    td class="num" { (percent(version.before.and_then(|before| before.values.reduction_shown()))) }
                                    td class="num" { (percent(version.values.reduction_shown())) }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// The interval, and the pace so far.
fn certainty(figure: &Figure, lang: Lang) -> Markup {
    let interval = interval_of(figure).map(|ends| words::interval(lang, ends));
    let rate = figure.annual_rate.filter(|_| reduction_of(figure).is_some());
    html! {
        @if interval.is_some() || rate.is_some() {
            p class="per-unit" {
                @if let Some(interval) = &interval {
                    (lang.percent_short(figure.confidence)) (lang.of(" interval ", "置信区间")) span class="num" { (interval) }
                }
                @if interval.is_some() && rate.is_some() { (lang.of("; ", "；")) }
                @if let Some(rate) = rate {
                    (lang.of("so far ", "迄今年均下降")) span class="num" { (lang.percent(rate)) } (lang.of(" a year", ""))
                }
            }
        }
    }
}

/// What one unit of output took, now and in the baseline; for defects the share of pieces.
fn per_unit(figure: &Figure, lang: Lang) -> Markup {
    // Of too few months they would compare what is not comparable.
    let shown = reduction_of(figure).and(figure.per_unit).zip(figure.per_unit_baseline);
    let Some((now, then)) = shown else { return html! {} };
    let unit = words::unit(lang, &figure.unit);
    let (is_share, what) = match figure.indicator {
        Indicator::DefectRate => (true, lang.of(" of inspected pieces", "（占受检件）").to_owned()),
        Indicator::ProductionCycle => (false, format!(" {unit}{}", lang.of(" per order", "/单"))),
        Indicator::OperatingCost
        | Indicator::EnergyIntensity
        | Indicator::EnergyIntensityEquivalent
        | Indicator::CycleTime
        | Indicator::PollutantIntensity(_) => {
            (false, format!(" {unit}{}", lang.of(" per unit of output", "/单位产出")))
        }
    };
    let number = |value: f64| if is_share { lang.percent(value) } else { number::amount(value) };
    html! {
        p class="per-unit" {
            span class="num" { (number(now)) } (what) (lang.of("; baseline ", "；基准期 "))
            span class="num" { (number(then)) }
        }
    }
}

/// The split of the change in a line, in per cent of the baseline's amount.
fn effects(figure: &Figure, lang: Lang) -> Markup {
    let Some(effects) = figure.effects.filter(|effects| effects.from > 0.0 && reduction_of(figure).is_some()) else {
        return html! {};
    };
    let share = |effect: f64| {
        let sign = if effect > 0.0 { "+" } else { "" };
        format!("{sign}{}", lang.percent(effect / effects.from))
    };
    let parts = [
        (lang.of("activity", "规模"), effects.activity),
        (lang.of("structure", "结构"), effects.structure),
        (lang.of("intensity", "强度"), effects.intensity),
        (lang.of("price", "价格"), effects.price),
    ];
    html! {
        @for (n, (name, effect)) in parts.into_iter().filter(|(_, effect)| *effect != 0.0).enumerate() {
            (if n > 0 { lang.of(", ", "，") } else { lang.of(": ", "：") })
            (name) " " span class="num" { (share(effect)) }
        }
    }
}

/// Where the figure stands against each stage; past a stage's day, what is not achieved is missed.
fn stage_list(figure: &Figure, lang: Lang) -> Markup {
    let last_day = MonthNo(figure.period.last_month().0 + 1).first_day().yesterday().ok();
    let is_over = |by: &str| by.parse::<Date>().is_ok_and(|due| last_day.is_some_and(|day| due <= day));
    html! {
        @if !figure.stages.is_empty() && reduction_of(figure).is_some() {
            ul class="stages" {
                @for stage in &figure.stages {
                    li {
                        (svg::symbol(Some(stage.standing)))
                        span { (lang.of("Stage ", "")) (stage.by.get(..4).unwrap_or(&stage.by)) (lang.of(", ", "年阶段，"))
                            span class="num" { (lang.percent_short(stage.target)) } (lang.of(": ", "："))
                            (words::standing(lang, stage.standing))
                            @if is_over(&stage.by) && stage.standing != Standing::Achieved { (lang.of(", missed", "，未达标")) }
                            @if let Some(rate) = stage.required_rate.filter(|rate| *rate > 0.0) {
                                (lang.of(", asks for ", "，此后每年需降")) span class="num" { (lang.percent(rate)) } (lang.of(" a year from here", ""))
                            } }
                    }
                }
            }
        }
    }
}

fn findings(figure: &Figure, lang: Lang) -> Markup {
    html! {
        @if !figure.findings.is_empty() {
            ul class="findings" { @for finding in &figure.findings { li { (words::finding(lang, finding)) } } }
        }
    }
}

/// Every number of the panel, for who cannot see the chart or wants the figures.
fn numbers(panel: &Panel, lang: Lang) -> Markup {
    let percent = |value: Option<f64>| value.map_or_else(|| "–".to_owned(), |value| lang.percent(value));
    let amount = |value: Option<f64>| value.map_or_else(|| "–".to_owned(), number::amount);
    html! {
        details {
            summary { (lang.of("Figures by year", "分年数值")) }
            div class="scroll" tabindex="0" {
                table class="data" {
                    thead { tr {
                        th scope="col" { (lang.of("Period", "时期")) }
                        th scope="col" { (lang.of("Reduction", "降幅")) }
                        th scope="col" { (lang.percent_short(panel.figure.confidence)) (lang.of(" interval", "置信区间")) }
                        @for stage in &panel.stages { th scope="col" { (lang.of("to ", "对照")) (stage.due.year()) } }
                        th scope="col" { (lang.of("Path", "进度线")) }
                        th scope="col" { (lang.of("Actual", "实际")) ", " (words::unit(lang, panel.indicator.unit())) }
                        th scope="col" { (lang.of("Adj. baseline", "调整基准")) }
                        th scope="col" { (lang.of("Coverage", "覆盖率")) }
                        th scope="col" { (lang.of("State", "状态")) }
                    } }
                    tbody {
                        @for figure in &panel.yearly {
                            tr {
                                th scope="row" { (figure.period) }
                                td class="num" { (percent(reduction_of(figure))) }
                                td class="num" { (interval_of(figure).map_or_else(|| "–".to_owned(), |ends| words::interval(lang, ends))) }
                                @for index in 0..panel.stages.len() {
                                    td { (figure.stages.get(index).map_or("–", |stage| words::standing(lang, stage.standing))) }
                                }
                                td class="num" { (percent(judged_by(figure).map(|stage| stage.path))) }
                                td class="num" { (amount(figure.actual)) }
                                td class="num" { (amount(figure.adjusted_baseline)) }
                                td class="num" { (percent(figure.coverage)) }
                                td { (words::state(lang, figure.state)) }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn trend_legend(view: &PilotView, lang: Lang) -> Markup {
    let line = |class: &'static str| {
        html! { svg height="10" width="26" viewBox="0 0 26 10" aria-hidden="true" { path class=(class) d="M0 5H26" {} } }
    };
    html! {
        ul class="legend" {
            li { (line("year")) (lang.of("year", "年度")) }
            li { (line("quarters")) (lang.of("quarter", "季度")) }
            li { (line("glide")) (lang.of("glide path", "进度线")) }
            li { svg height="14" width="14" viewBox="-7 -7 14 14" aria-hidden="true" { path class="stage-mark" d="M0-6 6 0 0 6-6 0z" {} }
                (lang.of("stage target", "阶段目标")) }
            li { (svg::whisker_sign()) (lang.of("interval", "置信区间")) }
            @if view.truth.is_some() {
                li { svg height="10" width="10" viewBox="-5 -5 10 10" aria-hidden="true" { circle class="truth" r="3.5" {} }
                    (lang.of("what the simulator was told", "模拟设定值")) }
            }
            li { svg height="10" width="22" viewBox="0 0 22 10" aria-hidden="true" { rect class="c-full" width="22" height="10" {} }
                (lang.of("month at least 90 % covered", "当月覆盖率不低于 90%")) }
            li { svg height="10" width="22" viewBox="0 0 22 10" aria-hidden="true" { rect class="c-most" width="11" height="10" {} rect class="c-some" x="11" width="11" height="10" {} }
                (lang.of("in part (half or more, less)", "部分覆盖（半数以上、以下）")) }
        }
    }
}

/// The demo only: what the simulator was told, beside what came out.
fn truth_box(view: &PilotView, truth: &Truth, lang: Lang) -> Markup {
    html! {
        section class="box" aria-labelledby="truth" {
            h2 id="truth" { (lang.of("What the simulator was told", "模拟设定")) }
            p class="sub" { (lang.of(
                "This pilot is simulated. Its figures are computed from its messages alone; here they stand beside the truth, the \
                 difference in percentage points.",
                "本试点为模拟试点。各项结果仅由其上报消息计算得出，此处与设定值对照，差值为百分点。")) }
            ol { @for sentence in &truth.story { li { (lang.label(sentence)) } } }
            div class="truths" { @for panel in &view.panels { (truth_table(view, panel, lang)) } }
        }
    }
}

fn truth_table(view: &PilotView, panel: &Panel, lang: Lang) -> Markup {
    let figure_of = |year: i32| {
        let of_year =
            |figure: &&Figure| figure.period.kind() == PeriodKind::Year && figure.period.first_month().year() == year;
        panel.yearly.iter().find(of_year).and_then(reduction_of)
    };
    html! {
        div {
            h3 { (words::indicator(lang, &panel.indicator)) }
            table class="data" {
                thead { tr {
                    th scope="col" { (lang.of("Year", "年份")) }
                    th scope="col" { (lang.of("Truth", "设定")) }
                    th scope="col" { (lang.of("Figure", "结果")) }
                    th scope="col" { (lang.of("Diff.", "差")) }
                } }
                tbody {
                    @for told in told(view, panel) {
                        @let found = figure_of(told.year);
                        tr {
                            th scope="row" { (told.year) }
                            td class="num" { (lang.percent(told.reduction)) }
                            td class="num" { (found.map_or_else(|| "–".to_owned(), |found| lang.percent(found))) }
                            td class="num" {
                                (found.map_or_else(|| "–".to_owned(), |found| number::percent(found - told.reduction)))
                            }
                        }
                    }
                }
            }
        }
    }
}

/// When the plant stood still on purpose.
fn stops(view: &PilotView, lang: Lang) -> Markup {
    let (from, to) =
        (view.shown.period.first_month().first_day(), MonthNo(view.shown.period.last_month().0 + 1).first_day());
    let shown: Vec<_> = view.stops.iter().filter(|stop| stop.to >= from && stop.from < to).collect();
    html! {
        @if !shown.is_empty() {
            section aria-labelledby="stops" {
                h2 id="stops" { (lang.of("Stops", "停产")) }
                p class="sub" { (lang.of("Declared holidays and maintenance count neither for nor against coverage.", "登记的假期与检修不计入覆盖率。")) }
                ul class="plain" { @for stop in shown {
                    li { span class="num" { (stop.from) " – " (stop.to) } " " (stop.reason) }
                } }
            }
        }
    }
}

fn facts(view: &PilotView, lang: Lang) -> Markup {
    let head = &view.head;
    html! {
        section aria-labelledby="facts" {
            h2 id="facts" { (lang.of("The pilot", "试点概况")) }
            dl class="facts" {
                div { dt { (lang.of("Enterprise", "企业")) } dd { (head.enterprise) } }
                div { dt { (lang.of("Region", "地区")) } dd { (lang.label(&head.region.1)) } }
                div { dt { (lang.of("Field", "领域")) } dd { (lang.label(&head.sector.1)) } }
                div { dt { (lang.of("Class", "类别")) } dd { (lang.label(&head.class.1)) } }
                div { dt { (lang.of("Baseline period", "基准期")) } dd class="num" { (head.baseline.from) " – " (head.baseline.to) } }
                @for panel in view.panels.iter().filter(|panel| panel.baseline != head.baseline) {
                    div { dt { (lang.of("Baseline period, ", "基准期：")) (words::indicator(lang, &panel.indicator)) }
                        dd class="num" { (panel.baseline.from) " – " (panel.baseline.to) } }
                }
                div { dt { (lang.of("Time zone", "时区")) } dd { (head.zone) } }
                div { dt { (lang.of("Id", "编号")) } dd { (head.id) } }
            }
        }
    }
}

fn quality(view: &PilotView, lang: Lang) -> Markup {
    let quality = &view.quality;
    let missing: u64 = quality.gateways.iter().map(|gateway| gateway.missing).sum();
    let more = if quality.rejections.is_complete { "" } else { "+" };
    html! {
        section aria-labelledby="quality" {
            h2 id="quality" { (lang.of("Data quality", "数据质量")) }
            dl class="facts" {
                div { dt { (lang.of("Latest reading or order event", "最近数据时间")) } dd class="num" {
                    @match quality.last_reading { Some(at) => { time datetime=(at) { (instant(at)) } }, None => { "–" } } } }
                div { dt { (lang.of("Missing messages, by the gateways' own numbering", "缺失消息（按网关序号）")) } dd class="num" {
                    (missing) @if missing > 0 { " (" (gateways(view)) ")" } } }
                div { dt { (lang.of("Refused messages kept", "被拒消息")) } dd class="num" {
                    a href={ "/api/v1/rejections?pilot=" (view.head.id) } { (quality.rejections.n) (more) } } }
                @if quality.n_imports > 0 {
                    div { dt { (lang.of("Imported files", "导入文件")) } dd class="num" {
                        a href={ "/api/v1/imports?pilot=" (view.head.id) } { (quality.n_imports) } } }
                }
                div { dt { (lang.of("What arrives", "到达情况")) } dd {
                    a href={ "/gateways?pilot=" (view.head.id) "&lang=" (lang.code()) } { (lang.of("gateways and series", "网关与序列")) } } }
                div { dt { (lang.of("Series", "数据序列")) } dd { a href={ "/api/v1/pilots/" (view.head.id) "/series" } { (lang.of("as loaded", "登记清单")) } } }
                div { dt { (lang.of("All figures", "全部结果")) } dd { a href={ "/api/v1/figures?scope=pilot:" (view.head.id) } { "JSON" } } }
            }
        }
    }
}

fn gateways(view: &PilotView) -> String {
    let missing = view.quality.gateways.iter().filter(|gateway| gateway.missing > 0);
    missing.map(|gateway| format!("{} {}", gateway.gateway, gateway.missing)).collect::<Vec<_>>().join(", ")
}
