//! The charts: bullet bars, the trend against the glide path, and the coverage strip, as inline SVG.
//!
//! Horizontal positions are per cent of the drawing, vertical ones pixels, so that a chart fills any width while its text
//! keeps its size. Lines that need a path live in an inner drawing of 1000 units that is stretched with its stroke kept.
//!
//! Invariants:
//! - no colour alone: a standing has a symbol of its own, a missing month a frame;
//! - each drawing is an image with a title, and every number in it stands in a table or in text beside it.

use std::fmt::Write as _;

use jiff::civil::Date;
use maud::{Markup, html};
use model::period::MonthNo;
use model::{Figure, Period, PeriodKind, Stage, Standing};

use super::view::{glide_path, interval_of, judged_by, reduction_of, standing_of};
use super::words::{self, Lang, standing_class};

/// A horizontal or vertical scale of reductions.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Scale {
    lo: f64,
    hi: f64,
}

/// Charts end here: a figure beyond is drawn at the edge (its number is printed anyway), so that one outlier does not
/// flatten all others.
const SCALE_LO: f64 = -0.3;
const SCALE_HI: f64 = 0.7;
const STEP: f64 = 0.1;

impl Scale {
    /// Round tens of per cent around all values, zero included.
    pub(crate) fn around(values: impl Iterator<Item = f64>) -> Scale {
        let (lo, hi) = values.fold((0.0f64, 0.3f64), |(lo, hi), value| (lo.min(value), hi.max(value + 0.02)));
        let lo = ((lo / STEP).floor() * STEP).max(SCALE_LO);
        Scale { lo, hi: ((hi / STEP).ceil() * STEP).min(SCALE_HI) }
    }

    fn share(&self, value: f64) -> f64 {
        ((value - self.lo) / (self.hi - self.lo)).clamp(0.0, 1.0)
    }

    /// Position as per cent of the width.
    fn x(&self, value: f64) -> String {
        format!("{:.2}%", self.share(value) * 100.0)
    }

    /// Position as pixels from the top of a drawing of this height.
    fn y(&self, value: f64, height: f64) -> f64 {
        (1.0 - self.share(value)) * height
    }

    /// Tens of per cent on the scale.
    fn ticks(&self) -> impl Iterator<Item = f64> {
        let (lo, hi) = (self.lo, self.hi);
        (-3..=7).map(|n| f64::from(n) * STEP).filter(move |tick| *tick > lo - 0.01 && *tick < hi + 0.01)
    }
}

/// Symbols of the standings and the backgrounds of small bars, defined once per page and used by name.
pub(crate) fn symbol_sheet(scale: &Scale, stages: &[Vec<Stage>]) -> Markup {
    html! {
        svg class="sheet" width="0" height="0" aria-hidden="true" focusable="false" {
            defs {
                symbol id="achieved" viewBox="0 0 16 16" {
                    circle cx="8" cy="8" r="7" {}
                    path class="check" d="M4.4 8.3l2.5 2.5 4.7-5.2" {}
                }
                symbol id="ahead" viewBox="0 0 16 16" { path d="M8 1.5 15 14H1z" {} }
                symbol id="ontrack" viewBox="0 0 16 16" { circle cx="8" cy="8" r="5.5" {} }
                symbol id="atrisk" viewBox="0 0 16 16" { path d="M8 .8 15.2 8 8 15.2.8 8z" {} }
                symbol id="behind" viewBox="0 0 16 16" { path d="M8 14.5 1 2h14z" {} }
                symbol id="insufficient" viewBox="0 0 16 16" { circle class="hollow" cx="8" cy="8" r="6" {} }
                symbol id="untargeted" viewBox="0 0 16 16" { path d="M3 7h10v2H3z" {} }
                @for (index, stages) in stages.iter().enumerate() {
                    g id={ "bar" (index) } {
                        rect class="track" x="0" y="5" width="100%" height="8" {}
                        @for stage in stages {
                            line class="tick" x1=(scale.x(stage.reduction)) x2=(scale.x(stage.reduction)) y1="1" y2="17" {}
                        }
                        line class="zero" x1=(scale.x(0.0)) x2=(scale.x(0.0)) y1="1" y2="17" {}
                    }
                }
            }
        }
    }
}

