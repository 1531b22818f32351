//! The words of the pages, Chinese and English.
//!
//! Short texts stand in pairs beside the markup that uses them ([`Lang::of`]); what both pages share is here.

use model::programme::Label;
use model::{Finding, Indicator, Method, Period, PeriodKind, Standing, State, Validity};

use super::super::number;
use crate::ledger::{Reason, Reasons};

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

/// The answer of a page of a period that only the baseline knows.
pub(crate) fn of_baseline(lang: Lang, period: &str) -> String {
    match lang {
        Lang::En => format!("{period} is the baseline period: nothing has a standing."),
        Lang::Zh => format!("{period}为基准期，不评定进度。"),
    }
}

/// What stands where a standing would, in the baseline period.
pub(crate) fn baseline_period(lang: Lang) -> &'static str {
    lang.of("baseline period", "基准期")
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

/// Why a figure was published again.
pub(crate) fn reasons(lang: Lang, reasons: Reasons) -> String {
    let name = |reason| match reason {
        Reason::LateData => lang.of("late data", "补报数据"),
        Reason::Correction => lang.of("correction", "数据更正"),
        Reason::FactorChange => lang.of("conversion factors", "折标系数变更"),
        Reason::BaselineChange => lang.of("baseline period", "基准期变更"),
        Reason::RegistryChange => lang.of("registry", "登记信息变更"),
        Reason::MethodChange => lang.of("method", "计算方法变更"),
    };
    reasons.iter().map(name).collect::<Vec<_>>().join(lang.of(", ", "、"))
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

/// How a figure was made.
pub(crate) fn method(lang: Lang, method: Method) -> &'static str {
    match method {
        Method::Ratio => lang.of("ratio to standardised output", "与标准化产出之比"),
        Method::Model => lang.of("models of the plan", "按计划所定模型"),
        Method::StandardisedRates => lang.of("rates at the period's mix of products", "按本期产品结构标准化"),
        Method::HodgesLehmann => {
            lang.of("median ratio of all pairs (Hodges–Lehmann)", "配对比值中位数（Hodges–Lehmann）")
        }
        Method::RestrictedMeans => {
            lang.of("restricted means, open orders censored", "限制均值之比，未完工订单按截尾计")
        }
        Method::Sum => lang.of("pilots added up", "各试点相加"),
    }
}

/// The verdict of the validity rules.
pub(crate) fn validity(lang: Lang, validity: Validity) -> &'static str {
    match validity {
        Validity::Valid => lang.of("valid", "有效"),
        Validity::ValidWithFlags => lang.of("valid with flags", "有效（有提示）"),
        Validity::Invalid => lang.of("not valid", "无效"),
    }
}

/// Title and explanation of a table of evidence.
pub(crate) fn table(lang: Lang, id: &str) -> (&'static str, &'static str) {
    match id {
        "steps" => (lang.of("The arithmetic", "计算步骤"), ""),
        "plan" => (
            lang.of("What was fixed beforehand", "事先确定的内容"),
            lang.of(
                "The plan of this figure; its number is a hash of these lines.",
                "本结果所依据的计划，计划编号为下列各行的哈希值。",
            ),
        ),
        "months" => (
            lang.of("Months", "月份"),
            lang.of(
                "A month counts if every series covers as much of it as the plan asks for, here and in the baseline.",
                "各序列在两期的同月覆盖率均达到计划要求的月份才计入。",
            ),
        ),
        "inputs" => (
            lang.of("Inputs", "输入数据"),
            lang.of(
                "What each series held; the number of readings links to the readings.",
                "各序列的月度数值；读数个数链接到逐条读数。",
            ),
        ),
        "output" => (
            lang.of("Output", "产出"),
            lang.of("Good pieces at final inspection, and what each weighs.", "终检合格件及其权重。"),
        ),
        "carriers" => (lang.of("Energy by carrier", "分品种能耗"), ""),
        "coefficients" => (lang.of("The fitted models", "拟合模型"), ""),
        "fit" => (lang.of("How well they fit", "拟合优度"), ""),
        "validity" => (lang.of("Validity criteria", "有效性判据"), ""),
        "model_months" => (lang.of("Model against actual use", "模型与实际用量"), ""),
        "prices" => (lang.of("Quantities and prices", "数量与价格"), ""),
        "products" => (lang.of("Products", "分产品"), ""),
        "cohorts" => (lang.of("Cohorts by product, hours", "分产品批次（小时）"), ""),
        "windows" => (lang.of("Which orders", "订单范围"), ""),
        "beside" => (
            lang.of("Beside the figure", "参考数值"),
            lang.of("For reviewers; none of it sets the standing.", "供审阅，不用于评定进度。"),
        ),
        "adjustments" => (
            lang.of("Adjustments by hand", "人工登记的非常规调整"),
            lang.of(
                "What a person stated that the baseline process would have used more. Spread evenly over the days; taken as exact.",
                "由责任人登记的基准期工艺应增用量，按天均摊，视为精确值。",
            ),
        ),
        "stops" => (lang.of("Stops", "停产"), ""),
        "corrections" => (
            lang.of("Corrections that touched it", "涉及的修正"),
            lang.of("Of readings in the months above, or next to them.", "上列月份内及相邻读数的修正。"),
        ),
        "pilots" => (lang.of("The pilots of this group", "所含试点"), ""),
        _ => (lang.of("More", "其他"), ""),
    }
}

