//! The programme page: are we on course, indicator by indicator, and which pilots are not.

use maud::{Markup, html};
use model::{Figure, Indicator, Period, Scope, Stage, Standing};

use super::svg::{self, Scale};
use super::view::{
    Choice, Loading, PilotRow, ProgrammeView, RegionBlock, SHOWN, are_of_baseline, is_of_baseline, judged_by,
    reduction_of, standing_of,
};
use super::words::{self, Lang, STANDINGS};
use super::{Frame, Note, day, frame, years};

/// Renders the programme page; `loading` says what is not in yet.
pub fn programme_page(view: &ProgrammeView, loading: Option<Loading>, lang: Lang) -> Markup {
    let stages: Vec<Vec<Stage>> = SHOWN.iter().map(|indicator| view.programme.stages(indicator)).collect();
    let targets = stages.iter().flatten().map(|stage| stage.reduction);
    let scale = Scale::around(view.figures.iter().filter_map(reduction_of).chain(targets.clone()));
    let of_pilots = view.pilots().flat_map(|row| &row.figures).filter_map(reduction_of);
    let matrix_scale = Scale::around(of_pilots.chain(targets));
    let name = lang.label(&view.programme.name);
    let body = html! {
        (svg::symbol_sheet(&matrix_scale, &stages))
        p class="kicker" { (name) }
        h1 { (question(view, lang)) }
        p class="lead" { (headline(view, lang)) }
        (years(lang, view.shown.period, &view.years, &|year| link(&view.scope, year, lang)))
        (overview(view, lang, &scale, &stages))
        section aria-labelledby="pilots" {
            h2 id="pilots" { (lang.of("Pilots by region", "各地区试点")) }
            p class="sub" { (lang.of(
                "Bars run from the baseline (thin line) to the reduction; ticks are the stage targets.",
                "条形自基准线（细线）起表示降幅，竖线为阶段目标。")) }
            (filters(view, lang))
            (matrix(view, lang, &matrix_scale))
        }
        (targets_section(view, lang))
        (method(lang))
    };
    let here = format!("/?scope={}&period={}&", view.scope, view.shown.period);
    frame(&Frame { lang, title: name, here, loading, as_of: Some(view.as_of), note: Note::Figures }, &body)
}

fn link(scope: &Scope, period: Period, lang: Lang) -> String {
    match scope {
        Scope::Programme => format!("/?period={period}&lang={}", lang.code()),
        Scope::Region(_) | Scope::Sector(_) | Scope::Class(_) | Scope::Pilot(_) | Scope::Workshop(..) => {
            format!("/?scope={scope}&period={period}&lang={}", lang.code())
        }
    }
}

fn question(view: &ProgrammeView, lang: Lang) -> String {
    let period = words::period(lang, view.shown.period);
    let open = if view.shown.is_closed { "" } else { lang.of(", so far", "（截至目前）") };
    let who = match &view.scope {
        Scope::Programme => lang.of("The programme", "试点示范项目").to_owned(),
        Scope::Region(_) | Scope::Sector(_) | Scope::Class(_) | Scope::Pilot(_) | Scope::Workshop(..) => {
            lang.label(&view.scope_name).to_owned()
        }
    };
    match lang {
        Lang::En => format!("{who} in {period}{open}: distance to target"),
        Lang::Zh => format!("{period}{open}{who}：距目标还有多远"),
    }
}

/// One sentence that answers the page: what was reached, and how far the rest is.
fn headline(view: &ProgrammeView, lang: Lang) -> String {
    if are_of_baseline(view.figures.iter()) {
        return words::of_baseline(lang, &words::period(lang, view.shown.period));
    }
    let targeted: Vec<&Figure> = view.figures.iter().filter(|figure| figure.target.is_some()).collect();
    let judged: Vec<&&Figure> = targeted.iter().filter(|figure| reduction_of(figure).is_some()).collect();
    let Some(by) = judged.iter().find_map(|figure| judged_by(figure)?.by.get(..4)) else {
        return lang
            .of("There are not yet enough data for a figure of this period.", "本期数据尚不足以得出结果。")
            .to_owned();
    };
    let is_reached = |figure: &&&&Figure| figure.standing == Some(Standing::Achieved);
    let reached = judged.iter().filter(is_reached).count();
    let rest: Vec<String> =
        judged.iter().filter(|figure| !is_reached(figure)).filter_map(|figure| shortfall(figure, lang)).collect();
    let (n, rest) = (targeted.len(), rest.join(lang.of(". ", "；")));
    match (lang, rest.is_empty()) {
        (Lang::En, true) => format!("{reached} of {n} indicators with a target have reached the {by} stage."),
        (Lang::En, false) => format!("{reached} of {n} indicators with a target have reached the {by} stage. {rest}."),
        (Lang::Zh, true) => format!("设有目标的 {n} 项指标中，{reached} 项已达到 {by} 年阶段目标。"),
        (Lang::Zh, false) => format!("设有目标的 {n} 项指标中，{reached} 项已达到 {by} 年阶段目标。{rest}。"),
    }
}