/// The symbol of a standing; the word stands beside it or is read out.
pub(crate) fn symbol(standing: Option<Standing>) -> Markup {
    let class = standing_class(standing);
    html! { svg class={ "sym " (class) } width="14" height="14" aria-hidden="true" focusable="false" { use href={ "#" (class) } {} } }
}

/// From zero to the reduction.
fn bar(scale: &Scale, figure: &Figure, y: u32, height: u32) -> Markup {
    let Some(reduction) = reduction_of(figure) else { return html! {} };
    let (from, to) = (scale.share(reduction.min(0.0)) * 100.0, scale.share(reduction.max(0.0)) * 100.0);
    let class = standing_class(standing_of(figure));
    html! {
        rect class={ "bar " (class) } x=(format!("{from:.2}%")) width=(format!("{:.2}%", to - from)) y=(y) height=(height) {}
    }
}

/// The small bar of the matrix; its column's background is drawn once by the sheet.
pub(crate) fn small_bullet(scale: &Scale, column: usize, figure: &Figure) -> Markup {
    html! {
        svg class="mini" height="18" aria-hidden="true" focusable="false" {
            use href={ "#bar" (column) } {}
            (bar(scale, figure, 6, 6))
        }
    }
}

/// The bullet bar of one indicator: reduction against both stages and the glide path.
pub(crate) fn bullet(lang: Lang, scale: &Scale, figure: &Figure, stages: &[Stage]) -> Markup {
    let path = judged_by(figure).map(|stage| stage.path).filter(|_| figure.reduction.is_some());
    html! {
        svg class="bullet" height="56" role="img" aria-label=(bullet_text(lang, figure, stages, path)) {
            @for tick in scale.ticks() {
                line class="grid" x1=(scale.x(tick)) x2=(scale.x(tick)) y1="18" y2="42" {}
            }
            rect class="track" x="0" y="18" width="100%" height="24" {}
            @if let Some(first) = stages.first() {
                rect class="band" x=(scale.x(0.0)) y="18" height="24"
                    width=(format!("{:.2}%", (scale.share(first.reduction) - scale.share(0.0)) * 100.0)) {}
            }
            (bar(scale, figure, 24, 12))
            (whisker(scale, figure, 30.0))
            line class="zero" x1=(scale.x(0.0)) x2=(scale.x(0.0)) y1="15" y2="45" {}
            @for (index, stage) in stages.iter().enumerate() {
                line class="stage" x1=(scale.x(stage.reduction)) x2=(scale.x(stage.reduction)) y1="14" y2="46" {}
                @let anchor = label_anchor(scale, index, stage);
                text class="note" x=(scale.x(stage.reduction)) y="11" text-anchor=(anchor)
                    dx=(if anchor == "end" { "2" } else { "-2" }) {
                    (stage.due.year()) ": " (lang.percent_short(stage.reduction))
                }
            }
            @if let Some(path) = path {
                svg x=(scale.x(path)) y="44" width="1" height="12" overflow="visible" { path class="path-mark" d="M0 1l-5 9h10z" {} }
            }
        }
    }
}

/// The interval around the end of the bar, clipped to the scale; `y` is its middle.
fn whisker(scale: &Scale, figure: &Figure, y: f64) -> Markup {
    let Some((from, to)) = interval_of(figure) else { return html! {} };
    let (x1, x2) = (scale.x(from), scale.x(to));
    html! {
        line class="whisker" x1=(x1) x2=(x2) y1=(y) y2=(y) {}
        @for x in [x1, x2] { line class="whisker" x1=(x) x2=(x) y1=(y - 5.0) y2=(y + 5.0) {} }
    }
}

/// The interval's sign in a legend.
pub(crate) fn whisker_sign() -> Markup {
    html! {
        svg height="12" width="26" viewBox="0 0 26 12" aria-hidden="true" { path class="whisker" d="M1 1v10M1 6h24M25 1v10" {} }
    }
}

/// The first stage's label stands left of its mark, the others' right, so that two never meet; at the edge there is room on
/// the left only.
fn label_anchor(scale: &Scale, index: usize, stage: &Stage) -> &'static str {
    if index == 0 || scale.share(stage.reduction) > 0.82 { "end" } else { "start" }
}

