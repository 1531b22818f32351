//! Ingest health: does everything arrive, and is it on disk?

use super::{Dashboard, Panel, Shape, Target, targets_of, text};

pub(super) fn dashboard() -> Dashboard {
    let [job, instance] = targets_of("operations");
    Dashboard {
        id: "ingest-health",
        title: text("接入健康", "Ingest health"),
        question: text("数据都到了吗，都落盘了吗？", "Does everything arrive, and is it on disk?"),
        how: text(
            "从左到右：在应答、在收、被拒的比例、等待最久的报文、磁盘。第一行正常时，下面不必看。报文守恒：收到 = 提交 + 重复 + 被拒；被拒的保留原文，可重放。\
             是谁在静默、为什么被拒，见 Pilotline 的 /gateways 页。",
            "From left to right: it answers, it receives, the share refused, the longest wait, the disk. With a quiet first row the rest \
             needs no look. Received = committed + duplicate + rejected, always; what is refused keeps its bytes and can be replayed. Who \
             is silent, and why something is refused, is on the page /gateways of Pilotline itself.",
        ),
        range: "6h",
        variables: vec![job, instance],
        panels: first_row()
            .into_iter()
            .chain(messages())
            .chain(journal())
            .chain(brokers())
            .chain(edge_nodes())
            .chain(figures())
            .collect(),
    }
}

fn first_row() -> Vec<Panel> {
    vec![
        Panel {
            title: text("在应答", "Answering"),
            about: text("抓取成功的目标数。", "Targets that answered the last scrape."),
            shape: Shape::Stat,
            unit: "none",
            size: (4, 4),
            targets: vec![Target::Live("sum(up{@})", "")],
            to: None,
        },
        Panel {
            title: text("每秒收到", "Received"),
            about: text("每秒收到的报文。", "Messages received a second."),
            shape: Shape::Stat,
            unit: "mps",
            size: (4, 4),
            targets: vec![Target::Live("sum(rate(pilotline_ingest_received_total{@}[$__rate_interval]))", "")],
            to: None,
        },
        Panel {
            title: text("被拒比例", "Share refused"),
            about: text("整条被拒的报文占收到的比例。", "Messages refused whole, of those received."),
            shape: Shape::Stat,
            unit: "percentunit",
            size: (4, 4),
            targets: vec![Target::Live(
                "sum(rate(pilotline_ingest_rejected_total{@}[$__rate_interval])) / clamp_min(sum(rate(pilotline_ingest_received_total{@}[$__rate_interval])), 1e-9)",
                "",
            )],
            to: None,
        },
        Panel {
            title: text("等待最久的报文", "Longest wait"),
            about: text(
                "尚未提交的最早报文已等待的时间。",
                "How long the oldest message that is not committed has been waiting.",
            ),
            shape: Shape::Stat,
            unit: "s",
            size: (4, 4),
            targets: vec![Target::Live("max(pilotline_ingest_oldest_unacked_age_seconds{@})", "")],
            to: None,
        },
        Panel {
            title: text("磁盘剩余", "Disk free"),
            about: text("数据目录所在磁盘的剩余空间。", "Free space where the data directory lies."),
            shape: Shape::Stat,
            unit: "bytes",
            size: (4, 4),
            targets: vec![Target::Live("min(pilotline_disk_free_bytes{@})", "")],
            to: None,
        },
        Panel {
            title: text("正在触发的告警", "Alerts firing"),
            about: text("Prometheus 规则正在触发的告警数。", "Alerts of the Prometheus rules that fire now."),
            shape: Shape::Stat,
            unit: "none",
            size: (4, 4),
            targets: vec![Target::Live(
                "count(ALERTS{alertname=~\"Pilotline.*\",alertstate=\"firing\"}) or vector(0)",
                "",
            )],
            to: None,
        },
    ]
}

