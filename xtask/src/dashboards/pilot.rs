//! Pilot: how far has this pilot come, and how sure is that?

use super::{Dashboard, INDICATORS, KINDS, ONE_PILOT, Panel, SLOTS, Shape, Target, targets_of, text};

pub(super) fn dashboard() -> Dashboard {
    let [job, instance] = targets_of("pilots");
    Dashboard {
        id: "pilot",
        title: text("试点", "Pilot"),
        question: text("这个试点走到哪一步，有多确定？", "How far has this pilot come, and how sure is that?"),
        how: text(
            "「实际」与「要求」两组柱按指标对照：实际不低于要求即在路径上。完整率低于 80% 时指标为证据不足，没有柱。历史部分给出区间：区间整个在目标之上才算达标。\
             每个数字的来源、版本和更正在 Pilotline 自己的试点页上。",
            "Compare the bars \"achieved\" and \"required\" by indicator: achieved at or above required is on the path. Below 80 % \
             completeness a figure is insufficient and has no bar. History has the interval: a target counts as achieved only with \
             the whole interval beyond it. Where a number comes from, its versions and its corrections are on the pilot's page of \
             Pilotline itself.",
        ),
        range: "10y",
        variables: vec![job, instance, ONE_PILOT, SLOTS, INDICATORS, KINDS],
        panels: now().into_iter().chain(meters()).chain(history()).collect(),
    }
}

fn now() -> Vec<Panel> {
    vec![
        Panel {
            title: text("最新数据距今", "Age of the latest data"),
            about: text("最近一条被接受的读数或订单事件距今。", "Since the latest accepted reading or order event."),
            shape: Shape::Stat,
            unit: "s",
            size: (8, 4),
            targets: vec![Target::Live(
                "time() - max(pilotline_last_reading_timestamp_seconds{@,pilot=\"$pilot\"})",
                "",
            )],
            to: None,
        },
        Panel {
            title: text("数据完整率", "Completeness"),
            about: text(
                "所选期间各指标覆盖率中最低的一个。",
                "The lowest coverage among the figures of the period chosen.",
            ),
            shape: Shape::Stat,
            unit: "percentunit",
            size: (8, 4),
            targets: vec![Target::Live(
                "min(pilotline_data_completeness_ratio{@,pilot=\"$pilot\",period=\"$period\"})",
                "",
            )],
            to: None,
        },
        Panel {
            title: text("期间截止", "The period ends"),
            about: text("所选期间的结束时间。", "The end of the period that the figures above speak of."),
            shape: Shape::Stat,
            unit: "dateTimeAsIso",
            size: (8, 4),
            targets: vec![Target::Live(
                "1000 * max(pilotline_figure_period_end_timestamp_seconds{@,pilot=\"$pilot\",period=\"$period\"})",
                "",
            )],
            to: None,
        },
        Panel {
            title: text("实际降幅", "Reduction achieved"),
            about: text("对比调整后基线；20% 即减少五分之一。", "Against the adjusted baseline; 20 % is a fifth less."),
            shape: Shape::Bars,
            unit: "percentunit",
            size: (12, 7),
            targets: vec![Target::Live(
                "pilotline_reduction_achieved_ratio{@,pilot=\"$pilot\",period=\"$period\"}",
                "{{indicator}}",
            )],
            to: None,
        },
        Panel {
            title: text("路径要求的降幅", "Reduction required"),
            about: text(
                "路径在期末要求的降幅；没有官方目标的指标没有柱。",
                "What the glide path asks for at the period's end; an indicator without an official target has no bar.",
            ),
            shape: Shape::Bars,
            unit: "percentunit",
            size: (12, 7),
            targets: vec![Target::Live(
                "pilotline_reduction_required_ratio{@,pilot=\"$pilot\",period=\"$period\"}",
                "{{indicator}}",
            )],
            to: None,
        },
    ]
}

fn meters() -> Vec<Panel> {
    vec![
        Panel {
            title: text("各能源功率", "Power by carrier"),
            about: text("各能源载体的平均功率。", "Mean power of what the meters count, by carrier."),
            shape: Shape::Lines,
            unit: "watt",
            size: (12, 8),
            targets: vec![Target::Live(
                "sum by (carrier) (rate(pilotline_energy_joules_total{@,pilot=\"$pilot\"}[$__rate_interval]))",
                "{{carrier}}",
            )],
            to: None,
        },
        Panel {
            title: text("每日用电", "Electricity a day"),
            about: text("各电表每天的用电量。", "What each electricity meter counted, by day."),
            shape: Shape::Columns,
            unit: "kwatth",
            size: (12, 8),
            targets: vec![Target::History(
                "SELECT sum(\"value\") FROM \"rollup_hour\" WHERE \"pilot\" = '$pilot' AND \"unit\" = 'kWh' AND $timeFilter \
                 GROUP BY time(1d), \"asset\", \"name\" fill(none)",
                "$tag_asset $tag_name",
            )],
            to: None,
        },
    ]
}

fn history() -> Vec<Panel> {
    vec![
        Panel {
            title: text("降幅及区间", "Reduction and its interval"),
            about: text(
                "所选指标的降幅、置信区间（方案未另定时为 90%）和目标。",
                "The reduction with its interval (90 % unless the plan asks otherwise), and the stage's target.",
            ),
            shape: Shape::Lines,
            unit: "percentunit",
            size: (12, 9),
            targets: vec![Target::History(
                "SELECT \"reduction\", \"ci_lower\", \"ci_upper\", \"target\" FROM \"figure\" WHERE \"scope\" = 'pilot:$pilot' AND \
                 \"indicator\" = '$indicator' AND \"period_kind\" = '$kind' AND $timeFilter",
                "$col",
            )],
            to: None,
        },
        Panel {
            title: text("实际与调整后基线", "Actual and adjusted baseline"),
            about: text(
                "同一产量下基线应有的量与实际的量，单位随指标（元、小时、件、千克标准煤）。",
                "What was used and what the baseline says for the same output, in the indicator's unit (CNY, h, pieces, kgce).",
            ),
            shape: Shape::Lines,
            unit: "short",
            size: (12, 9),
            targets: vec![Target::History(
                "SELECT \"actual\", \"adjusted_baseline\" FROM \"figure\" WHERE \"scope\" = 'pilot:$pilot' AND \"indicator\" = \
                 '$indicator' AND \"period_kind\" = '$kind' AND $timeFilter",
                "$col",
            )],
            to: None,
        },
        Panel {
            title: text("标准化产量", "Standardised output"),
            about: text("指标所依据的标准化产量。", "The standardised output that the figure rests on."),
            shape: Shape::Columns,
            unit: "short",
            size: (12, 8),
            targets: vec![Target::History(
                "SELECT \"output\" FROM \"figure\" WHERE \"scope\" = 'pilot:$pilot' AND \"indicator\" = '$indicator' AND \
                 \"period_kind\" = '$kind' AND $timeFilter",
                "$col",
            )],
            to: None,
        },
        Panel {
            title: text("指标覆盖率", "Coverage of the figure"),
            about: text(
                "有足够数据的月份占比；低于 0.8 为证据不足。",
                "The share of months with enough data; below 0.8 it is insufficient.",
            ),
            shape: Shape::Lines,
            unit: "percentunit",
            size: (12, 8),
            targets: vec![Target::History(
                "SELECT \"coverage\" FROM \"figure\" WHERE \"scope\" = 'pilot:$pilot' AND \"indicator\" = '$indicator' AND \
                 \"period_kind\" = '$kind' AND $timeFilter",
                "$col",
            )],
            to: None,
        },
    ]
}