fn shortfall(figure: &Figure, lang: Lang) -> Option<String> {
    let (reduction, target) = (reduction_of(figure)?, figure.target?);
    let name = words::indicator(lang, &figure.indicator);
    if reduction >= target {
        return Some(match lang {
            Lang::En => format!("{name} is there by its value, and its interval does not prove it"),
            Lang::Zh => format!("{name}按数值已达标，但置信区间尚不能证实"),
        });
    }
    let points = crate::publish::number::percent(target - reduction);
    Some(match lang {
        Lang::En => format!("{name} is {points} percentage points short"),
        Lang::Zh => format!("{name}还差 {points} 个百分点"),
    })
}

fn overview(view: &ProgrammeView, lang: Lang, scale: &Scale, stages: &[Vec<Stage>]) -> Markup {
    html! {
        div class="overview" role="table" aria-label=(lang.of("Reduction against the stage targets", "降幅与阶段目标")) {
            div role="row" class="head" {
                div role="columnheader" { (lang.of("Indicator", "指标")) }
                div role="columnheader" { (lang.of("Reduction", "降幅")) }
                div role="columnheader" { (lang.of("against the baseline period of each pilot", "与各试点基准期相比")) }
                div role="columnheader" { (lang.of("Pilots by standing", "按进度分的试点数")) }
            }
            @for (index, figure) in view.figures.iter().enumerate() {
                div role="row" {
                    div role="rowheader" class="name" {
                        (words::indicator(lang, &figure.indicator))
                        small { (words::indicator_note(lang, &figure.indicator)) }
                    }
                    div role="cell" class="big num" { (reduction(lang, figure)) (standing(lang, figure)) }
                    div role="cell" class="wide" { (svg::bullet(lang, scale, figure, &stages[index])) (beside(figure, lang)) }
                    div role="cell" class="wide" { (counts(view, lang, index)) }
                }
            }
            div role="presentation" class="axis-row" { div class="axis-cell" { (svg::axis(lang, scale)) } }
        }
        (legend(lang))
    }
}

/// What is said beside a group's figure and is not the figure: how far one pilot carries it, and the mean of percentages.
fn beside(figure: &Figure, lang: Lang) -> Markup {
    let range = figure.leave_one_out.filter(|_| reduction_of(figure).is_some());
    html! {
        @if let (Some([from, to]), Some(mean)) = (range, figure.mean_of_reductions) {
            p class="beside" {
                (lang.of("without any one pilot ", "剔除任一试点后为")) span class="num" { (words::interval(lang, (from, to))) }
                (lang.of("; mean of the pilots' percentages, not the figure: ", "；各试点降幅的简单平均（非本指标值）："))
                span class="num" { (lang.percent(mean)) }
            }
        }
    }
}

fn reduction(lang: Lang, figure: &Figure) -> String {
    reduction_of(figure).map_or_else(|| "–".to_owned(), |reduction| lang.percent(reduction))
}

/// Symbol and word of a figure's standing; of the baseline period a word alone.
pub(super) fn standing(lang: Lang, figure: &Figure) -> Markup {
    if is_of_baseline(figure) {
        return html! { span class="standing untargeted" { (words::baseline_period(lang)) } };
    }
    let standing = standing_of(figure);
    let word = standing.map_or(lang.of("no target set", "未设目标"), |standing| words::standing(lang, standing));
    html! { span class={ "standing " (words::standing_class(standing)) } { (svg::symbol(standing)) (word) } }
}