/// The head of a column of evidence.
pub(crate) fn column(lang: Lang, id: &str) -> String {
    let word = match id {
        "step" => lang.of("step", "步骤"),
        "of" => lang.of("of", "对象"),
        "value" => lang.of("value", "数值"),
        "unit" => lang.of("unit", "单位"),
        "formula" => lang.of("formula", "公式"),
        "month" => lang.of("month", "月份"),
        "side" => lang.of("side", "时期"),
        "coverage" => lang.of("coverage", "覆盖率"),
        "counts" => lang.of("counts", "是否计入"),
        "asset" => lang.of("asset", "设备"),
        "name" => lang.of("name", "名称"),
        "product" => lang.of("product", "产品"),
        "quantity" => lang.of("quantity", "数量"),
        "readings" => lang.of("readings", "读数个数"),
        "weight" => lang.of("weight", "权重"),
        "weight_is" => lang.of("weight is", "权重来源"),
        "baseline" => lang.of("baseline", "基准期"),
        "reporting" => lang.of("this period", "本期"),
        "carrier" => lang.of("carrier", "能源品种"),
        "factor" => lang.of("factor", "折标系数"),
        "factor_unit" => lang.of("per", "单位"),
        "item" => lang.of("item", "项目"),
        "band" => lang.of("band", "时段"),
        "baseline_quantity" => lang.of("baseline quantity", "基准期数量"),
        "baseline_price" => lang.of("baseline price", "基准期价格"),
        "price" => lang.of("price", "价格"),
        "what" => lang.of("what", "项目"),
        "is" => lang.of("is", "内容"),
        "low" => lang.of("low", "下限"),
        "high" => lang.of("high", "上限"),
        "from" => lang.of("from", "起"),
        "to" => lang.of("to", "止"),
        "reason" => lang.of("reason", "原因"),
        "pilot" => lang.of("pilot", "试点"),
        "enters" => lang.of("enters", "是否计入"),
        "actual" => lang.of("actual", "实际"),
        "adjusted_baseline" => lang.of("adj. baseline", "调整基准"),
        "reduction" => lang.of("reduction", "降幅"),
        "share" => lang.of("share", "份额"),
        "findings" => lang.of("findings", "提示"),
        "baseline_inspected" => lang.of("baseline inspected", "基准期受检"),
        "baseline_defective" => lang.of("baseline defective", "基准期不良"),
        "baseline_rate" => lang.of("baseline rate", "基准期不良率"),
        "inspected" => lang.of("inspected", "受检"),
        "defective" => lang.of("defective", "不良"),
        "expected" => lang.of("expected", "应有不良"),
        "values" => lang.of("values", "个数"),
        "open" => lang.of("open", "未完工"),
        "median" => lang.of("median", "中位数"),
        "median_low" => lang.of("median, low", "中位数下限"),
        "median_high" => lang.of("median, high", "中位数上限"),
        "geometric_mean" => lang.of("geometric mean", "几何均值"),
        "variable" => lang.of("variable", "变量"),
        "coefficient" => lang.of("coefficient", "系数"),
        "standard_error" => lang.of("standard error", "标准误"),
        "baseline_min" => lang.of("baseline min.", "基准期最小"),
        "baseline_max" => lang.of("baseline max.", "基准期最大"),
        "statistic" => lang.of("statistic", "统计量"),
        "asked" => lang.of("asked", "要求"),
        "found" => lang.of("found", "实得"),
        "passed" => lang.of("passed", "是否通过"),
        "effect" => lang.of("if not", "未通过则"),
        "model" => lang.of("model", "模型"),
        "leverage" => lang.of("leverage", "杠杆值"),
        "beyond" => lang.of("beyond the baseline", "超出基准范围"),
        other => return by_hand_column(lang, other).unwrap_or(other).to_owned(),
    };
    word.to_owned()
}

