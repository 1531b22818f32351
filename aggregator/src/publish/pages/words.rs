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
        Indicator::EnergyIntensityEquivalent => ("Energy intensity (equivalent basis)", "单位产出能耗(等价值)"),
        Indicator::CycleTime => ("Cycle time", "节拍时间"),
        Indicator::PollutantIntensity(pollutant) => {
            return format!("{} {pollutant}", lang.of("Pollutant intensity:", "污染物排放强度:"));
        }
    };
    lang.of(en, zh).to_owned()
}

/// What an indicator measures, in half a line.
pub(crate) fn indicator_note(lang: Lang, indicator: &Indicator) -> &'static str {
    let (en, zh) = match indicator {
        Indicator::OperatingCost => ("per unit of output, at baseline prices", "单位产出,按基准期价格"),
        Indicator::ProductionCycle => ("lead time of orders, same product mix", "订单交付周期,产品结构可比"),
        Indicator::DefectRate => ("defective pieces, same product mix", "不良品数,产品结构可比"),
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

/// A finding in the page's language: the sentence of its rule in Chinese if it has one, else the finding's own text.
pub(crate) fn finding(lang: Lang, finding: &Finding) -> String {
    let zh = match finding.rule.as_str() {
        "no_interval" => "尚未计算置信区间,位次按点估计判定。",
        "open_orders" => "部分订单尚未完工,未计入本期周期。",
        "product_weights_assumed" => "产品权重未登记,按 1 计;位次最高为“正常”。",
        "coverage" | "low_coverage" => "数据覆盖率低于 80%,不足以得出结论。",
        "few_orders" => "完工订单过少,不足以得出结论。",
        "energy_cost_only" => "仅含能源费用,标注为能源成本;位次最高为“正常”。",
        "cancelled_orders" => "已取消的订单未计入。",
        "counter_decrease" => "计量读数下降而无登记事件,该段未计入。",
        "no_index" => "成本类别未登记价格指数,按现价计。",
        _ => return finding.text.clone(),
    };
    match lang {
        Lang::En => finding.text.clone(),
        Lang::Zh => zh.to_owned(),
    }
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
    fn periods_read_like_the_language() {
        let check = |text: &str, zh: &str| assert_eq!(period(Lang::Zh, Period::parse(text).unwrap()), zh);
        check("2025", "2025年");
        check("2025-Q3", "2025年第3季度");
        check("2025-03", "2025年3月");
    }
}