/// Pilots by standing; where there is no target, those with a figure and those without.
fn counts(view: &ProgrammeView, lang: Lang, index: usize) -> Markup {
    let standings: Vec<Option<Standing>> = view.pilots().map(|row| standing_of(&row.figures[index])).collect();
    let n = |wanted: Option<Standing>| standings.iter().filter(|found| **found == wanted).count();
    let counted: Vec<(Standing, usize)> = STANDINGS.iter().map(|&standing| (standing, n(Some(standing)))).collect();
    let untargeted = n(None);
    if untargeted > 0 || view.figures[index].target.is_none() {
        let insufficient = n(Some(Standing::Insufficient));
        return html! {
            ul class="counts" {
                li { (svg::symbol(None)) span class="num" { (untargeted) } " " (lang.of("with a figure", "有结果")) }
                li class=[(insufficient == 0).then_some("zero-count")] {
                    (svg::symbol(Some(Standing::Insufficient))) span class="num" { (insufficient) } " "
                    (words::standing(lang, Standing::Insufficient))
                }
            }
        };
    }
    html! {
        (svg::counts_bar(&counted))
        ul class="counts" {
            @for (standing, n) in counted {
                li class=[(n == 0).then_some("zero-count")] title=(words::standing(lang, standing)) {
                    (svg::symbol(Some(standing))) span class="num" { (n) }
                    span class="vh" { " " (words::standing(lang, standing)) }
                }
            }
        }
    }
}

fn legend(lang: Lang) -> Markup {
    html! {
        ul class="legend" {
            @for standing in STANDINGS {
                li { (svg::symbol(Some(standing))) (words::standing(lang, standing)) }
            }
            li { svg height="14" width="10" viewBox="0 0 10 14" aria-hidden="true" { line class="stage" x1="5" x2="5" y1="0" y2="14" {} }
                (lang.of("stage target", "阶段目标")) }
            li { svg height="12" width="12" viewBox="-6 0 12 12" aria-hidden="true" { path class="path-mark" d="M0 1l-5 9h10z" {} }
                (lang.of("glide path at the end of the period", "期末进度线")) }
            li { (svg::whisker_sign()) (lang.of("confidence interval", "置信区间")) }
        }
    }
}

fn filters(view: &ProgrammeView, lang: Lang) -> Markup {
    let names = [lang.of("Region", "地区"), lang.of("Field", "领域"), lang.of("Class", "类别")];
    let all = |current: bool| {
        html! {
            @if current { strong aria-current="true" { (lang.of("all", "全部")) } }
            @else { a href=(link(&Scope::Programme, view.shown.period, lang)) { (lang.of("all", "全部")) } }
        }
    };
    let of_kind = |choices: &[Choice]| choices.iter().any(|choice| choice.scope == view.scope);
    html! {
        nav class="filters" aria-label=(lang.of("Narrow to", "筛选")) {
            @for (name, choices) in names.iter().zip(&view.choices) {
                @if !choices.is_empty() {
                    div {
                        b { (name) }
                        (all(!of_kind(choices)))
                        @for choice in choices {
                            @if choice.scope == view.scope { strong aria-current="true" { (lang.label(&choice.name)) } }
                            @else { a href=(link(&choice.scope, view.shown.period, lang)) { (lang.label(&choice.name)) } }
                        }
                    }
                }
            }
        }
    }
}

fn matrix(view: &ProgrammeView, lang: Lang, scale: &Scale) -> Markup {
    html! {
        table class="matrix" role="table" {
            thead role="rowgroup" {
                tr role="row" {
                    th role="columnheader" scope="col" { (lang.of("Pilot", "试点")) }
                    @for indicator in &SHOWN { th role="columnheader" scope="col" { (words::indicator(lang, indicator)) } }
                }
            }
            @for region in &view.regions {
                tbody role="rowgroup" {
                    (group_row(region, lang, scale))
                    @for row in &region.pilots { (pilot_row(row, view, lang, scale)) }
                }
            }
        }
    }
}

fn group_row(region: &RegionBlock, lang: Lang, scale: &Scale) -> Markup {
    html! {
        tr class="group" role="row" {
            th role="rowheader" scope="rowgroup" { (lang.label(&region.name)) }
            @if region.figures.is_empty() { td role="cell" colspan="4" {} }
            @for (column, figure) in region.figures.iter().enumerate() { td role="cell" { (cell(lang, scale, column, figure)) } }
        }
    }
}

fn pilot_row(row: &PilotRow, view: &ProgrammeView, lang: Lang, scale: &Scale) -> Markup {
    let head = &row.head;
    html! {
        tr role="row" {
            th role="rowheader" scope="row" {
                a href={ "/pilots/" (head.id) "?period=" (view.shown.period) "&lang=" (lang.code()) } { (lang.label(&head.name)) }
                small {
                    (lang.label(&head.sector.1)) " · " (lang.label(&head.class.1))
                    @if let Some(at) = row.data_to { " · " (lang.of("data to ", "数据至")) span class="num" { (day(at)) } }
                }
            }
            @for (column, figure) in row.figures.iter().enumerate() { td role="cell" { (cell(lang, scale, column, figure)) } }
        }
    }
}