fn bullet_text(lang: Lang, figure: &Figure, stages: &[Stage], path: Option<f64>) -> String {
    let mut text = words::indicator(lang, &figure.indicator);
    let reduced = match reduction_of(figure) {
        Some(reduction) => format!("{} {}", lang.of(": reduction", "：降低"), lang.percent(reduction)),
        None => lang.of(": no figure", "：无数据").to_owned(),
    };
    text.push_str(&reduced);
    if let Some(ends) = interval_of(figure) {
        // Writing to a string cannot fail.
        let _ = write!(text, "{}{}", lang.of("; interval ", "；区间"), words::interval(lang, ends));
    }
    for stage in stages {
        let asked = lang.percent_short(stage.reduction);
        // Writing to a string cannot fail.
        let _ = write!(text, "{}{} {asked}", lang.of("; target ", "；目标 "), stage.due.year());
    }
    if let Some(path) = path {
        let _ = write!(text, "{} {}", lang.of("; glide path", "；进度线"), lang.percent(path));
    }
    text
}

/// The axis below the bullet bars.
pub(crate) fn axis(lang: Lang, scale: &Scale) -> Markup {
    html! {
        svg class="axis" height="18" aria-hidden="true" focusable="false" {
            @for tick in scale.ticks() {
                text class="note" x=(scale.x(tick)) y="12"
                    text-anchor=(if scale.share(tick) < 0.01 { "start" } else if scale.share(tick) > 0.99 { "end" } else { "middle" }) {
                    (lang.percent_short(tick))
                }
            }
        }
    }
}

/// How many pilots stand where, as one divided bar.
pub(crate) fn counts_bar(counts: &[(Standing, usize)]) -> Markup {
    let total: usize = counts.iter().map(|(_, n)| n).sum();
    let mut from = 0usize;
    let mut pieces = Vec::new();
    for &(standing, n) in counts.iter().filter(|(_, n)| *n > 0) {
        let share = |n: usize| format!("{:.2}%", n as f64 * 100.0 / total.max(1) as f64);
        pieces.push((standing, share(from), share(n)));
        from += n;
    }
    html! {
        svg class="counts-bar" height="8" aria-hidden="true" focusable="false" {
            @for (standing, x, width) in pieces {
                rect class={ "seg " (standing_class(Some(standing))) } x=(x) width=(width) y="0" height="8" {}
            }
        }
    }
}

/// The months that the trend and the coverage strip show.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Span {
    from: MonthNo,
    /// Exclusive.
    to: MonthNo,
}

/// Height of the trend's plot in pixels.
const TREND_HEIGHT: f64 = 168.0;
/// Width of an inner drawing in its own units.
const INNER: f64 = 1000.0;

impl Span {
    /// Whole years from the baseline to the last stage and the last figure.
    pub(crate) fn of(baseline_from: Date, last: Period, stages: &[Stage]) -> Span {
        let last_stage = stages.iter().map(|stage| i32::from(stage.due.year())).max();
        let last_year = last.last_month().year().max(last_stage.unwrap_or(i32::MIN));
        Span { from: MonthNo(i32::from(baseline_from.year()) * 12), to: MonthNo((last_year + 1) * 12) }
    }

    fn share(&self, month: MonthNo) -> f64 {
        f64::from(month.0 - self.from.0) / f64::from(self.to.0 - self.from.0)
    }

    fn x(&self, month: MonthNo) -> String {
        format!("{:.2}%", self.share(month) * 100.0)
    }

    fn inner(&self, month: f64) -> f64 {
        (month - f64::from(self.from.0)) / f64::from(self.to.0 - self.from.0) * INNER
    }

    fn years(&self) -> impl Iterator<Item = i32> {
        self.from.year()..self.to.year()
    }

    fn holds(&self, period: Period) -> bool {
        self.from <= period.first_month() && period.last_month() < self.to
    }
}

/// What a trend shows.
pub(crate) struct Trend<'a> {
    pub(crate) scale: Scale,
    pub(crate) span: Span,
    pub(crate) baseline_end: Date,
    pub(crate) stages: &'a [Stage],
    pub(crate) yearly: &'a [Figure],
    pub(crate) quarterly: &'a [Figure],
    pub(crate) shown: Period,
    /// (year, reduction) that the simulator was told.
    pub(crate) truth: &'a [(i32, f64)],
}

