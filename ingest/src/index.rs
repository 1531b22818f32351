//! The registry, indexed for the hot path: (pilot, asset, name, product) → series number and conversion.
//!
//! Built once per registry in force and shared by all connections. Numbers of series come from the store's catalogue on
//! first use and are kept here, so that a reading of a known series costs two look-ups and no allocation.
//!
//! Invariants:
//! - resolution is that of CONTRACT section 2 and agrees with `Pilot::resolve`;
//! - no pilot gets more than [`UNREGISTERED_MAX`] unregistered and [`BY_PRODUCT_MAX`] registered series through readings
//!   (two connections that reach the bound at once are held apart by a lock).

use std::collections::{BTreeMap, HashMap, HashSet};
use std::str::Chars;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};

use foldhash::fast::RandomState;
use model::registry::Ignore;
use model::{Pilot, PilotId, Registry, Series, SeriesId, SeriesKey, Unit};
use store::{Registration, Store};

use crate::foreign::Foreign;

/// Most unregistered series of a pilot (CONTRACT section 2): beyond it a gateway that makes up names is refused,
/// `too_many_series`.
pub const UNREGISTERED_MAX: usize = 10_000;
/// Most series of a pilot once each product of a reading has made one of its own. Only a pilot without `[[product]]` can
/// reach it; beyond it a gateway that makes up products is refused, `too_many_series`.
pub const BY_PRODUCT_MAX: usize = 10_000;

/// Built once per registry in force; shared by all connections.
pub struct Index {
    registry: Arc<Registry>,
    store: Arc<Store>,
    pilots: HashMap<PilotId, PilotIndex>,
    foreign: Arc<Foreign>,
    bound: Bound,
}

/// One pilot's series by asset and name.
pub(crate) struct PilotIndex {
    pilot: Arc<Pilot>,
    /// By asset, then by name: both can be looked up with borrowed text.
    slots: HashMap<Arc<str>, Names, RandomState>,
    /// Empty if the registry lists none: then every product is taken.
    products: HashSet<Arc<str>>,
    /// Held while a reading makes a new series; how many registered ones the store has, once counted.
    minting: Mutex<Option<usize>>,
}

/// What is declared for one asset, by name. Its keys come from the registry alone, so that a fast hash is safe.
pub(crate) type Names = HashMap<Arc<str>, Slot, RandomState>;

/// What is declared for one asset and name.
#[derive(Default)]
pub(crate) struct Slot {
    plain: Option<Declared>,
    by_product: BTreeMap<Arc<str>, Declared>,
    /// Series that take their product from readings.
    minted: RwLock<HashMap<Arc<str>, SeriesId>>,
}

/// A `[[series]]` by its place in the pilot's list, and its number once it has one.
struct Declared {
    place: usize,
    id: OnceLock<SeriesId>,
}

/// The registered series that a reading goes to.
pub(crate) struct Target<'i> {
    pub(crate) series: &'i Series,
    slot: &'i Slot,
    number: Number<'i>,
}

/// How the series gets its number.
enum Number<'i> {
    /// Declared with exactly this key.
    Fixed(&'i Declared),
    /// Declared without product; the reading names one.
    ByProduct,
}

/// A bound on the series of a pilot is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Full(pub(crate) usize);

impl Index {
    /// Indexes a registry, with the built-in mappings.
    pub fn new(registry: Arc<Registry>, store: Arc<Store>) -> Index {
        Index::with(registry, store, Arc::new(Foreign::builtin()))
    }

    /// Indexes a registry, with what takes foreign messages.
    pub fn with(registry: Arc<Registry>, store: Arc<Store>, foreign: Arc<Foreign>) -> Index {
        let of = |(id, pilot): (&PilotId, &Arc<Pilot>)| (id.clone(), PilotIndex::new(Arc::clone(pilot)));
        let pilots = registry.pilots.iter().map(of).collect();
        let mut bound = Bound::default();
        for pilot in registry.pilots.values() {
            for filter in &pilot.topics {
                bound.bind(filter, &pilot.id);
            }
        }
        Index { registry, store, pilots, foreign, bound }
    }