/// A small bar, the reduction and the symbol; the word of the standing is read out.
fn cell(lang: Lang, scale: &Scale, column: usize, figure: &Figure) -> Markup {
    let standing = standing_of(figure);
    let of_baseline = is_of_baseline(figure);
    let without = if of_baseline { words::baseline_period(lang) } else { "" };
    let word = standing.map_or(without, |standing| words::standing(lang, standing));
    html! {
        div class="cell" data-label=(words::indicator(lang, &figure.indicator)) title=(word) {
            (svg::small_bullet(scale, column, figure))
            span class=(if reduction_of(figure).is_some() { "num" } else { "num none" }) { (reduction(lang, figure)) }
            @if !of_baseline { (svg::symbol(standing)) }
            span class="vh" { (word) }
        }
    }
}

fn targets_section(view: &ProgrammeView, lang: Lang) -> Markup {
    let mut due: Vec<_> = view.programme.targets.iter().map(|target| target.due).collect();
    due.sort_unstable();
    due.dedup();
    let mut indicators: Vec<&Indicator> = view.programme.targets.iter().map(|target| &target.indicator).collect();
    indicators.sort_unstable();
    indicators.dedup();
    let of = |indicator: &Indicator, day| {
        view.programme.targets.iter().find(move |target| target.indicator == *indicator && target.due == day)
    };
    html! {
        section aria-labelledby="targets" {
            h2 id="targets" { (lang.of("What the programme asks for", "方案要求")) }
            p class="sub" { (lang.of("Reductions against the baseline. Source: ", "与基准期相比的降幅。来源：")) (view.programme.source) }
            table class="data" {
                thead { tr {
                    th scope="col" { (lang.of("Indicator", "指标")) }
                    @for day in &due { th scope="col" { (lang.of("by ", "到")) (day.year()) (lang.of("", "年")) } }
                    th scope="col" class="text" { (lang.of("Clause", "条款")) }
                } }
                tbody {
                    @for indicator in indicators {
                        tr {
                            th scope="row" { (words::indicator(lang, indicator)) }
                            @for &day in &due {
                                td class="num" { @match of(indicator, day) {
                                    Some(target) => (lang.percent_short(target.reduction)),
                                    None => "–",
                                } }
                            }
                            td class="text" lang="zh-Hans" { (clauses(view, indicator)) }
                        }
                    }
                }
            }
            @for quote in quotes(view) { blockquote lang="zh-Hans" { (quote) } }
        }
    }
}

/// Where the programme says so.
fn clauses(view: &ProgrammeView, indicator: &Indicator) -> String {
    let of_indicator = view.programme.targets.iter().filter(|target| target.indicator == *indicator);
    let mut clauses: Vec<&str> = of_indicator.map(|target| target.clause.as_str()).collect();
    clauses.dedup();
    clauses.join("; ")
}

/// The programme's own words, each once: several targets stand in one sentence.
fn quotes(view: &ProgrammeView) -> Vec<&str> {
    let mut quotes: Vec<&str> = Vec::new();
    for target in &view.programme.targets {
        if !target.text.is_empty() && !quotes.contains(&target.text.as_str()) {
            quotes.push(&target.text);
        }
    }
    quotes
}

fn method(lang: Lang) -> Markup {
    html! {
        section aria-labelledby="method" {
            h2 id="method" { (lang.of("How to read this", "说明")) }
            p class="sub" { (lang.of(
                "Reduction = 1 − actual / adjusted baseline: what the pilots used, against what they would have used for the \
                 same output in their baseline period. Groups divide the sum of the actuals by the sum of the adjusted \
                 baselines; they are no mean of percentages. The standing compares the reduction with the stage target and with \
                 the geometric glide path at the end of the period, by the point value. For energy intensity the programme \
                 states no target.",
                "降幅 = 1 − 实际值 / 调整后基准值，即试点的实际消耗与按基准期水平生产同样产出所需之比。汇总为实际值之和除以调整后基准值之和，\
                 不是百分比的平均。进度按点估计，将降幅与阶段目标及期末的几何进度线比较。方案未对单位产出能耗设定目标。")) }
        }
    }
}