/// Yearly and quarterly reductions against the glide path through the stages; the baseline is the line at zero.
pub(crate) fn trend(lang: Lang, label: &str, trend: &Trend<'_>) -> Markup {
    let Trend { scale, span, .. } = trend;
    html! {
        div class="chart" {
            svg class="y-axis" width="44" height="196" aria-hidden="true" focusable="false" {
                @for tick in scale.ticks() {
                    text class="note" x="38" y=(format!("{:.1}", scale.y(tick, TREND_HEIGHT) + 11.0)) text-anchor="end" {
                        (lang.percent_short(tick))
                    }
                }
            }
            svg class="plot" height="196" role="img" aria-label=(label) {
                svg y="8" width="100%" height=(TREND_HEIGHT) overflow="visible" {
                    @for tick in scale.ticks() {
                        line class=(if tick.abs() < 1e-9 { "zero" } else { "grid" }) x1="0" x2="100%"
                            y1=(format!("{:.1}", scale.y(tick, TREND_HEIGHT))) y2=(format!("{:.1}", scale.y(tick, TREND_HEIGHT))) {}
                    }
                    svg width="100%" height=(TREND_HEIGHT) viewBox={ "0 0 " (INNER) " " (TREND_HEIGHT) }
                        preserveAspectRatio="none" overflow="visible" {
                        path class="glide" d=(glide(trend)) {}
                        path class="quarters" d=(quarters(trend)) {}
                        (years(trend))
                    }
                    (truth_marks(trend))
                    (stage_marks(trend))
                    (last_value(lang, trend))
                }
                @for year in span.years() {
                    text class=(if year % 2 == 0 { "note" } else { "note odd" }) text-anchor="middle" y="193"
                        x=(span.x(MonthNo(year * 12 + 6))) { (year) }
                }
            }
        }
    }
}

fn glide(trend: &Trend<'_>) -> String {
    let mut d = String::new();
    let last = trend.stages.iter().map(|stage| MonthNo::of(stage.due).0 + 1).max().unwrap_or(trend.span.from.0);
    for month in MonthNo::of(trend.baseline_end).0 + 1..=last.min(trend.span.to.0) {
        let eve = MonthNo(month).first_day().yesterday().unwrap_or(trend.baseline_end);
        let Some(path) = glide_path(trend.stages, trend.baseline_end, eve) else { continue };
        let (x, y) = (trend.span.inner(f64::from(month)), trend.scale.y(path, TREND_HEIGHT));
        // Writing to a string cannot fail.
        let _ = write!(d, "{}{x:.1} {y:.1}", if d.is_empty() { "M" } else { "L" });
    }
    d
}

/// A line through the middles of the quarters; a quarter without a figure breaks it.
fn quarters(trend: &Trend<'_>) -> String {
    let mut d = String::new();
    let mut next = None;
    let in_span = trend.quarterly.iter().filter(|figure| trend.span.holds(figure.period));
    for figure in in_span {
        let Some(reduction) = reduction_of(figure) else { continue };
        let first = figure.period.first_month().0;
        let (x, y) = (trend.span.inner(f64::from(first) + 1.5), trend.scale.y(reduction, TREND_HEIGHT));
        let _ = write!(d, "{}{x:.1} {y:.1}", if next == Some(first) { "L" } else { "M" });
        next = Some(first + 3);
    }
    d
}

/// Each year as a level line over its twelve months: a figure speaks of its whole period.
fn years(trend: &Trend<'_>) -> Markup {
    let level = |figure: &Figure| {
        let reduction = reduction_of(figure).filter(|_| trend.span.holds(figure.period))?;
        let first = f64::from(figure.period.first_month().0);
        let (x0, x1) = (trend.span.inner(first + 0.6), trend.span.inner(first + 11.4));
        let y = trend.scale.y(reduction, TREND_HEIGHT);
        Some(format!("M{x0:.1} {y:.1}H{x1:.1}"))
    };
    html! {
        @for figure in trend.yearly {
            @if let Some(d) = level(figure) {
                path class=(year_class(trend, figure)) d=(d) {}
            }
        }
    }
}

fn year_class(trend: &Trend<'_>, figure: &Figure) -> String {
    if figure.period == trend.shown {
        return format!("year shown {}", standing_class(standing_of(figure)));
    }
    "year".to_owned()
}

