//! Tells a story in sentences, Chinese and English, for the page of the pilot.

use model::programme::Label;

use super::story::{Incidents, Measure, PilotStory, Step};

/// The sentences of a story: improvements by date, then what went wrong with the data.
pub(crate) fn of(story: &PilotStory) -> Vec<Label> {
    let mut steps: Vec<&Step> = story.step.iter().collect();
    steps.sort_by_key(|step| step.from);
    let mut sentences: Vec<Label> = steps.into_iter().map(step).collect();
    sentences.extend(story.product.iter().filter_map(|product| {
        let launched = product.launched?;
        let zh = format!("{launched}：新产品“{}”投产，基准期没有数据。", product.name.zh);
        Some(Label { zh, en: format!("{launched}: new product “{}”, unknown to the baseline.", product.name.en) })
    }));
    sentences.extend(story.meter.from.map(|from| Label {
        zh: format!("电表自 {from} 起才有读数：基准期不完整，能耗和成本无法评定。"),
        en: format!("The meter is read only from {from} on: too little of the baseline for energy and cost."),
    }));
    incidents(&story.incidents, &mut sentences);
    sentences
}

fn step(step: &Step) -> Label {
    let (zh, en) = match step.what {
        Measure::Electricity => ("用电", "electricity"),
        Measure::Gas => ("用气", "gas"),
        Measure::Labour => ("人工", "labour"),
        Measure::Material => ("材料", "material"),
        Measure::Maintenance => ("维护", "maintenance"),
        Measure::Defects => ("不良率", "defective rate"),
        Measure::Lead => ("生产周期", "production cycle"),
        Measure::Cycle => ("单件节拍", "cycle time"),
        Measure::Daytime => ("白天用电占比", "share of electricity in the daytime"),
    };
    let change = -step.cut * 100.0;
    let (sign, size) = (if change < 0.0 { "−" } else { "+" }, change.abs());
    let (over_zh, over_en) = match step.days {
        days if days > 0.0 => (format!("，{days} 天内逐步"), format!(" over {days} days")),
        _ => (String::new(), String::new()),
    };
    Label {
        zh: format!("{}：{}，{zh} {sign}{size:.0}%{over_zh}。", step.from, step.note.zh),
        en: format!("{}: {}, {en} {sign}{size:.0} %{over_en}.", step.from, step.note.en),
    }
}

fn incidents(incidents: &Incidents, sentences: &mut Vec<Label>) {
    let mut say = |zh: String, en: String| sentences.push(Label { zh, en });
    for swap in &incidents.meter_swap {
        let day = jiff::tz::offset(8).to_datetime(swap.at).date();
        say(format!("{day}：更换电表，新旧读数已登记。"), format!("{day}: meter swapped, both readings registered."));
    }
    for days in &incidents.outage {
        let (from, to) = (days.from, days.to);
        say(
            format!("{from} 至 {to}：电表通信中断，没有读数，所涉月份两侧都不计。"),
            format!("{from} to {to}: no readings of the meter; the months it touches are left out on both sides."),
        );
    }
    for month in &incidents.late {
        let month = month.strftime("%Y-%m");
        say(format!("{month}：电表数据晚一个季度到达。"), format!("{month}: meter readings arrived a quarter late."));
    }
    for quarter in &incidents.twice {
        say(
            format!("自 {quarter} 起一个季度的报文发送了两次。"),
            format!("The messages of the quarter from {quarter} were sent twice."),
        );
    }
    for days in &incidents.uncertain {
        let (from, to) = (days.from, days.to);
        say(
            format!("{from} 至 {to}：电表读数标为“不确定”。"),
            format!("{from} to {to}: meter readings marked uncertain."),
        );
    }
    for bad in &incidents.bad {
        let (day, hour) = (bad.day, bad.hour);
        say(
            format!("{day} {hour} 时：电表报告无效读数。"),
            format!("{day}, {hour} o'clock: the meter reported bad readings."),
        );
    }
}