    /// The registry that it indexes.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// The store whose catalogue numbers the series.
    pub fn store(&self) -> &Arc<Store> {
        &self.store
    }

    /// What takes messages that are not Pilotline v1.
    pub fn foreign(&self) -> &Arc<Foreign> {
        &self.foreign
    }

    /// The pilot whose `topics` take this topic.
    pub fn bound(&self, topic: &str) -> Option<&PilotId> {
        self.bound.find(topic)
    }

    pub(crate) fn pilot(&self, id: &str) -> Option<&PilotIndex> {
        self.pilots.get(id)
    }
}

impl PilotIndex {
    fn new(pilot: Arc<Pilot>) -> PilotIndex {
        let mut slots: HashMap<Arc<str>, Names, RandomState> = HashMap::default();
        for (place, series) in pilot.series.iter().enumerate() {
            let names = slots.entry(Arc::clone(&series.asset)).or_default();
            let slot = names.entry(Arc::clone(&series.name)).or_default();
            let declared = Declared { place, id: OnceLock::new() };
            match &series.product {
                None => {
                    slot.plain.get_or_insert(declared);
                }
                Some(product) => {
                    slot.by_product.entry(Arc::clone(product)).or_insert(declared);
                }
            }
        }
        let products = pilot.products.iter().map(|product| Arc::clone(&product.id)).collect();
        PilotIndex { pilot, slots, products, minting: Mutex::new(None) }
    }

    pub(crate) fn pilot(&self) -> &Pilot {
        &self.pilot
    }

    /// Whether the registry takes this product.
    pub(crate) fn takes_product(&self, product: &str) -> bool {
        self.products.is_empty() || self.products.contains(product)
    }

    /// The `[[ignore]]` that drops readings of this asset and name.
    pub(crate) fn ignored_by(&self, asset: &str, name: &str) -> Option<&Ignore> {
        self.pilot.ignores.iter().find(|ignore| glob(&ignore.asset, asset) && glob(&ignore.name, name))
    }

    /// What is declared under this asset and name, whatever the product; if anything is, both are good names.
    pub(crate) fn slot(&self, asset: &str, name: &str) -> Option<&Slot> {
        self.names(asset)?.1.get(name)
    }

    /// What is declared under this asset, whatever the name and product; if anything is, it is a good name.
    pub(crate) fn names(&self, asset: &str) -> Option<(&str, &Names)> {
        self.slots.get_key_value(asset).map(|(asset, names)| (&**asset, names))
    }

    /// The registered series of a reading: declared with its product, else without; a series with product is lent to a
    /// reading that names none if it is the only one of that asset and name.
    pub(crate) fn resolve<'i>(&'i self, slot: &'i Slot, product: Option<&str>) -> Option<Target<'i>> {
        let (declared, number) = match (product, &slot.plain) {
            (Some(product), plain) => match (slot.by_product.get(product), plain) {
                (Some(declared), _) => (declared, Number::Fixed(declared)),
                (None, Some(declared)) => (declared, Number::ByProduct),
                (None, None) => return None,
            },
            (None, Some(declared)) => (declared, Number::Fixed(declared)),
            (None, None) => {
                let only = slot.by_product.values().next().filter(|_| slot.by_product.len() == 1)?;
                (only, Number::Fixed(only))
            }
        };
        Some(Target { series: &self.pilot.series[declared.place], slot, number })
    }

    /// The number of a registered series; a new one if this is its first reading.
    pub(crate) fn number(&self, target: &Target<'_>, product: Option<&str>, store: &Store) -> Result<SeriesId, Full> {
        let series = target.series;
        match (&target.number, product) {
            (Number::Fixed(declared), _) => {
                let intern = || store.intern(&self.key(series, series.product.clone()), &Registration::Registered);
                Ok(*declared.id.get_or_init(intern))
            }
            (Number::ByProduct, product) => self.number_by_product(target, product.unwrap_or_default(), store),
        }
    }

    /// The key of a registered series, whether or not it has a number yet.
    pub(crate) fn key_of(&self, target: &Target<'_>, product: Option<&str>) -> SeriesKey {
        let product = match target.number {
            Number::Fixed(_) => target.series.product.clone(),
            Number::ByProduct => product.map(Arc::from),
        };
        self.key(target.series, product)
    }

