//! Renders both pages in both languages from made-up figures, to look at them without a server:
//! `cargo run -p pilotline-aggregator --example render_pages -- DIR`.
//!
//! The figures are plausible, not computed; nothing here is used by the program.

use std::path::PathBuf;
use std::sync::Arc;
use std::{env, fs, io};

use aggregator::publish::pages::view::{
    Choice, Corrections, DataQuality, GatewayGaps, Panel, PilotHead, PilotRow, RegionBlock, Rejections, SHOWN, Shown,
    glide_path,
};
use aggregator::publish::pages::{Lang, PilotView, ProgrammeView, pilot_page, programme_page};
use jiff::civil::date;
use model::period::MonthNo;
use model::programme::Label;
use model::registry::DayRange;
use model::{
    Figure, Finding, GatewayId, Indicator, Period, PeriodKind, PilotId, Programme, Scope, Slug, StageStanding,
    Standing, State, UnixMillis, Validity,
};
use seeds::fleet::{TrueReduction, Truth};

const AS_OF: UnixMillis = UnixMillis(1_795_503_600_000);

fn main() -> io::Result<()> {
    let dir = PathBuf::from(env::args().nth(1).unwrap_or_else(|| "/tmp/pages".to_owned()));
    fs::create_dir_all(&dir)?;
    let programme = Arc::new(seeds::programme::builtin());
    for (lang, code) in [(Lang::En, "en"), (Lang::Zh, "zh")] {
        let page = programme_page(&programme_view(&programme), None, lang);
        fs::write(dir.join(format!("programme-{code}.html")), page.into_string())?;
        let page = pilot_page(&pilot_view(&programme), None, lang);
        fs::write(dir.join(format!("pilot-{code}.html")), page.into_string())?;
    }
    Ok(())
}

fn label(en: &str, zh: &str) -> Label {
    Label { en: en.to_owned(), zh: zh.to_owned() }
}

fn slug(id: &str) -> Slug {
    Slug::parse(id).expect("an id of the example")
}

fn year(year: i32) -> Period {
    Period::containing(MonthNo(year * 12), PeriodKind::Year)
}

const REGIONS: [(&str, &str, &str); 6] = [
    ("wuchangshi", "Urumqi–Changji–Shihezi", "乌昌石地区"),
    ("kuiduke", "Kuitun–Dushanzi–Karamay", "奎独克地区"),
    ("hami", "Hami", "哈密地区"),
    ("kuerle", "Korla", "库尔勒地区"),
    ("kashi", "Kashgar", "喀什地区"),
    ("yili", "Ili", "伊犁地区"),
];
const SECTORS: [(&str, &str, &str); 10] = [
    ("power-transmission-equipment", "Power transmission equipment", "输变电装备"),
    ("agricultural-equipment", "Agricultural equipment", "农牧机械"),
    ("petroleum-petrochemical-equipment", "Petroleum and petrochemical equipment", "石油石化装备"),
    ("new-energy-environmental-equipment", "New energy and environmental equipment", "新能源与节能环保装备"),
    ("mining-construction-machinery", "Mining and construction machinery", "矿山及工程机械"),
    ("light-industry", "Light industry", "轻工"),
    ("textiles-apparel", "Textiles and apparel", "纺织服装"),
    ("new-and-building-materials", "New and building materials", "新型材料与建材"),
    ("electronics", "Electronics", "电子信息"),
    ("biopharma", "Biopharmaceuticals", "生物医药"),
];
const CLASSES: [(&str, &str, &str); 3] =
    [("demonstration", "Demonstration", "示范"), ("pilot", "Pilot", "试点"), ("promotion", "Promotion", "推广")];
const PILOTS: [(&str, &str, &str); 12] = [
    ("changji-transformer", "Changji transformer workshop", "昌吉变压器数字化车间"),
    ("urumqi-wind", "Urumqi wind turbine assembly", "乌鲁木齐风电整机总装线"),
    ("shihezi-textile", "Shihezi cotton spinning mill", "石河子棉纺智能工厂"),
    ("karamay-pump", "Karamay oil pump plant", "克拉玛依抽油泵厂"),
    (
        "dushanzi-valve",
        "Dushanzi petrochemical valves with a very long name that has to wrap",
        "独山子石化阀门制造有限公司数字化精密加工与装配示范车间",
    ),
    ("hami-crusher", "Hami mining crushers", "哈密矿山破碎机"),
    ("hami-solar", "Hami photovoltaic modules", "哈密光伏组件"),
    ("korla-paper", "Korla tomato packaging", "库尔勒番茄包装"),
    ("korla-harvester", "Korla cotton harvesters", "库尔勒采棉机"),
    ("kashi-apparel", "Kashgar apparel", "喀什服装"),
    ("kashi-electronics", "Kashgar electronics", "喀什电子装配"),
    ("yili-pharma", "Ili biopharma", "伊犁生物制药"),
];

