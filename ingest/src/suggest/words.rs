//! What words of a name say: the quantity, the unit, whether it counts up. In English, Chinese, and the field names of
//! meters that many gateways pass on (EPI, Ep, ENERGY/Total).
//!
//! The first row whose word stands in the name and whose quantity takes the unit counts: narrower words stand above wider
//! ones (`power` before `energy`, 不合格 before 合格).

use model::{Dimension, Kind, Quantity, Unit};

/// What a row of words means.
enum Means {
    /// Nothing that may be counted as used: why.
    Nothing,
    /// A quantity by its whole name.
    This(&'static str),
    /// `power.<name>` or `variable.<name>`.
    Named(&'static str),
}

/// A word that begins with `=` is a whole word of the name, another any part of it.
const TABLE: &[(Means, &[&str])] = &[
    (
        Means::Nothing,
        &["无功", "反向", "视在", "reactive", "apparent", "return", "export", "=ret", "=epe", "=eq", "=eql"],
    ),
    (Means::Named("variable"), &["电压", "电流", "频率", "因数", "温度", "湿度", "压力", "转速", "voltage", "current"]),
    (
        Means::Named("variable"),
        &["frequency", "factor", "temperature", "humidity", "pressure", "speed", "=temp", "=rpm"],
    ),
    (Means::This("output.rework"), &["返工", "返修", "rework"]),
    (Means::This("output.scrap"), &["报废", "废品", "scrap"]),
    (Means::This("output.defective"), &["不良", "不合格", "次品", "defect", "reject", "=ng", "=bad", "=nok"]),
    (Means::This("output.good"), &["合格", "良品", "good", "=ok"]),
    (Means::This("time.cycle"), &["节拍", "周期", "cycle", "takt"]),
    (Means::Named("power"), &["功率", "power", "=kw"]),
    (Means::This("energy.compressed_air"), &["压缩空气", "压空", "compressed_air", "compressedair", "compressed air"]),
    (Means::This("energy.oxygen"), &["氧气", "oxygen"]),
    (Means::This("energy.nitrogen"), &["氮气", "nitrogen"]),
    (Means::This("energy.hydrogen"), &["氢气", "hydrogen"]),
    (Means::This("energy.biogas"), &["沼气", "biogas"]),
    (Means::This("energy.lpg"), &["液化气", "液化石油气", "=lpg"]),
    (Means::This("energy.petrol"), &["汽油", "petrol", "gasoline"]),
    (Means::This("energy.diesel"), &["柴油", "diesel"]),
    (Means::This("energy.natural_gas"), &["天然气", "燃气", "natural_gas", "naturalgas", "natural gas", "=gas"]),
    (Means::This("energy.raw_coal"), &["原煤", "煤耗", "raw_coal", "=coal"]),
    (Means::This("energy.steam"), &["蒸汽", "steam"]),
    (Means::This("energy.heat"), &["热量", "热能", "heat"]),
    (Means::Named("variable"), &["用水", "水量", "水表", "water"]),
    (Means::This("energy.electricity"), &["电能", "电量", "用电", "电度", "kwh", "electric", "energy", "=epi", "=ep"]),
    (Means::This("cost.labour"), &["工资", "人工", "wage", "labour", "labor"]),
    (Means::This("cost.maintenance"), &["维修", "maintenance"]),
    (Means::This("cost.material"), &["材料", "material"]),
];

/// Words of a register that only grows.
const COUNTERS: &[&str] =
    &["累计", "总有功", "有功总", "总电能", "表底", "底数", "total", "accumulated", "=epi", "=ep"];

/// The quantity that the name makes likely, else the one that the unit does, and from what; or why neither does.
pub(super) fn quantity(name: &str, unit: Option<&Unit>) -> Result<(Quantity, String), &'static str> {
    let (lower, mut differs) = (name.to_lowercase(), false);
    for (means, words) in TABLE {
        let Some(word) = words.iter().find(|word| stands(word, &lower)) else { continue };
        let text = match means {
            Means::Nothing => return Err("what is reactive, apparent or given back is no use of energy"),
            Means::This(quantity) => (*quantity).to_owned(),
            Means::Named(family) => format!("{family}.{}", as_word(name)),
        };
        let found = Quantity::parse(&text).filter(|quantity| unit.is_none_or(|unit| takes(quantity, unit)));
        if let Some(quantity) = found {
            let and = unit.map_or_else(String::new, |unit| format!(" and the unit `{unit}`"));
            return Ok((quantity, format!("the word `{}` of the name{and}", word.trim_start_matches('='))));
        }
        differs |= matches!(means, Means::This(_));
    }
    match unit {
        _ if differs => Err("the name and the unit say different things"),
        None => Err("nothing says what it measures"),
        Some(unit) => of_unit(name, unit).ok_or("the unit alone does not say of what"),
    }
}

fn of_unit(name: &str, unit: &Unit) -> Option<(Quantity, String)> {
    let text = match unit.dimension() {
        Dimension::Energy if ["kWh", "Wh", "MWh", "GWh"].contains(&unit.symbol()) => "energy.electricity".to_owned(),
        Dimension::Power => format!("power.{}", as_word(name)),
        Dimension::Money => "cost.other".to_owned(),
        Dimension::Temperature | Dimension::Number | Dimension::Other => format!("variable.{}", as_word(name)),
        // Joules, cubic metres, kilograms, pieces and hours of what?
        Dimension::Energy | Dimension::Volume | Dimension::Mass | Dimension::Count | Dimension::Time => return None,
    };
    Quantity::parse(&text).map(|quantity| (quantity, format!("the unit `{unit}`")))
}

/// Power is never taken for energy here: whether it is to be integrated is for a person to say.
fn takes(quantity: &Quantity, unit: &Unit) -> bool {
    quantity.takes(unit.dimension(), Kind::Counter)
}

/// The word of the name that says that it counts up.
pub(super) fn of_counter(name: &str) -> Option<&'static str> {
    let lower = name.to_lowercase();
    COUNTERS.iter().find(|word| stands(word, &lower)).map(|word| word.trim_start_matches('='))
}

/// A unit of the table that stands in the name as a word of its own; the letters that mean other things too are none.
pub(super) fn unit(name: &str) -> Option<Unit> {
    let is_clear = |word: &&str| word.chars().count() > 1 && !["min", "MIN", "Min", "ms", "sec", "pc"].contains(word);
    pieces(name).filter(is_clear).find_map(Unit::parse)
}

/// The unit that ends the name, also one whose letters mean other things elsewhere: for who knows what is measured.
pub(super) fn last_unit(name: &str) -> Option<Unit> {
    let (_, last) = name.rsplit_once(|c: char| !c.is_alphanumeric())?;
    Unit::parse(last)
}

fn stands(word: &str, lower: &str) -> bool {
    match word.strip_prefix('=') {
        Some(whole) => pieces(lower).any(|piece| piece == whole),
        None => lower.contains(word),
    }
}

fn pieces(name: &str) -> impl Iterator<Item = &str> {
    name.split(|c: char| !c.is_alphanumeric()).filter(|piece| !piece.is_empty())
}

/// A name as the last part of a quantity.
fn as_word(name: &str) -> String {
    name.chars().map(|c| if c.is_alphanumeric() || c == '_' || c == '-' { c } else { '_' }).collect()
}
