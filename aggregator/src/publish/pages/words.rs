//! The words of the pages, Chinese and English.
//!
//! Short texts stand in pairs beside the markup that uses them ([`Lang::of`]); what both pages share is here.

use model::programme::Label;
use model::{Finding, Indicator, Period, PeriodKind, Standing, State};

use super::super::number;

/// The language of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lang {
    En,
    Zh,
}

impl Lang {
    /// By `?lang=`, else by `Accept-Language`, else English. None if `asked` is another language.
    pub fn choose(asked: Option<&str>, accepted: Option<&str>) -> Option<Lang> {
        match asked {
            Some("en") => Some(Lang::En),
            Some("zh") => Some(Lang::Zh),
            Some(_) => None,
            None => Some(accepted.map_or(Lang::En, preferred)),
        }
    }

    /// The text in this language.
    pub fn of<'a>(self, en: &'a str, zh: &'a str) -> &'a str {
        match self {
            Lang::En => en,
            Lang::Zh => zh,
        }
    }

    /// The label in this language.
    pub fn label(self, label: &Label) -> &str {
        self.of(&label.en, &label.zh)
    }

    /// For `lang=` of the document.
    pub fn tag(self) -> &'static str {
        match self {
            Lang::En => "en",
            Lang::Zh => "zh-Hans",
        }
    }

    /// For `?lang=`.
    pub fn code(self) -> &'static str {
        match self {
            Lang::En => "en",
            Lang::Zh => "zh",
        }
    }

    /// A ratio as a person reads it: `21.3 %`.
    pub fn percent(self, ratio: f64) -> String {
        format!("{}{}", number::percent(ratio), self.percent_sign())
    }

    /// A target: whole per cent if it is whole.
    pub fn percent_short(self, ratio: f64) -> String {
        let exact = number::percent(ratio);
        match exact.strip_suffix(".0") {
            Some(whole) => format!("{whole}{}", self.percent_sign()),
            None => format!("{exact}{}", self.percent_sign()),
        }
    }

    fn percent_sign(self) -> &'static str {
        self.of("\u{202f}%", "%")
    }
}

/// The first of `zh` and `en` by weight in an `Accept-Language` header.
fn preferred(header: &str) -> Lang {
    let mut best = (0.0, Lang::En);
    for item in header.split(',') {
        let mut parts = item.trim().split(';');
        let tag = parts.next().unwrap_or_default().trim().to_ascii_lowercase();
        let weight = parts.find_map(|part| part.trim().strip_prefix("q=")?.parse::<f64>().ok()).unwrap_or(1.0);
        let lang = match tag.split('-').next() {
            Some("zh") => Lang::Zh,
            Some("en") => Lang::En,
            Some(_) | None => continue,
        };
        if weight > best.0 {
            best = (weight, lang);
        }
    }
    best.1
}

/// The name of an indicator.
pub(crate) fn indicator(lang: Lang, indicator: &Indicator) -> String {
    let (en, zh) = match indicator {
        Indicator::OperatingCost => ("Operating cost", "运营成本"),
        Indicator::ProductionCycle => ("Production cycle", "产品生产周期"),
        Indicator::DefectRate => ("Defective rate", "不良品率"),
        Indicator::EnergyIntensity => ("Energy intensity", "单位产出能耗"),
        Indicator::EnergyIntensityEquivalent => ("Energy intensity (equivalent basis)", "单位产出能耗（等价值）"),
        Indicator::CycleTime => ("Cycle time", "节拍时间"),
        Indicator::PollutantIntensity(pollutant) => {
            return format!("{} {pollutant}", lang.of("Pollutant intensity:", "污染物排放强度："));
        }
    };
    lang.of(en, zh).to_owned()
}

/// What an indicator measures, in half a line.
pub(crate) fn indicator_note(lang: Lang, indicator: &Indicator) -> &'static str {
    let (en, zh) = match indicator {
        Indicator::OperatingCost => ("per unit of output, at baseline prices", "单位产出，按基准期价格"),
        Indicator::ProductionCycle => ("lead time of orders, same product mix", "订单交付周期，产品结构可比"),
        Indicator::DefectRate => ("defective pieces, same product mix", "不良品数，产品结构可比"),
        Indicator::EnergyIntensity | Indicator::EnergyIntensityEquivalent => {
            ("standard coal per unit of output", "单位产出标准煤")
        }
        Indicator::CycleTime => ("time per piece", "单件时间"),
        Indicator::PollutantIntensity(_) => ("per unit of output", "单位产出"),
    };
    lang.of(en, zh)
}