fn standing_of(reduction: f64, target: f64, path: f64) -> Standing {
    match reduction {
        r if r > target => Standing::Achieved,
        r if r > path + 0.01 => Standing::Ahead,
        r if r >= path - 0.005 => Standing::OnTrack,
        r if r >= path - 0.03 => Standing::AtRisk,
        _ => Standing::Behind,
    }
}

fn figure(
    programme: &Programme,
    scope: &Scope,
    indicator: &Indicator,
    period: Period,
    reduction: Option<f64>,
) -> Figure {
    let stages = programme.stages(indicator);
    let eve = MonthNo(period.last_month().0 + 1).first_day().yesterday().expect("a day before");
    let path = glide_path(&stages, date(2015, 12, 31), eve).unwrap_or(0.0);
    let judged = stages.iter().find(|stage| stage.due >= eve).or(stages.last());
    let standing = |target: f64| reduction.map_or(Standing::Insufficient, |r| standing_of(r, target, path));
    let baseline = 12_345_678.9;
    Figure {
        scope: scope.clone(),
        indicator: indicator.clone(),
        period,
        actual: reduction.map(|r| baseline * (1.0 - r)),
        adjusted_baseline: reduction.map(|_| baseline),
        reduction,
        ci: reduction.map(|r| [Some(r - 0.021), Some(r + 0.019)]),
        confidence: 0.9,
        variance: None,
        annual_rate: reduction.map(|r| r / 5.0),
        output: Some(30_000.0),
        per_unit: reduction.map(|r| 411.522_63 * (1.0 - r)),
        per_unit_baseline: Some(411.522_63),
        unit: indicator.unit().to_owned(),
        coverage: Some(if reduction.is_some() { 0.97 } else { 0.41 }),
        state: if reduction.is_some() { State::Final } else { State::Insufficient },
        validity: Validity::ValidWithFlags,
        standing: judged.map(|stage| standing(stage.reduction)),
        target: judged.map(|stage| stage.reduction),
        stages: stages
            .iter()
            .map(|s| StageStanding {
                by: s.due.to_string(),
                target: s.reduction,
                path,
                standing: standing(s.reduction),
                required_rate: Some(0.026),
            })
            .collect(),
        version: None,
        as_of: AS_OF,
        findings: vec![Finding {
            rule: "provisional_cohort".to_owned(),
            text: "the last orders have not been followed as long as nine tenths of the baseline's took".to_owned(),
        }],
        method: None,
        baseline: None,
        plan: None,
        adjustments: None,
        effects: None,
        cost_scope: None,
        pilots_included: None,
        pilots_total: None,
        mean_of_reductions: None,
        leave_one_out: None,
        output_share: None,
    }
}

fn head(index: usize) -> PilotHead {
    let (id, en, zh) = PILOTS[index];
    let named = |(id, en, zh): (&str, &str, &str)| (slug(id), label(en, zh));
    PilotHead {
        id: PilotId::parse(id).expect("an id of the example"),
        name: label(en, zh),
        enterprise: format!("{zh}有限责任公司"),
        region: named(REGIONS[index / 2]),
        sector: named(SECTORS[index * 7 % 10]),
        class: named(CLASSES[index % 3]),
        zone: "Asia/Shanghai".to_owned(),
        baseline: DayRange { from: date(2015, 1, 1), to: date(2015, 12, 31) },
    }
}

/// A reduction of 2025 that differs by pilot and indicator; one is missing, one is negative.
fn reduction(pilot: usize, indicator: usize) -> Option<f64> {
    match (pilot, indicator) {
        (6, _) | (3, 2) => None,
        (9, 0) => Some(-0.034),
        _ => {
            let wobble = f64::from(u32::try_from((pilot * 37 + indicator * 53) % 29).unwrap_or(0)) / 29.0;
            Some([0.24, 0.33, 0.22, 0.15][indicator] + 0.14 * wobble)
        }
    }
}

fn figures(programme: &Programme, scope: &Scope, of: impl Fn(usize) -> Option<f64>) -> Vec<Figure> {
    SHOWN.iter().enumerate().map(|(i, indicator)| figure(programme, scope, indicator, year(2025), of(i))).collect()
}