    fn key(&self, series: &Series, product: Option<Arc<str>>) -> SeriesKey {
        let (asset, name) = (Arc::clone(&series.asset), Arc::clone(&series.name));
        SeriesKey { pilot: self.pilot.id.clone(), asset, name, product }
    }

    fn number_by_product(&self, target: &Target<'_>, product: &str, store: &Store) -> Result<SeriesId, Full> {
        let minted = &target.slot.minted;
        if let Some(id) = minted.read().unwrap_or_else(PoisonError::into_inner).get(product) {
            return Ok(*id);
        }
        let product: Arc<str> = product.into();
        let key = self.key(target.series, Some(Arc::clone(&product)));
        let mut n_registered = self.minting.lock().unwrap_or_else(PoisonError::into_inner);
        let id = match store.lookup(&key, &Registration::Registered) {
            Some(id) => id,
            None => {
                let n = n_registered.get_or_insert_with(|| n_registered_of(store, &self.pilot.id));
                if *n >= BY_PRODUCT_MAX {
                    return Err(Full(BY_PRODUCT_MAX));
                }
                *n += 1;
                store.intern(&key, &Registration::Registered)
            }
        };
        minted.write().unwrap_or_else(PoisonError::into_inner).insert(product, id);
        Ok(id)
    }

    /// The number of a series that nobody registered; a new one if this is its first reading.
    pub(crate) fn number_unregistered(
        &self,
        key: &SeriesKey,
        unit: Option<&str>,
        store: &Store,
    ) -> Result<SeriesId, Full> {
        let registration = Registration::Unregistered { unit: unit.map(Arc::from) };
        if let Some(id) = store.lookup(key, &registration) {
            return Ok(id);
        }
        let _minting = self.minting.lock().unwrap_or_else(PoisonError::into_inner);
        if store.lookup(key, &registration).is_none() && store.n_unregistered(&self.pilot.id) >= UNREGISTERED_MAX {
            return Err(Full(UNREGISTERED_MAX));
        }
        Ok(store.intern(key, &registration))
    }
}

fn n_registered_of(store: &Store, pilot: &PilotId) -> usize {
    store.catalogue_of(pilot).iter().filter(|entry| entry.registration == Registration::Registered).count()
}

/// Foreign topic filters by level. No two pilots' filters overlap (`check` sees to that), so that the first found is the one.
#[derive(Default)]
struct Bound {
    below: HashMap<Box<str>, Bound>,
    owner: Option<PilotId>,
}

impl Bound {
    fn bind(&mut self, filter: &str, pilot: &PilotId) {
        let end = filter.split('/').fold(self, |node, level| node.below.entry(level.into()).or_default());
        end.owner = Some(pilot.clone());
    }

    fn find(&self, topic: &str) -> Option<&PilotId> {
        if self.below.is_empty() {
            return None;
        }
        // A wildcard at the first level takes no topic that begins with `$`.
        let is_hidden = topic.starts_with('$');
        self.walk(Some(topic), is_hidden)
    }

    fn walk(&self, rest: Option<&str>, is_hidden: bool) -> Option<&PilotId> {
        let wild = |level: &str| self.below.get(level).filter(|_| !is_hidden);
        // `#` also takes the level above it.
        let all = wild("#").and_then(|node| node.owner.as_ref());
        let Some(rest) = rest else { return self.owner.as_ref().or(all) };
        let (level, rest) = rest.split_once('/').map_or((rest, None), |(level, rest)| (level, Some(rest)));
        let below = self.below.get(level).and_then(|node| node.walk(rest, false));
        below.or_else(|| wild("+").and_then(|node| node.walk(rest, false))).or(all)
    }
}

/// The unit that a reading was sent in, matched to the declared one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum SentUnit {
    /// None was sent, or the declared one, perhaps in another spelling: the number stays as it is, to the bit.
    Declared,
    /// Another unit of the same dimension.
    Converts(Unit),
    /// A unit of another dimension.
    OtherDimension(Unit),
    /// No unit of the table.
    Unknown,
}