/// A unit as the pages write it.
pub(crate) fn unit(lang: Lang, unit: &str) -> String {
    let (en, zh) = match unit {
        "CNY" => ("CNY", "元"),
        "h" => ("h", "小时"),
        "piece" => ("pieces", "件"),
        "kgce" => ("kgce", "千克标准煤"),
        "kg" => ("kg", "千克"),
        other => (other, other),
    };
    lang.of(en, zh).to_owned()
}

/// All standings, best first.
pub(crate) const STANDINGS: [Standing; 6] = [
    Standing::Achieved,
    Standing::Ahead,
    Standing::OnTrack,
    Standing::AtRisk,
    Standing::Behind,
    Standing::Insufficient,
];

/// The word for a standing.
pub(crate) fn standing(lang: Lang, standing: Standing) -> &'static str {
    match standing {
        Standing::Achieved => lang.of("achieved", "已达标"),
        Standing::Ahead => lang.of("ahead", "超前"),
        Standing::OnTrack => lang.of("on track", "正常"),
        Standing::AtRisk => lang.of("at risk", "有风险"),
        Standing::Behind => lang.of("behind", "落后"),
        Standing::Insufficient => lang.of("insufficient data", "数据不足"),
    }
}

/// Names colour and symbol of a standing in CSS and in the symbol sheet.
pub(crate) fn standing_class(standing: Option<Standing>) -> &'static str {
    match standing {
        Some(Standing::Achieved) => "achieved",
        Some(Standing::Ahead) => "ahead",
        Some(Standing::OnTrack) => "ontrack",
        Some(Standing::AtRisk) => "atrisk",
        Some(Standing::Behind) => "behind",
        Some(Standing::Insufficient) => "insufficient",
        None => "untargeted",
    }
}

/// The word for a state.
pub(crate) fn state(lang: Lang, state: State) -> &'static str {
    match state {
        State::Final => lang.of("final", "最终"),
        State::Provisional => lang.of("provisional", "初步"),
        State::Insufficient => lang.of("insufficient", "数据不足"),
    }
}

/// A period as the pages write it.
pub(crate) fn period(lang: Lang, period: Period) -> String {
    let text = period.to_string();
    match (lang, period.kind()) {
        (Lang::En, _) => text,
        (Lang::Zh, PeriodKind::Year) => format!("{text}年"),
        (Lang::Zh, PeriodKind::Quarter) => match text.split_once("-Q") {
            Some((year, quarter)) => format!("{year}年第{quarter}季度"),
            None => text,
        },
        (Lang::Zh, PeriodKind::Month) => match text.split_once('-') {
            Some((year, month)) => format!("{year}年{}月", month.trim_start_matches('0')),
            None => text,
        },
    }
}

/// Both ends of an interval.
pub(crate) fn interval(lang: Lang, (from, to): (f64, f64)) -> String {
    format!("{}{}{}", lang.percent(from), lang.of(" to ", "至"), lang.percent(to))
}

/// A finding as a sentence in the page's language. Chinese has a sentence of its own for each rule, with the names that
/// the finding quotes; a rule without one keeps the finding's text.
pub(crate) fn finding(lang: Lang, finding: &Finding) -> String {
    match (lang, finding_zh(&finding.rule)) {
        (Lang::Zh, Some(zh)) => {
            let names: Vec<&str> = finding.text.split('`').skip(1).step_by(2).collect();
            if names.is_empty() { format!("{zh}。") } else { format!("{zh}（{}）。", names.join("、")) }
        }
        (Lang::Zh, None) | (Lang::En, _) => sentence(&finding.text),
    }
}