fn programme_view(programme: &Arc<Programme>) -> ProgrammeView {
    let row = |index: usize| {
        let head = head(index);
        let figures = figures(programme, &Scope::Pilot(head.id.clone()), |i| reduction(index, i));
        PilotRow { head, data_to: None, figures }
    };
    let region = |(index, (id, en, zh)): (usize, &(&str, &str, &str))| RegionBlock {
        id: slug(id),
        name: label(en, zh),
        figures: figures(programme, &Scope::Region(slug(id)), |i| reduction(index * 2, i)),
        pilots: vec![row(index * 2), row(index * 2 + 1)],
    };
    let choices = |of: &[(&str, &str, &str)], scope: fn(Slug) -> Scope| {
        of.iter().map(|(id, en, zh)| Choice { scope: scope(slug(id)), name: label(en, zh), n_pilots: 2 }).collect()
    };
    ProgrammeView {
        programme: Arc::clone(programme),
        scope: Scope::Programme,
        scope_name: programme.name.clone(),
        shown: Shown { period: year(2025), is_closed: true },
        years: (2016..=2026).map(year).collect(),
        figures: figures(programme, &Scope::Programme, |i| Some([0.312, 0.367, 0.284, 0.221][i])),
        regions: REGIONS.iter().enumerate().map(region).collect(),
        choices: [choices(&REGIONS, Scope::Region), choices(&SECTORS, Scope::Sector), choices(&CLASSES, Scope::Class)],
        as_of: AS_OF,
    }
}

/// Steps of improvement with a season on top.
fn told(indicator: usize, year: i32) -> f64 {
    let steps = [[0.0, 0.08, 0.15, 0.24], [0.02, 0.12, 0.27, 0.37], [0.05, 0.18, 0.26, 0.33], [0.03, 0.07, 0.14, 0.2]];
    let step = match year {
        ..=2017 => 0,
        2018..=2019 => 1,
        2020..=2022 => 2,
        _ => 3,
    };
    steps[indicator][step]
}

fn panel(programme: &Programme, scope: &Scope, index: usize) -> Panel {
    let indicator = &SHOWN[index];
    let season =
        |month: MonthNo| 0.025 * f64::from(month.0).mul_add(0.52, f64::from(u8::try_from(index).unwrap_or(0))).sin();
    let of_kind = |kind: PeriodKind| -> Vec<Figure> {
        let months = (2016 * 12..2026 * 12 + 11).step_by(usize::try_from(kind.months()).unwrap_or(1)).map(MonthNo);
        let reduction = |month: MonthNo| {
            let wave = if kind == PeriodKind::Year { 0.004 } else { season(month) };
            let outage = (2019 * 12 + 3..2019 * 12 + 6).contains(&month.0) && kind != PeriodKind::Year;
            (!outage).then(|| told(index, month.year()) + wave)
        };
        months.map(|m| figure(programme, scope, indicator, Period::containing(m, kind), reduction(m))).collect()
    };
    let yearly = of_kind(PeriodKind::Year);
    let shown = yearly.iter().find(|figure| figure.period == year(2025)).expect("2025 is among the years").clone();
    Panel {
        published: None,
        indicator: indicator.clone(),
        figure: shown,
        stages: programme.stages(indicator),
        baseline: DayRange { from: date(2015, 1, 1), to: date(2015, 12, 31) },
        yearly,
        quarterly: of_kind(PeriodKind::Quarter),
        monthly: of_kind(PeriodKind::Month),
    }
}

fn pilot_view(programme: &Arc<Programme>) -> PilotView {
    let head = head(0);
    let scope = Scope::Pilot(head.id.clone());
    let reductions = SHOWN.iter().enumerate().flat_map(|(index, indicator)| {
        (2016..=2026).map(move |year| TrueReduction {
            indicator: indicator.clone(),
            year,
            reduction: told(index, year),
        })
    });
    PilotView {
        restatements: Vec::new(),
        programme: Arc::clone(programme),
        shown: Shown { period: year(2025), is_closed: true },
        years: (2016..=2026).map(year).collect(),
        panels: (0..SHOWN.len()).map(|index| panel(programme, &scope, index)).collect(),
        truth: Some(Truth {
            story: vec![
                label(
                    "In March 2018 a vacuum drying oven with heat recovery replaced two old ones: electricity per piece fell by 9 %.",
                    "2018年3月以带热回收的真空干燥罐替换两台旧设备:单件电耗降低 9%。",
                ),
                label("On 3 May 2019 the meter of the press line was swapped.", "2019年5月3日更换冲压线电表。"),
                label("The gateway was silent from April to June 2019.", "2019年4月至6月网关中断。"),
            ],
            reductions: reductions.collect(),
        }),
        stops: Vec::new(),
        corrections: Corrections::default(),
        quality: DataQuality {
            last_reading: Some(AS_OF),
            gateways: vec![GatewayGaps {
                pilot: head.id.clone(),
                gateway: GatewayId::parse("gw-1").expect("an id of the example"),
                gaps: 1,
                missing: 12,
            }],
            rejections: Rejections { n: 3, is_complete: true },
            n_imports: 2,
        },
        head,
        as_of: AS_OF,
    }
}