/// The head of a column of what people did by hand: corrections and adjustments.
fn by_hand_column(lang: Lang, id: &str) -> Option<&'static str> {
    Some(match id {
        "adjusts" => lang.of("adjusts", "调整对象"),
        "amount" => lang.of("amount, all days", "全部天数合计"),
        "workshop" => lang.of("workshop", "车间"),
        "author" => lang.of("author", "登记人"),
        "evidence" => lang.of("evidence", "依据"),
        "number" => lang.of("no.", "编号"),
        "made_at" => lang.of("made at", "修正时间"),
        "action" => lang.of("what", "操作"),
        "at" => lang.of("reading of", "读数时间"),
        "was" => lang.of("was", "原值"),
        "now" => lang.of("is now", "现值"),
        "superseded_by" => lang.of("replaced by", "被取代于"),
        _ => return None,
    })
}

/// A word that evidence uses in a cell; names and sentences stay as they are.
pub(crate) fn cell(lang: Lang, text: &str) -> String {
    let word = match text {
        "yes" => lang.of("yes", "是"),
        "no" => lang.of("no", "否"),
        "stopped" => lang.of("stopped", "停产"),
        "baseline" => lang.of("baseline", "基准期"),
        "reporting" => lang.of("this period", "本期"),
        "data_end" => lang.of("end of the data", "数据截止"),
        "declared" => lang.of("declared", "登记"),
        "assumed" => lang.of("assumed", "假定"),
        "all products" => lang.of("all products", "全部产品"),
        "made in one period only" => lang.of("made in one period only", "仅一期生产"),
        "invalidates" => lang.of("not valid", "无效"),
        "flags" => lang.of("flagged", "提示"),
        "shown only" => lang.of("shown only", "仅列示"),
        "set" => lang.of("set", "改值"),
        "void" => lang.of("void", "作废"),
        "withdraw" => lang.of("withdrawn", "撤回修正"),
        "baseline_amount" => lang.of("baseline amount", "基准期用量"),
        "baseline_output" => lang.of("baseline output", "基准期产出"),
        "output" => lang.of("output", "产出"),
        "adjusted" => lang.of("adjusted", "调整后"),
        "by_hand" => lang.of("adjustment by hand", "人工调整"),
        "amount" => lang.of("amount", "用量"),
        "expected" => lang.of("expected", "应有"),
        "ratio" => lang.of("ratio", "比值"),
        "modelled" => lang.of("modelled", "模型值"),
        "factor" => lang.of("factor", "折标系数"),
        "actual" => lang.of("actual", "实际"),
        "adjusted_baseline" => lang.of("adjusted baseline", "调整基准"),
        "reduction" => lang.of("reduction", "降幅"),
        "baseline_period" => lang.of("baseline period", "基准期"),
        "nominal_unit_cost" => lang.of("unit cost in the yuan of the day", "现价单位成本"),
        "nominal_unit_cost_baseline" => lang.of("the same in the baseline", "基准期现价单位成本"),
        "nominal_unit_cost_change" => lang.of("its change", "现价单位成本变化"),
        "charges" => lang.of("charge", "附加费用"),
        "charges_baseline" => lang.of("charge in the baseline", "基准期附加费用"),
        "demand" => lang.of("demand", "需量电费"),
        "power_factor" => lang.of("power factor", "力调电费"),
        "differential" => lang.of("differential price", "差别电价"),
        "punitive" => lang.of("punitive price", "惩罚性电价"),
        "surcharge" => lang.of("surcharge", "其他加价"),
        "price_index_laspeyres" => lang.of("price index, Laspeyres", "拉氏价格指数"),
        "price_index_paasche" => lang.of("price index, Paasche (the price effect)", "帕氏价格指数（价格影响）"),
        "price_index_fisher" => lang.of("price index, Fisher", "费雪价格指数"),
        "overdispersion" => lang.of("over-dispersion φ", "过离散系数 φ"),
        "ratio_at_baseline_mix" => lang.of("ratio at the baseline's mix", "按基准期结构之比"),
        "ratio_at_pooled_mix" => lang.of("ratio at the pooled mix", "按合并结构之比"),
        "crude_ratio_unadjusted" => lang.of("crude ratio, unadjusted", "粗比（未调整）"),
        "geometric_mean_ratio" => lang.of("ratio of geometric means", "几何均值之比"),
        "guideline14_fsu" => lang.of("fractional uncertainty, Guideline 14", "Guideline 14 相对不确定度"),
        "exact_relative_uncertainty" => lang.of("relative uncertainty, exact", "精确相对不确定度"),
        other => return plan_word(lang, other).unwrap_or(other).to_owned(),
    };
    word.to_owned()
}