fn messages() -> Vec<Panel> {
    vec![
        Panel {
            title: text("报文去向", "What became of messages"),
            about: text("每秒报文数，按去向。", "Messages a second by what became of them."),
            shape: Shape::Lines,
            unit: "mps",
            size: (12, 8),
            targets: vec![Target::Live(
                "sum by (result) (rate(pilotline_ingest_messages_total{@}[$__rate_interval]))",
                "{{result}}",
            )],
            to: None,
        },
        Panel {
            title: text("被拒的报文", "Messages refused"),
            about: text(
                "所选时间范围内整条被拒的报文，按原因，最多十个。",
                "Messages refused whole in the range, by reason, the ten most frequent.",
            ),
            shape: Shape::Bars,
            unit: "short",
            size: (12, 8),
            targets: vec![Target::Live(
                "topk(10, sum by (reason) (increase(pilotline_ingest_rejected_total{@}[$__range])) > 0)",
                "{{reason}}",
            )],
            to: None,
        },
        Panel {
            title: text("读数与订单事件", "Readings and order events"),
            about: text("每秒接受的读数和订单事件。", "Readings and order events accepted a second."),
            shape: Shape::Lines,
            unit: "short",
            size: (12, 8),
            targets: vec![
                Target::Live("sum(rate(pilotline_ingest_readings_total{@}[$__rate_interval]))", "readings"),
                Target::Live("sum(rate(pilotline_ingest_order_events_total{@}[$__rate_interval]))", "order events"),
            ],
            to: None,
        },
        Panel {
            title: text("网关状态", "Gateways"),
            about: text("网关、边缘节点和主题，按状态。", "Gateways, edge nodes and topics by state."),
            shape: Shape::Lines,
            unit: "none",
            size: (12, 8),
            targets: vec![Target::Live("sum by (state) (pilotline_gateways{@})", "{{state}}")],
            to: None,
        },
    ]
}

fn journal() -> Vec<Panel> {
    vec![
        Panel {
            title: text("提交耗时", "Time of a commit"),
            about: text(
                "一次提交（含 fsync）的中位数和 99% 分位；没有提交时没有值。",
                "Median and 99th percentile of a commit, fsync included; no value without commits.",
            ),
            shape: Shape::Lines,
            unit: "s",
            size: (12, 8),
            targets: vec![
                Target::Live(
                    "histogram_quantile(0.5, sum by (le) (rate(pilotline_journal_commit_duration_seconds_bucket{@}[$__rate_interval])))",
                    "p50",
                ),
                Target::Live(
                    "histogram_quantile(0.99, sum by (le) (rate(pilotline_journal_commit_duration_seconds_bucket{@}[$__rate_interval])))",
                    "p99",
                ),
            ],
            to: None,
        },
        Panel {
            title: text("每秒提交", "Commits"),
            about: text("每秒提交次数，以及失败次数。", "Commits a second, and failed ones."),
            shape: Shape::Lines,
            unit: "ops",
            size: (12, 8),
            targets: vec![
                Target::Live(
                    "sum(rate(pilotline_journal_commit_duration_seconds_count{@}[$__rate_interval]))",
                    "commits",
                ),
                Target::Live("sum(rate(pilotline_journal_fsync_errors_total{@}[$__rate_interval]))", "failed"),
            ],
            to: None,
        },
        Panel {
            title: text("占用空间", "Space used"),
            about: text("日志和数据库的大小。", "Size of the journal, and of both databases."),
            shape: Shape::Lines,
            unit: "bytes",
            size: (12, 8),
            targets: vec![
                Target::Live("sum(pilotline_journal_bytes{@})", "journal"),
                Target::Live("sum(pilotline_store_bytes{@})", "data directory"),
            ],
            to: None,
        },
        Panel {
            title: text("在途与磁盘已满", "In flight, and disk full"),
            about: text(
                "在途的报文数；磁盘已满时为 1，新报文不再确认。",
                "Messages in flight; and 1 while the disk is full and nothing new is acknowledged.",
            ),
            shape: Shape::Lines,
            unit: "none",
            size: (12, 8),
            targets: vec![
                Target::Live("sum(pilotline_ingest_in_flight_messages{@})", "in flight"),
                Target::Live("max(pilotline_disk_full{@})", "disk full"),
            ],
            to: None,
        },
    ]
}

