//! Writes the registry file of a simulated plant, in the format that people write.

use std::fmt::Write;

use super::physics::{Plant, hundredths, stops};
use super::story::{FleetStory, PilotStory};
use super::{COSTS, Line, METER};

/// The text of a pilot's file.
pub(crate) fn text(fleet: &FleetStory, plant: &Plant) -> String {
    let mut file = String::new();
    // Safe because writing to a string cannot fail.
    write(&mut file, fleet, plant).expect("text goes into a string");
    file
}

fn write(file: &mut String, fleet: &FleetStory, plant: &Plant) -> std::fmt::Result {
    let story = &plant.story;
    pilot(file, story)?;
    products(file, story)?;
    prices(file, fleet, story)?;
    writeln!(file, "\n# The plant stands still for the Spring Festival.")?;
    for (from, to) in stops() {
        writeln!(file, "[[stop]]\nfrom = {from}\nto = {to}\nreason = \"春节 Spring Festival\"")?;
    }
    series(file, story)?;
    for (n, swap) in story.incidents.meter_swap.iter().enumerate() {
        let at = swap.at.display_with_offset(jiff::tz::offset(8));
        writeln!(file, "\n[[event]]\nasset = \"{METER}\"\nname = \"electricity\"\nat = {at}\nkind = \"meter_swap\"")?;
        let (last, first) = (decimal(plant.final_of_swap(n)), decimal(hundredths(swap.initial)));
        writeln!(file, "final = {last}\ninitial = {first}")?;
    }
    Ok(())
}

/// Hundredths as a decimal number.
fn decimal(hundredths: u64) -> String {
    format!("{}.{:02}", hundredths / 100, hundredths % 100)
}

fn pilot(file: &mut String, story: &PilotStory) -> std::fmt::Result {
    let PilotStory { id, name, enterprise, region, sector, class, baseline: [first, last], .. } = story;
    writeln!(file, "# A simulated plant of the demo: enterprise, figures and events are invented.")?;
    writeln!(file, "[pilot]\nid = \"{id}\"\nname = {{ zh = \"{}\", en = \"{}\" }}", name.zh, name.en)?;
    writeln!(file, "enterprise = \"{enterprise}\"\nregion = \"{region}\"\nsector = \"{sector}\"\nclass = \"{class}\"")?;
    writeln!(file, "zone = \"Asia/Shanghai\"\nprogramme = \"xinjiang-2025\"\n")?;
    writeln!(file, "[baseline]\nfrom = {first}-01-01\nto = {last}-12-31")
}

fn products(file: &mut String, story: &PilotStory) -> std::fmt::Result {
    for workshop in &story.workshop {
        let (zh, en) = (&workshop.name.zh, &workshop.name.en);
        writeln!(file, "\n[[workshop]]\nid = \"{}\"\nname = {{ zh = \"{zh}\", en = \"{en}\" }}", workshop.id)?;
    }
    for product in &story.product {
        let (zh, en) = (&product.name.zh, &product.name.en);
        writeln!(file, "\n[[product]]\nid = \"{}\"\nname = {{ zh = \"{zh}\", en = \"{en}\" }}", product.id)?;
        writeln!(file, "weight = {}", product.weight)?;
    }
    Ok(())
}

fn prices(file: &mut String, fleet: &FleetStory, story: &PilotStory) -> std::fmt::Result {
    for tariff in &fleet.tariffs[&story.tariffs] {
        let bands: Vec<String> = tariff.bands.iter().map(|(band, price)| format!("{band} = {price}")).collect();
        let hours = tariff.hours.iter().map(|(band, spans)| format!("{band} = {spans:?}"));
        let hours: Vec<String> = hours.collect();
        writeln!(file, "\n[[tariff]]\nfrom = {}\nbands = {{ {} }}", tariff.from, bands.join(", "))?;
        writeln!(file, "hours = {{ {} }}", hours.join(", "))?;
    }
    if let Some(gas) = &story.gas {
        for price in &fleet.gas_price {
            writeln!(file, "\n[[price]]\ncarrier = \"natural_gas\"\nfrom = {}\nvalue = {}", price.from, price.value)?;
            writeln!(file, "unit = \"CNY/m3\"")?;
        }
        writeln!(file, "\n[[factor]]\ncarrier = \"natural_gas\"\nvalue = {}", gas.factor)?;
        writeln!(file, "source = \"measured heating value of the supply (simulated)\"")?;
    }
    for category in COSTS {
        for (year, value) in (2015..).zip(&fleet.indexes[category]) {
            writeln!(file, "\n[[index]]\ncategory = \"{category}\"\nfrom = {year}-01-01\nvalue = {value}")?;
        }
    }
    Ok(())
}

fn series(file: &mut String, story: &PilotStory) -> std::fmt::Result {
    let only = if story.workshop.len() == 1 { Some(story.workshop[0].id.as_str()) } else { None };
    let head = |file: &mut String, asset: &str, name: &str, quantity: &str, kind: &str, unit: &str| {
        writeln!(file, "\n[[series]]\nasset = \"{asset}\"\nname = \"{name}\"\nquantity = \"{quantity}\"")?;
        writeln!(file, "kind = \"{kind}\"\nunit = \"{unit}\"")
    };
    let of_workshop = |file: &mut String, workshop: Option<&str>| match workshop {
        Some(id) => writeln!(file, "workshop = \"{id}\""),
        None => Ok(()),
    };
    head(file, METER, "electricity", "energy.electricity", "counter", "kWh")?;
    writeln!(file, "multiplier = {}\nmax_gap = \"2h\"\nplausible = [0, 1e9]", story.meter.multiplier)?;
    if let Some(end) = story.meter.rollover {
        writeln!(file, "rollover = {end}")?;
    }
    of_workshop(file, only)?;
    head(file, METER, "power", "power.active", "gauge", "kW")?;
    of_workshop(file, only)?;
    if story.gas.is_some() {
        head(file, "gas-1", "gas", "energy.natural_gas", "delta", "m3")?;
        writeln!(file, "max_gap = \"36h\"\nplausible = [0, 1e6]")?;
        of_workshop(file, only)?;
    }
    for (n, workshop) in story.workshop.iter().enumerate() {
        let line = Line(n).asset();
        for what in ["good", "defective"] {
            head(file, line, what, &format!("output.{what}"), "delta", "piece")?;
            of_workshop(file, Some(&workshop.id))?;
        }
        if story.works.timed > 0.0 {
            head(file, line, "cycle", "time.cycle", "duration", "s")?;
            of_workshop(file, Some(&workshop.id))?;
        }
    }
    for category in COSTS {
        head(file, "plant", category, &format!("cost.{category}"), "delta", "CNY")?;
    }
    Ok(())
}