fn truth_marks(trend: &Trend<'_>) -> Markup {
    html! {
        @for &(year, reduction) in trend.truth {
            @if trend.span.years().any(|shown| shown == year) {
                circle class="truth" r="3.5" cx=(trend.span.x(MonthNo(year * 12 + 6)))
                    cy=(format!("{:.1}", trend.scale.y(reduction, TREND_HEIGHT))) {}
            }
        }
    }
}

fn stage_marks(trend: &Trend<'_>) -> Markup {
    html! {
        @for stage in trend.stages {
            svg x=(trend.span.x(MonthNo(MonthNo::of(stage.due).0 + 1))) overflow="visible" width="1" height="1"
                y=(format!("{:.1}", trend.scale.y(stage.reduction, TREND_HEIGHT))) {
                path class="stage-mark" d="M0-6 6 0 0 6-6 0z" {}
            }
        }
    }
}

fn last_value(lang: Lang, trend: &Trend<'_>) -> Markup {
    let shown = trend.yearly.iter().find(|figure| figure.period == trend.shown);
    let Some((figure, reduction)) = shown.and_then(|figure| Some((figure, reduction_of(figure)?))) else {
        return html! {};
    };
    html! {
        text class={ "value " (standing_class(standing_of(figure))) } text-anchor="middle"
            x=(trend.span.x(MonthNo(figure.period.first_month().0 + 6)))
            y=(format!("{:.1}", trend.scale.y(reduction, TREND_HEIGHT) + 19.0)) { (lang.percent(reduction)) }
    }
}

/// How much of a month was covered, in classes that print.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cover {
    Full,
    Most,
    Some,
    None,
}

impl Cover {
    fn of(coverage: Option<f64>) -> Cover {
        match coverage {
            Some(share) if share >= 0.9 => Cover::Full,
            Some(share) if share >= 0.5 => Cover::Most,
            Some(share) if share > 0.0 => Cover::Some,
            Some(_) | None => Cover::None,
        }
    }

    fn class(self) -> &'static str {
        match self {
            Cover::Full => "c-full",
            Cover::Most => "c-most",
            Cover::Some => "c-some",
            Cover::None => "c-none",
        }
    }
}

/// Coverage by month, on the months of the trend above it; equal neighbours are one rectangle.
pub(crate) fn coverage(lang: Lang, span: Span, monthly: &[Figure]) -> Markup {
    let mut runs: Vec<(MonthNo, MonthNo, Cover)> = Vec::new();
    let of_months = monthly.iter().filter(|f| f.period.kind() == PeriodKind::Month && span.holds(f.period));
    for figure in of_months {
        let month = figure.period.first_month();
        let cover = Cover::of(figure.coverage);
        match runs.last_mut() {
            Some(last) if last.1 == month && last.2 == cover => last.1 = MonthNo(month.0 + 1),
            Some(_) | None => runs.push((month, MonthNo(month.0 + 1), cover)),
        }
    }
    let full = |cover: &Cover| *cover == Cover::Full;
    let months = |runs: &[(MonthNo, MonthNo, Cover)]| runs.iter().map(|(from, to, _)| to.0 - from.0).sum::<i32>();
    let covered: Vec<_> = runs.iter().filter(|(_, _, cover)| full(cover)).copied().collect();
    let label = match lang {
        Lang::En => {
            format!("coverage by month: {} of {} months at least 90 % covered", months(&covered), months(&runs))
        }
        Lang::Zh => format!("各月数据覆盖率：{} 个月中有 {} 个月不低于 90%", months(&runs), months(&covered)),
    };
    html! {
        div class="chart strip" {
            span class="strip-label" aria-hidden="true" { (lang.of("data", "数据")) }
            svg class="plot" height="12" role="img" aria-label=(label) {
                @for (from, to, cover) in runs {
                    rect class=(cover.class()) x=(span.x(from)) y="1" height="10"
                        width=(format!("{:.2}%", (span.share(to) - span.share(from)) * 100.0)) {}
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scale_holds_zero_and_is_not_flattened_by_an_outlier() {
        assert_eq!(Scale::around([0.21, 0.38].into_iter()), Scale { lo: 0.0, hi: 0.4 });
        let wild = Scale::around([-9.0, 5.0].into_iter());
        assert_eq!((wild.lo, wild.hi), (SCALE_LO, SCALE_HI));
        assert_eq!(wild.x(5.0), "100.00%");
        assert_eq!(wild.ticks().count(), 11);
    }
}
