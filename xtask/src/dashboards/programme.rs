//! Programme: how far are the pilots from their targets, and who needs help first?

use super::{Dashboard, INDICATORS, KINDS, Link, Panel, SLOTS, Shape, Target, targets_of, text};

pub(super) fn dashboard() -> Dashboard {
    let [job, instance] = targets_of("pilots");
    Dashboard {
        id: "programme",
        title: text("计划总览", "Programme"),
        question: text("各试点离目标还有多远？", "How far are the pilots from their targets?"),
        how: text(
            "上方为实时数据：每个试点在所选期间的实际降幅减去路径要求的降幅，正数为达到或超前。下方为历史：整个计划和各地区的降幅及其区间。\
             汇总降幅由各试点的量相加得出，从不对比率求平均。没有数据不等于零：证据不足的试点没有柱。",
            "The upper half is live: the reduction achieved less the reduction that the glide path asks for, by pilot and in the \
             period chosen; positive is on or above the path. The lower half is history: the programme and its regions, with the \
             interval. A group's reduction is made from sums over its pilots, never from a mean of ratios. No data is not zero: a \
             pilot of which too little is known has no bar.",
        ),
        range: "10y",
        variables: vec![job, instance, INDICATORS, SLOTS, KINDS],
        panels: summary().into_iter().chain(pilots()).chain(history()).collect(),
    }
}

fn summary() -> Vec<Panel> {
    vec![
        Panel {
            title: text("登记的试点", "Pilots registered"),
            about: text("登记表中的试点数。", "Pilots that the registry in force holds and this token sees."),
            shape: Shape::Stat,
            unit: "none",
            size: (6, 4),
            targets: vec![Target::Live("count(pilotline_pilot_info{@})", "")],
            to: None,
        },
        Panel {
            title: text("有结论的试点", "Pilots with a figure"),
            about: text(
                "所选指标和期间有足够证据的试点数。",
                "Pilots with enough evidence for the indicator and period chosen.",
            ),
            shape: Shape::Stat,
            unit: "none",
            size: (6, 4),
            targets: vec![Target::Live(
                "count(pilotline_reduction_achieved_ratio{@,indicator=\"$indicator\",period=\"$period\"}) or vector(0)",
                "",
            )],
            to: None,
        },
        Panel {
            title: text("达到或超前路径", "On or above the path"),
            about: text(
                "其中实际降幅不低于路径要求的试点数；能耗强度没有官方目标，恒为 0。",
                "Of these, pilots that achieved at least what the path asks for; energy intensity has no official target, so 0.",
            ),
            shape: Shape::Stat,
            unit: "none",
            size: (6, 4),
            targets: vec![Target::Live(
                "sum(pilotline_reduction_achieved_ratio{@,indicator=\"$indicator\",period=\"$period\"} >= bool \
                 pilotline_reduction_required_ratio{@,indicator=\"$indicator\",period=\"$period\"}) or vector(0)",
                "",
            )],
            to: None,
        },
        Panel {
            title: text("总用能功率", "Power in use"),
            about: text(
                "各试点计数的能源之和的平均功率（燃料按当量热值）。",
                "Mean power of everything that the pilots' meters count, fuels by their calorific value.",
            ),
            shape: Shape::Stat,
            unit: "watt",
            size: (6, 4),
            targets: vec![Target::Live("sum(rate(pilotline_energy_joules_total{@}[$__rate_interval]))", "")],
            to: None,
        },
    ]
}

fn pilots() -> Vec<Panel> {
    vec![
        Panel {
            title: text("离路径最远的试点", "Furthest below the path"),
            about: text(
                "实际降幅减路径要求，最低的十五个；点击可打开该试点。",
                "Achieved less required, the fifteen lowest; a click opens the pilot.",
            ),
            shape: Shape::Bars,
            unit: "percentunit",
            size: (12, 10),
            targets: vec![Target::Live(
                "bottomk(15, pilotline_reduction_achieved_ratio{@,indicator=\"$indicator\",period=\"$period\"} - \
                 pilotline_reduction_required_ratio{@,indicator=\"$indicator\",period=\"$period\"})",
                "{{pilot}}",
            )],
            to: Some(Link::Pilot),
        },
        Panel {
            title: text("各地区用能功率", "Power in use by region"),
            about: text("各地区试点计量的平均功率。", "Mean power of the pilots' meters, by region."),
            shape: Shape::Lines,
            unit: "watt",
            size: (12, 10),
            targets: vec![Target::Live(
                "sum by (region) (sum by (pilot, job, instance) (rate(pilotline_energy_joules_total{@}[$__rate_interval])) \
                 * on (pilot, job, instance) group_left (region) pilotline_pilot_info{@})",
                "{{region}}",
            )],
            to: None,
        },
    ]
}

fn history() -> Vec<Panel> {
    vec![
        Panel {
            title: text("计划降幅", "Reduction of the programme"),
            about: text(
                "计划整体的降幅、90% 置信区间和目标。",
                "The programme's reduction with its 90 % interval, and the target of the stage.",
            ),
            shape: Shape::Lines,
            unit: "percentunit",
            size: (12, 9),
            targets: vec![Target::History(
                "SELECT \"reduction\", \"ci_lower\", \"ci_upper\", \"target\" FROM \"figure\" WHERE \"scope\" = 'programme' AND \
                 \"indicator\" = '$indicator' AND \"period_kind\" = '$kind' AND $timeFilter",
                "$col",
            )],
            to: None,
        },
        Panel {
            title: text("各地区降幅", "Reduction by region"),
            about: text("各地区的降幅。", "The reduction of each region, from sums over its pilots."),
            shape: Shape::Lines,
            unit: "percentunit",
            size: (12, 9),
            targets: vec![Target::History(
                "SELECT \"reduction\" FROM \"figure\" WHERE \"scope\" =~ /^region:/ AND \"indicator\" = '$indicator' AND \
                 \"period_kind\" = '$kind' AND $timeFilter GROUP BY \"scope\"",
                "$tag_scope",
            )],
            to: None,
        },
    ]
}
