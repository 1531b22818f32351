//! Data quality: can the figures be trusted?

use super::{Dashboard, Link, PILOTS, Panel, Shape, Target, Variable, targets_of, text};

pub(super) fn dashboard() -> Dashboard {
    let [job, instance] = targets_of("pilots");
    let service = Variable::Live {
        name: "service",
        label: text("服务抓取任务", "job of the service"),
        query: "label_values(pilotline_build_info, job)",
    };
    let threshold =
        Variable::Number {
            name: "completeness", label: text("完整率阈值", "completeness threshold"), value: "0.9"
        };
    Dashboard {
        id: "data-quality",
        title: text("数据质量", "Data quality"),
        question: text("这些指标可信吗？", "Can the figures be trusted?"),
        how: text(
            "先看完整率低于阈值的试点，再看原因：静默、编号缺失、被拒、未登记。阈值是顶部的变量。缺的数据可用 `pilotline import` 补，错的用 `pilotline correct` 改；两者都留痕，指标随之更新。\
             报文层面的数字属于整个服务，试点层面的数字只含令牌可见的试点。",
            "First the pilots below the threshold, then why: silence, holes in the numbering, refusals, series nobody registered. The \
             threshold is a variable on top. What is missing can be brought in with `pilotline import`, what is wrong put right with \
             `pilotline correct`; both leave a record, and figures follow. Numbers of messages are of the whole service, numbers of \
             pilots of those that the token sees.",
        ),
        range: "30d",
        variables: vec![job, service, instance, PILOTS, threshold],
        panels: summary().into_iter().chain(pilots()).chain(messages()).chain(kept()).chain(history()).collect(),
    }
}

fn summary() -> Vec<Panel> {
    vec![
        Panel {
            title: text("低于阈值的试点", "Pilots below the threshold"),
            about: text(
                "本年完整率低于阈值的试点数。",
                "Pilots whose completeness of the year is below the threshold.",
            ),
            shape: Shape::Stat,
            unit: "none",
            size: (6, 4),
            targets: vec![Target::Live(
                "count(pilotline_data_completeness_ratio{@,pilot=~\"$pilot\",period=\"current_year\"} < $completeness) or vector(0)",
                "",
            )],
            to: None,
        },
        Panel {
            title: text("缺失的报文", "Messages missing"),
            about: text("按网关自身编号，现在缺失的报文。", "Messages missing in the gateways' own numbering, now."),
            shape: Shape::Stat,
            unit: "none",
            size: (6, 4),
            targets: vec![Target::Live(
                "sum(pilotline_ingest_missing_messages{job=~\"$service\",instance=~\"$instance\"})",
                "",
            )],
            to: None,
        },
        Panel {
            title: text("未登记的序列", "Unregistered series"),
            about: text("在发送但不在登记表中的序列。", "Series that send and are in no registry file."),
            shape: Shape::Stat,
            unit: "none",
            size: (6, 4),
            targets: vec![Target::Live("sum(pilotline_unregistered_series{@,pilot=~\"$pilot\"})", "")],
            to: None,
        },
        Panel {
            title: text("更正", "Corrections"),
            about: text("所选试点的更正次数，含撤回的。", "Corrections of the pilots chosen, withdrawn ones included."),
            shape: Shape::Stat,
            unit: "none",
            size: (6, 4),
            targets: vec![Target::Live("sum(pilotline_corrections_total{@,pilot=~\"$pilot\"})", "")],
            to: None,
        },
    ]
}

fn pilots() -> Vec<Panel> {
    vec![
        Panel {
            title: text("完整率最低的试点", "Lowest completeness"),
            about: text(
                "本年完整率最低的二十个试点；点击可打开。",
                "The twenty pilots of lowest completeness in the year; a click opens one.",
            ),
            shape: Shape::Bars,
            unit: "percentunit",
            size: (12, 8),
            targets: vec![Target::Live(
                "bottomk(20, pilotline_data_completeness_ratio{@,pilot=~\"$pilot\",period=\"current_year\"})",
                "{{pilot}}",
            )],
            to: Some(Link::Pilot),
        },
        Panel {
            title: text("静默最久的试点", "Longest silence"),
            about: text("最新数据距今最久的二十个试点。", "The twenty pilots whose latest data are oldest."),
            shape: Shape::Bars,
            unit: "s",
            size: (12, 8),
            targets: vec![Target::Live(
                "topk(20, time() - pilotline_last_reading_timestamp_seconds{@,pilot=~\"$pilot\"})",
                "{{pilot}}",
            )],
            to: Some(Link::Pilot),
        },
        Panel {
            title: text("缺失报文，按试点", "Missing messages by pilot"),
            about: text(
                "按网关编号缺失的报文，最多二十个试点；不编号的网关没有值。",
                "Missing by the gateways' numbering, the twenty highest; no value where gateways do not number.",
            ),
            shape: Shape::Bars,
            unit: "none",
            size: (12, 8),
            targets: vec![Target::Live("topk(20, pilotline_pilot_missing_messages{@,pilot=~\"$pilot\"})", "{{pilot}}")],
            to: Some(Link::Pilot),
        },
        Panel {
            title: text("从未有数据的试点", "Pilots that never sent"),
            about: text(
                "已登记、从未有被接受数据的试点数。",
                "Pilots that are registered and of which nothing was ever accepted.",
            ),
            shape: Shape::Stat,
            unit: "none",
            size: (12, 8),
            targets: vec![Target::Live(
                "count(pilotline_pilot_info{@,pilot=~\"$pilot\"} unless on (pilot, job, instance) pilotline_last_reading_timestamp_seconds{@,pilot=~\"$pilot\"}) or vector(0)",
                "",
            )],
            to: None,
        },
    ]
}