impl SentUnit {
    /// Matches what was sent to the declared unit.
    pub(crate) fn of(sent: Option<&str>, declared: &Unit) -> SentUnit {
        let Some(sent) = sent.filter(|sent| *sent != declared.symbol()) else { return SentUnit::Declared };
        match Unit::parse(sent) {
            None => SentUnit::Unknown,
            Some(unit) if unit == *declared => SentUnit::Declared,
            Some(unit) if unit.ratio_to(declared).is_some() => SentUnit::Converts(unit),
            Some(unit) => SentUnit::OtherDimension(unit),
        }
    }
}

/// Whether `text` fits `pattern`, where `*` stands for any text (also `/`) and `?` for one character.
fn glob(pattern: &str, text: &str) -> bool {
    let (mut pattern_left, mut text_left) = (pattern.chars(), text.chars());
    // What follows the last `*`, and the text that it has not taken: on a mismatch it takes one character more.
    let mut star: Option<(Chars<'_>, Chars<'_>)> = None;
    loop {
        let mut pattern_next = pattern_left.clone();
        match (pattern_next.next(), text_left.clone().next()) {
            (Some('*'), _) => {
                star = Some((pattern_next.clone(), text_left.clone()));
                pattern_left = pattern_next;
            }
            (None, None) => return true,
            (Some(wanted), Some(found)) if wanted == '?' || wanted == found => {
                pattern_left = pattern_next;
                text_left.next();
            }
            (Some(_) | None, _) => {
                let Some((after, taken)) = &mut star else { return false };
                if taken.next().is_none() {
                    return false;
                }
                (pattern_left, text_left) = (after.clone(), taken.clone());
            }
        }
    }
}

/// The index in force, shared by the doors; replaced whole on reload.
pub struct CurrentIndex {
    current: RwLock<Arc<Index>>,
}

impl CurrentIndex {
    /// Puts a first index in force.
    pub fn new(index: Index) -> CurrentIndex {
        CurrentIndex { current: RwLock::new(Arc::new(index)) }
    }

    /// The index in force now. Cheap: one reference count.
    pub fn get(&self) -> Arc<Index> {
        // A poisoned lock still holds a whole index: replacing is one assignment.
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Puts another one in force.
    pub fn replace(&self, index: Index) {
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(index);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_glob_takes_stars_and_question_marks() {
        check("*", "anything/at all", true);
        check("*", "", true);
        check("press-*", "press-01", true);
        check("press-*", "lathe-01", false);
        check("*/debug*", "line-a/debug-7", true);
        check("a?c", "a相c", true);
        check("a?c", "ac", false);
        check("a*b*c", "axxbyyc", true);
        check("a*b*c", "axxbyy", false);
        check("", "", true);
        check("", "a", false);

        #[track_caller]
        fn check(pattern: &str, text: &str, fits: bool) {
            assert_eq!(glob(pattern, text), fits, "{pattern} against {text}");
        }
    }

    #[test]
    fn a_foreign_topic_finds_the_pilot_whose_filter_takes_it() {
        let pilot = |id: &str| PilotId::parse(id).unwrap();
        let mut bound = Bound::default();
        for (filter, id) in [
            ("spBv1.0/A/#", "a"),
            ("/neuron/+/upload", "b"),
            ("x/y", "c"),
            ("$oc/#", "d"),
            ("x/+/z", "e"),
            ("+/em/#", "f"),
        ] {
            bound.bind(filter, &pilot(id));
        }
        let check = |topic: &str, expected: Option<&str>| {
            assert_eq!(bound.find(topic).map(PilotId::as_str), expected, "{topic}");
        };
        check("spBv1.0/A/DDATA/e/d", Some("a"));
        check("spBv1.0/A", Some("a"));
        check("spBv1.0/B/DDATA/e", None);
        check("/neuron/gw/upload", Some("b"));
        check("neuron/gw/upload", None);
        check("x/y", Some("c"));
        check("x/y/z", Some("e"));
        check("x/y/w", None);
        check("$oc/devices/1", Some("d"));
        check("$x/em/1", None);
        check("q/em", Some("f"));
    }
}