fn brokers() -> Vec<Panel> {
    vec![
        Panel {
            title: text("代理连接", "Brokers connected"),
            about: text(
                "与工厂代理的连接：1 为在投递且订阅完好。没有配置代理时没有数据。",
                "1 while a broker delivers and every subscription stands; no data where no broker is configured.",
            ),
            shape: Shape::Lines,
            unit: "none",
            size: (8, 8),
            targets: vec![Target::Live("min by (broker) (pilotline_broker_connected{@})", "{{broker}}")],
            to: None,
        },
        Panel {
            title: text("代理待确认", "Brokers, unacknowledged"),
            about: text("代理投递、等待确认的报文。", "Messages of brokers that wait for their acknowledgement."),
            shape: Shape::Lines,
            unit: "none",
            size: (8, 8),
            targets: vec![Target::Live("sum by (broker) (pilotline_broker_unacknowledged_messages{@})", "{{broker}}")],
            to: None,
        },
        Panel {
            title: text("代理事故", "Broker incidents"),
            about: text(
                "时间范围内的重连、丢失的会话和放弃的连接。",
                "Reconnects, lost sessions and connections given up, in the range.",
            ),
            shape: Shape::Bars,
            unit: "none",
            size: (8, 8),
            targets: vec![
                Target::Live(
                    "sum by (broker) (increase(pilotline_broker_reconnects_total{@}[$__range]))",
                    "{{broker}} reconnects",
                ),
                Target::Live(
                    "sum by (broker) (increase(pilotline_ingest_session_lost_total{@}[$__range]))",
                    "{{broker}} sessions lost",
                ),
                Target::Live(
                    "sum by (broker) (increase(pilotline_broker_watchdog_total{@}[$__range]))",
                    "{{broker}} given up",
                ),
            ],
            to: None,
        },
    ]
}

fn edge_nodes() -> Vec<Panel> {
    vec![
        Panel {
            title: text("Sparkplug 边缘节点", "Sparkplug edge nodes"),
            about: text("边缘节点，按状态。", "Edge nodes by state."),
            shape: Shape::Lines,
            unit: "none",
            size: (12, 8),
            targets: vec![Target::Live("sum by (state) (pilotline_sparkplug_edge_nodes{@})", "{{state}}")],
            to: None,
        },
        Panel {
            title: text("Sparkplug 重生与丢失", "Sparkplug rebirths and losses"),
            about: text(
                "请求和得到的重生、按节点编号丢失的报文。",
                "Births asked for and answered, and messages lost by the nodes' own numbering, in the range.",
            ),
            shape: Shape::Bars,
            unit: "none",
            size: (12, 8),
            targets: vec![
                Target::Live("sum(increase(pilotline_sparkplug_rebirths_asked_total{@}[$__range]))", "asked"),
                Target::Live("sum(increase(pilotline_sparkplug_rebirths_answered_total{@}[$__range]))", "answered"),
                Target::Live("sum(increase(pilotline_sparkplug_lost_messages_total{@}[$__range]))", "lost"),
            ],
            to: None,
        },
    ]
}

fn figures() -> Vec<Panel> {
    vec![
        Panel {
            title: text("计算滞后", "Figures behind"),
            about: text(
                "指标尚未包含的已确认数据的时长。",
                "Age of the oldest acknowledged commit that figures do not hold yet.",
            ),
            shape: Shape::Lines,
            unit: "s",
            size: (8, 8),
            targets: vec![Target::Live("max(pilotline_aggregator_lag_seconds{@})", "lag")],
            to: None,
        },
        Panel {
            title: text("待计算的提交", "Commits waiting for figures"),
            about: text("指标尚未包含的提交数。", "Acknowledged commits that figures do not hold yet."),
            shape: Shape::Lines,
            unit: "none",
            size: (8, 8),
            targets: vec![Target::Live("sum(pilotline_aggregator_waiting_commits{@})", "commits")],
            to: None,
        },
        Panel {
            title: text("上次完整", "Last complete"),
            about: text("指标上次包含全部已确认数据距今。", "Since figures last held everything acknowledged."),
            shape: Shape::Stat,
            unit: "s",
            size: (4, 8),
            targets: vec![Target::Live("time() - max(pilotline_aggregator_last_success_timestamp_seconds{@})", "")],
            to: None,
        },
        Panel {
            title: text("试点数", "Pilots"),
            about: text("登记表中的试点数。", "Pilots in the registry in force."),
            shape: Shape::Stat,
            unit: "none",
            size: (4, 8),
            targets: vec![Target::Live("sum(pilotline_pilots{@})", "")],
            to: None,
        },
        Panel {
            title: text("版本", "Version"),
            about: text("版本、提交和所用登记表的哈希。", "Version, commit, and hash of the registry in force."),
            shape: Shape::Table,
            unit: "none",
            size: (24, 5),
            targets: vec![Target::Live("pilotline_build_info{@}", "")],
            to: None,
        },
    ]
}