fn messages() -> Vec<Panel> {
    vec![
        Panel {
            title: text("被拒的读数", "Readings refused"),
            about: text(
                "时间范围内在已提交报文中被拒的读数，按原因，最多十个。",
                "Readings refused inside committed messages in the range, by reason, the ten most frequent.",
            ),
            shape: Shape::Bars,
            unit: "short",
            size: (12, 8),
            targets: vec![Target::Live(
                "topk(10, sum by (reason) (increase(pilotline_ingest_refused_readings_total{job=~\"$service\",instance=~\"$instance\"}[$__range])) > 0)",
                "{{reason}}",
            )],
            to: None,
        },
        Panel {
            title: text("编号中的空洞", "Holes in the numbering"),
            about: text(
                "网关编号中的空洞、缺失的报文和重复使用的编号。",
                "Holes in the gateways' numbering, messages missing in them, and numbers used twice in the range.",
            ),
            shape: Shape::Lines,
            unit: "none",
            size: (12, 8),
            targets: vec![
                Target::Live(
                    "sum(pilotline_ingest_sequence_gaps_total{job=~\"$service\",instance=~\"$instance\"})",
                    "holes",
                ),
                Target::Live(
                    "sum(pilotline_ingest_missing_messages{job=~\"$service\",instance=~\"$instance\"})",
                    "missing",
                ),
                Target::Live(
                    "sum(increase(pilotline_ingest_sequence_reused_total{job=~\"$service\",instance=~\"$instance\"}[$__range]))",
                    "reused",
                ),
            ],
            to: None,
        },
        Panel {
            title: text("至多一次的比例", "Share at most once"),
            about: text(
                "以 QoS 0 到达、断线时不会重发的报文比例。",
                "Messages that came with QoS 0, which nobody sends again, of those received.",
            ),
            shape: Shape::Lines,
            unit: "percentunit",
            size: (12, 8),
            targets: vec![Target::Live(
                "sum(rate(pilotline_ingest_at_most_once_messages_total{job=~\"$service\",instance=~\"$instance\"}[$__rate_interval])) / clamp_min(sum(rate(pilotline_ingest_received_total{job=~\"$service\",instance=~\"$instance\"}[$__rate_interval])), 1e-9)",
                "QoS 0",
            )],
            to: None,
        },
    ]
}

fn kept() -> Vec<Panel> {
    vec![
        Panel {
            title: text("被拒原文占用", "Space of refused messages"),
            about: text(
                "被拒报文原文占用的空间与上限之比；满了便无法重放。",
                "Bytes kept of refused messages, of their limit; beyond it they cannot be replayed.",
            ),
            shape: Shape::Stat,
            unit: "percentunit",
            size: (6, 8),
            targets: vec![Target::Live(
                "sum(pilotline_rejections_kept_bytes{job=~\"$service\",instance=~\"$instance\"}) / sum(pilotline_rejections_limit_bytes{job=~\"$service\",instance=~\"$instance\"})",
                "",
            )],
            to: None,
        },
        Panel {
            title: text("Sparkplug 偏差", "Sparkplug deviations"),
            about: text(
                "时间范围内边缘节点偏离标准的次数。",
                "Where edge nodes strayed from the standard, in the range.",
            ),
            shape: Shape::Bars,
            unit: "none",
            size: (6, 8),
            targets: vec![Target::Live(
                "topk(10, sum by (deviation) (increase(pilotline_sparkplug_deviations_total{job=~\"$service\",instance=~\"$instance\"}[$__range])))",
                "{{deviation}}",
            )],
            to: None,
        },
    ]
}

fn history() -> Vec<Panel> {
    vec![
        Panel {
            title: text("覆盖率历史", "Coverage over time"),
            about: text("各试点所有小时窗口覆盖率的日均值。", "The mean coverage of a pilot's hours, by day."),
            shape: Shape::Lines,
            unit: "percentunit",
            size: (12, 8),
            targets: vec![Target::History(
                "SELECT mean(\"coverage\") FROM \"rollup_hour\" WHERE \"pilot\" =~ /^$pilot$/ AND $timeFilter GROUP BY time(1d), \"pilot\" fill(none)",
                "$tag_pilot",
            )],
            to: None,
        },
        Panel {
            title: text("每日读数", "Readings a day"),
            about: text("各试点每天的读数条数。", "Readings of each pilot, by day."),
            shape: Shape::Lines,
            unit: "short",
            size: (12, 8),
            targets: vec![Target::History(
                "SELECT sum(\"n\") FROM \"rollup_hour\" WHERE \"pilot\" =~ /^$pilot$/ AND $timeFilter GROUP BY time(1d), \"pilot\" fill(none)",
                "$tag_pilot",
            )],
            to: None,
        },
    ]
}
