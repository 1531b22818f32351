//! Loads a programme file. The built-in one is `programme/xinjiang-2025.toml`.
//!
//! Invariants: every target names its clause and the words used there; a stage ends with its year; nothing that the
//! programme leaves open becomes a number.

use std::collections::BTreeMap;

use jiff::civil::Date;
use model::document::{Day, Document, Item, Items, Name, Section};
use model::programme::{Entry, Statement, TargetReading};
use model::registry::Mistake;
use model::{Indicator, Programme, Slug, Target};
use serde::Deserialize;

const BUILTIN: &str = include_str!("../programme/xinjiang-2025.toml");

/// The built-in programme.
///
/// # Panics
/// Never: a test loads it.
pub fn builtin() -> Programme {
    // Safe because a test loads this very text.
    parse("programme/xinjiang-2025.toml", BUILTIN).expect("the built-in programme has no mistakes")
}

/// Reads a programme file.
///
/// # Errors
/// All mistakes, with file and line.
pub fn parse(file: &str, text: &str) -> Result<Programme, Vec<Mistake>> {
    let mut doc = Document::parse(file, text)?;
    let head = doc.needed::<RawProgramme>("programme");
    let id = head.as_ref().and_then(|head| slug(&mut doc, head, &head.value.id));
    let targets = doc.many::<RawTarget>("target");
    let targets = targets_of(&mut doc, &targets);
    let regions = entries(&mut doc, "area");
    let sectors = entries(&mut doc, "sector");
    let classes = entries(&mut doc, "class");
    let centres = entries(&mut doc, "centre");
    let centres_in_annex = entries(&mut doc, "annex_centre");
    let statements = doc.many::<RawStatement>("statement");
    let statements = statements_of(&mut doc, &statements);
    for (name, entries) in [("area", &regions), ("sector", &sectors), ("class", &classes)] {
        if entries.is_empty() && doc.is_clean() {
            doc.mistake(1, format!("there is no `[[{name}]]`; pilots are placed in one of each"));
        }
    }
    let mistakes = doc.into_mistakes();
    match (head, id) {
        (Some(head), Some(id)) if mistakes.is_empty() => Ok(Programme {
            id,
            name: head.value.name.0,
            source: head.value.source,
            targets,
            regions,
            sectors,
            classes,
            centres,
            centres_in_annex,
            statements,
        }),
        (Some(_) | None, Some(_) | None) => Err(mistakes),
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawProgramme {
    id: String,
    name: Name,
    source: String,
}

impl Section for RawProgramme {
    const REQUIRED: &'static [&'static str] = &["id", "name", "source"];
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawTarget {
    indicator: String,
    due: Day,
    reduction: f64,
    reading: TargetReading,
    clause: String,
    text: String,
}

impl Section for RawTarget {
    const REQUIRED: &'static [&'static str] = &["indicator", "due", "reduction", "reading", "clause", "text"];
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawEntry {
    id: String,
    name: Name,
    clause: String,
    count: Option<u32>,
}

impl Section for RawEntry {
    const REQUIRED: &'static [&'static str] = &["id", "name", "clause"];
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawStatement {
    id: String,
    clause: String,
    text: String,
    note: Option<String>,
}

impl Section for RawStatement {
    const REQUIRED: &'static [&'static str] = &["id", "clause", "text"];
}

fn slug<T>(doc: &mut Document<'_>, item: &Item<T>, text: &str) -> Option<Slug> {
    match Slug::parse(text) {
        Ok(slug) => Some(slug),
        Err(error) => {
            doc.mistake(item.line_of("id"), error.to_string());
            None
        }
    }
}

fn targets_of(doc: &mut Document<'_>, items: &Items<RawTarget>) -> Vec<Target> {
    let mut targets = Vec::new();
    let mut seen: BTreeMap<(Indicator, Date), usize> = BTreeMap::new();
    for item in &items.items {
        let Some(target) = target(doc, item) else { continue };
        if let Some(line) = seen.insert((target.indicator.clone(), target.due), item.line) {
            let text =
                format!("the target of `{}` by {} is already stated on line {line}", target.indicator, target.due);
            doc.mistake(item.line, text);
        }
        targets.push(target);
    }
    targets
}

fn target(doc: &mut Document<'_>, item: &Item<RawTarget>) -> Option<Target> {
    let raw = &item.value;
    let indicator = Indicator::parse(&raw.indicator);
    if indicator.is_none() {
        let known: Vec<String> = Indicator::FIXED.iter().map(Indicator::to_string).collect();
        let text =
            format!("indicator `{}` is none of {}, pollutant_intensity.<pollutant>", raw.indicator, known.join(", "));
        doc.mistake(item.line_of("indicator"), text);
    }
    let ratio = raw.reduction > 0.0 && raw.reduction < 1.0;
    if !ratio {
        let text =
            format!("reduction {} is a ratio between 0 and 1: 0.2 is 20 % less than the baseline", raw.reduction);
        doc.mistake(item.line_of("reduction"), text);
    }
    let due = raw.due.0;
    let year_end = (due.month(), due.day()) == (12, 31);
    if !year_end {
        doc.mistake(item.line_of("due"), format!("due {due} is not the last day of its year, {}-12-31", due.year()));
    }
    for (key, said) in [("clause", &raw.clause), ("text", &raw.text)] {
        if said.trim().is_empty() {
            doc.mistake(
                item.line_of(key),
                format!("`{key}` is empty; a target says where it comes from, word for word"),
            );
        }
    }
    let indicator = indicator.filter(|_| ratio && year_end)?;
    let (reading, clause, text) = (raw.reading, raw.clause.clone(), raw.text.clone());
    Some(Target { indicator, due, reduction: raw.reduction, reading, clause, text })
}

fn entries(doc: &mut Document<'_>, name: &'static str) -> Vec<Entry> {
    let items = doc.many::<RawEntry>(name);
    let mut entries: Vec<Entry> = Vec::new();
    for item in &items.items {
        let Some(id) = slug(doc, item, &item.value.id) else { continue };
        if entries.iter().any(|entry| entry.id == id) {
            doc.mistake(item.line_of("id"), format!("{name} `{id}` stands twice"));
        }
        let (raw, name) = (&item.value, item.value.name.clone());
        entries.push(Entry { id, name: name.0, clause: raw.clause.clone(), count: raw.count });
    }
    entries
}

fn statements_of(doc: &mut Document<'_>, items: &Items<RawStatement>) -> Vec<Statement> {
    let mut statements = Vec::new();
    for item in &items.items {
        let Some(id) = slug(doc, item, &item.value.id) else { continue };
        let raw = &item.value;
        statements.push(Statement { id, clause: raw.clause.clone(), text: raw.text.clone(), note: raw.note.clone() });
    }
    statements
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_targets_are_those_of_special_column_2() {
        let programme = builtin();
        let stages = |indicator: &Indicator| -> Vec<(String, f64)> {
            let stages = programme.stages(indicator);
            stages.into_iter().map(|stage| (stage.due.to_string(), stage.reduction)).collect()
        };
        let expected =
            |first: f64, second: f64| vec![("2020-12-31".to_owned(), first), ("2025-12-31".to_owned(), second)];
        assert_eq!(stages(&Indicator::OperatingCost), expected(0.2, 0.3));
        assert_eq!(stages(&Indicator::ProductionCycle), expected(0.2, 0.4));
        assert_eq!(stages(&Indicator::DefectRate), expected(0.2, 0.3));
        // The plan states none for these, and none is made up.
        for indicator in [Indicator::EnergyIntensity, Indicator::EnergyIntensityEquivalent, Indicator::CycleTime] {
            assert_eq!(stages(&indicator), [], "{indicator}");
        }
        assert!(programme.targets.iter().all(|target| target.reading == TargetReading::Cumulative));
    }

    #[test]
    fn every_target_quotes_the_words_that_hold_its_number() {
        for target in builtin().targets {
            let percent = format!("{:.0}%", target.reduction * 100.0);
            let year = format!("到{}年", target.due.year());
            assert!(target.text.starts_with(&year) && target.text.contains(&percent), "{target:?}");
            assert!(target.clause.contains("专栏2"), "{target:?}");
        }
    }

    #[test]
    fn the_taxonomy_has_six_areas_ten_fields_three_classes_and_both_lists_of_centres() {
        let programme = builtin();
        let ids =
            |entries: &[Entry]| entries.iter().map(|entry| entry.id.as_str().to_owned()).collect::<Vec<_>>().join(" ");
        assert_eq!(ids(&programme.regions), "wuchangshi kuiduke hami kuerle kashi yili");
        assert_eq!(
            ids(&programme.sectors),
            "power-transmission-equipment agricultural-equipment petroleum-petrochemical-equipment \
             new-energy-environmental-equipment mining-construction-machinery light-industry textiles-apparel \
             new-and-building-materials electronics biopharma"
        );
        assert_eq!(ids(&programme.classes), "demonstration pilot promotion");
        let counts: Vec<Option<u32>> = programme.classes.iter().map(|class| class.count).collect();
        assert_eq!(counts, [Some(1000), Some(300), Some(50)]);
        assert_eq!((programme.centres.len(), programme.centres_in_annex.len()), (8, 7));
    }

    #[test]
    fn a_programme_with_mistakes_names_all_of_them() {
        let text = include_str!("../../tests/config/programme.bad.toml");
        let mistakes = parse("programme.bad.toml", text).unwrap_err();
        let mistakes: Vec<String> = mistakes.iter().map(Mistake::to_string).collect();
        insta::assert_snapshot!(mistakes.join("\n"), @"
        programme.bad.toml:2: `[programme]` needs the key `source`
        programme.bad.toml:7: indicator `cost` is none of operating_cost, production_cycle, defect_rate, energy_intensity, energy_intensity.equivalent, cycle_time, pollutant_intensity.<pollutant>
        programme.bad.toml:8: due 2030-06-30 is not the last day of its year, 2030-12-31
        programme.bad.toml:9: reduction 20 is a ratio between 0 and 1: 0.2 is 20 % less than the baseline
        programme.bad.toml:11: `clause` is empty; a target says where it comes from, word for word
        programme.bad.toml:22: the target of `defect_rate` by 2030-12-31 is already stated on line 14
        programme.bad.toml:34: `[[target]]` key `reading`: unknown variant `total`, expected `cumulative` or `annual_pace`
        programme.bad.toml:44: area `hami` stands twice
        programme.bad.toml:48: unknown table `region`; there are annex_centre, area, centre, class, programme, sector, statement, target
        ");
    }
}