fn finding_zh(rule: &str) -> Option<&'static str> {
    Some(match rule {
        "no_interval" => "数据不足以给出置信区间，进度最高评为“正常”",
        "orders_silent" => "订单事件早于其他数据中断，可能缺少未完工或较慢的订单，进度最高评为“正常”",
        "all_orders_open" => "可比时间内没有订单完工",
        "dispersion_unknown" => "月份过少，无法判断不良品是否成批出现，区间按相互独立计",
        "interval_wide" => "置信区间过宽，尚不能判定进度",
        "interval_unbounded" => "数据未能界定置信区间的全部端点",
        "provisional_cohort" => "最近开工的订单跟踪时间尚短，仅比较开工后的一段时间，进度最高评为“正常”",
        "too_recent" => "订单开工距数据截止时间过近，尚无可比结果",
        "few_orders_of_product" => "部分产品的订单过少，两期均不计入",
        "base_load" => "在基础负荷模型建立之前，与产出之比视基础负荷为零",
        "open_orders" => "部分订单在比较时限内尚未完工，按截尾数据计入",
        "cancelled_orders" => "已取消的订单未计入",
        "lead_not_positive" => "完工不晚于开工的订单未计入",
        "few_orders" => "订单过少：本期与基准期各需至少 5 单",
        "product_weights_assumed" => "产品权重未登记，按 1 计，进度最高评为“正常”",
        "product_in_one_period" => "仅在一个时期生产的产品，两期均不计入",
        "energy_cost_only" => "仅含能源费用，人工、材料与维护不在范围内",
        "missing_item" => "范围内的成本项目缺少数据",
        "no_price" => "该项目未登记价格",
        "nominal_cost" => "成本类别未登记价格指数，按现价计",
        "band_substituted" => "基准期电价所没有的时段，按基准期同一时刻的电价计",
        "coverage" => "数据覆盖率达到 90% 的月份不足",
        "uncertain_readings" => "计入的读数中含有质量存疑者",
        "decrease_without_event" => "读数下降而未登记换表等事件，该段未计入",
        "no_defective" => "终检从未统计不良品",
        "no_output" => "计入的月份没有合格产出",
        "no_baseline" => "基准期没有可比的数据",
        "no_baseline_defects" => "基准期没有不良品，比值无界或未定义",
        "no_factor" => "能源品种未登记折标系数",
        "no_series" => "未登记相应的数据序列",
        "no_data" => "本期尚无数据",
        "open_period" => "本期尚无已结束的月份",
        "no_pilot" => "没有试点具备充分的结果",
        "pilots_left_out" => "部分试点数据不足，未计入汇总",
        "pilots_assumed" => "较大部分的基准值来自依赖假设的试点",
        _ => return None,
    })
}

/// A finding's text as a sentence: capital first (unless it begins with a name), full stop last.
fn sentence(text: &str) -> String {
    let mut chars = text.chars();
    let first = chars.next().map(|first| first.to_uppercase().to_string()).unwrap_or_default();
    let stop = if text.ends_with('.') { "" } else { "." };
    format!("{first}{}{stop}", chars.as_str()).replace('`', "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_language_comes_from_the_address_then_the_browser_then_english() {
        assert_eq!(Lang::choose(Some("zh"), Some("en")), Some(Lang::Zh));
        assert_eq!(Lang::choose(Some("fr"), None), None);
        assert_eq!(Lang::choose(None, None), Some(Lang::En));
        assert_eq!(Lang::choose(None, Some("zh-CN,zh;q=0.9,en;q=0.8")), Some(Lang::Zh));
        assert_eq!(Lang::choose(None, Some("de, en;q=0.7, zh;q=0.3")), Some(Lang::En));
        assert_eq!(Lang::choose(None, Some("fr;q=x,;;")), Some(Lang::En));
    }

    #[test]
    fn a_finding_is_a_sentence_and_keeps_the_names_it_quotes() {
        let of = |rule: &str, text: &str| Finding { rule: rule.to_owned(), text: text.to_owned() };
        let item = of("missing_item", "`cost.labour` is in scope and has no data in the period");
        assert_eq!(finding(Lang::En, &item), "cost.labour is in scope and has no data in the period.");
        assert_eq!(finding(Lang::Zh, &item), "范围内的成本项目缺少数据（cost.labour）。");
        assert_eq!(finding(Lang::Zh, &of("new_rule", "a text")), "A text.");
    }

    #[test]
    fn periods_read_like_the_language() {
        let check = |text: &str, zh: &str| assert_eq!(period(Lang::Zh, Period::parse(text).unwrap()), zh);
        check("2025", "2025年");
        check("2025-Q3", "2025年第3季度");
        check("2025-03", "2025年3月");
    }
}
