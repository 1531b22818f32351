//! Workshop: which asset uses or makes what, and since when?

use super::{Dashboard, INDICATORS, KINDS, ONE_PILOT, Panel, Shape, Target, Variable, targets_of, text};

pub(super) fn dashboard() -> Dashboard {
    let [job, instance] = targets_of("pilots");
    let assets = Variable::History {
        name: "asset",
        label: text("设备", "asset"),
        query: "SHOW TAG VALUES FROM \"rollup_hour\" WITH KEY = \"asset\" WHERE \"pilot\" = '$pilot'",
    };
    let units = Variable::Choice {
        name: "unit",
        label: text("单位", "unit"),
        options: &["kWh", "piece", "MJ", "m3", "kg", "CNY"],
    };
    Dashboard {
        id: "workshop",
        title: text("车间与设备", "Workshop"),
        question: text("哪台设备用了什么、做了什么？", "Which asset uses or makes what, and since when?"),
        how: text(
            "先选试点、设备和单位。每一柱是一台设备一天的量（能源、件数等，随所选单位）。覆盖率低的日子量也偏低：那是缺数据，不是省下来的。分表不计入试点总量，但计入其车间。",
            "Choose pilot, assets and unit. A column is what an asset used or made on a day, in the unit chosen. A day of low coverage \
             has a low amount: data are missing there, nothing was saved. Sub-meters count for their workshop and not for the pilot.",
        ),
        range: "30d",
        variables: vec![job, instance, ONE_PILOT, assets, units, INDICATORS, KINDS],
        panels: panels(),
    }
}

fn panels() -> Vec<Panel> {
    vec![
        Panel {
            title: text("每日的量", "Amount a day"),
            about: text("所选单位下各设备每天的量。", "What each asset used or made, by day, in the unit chosen."),
            shape: Shape::Columns,
            unit: "short",
            size: (16, 10),
            targets: vec![Target::History(
                "SELECT sum(\"value\") FROM \"rollup_hour\" WHERE \"pilot\" = '$pilot' AND \"asset\" =~ /^$asset$/ AND \"unit\" = \
                 '$unit' AND $timeFilter GROUP BY time(1d), \"asset\", \"name\" fill(none)",
                "$tag_asset $tag_name",
            )],
            to: None,
        },
        Panel {
            title: text("期间合计", "Sum of the range"),
            about: text("所选时间范围内各设备的合计。", "What each asset used or made in the whole range."),
            shape: Shape::Bars,
            unit: "short",
            size: (8, 10),
            targets: vec![Target::History(
                "SELECT sum(\"value\") FROM \"rollup_hour\" WHERE \"pilot\" = '$pilot' AND \"asset\" =~ /^$asset$/ AND \"unit\" = \
                 '$unit' AND $timeFilter GROUP BY \"asset\", \"name\"",
                "$tag_asset $tag_name",
            )],
            to: None,
        },
        Panel {
            title: text("覆盖率", "Coverage"),
            about: text("各设备每天有数据的时间占比。", "The share of each day's time that an asset's data cover."),
            shape: Shape::Lines,
            unit: "percentunit",
            size: (12, 8),
            targets: vec![Target::History(
                "SELECT mean(\"coverage\") FROM \"rollup_hour\" WHERE \"pilot\" = '$pilot' AND \"asset\" =~ /^$asset$/ AND \
                 $timeFilter GROUP BY time(1d), \"asset\" fill(none)",
                "$tag_asset",
            )],
            to: None,
        },
        Panel {
            title: text("每日读数", "Readings a day"),
            about: text("各设备每天的读数条数。", "Readings of each asset, by day."),
            shape: Shape::Lines,
            unit: "short",
            size: (12, 8),
            targets: vec![Target::History(
                "SELECT sum(\"n\") FROM \"rollup_hour\" WHERE \"pilot\" = '$pilot' AND \"asset\" =~ /^$asset$/ AND $timeFilter \
                 GROUP BY time(1d), \"asset\" fill(none)",
                "$tag_asset",
            )],
            to: None,
        },
        Panel {
            title: text("车间降幅", "Reduction by workshop"),
            about: text(
                "该试点各车间在所有年份的降幅（不随时间范围）。",
                "The reduction of the pilot's workshops over all years, whatever the range.",
            ),
            shape: Shape::Table,
            unit: "percentunit",
            size: (24, 8),
            targets: vec![Target::History(
                "SELECT \"reduction\", \"ci_lower\", \"ci_upper\" FROM \"figure\" WHERE \"scope\" =~ /^workshop:$pilot\\// AND \
                 \"indicator\" = '$indicator' AND \"period_kind\" = '$kind' GROUP BY \"scope\"",
                "$tag_scope $col",
            )],
            to: None,
        },
    ]
}