/// A word of the terms of a plan.
fn plan_word(lang: Lang, text: &str) -> Option<&'static str> {
    Some(match text {
        "indicator" => lang.of("indicator", "指标"),
        "operating_cost" => lang.of("operating cost", "运营成本"),
        "production_cycle" => lang.of("production cycle", "产品生产周期"),
        "defect_rate" => lang.of("defective rate", "不良品率"),
        "energy_intensity" => lang.of("energy intensity", "单位产出能耗"),
        "energy_intensity.equivalent" => lang.of("energy intensity (equivalent basis)", "单位产出能耗（等价值）"),
        "cycle_time" => lang.of("cycle time", "节拍时间"),
        "zone" => lang.of("days end at midnight in", "日界所在时区"),
        "confidence" => lang.of("confidence, two-sided", "置信水平（双侧）"),
        "coverage_min" => lang.of("coverage a figure needs", "结果覆盖率下限"),
        "month_coverage_min" => lang.of("coverage a month needs", "月覆盖率下限"),
        "basis" => lang.of("basis of electricity", "电力折标口径"),
        "calorific" => lang.of("calorific value", "当量值"),
        "equivalent" => lang.of("equivalent value", "等价值"),
        "factors" => lang.of("factor set", "折标系数版本"),
        "model" => lang.of("model", "模型"),
        "ratio_to_output" => lang.of("ratio to output", "与产出之比"),
        "regression" => lang.of("regression, a constant a month", "回归（含每月常数项）"),
        "degree_days" => lang.of("degree days at the balance points that fit best", "度日模型（平衡点取最优）"),
        "sign_of_coefficient" => lang.of("variable, and sign of its coefficient", "变量及其系数符号"),
        "positive" => lang.of("positive", "正"),
        "negative" => lang.of("negative", "负"),
        "not_stated" => lang.of("not stated", "未规定"),
        "temperature_series" => lang.of("outdoor temperature", "室外温度序列"),
        "may_cool" => lang.of("may serve cooling", "是否用于制冷"),
        "base_load_negligible" => lang.of("base load negligible, because", "基础负荷可忽略的理由"),
        "price_base" => lang.of("prices", "价格基准"),
        "baseline_prices" => lang.of("of the baseline period, weighted by quantity", "基准期价格（按数量加权）"),
        "scope" => lang.of("scope", "计入范围"),
        "every_item" => lang.of("every item that the file declares", "登记的全部项目"),
        "at_baseline_price" => lang.of("quantity at the baseline's price", "数量乘以基准期价格"),
        "deflated" => lang.of("deflated by its price index", "按价格指数平减"),
        "nominal" => lang.of("nominal: no price index", "现价（无价格指数）"),
        "defects" => lang.of("defective are", "不良品定义"),
        "as_counted" => lang.of("pieces counted as defective", "登记为不良的件"),
        "rework_and_scrap" => lang.of("rework and scrap together", "返修与报废合计"),
        "scrap_alone" => lang.of("scrap alone", "仅报废"),
        "strata" => lang.of("compared by", "分层比较"),
        "by_product" => lang.of("product", "产品"),
        "estimator" => lang.of("estimator", "估计方法"),
        "standardised_rates" => {
            lang.of("the baseline's rates at the period's mix of products", "按本期产品结构标准化的基准期比率")
        }
        "hodges_lehmann" => lang.of("median ratio of all pairs (Hodges–Lehmann)", "配对比值中位数（Hodges–Lehmann）"),
        "hodges_lehmann_or_restricted_means" => lang.of(
            "median ratio of all pairs (Hodges–Lehmann); restricted means where orders are open",
            "配对比值中位数（Hodges–Lehmann）；有未完工订单时用限制均值之比",
        ),
        "cohort" => lang.of("an order belongs to", "订单归属"),
        "by_start" => {
            lang.of("the period in which it was started, after equal follow-up", "按开工时间归属，跟踪时间相等")
        }
        "unit_of_output" => lang.of("output is", "产出单位"),
        "weighted_good_pieces" => lang.of("good pieces at final inspection, weighted", "终检合格件（加权）"),
        "pieces_from" => lang.of("pieces are counted by", "件数来源"),
        "from_series" => lang.of("series", "数据序列"),
        "from_orders" => lang.of("completed orders", "完工订单"),
        "weight" => lang.of("weight of a piece", "每件权重"),
        "assumed_one" => lang.of("1, assumed", "1（假定）"),
        "target" => lang.of("target", "目标"),
        "target_reading" => lang.of("the target counts", "目标口径"),
        "cumulative" => lang.of("from the baseline to its day", "自基准期累计至期限"),
        "annual_pace" => lang.of("in every year", "逐年"),
        "target_clause" => lang.of("where the programme says so", "目标出处"),
        _ => return None,
    })
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
        "baseline_period" => "本期在基准期结束前已结束，不评定进度",
        "adjusted_by_hand" => "调整基准含人工登记的非常规调整",
        "pilots_adjusted" => "部分试点的调整基准含人工登记的非常规调整",
        "pilots_in_baseline" => "部分试点处于基准期，与自身比较",
        "no_interval" => "数据不足以给出置信区间，进度最高评为“正常”",
        "orders_silent" => "订单事件早于其他数据中断，可能缺少未完工或较慢的订单，进度最高评为“正常”",
        "all_orders_open" => "可比时间内没有订单完工",
        "dispersion_unknown" => "月份过少，无法判断不良品是否成批出现，区间按相互独立计",
        "interval_wide" => "置信区间过宽，尚不能判定进度",
        "interval_unbounded" => "数据未能界定置信区间的全部端点",
        "provisional_cohort" => "最近开工的订单跟踪时间尚短，仅比较开工后的一段时间，进度最高评为“正常”",
        "too_recent" => "订单开工距数据截止时间过近，尚无可比结果",
        "few_orders_of_product" => "部分产品的订单过少，两期均不计入",
        "base_load" => "与产出之比视基础负荷为零，而基准期各月显示并非如此，或无法检验",
        "baseline_insufficient" => "基准期数据不足以建立模型",
        "collinear_variables" => "自变量共线，无法区分各自影响",
        "no_degree_day_model" => "没有合格的度日模型",
        "model" => "模型无法建立",
        "model_invalid" => "模型未通过有效性判据，仅供参考，不评定进度",
        "model_flagged" => "模型有一项判据未通过，予以提示",
        "undetermined" => "调整基准与零无法区分，不评定进度",
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
        "coverage" => "数据覆盖率达到要求的月份不足",
        "uncertain_readings" => "计入的读数中含有质量存疑者",
        "decrease_without_event" => "读数下降而未登记换表等事件，该段未计入",
        "no_defective" => "终检从未统计不良品",
        "no_output" => "计入的月份没有合格产出",
        "no_baseline" => "基准期没有可比的数据",
        "no_baseline_defects" => "基准期没有不良品，比值无界或未定义",
        "no_factor" => "能源品种未登记折标系数",
        "no_series" => "未登记相应的数据序列",
        "no_data" => "本期尚无数据",
        "not_published" => "截至该时点尚未发布",
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
