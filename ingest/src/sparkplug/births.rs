//! What the births of one edge node define: names, datatypes, units and aliases, of the node and of each of its devices.
//!
//! Invariants:
//! - an alias that two metrics of one birth claim names neither; one that two devices claim names each one's own metric in
//!   that device's messages;
//! - what an NBIRTH took out of force is kept only to see whether the next birth says the same again;
//! - metrics and devices are bounded: beyond, values still flow, but a birth's aliases are not remembered.

use std::collections::hash_map::RandomState;
use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;

use model::UnixMillis;

/// Most metrics of one edge node and its devices, about 10 MB: ten times what one gateway is sold for. A birth beyond it
/// leaves its aliases unknown, and is counted.
pub(super) const METRICS_MAX: usize = 50_000;
/// Most devices of one edge node. The births of further ones define nothing, and are counted.
pub(super) const DEVICES_MAX: usize = 5_000;

/// A metric as a birth defines it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Definition {
    pub(super) name: Box<str>,
    pub(super) device: Option<Arc<str>>,
    pub(super) alias: Option<u64>,
    /// 0 where the birth does not say.
    pub(super) datatype: u32,
    pub(super) unit: Option<Box<str>>,
}

/// A metric as it stands in a birth.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stated<'p> {
    pub(super) name: &'p str,
    pub(super) alias: Option<u64>,
    pub(super) datatype: u32,
    pub(super) unit: Option<&'p str>,
}

/// Whether what a birth said is still in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Force {
    InForce,
    /// An NBIRTH came since: the device has to be born again.
    Lapsed,
}

/// The metrics of the node itself, or of one device.
#[derive(Debug)]
pub(super) struct Scope {
    all: Vec<Arc<Definition>>,
    /// Hash of the name and place in `all`, sorted.
    by_name: Vec<(u64, u32)>,
    /// Aliases that another scope claims too (Some), or that stand twice in this birth (None).
    twice: HashMap<u64, Option<Arc<Definition>>>,
    force: Force,
    /// Edge time from which on the aliases are known to mean this.
    pub(super) since: Option<UnixMillis>,
    /// Position in the sequence from which on they do.
    pub(super) position: u64,
}

/// What became of a birth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Defined {
    /// Says what the last one said.
    Same,
    Anew,
    /// The same, but an alias is claimed twice.
    Twice,
    TooManyMetrics,
    TooManyDevices,
}

/// All that the births of one edge node define.
#[derive(Debug, Default)]
pub(super) struct Births {
    node: Option<Scope>,
    devices: BTreeMap<Arc<str>, Scope>,
    by_alias: HashMap<u64, Arc<Definition>, AliasHashing>,
    n_metrics: usize,
}

impl Births {
    /// How many metrics are in force.
    pub(super) fn n_metrics(&self) -> usize {
        self.n_metrics
    }

    /// What is in force of the node (`None`) or of a device.
    pub(super) fn scope(&self, device: Option<&str>) -> Option<&Scope> {
        let scope = match device {
            None => self.node.as_ref(),
            Some(device) => self.devices.get(device),
        };
        scope.filter(|scope| scope.force == Force::InForce)
    }

    /// The metric of an alias in a message of this scope.
    pub(super) fn of_alias<'b>(&'b self, scope: Option<&'b Scope>, alias: u64) -> Option<&'b Definition> {
        match scope.and_then(|scope| scope.twice.get(&alias)) {
            Some(own) => own.as_deref(),
            None => self.by_alias.get(&alias).map(|definition| &**definition),
        }
    }

    /// An NBIRTH: nothing that was defined holds any longer, but for the devices that `stays` names.
    pub(super) fn lapse(&mut self, stays: impl Fn(&str) -> bool) {
        self.by_alias.clear();
        self.n_metrics = 0;
        for scope in self.node.iter_mut() {
            scope.force = Force::Lapsed;
        }
        let names: Vec<Arc<str>> = self.devices.keys().cloned().collect();
        for name in names {
            let Some(scope) = self.devices.get_mut(&name) else { continue };
            scope.force = Force::Lapsed;
            scope.position = 0;
            if stays(&name) {
                self.enforce(Some(&name));
            }
        }
    }

    /// The link is lost, or the births may be those of another run: nothing holds until it is said again.
    pub(super) fn lapse_all(&mut self) {
        self.lapse(|_| false);
    }

    /// A birth of the node (`None`) or of a device. `at` is the payload's time, `run` that of the node's birth.
    pub(super) fn define(
        &mut self,
        device: Option<&str>,
        stated: &[Stated<'_>],
        (at, run, position): (Option<UnixMillis>, Option<UnixMillis>, u64),
    ) -> Defined {
        self.revoke(device);
        let last = match device {
            None => self.node.as_mut(),
            Some(device) => self.devices.get_mut(device),
        };
        let had_birth = last.as_ref().is_some_and(|last| last.force == Force::InForce);
        if let Some(last) = last.filter(|last| last.says(stated)) {
            last.since = last.since.or(run);
            let twice = self.enforce(device);
            return if twice { Defined::Twice } else { Defined::Same };
        }
        if self.n_metrics + stated.len() > METRICS_MAX {
            self.forget(device);
            return Defined::TooManyMetrics;
        }
        if device.is_some_and(|device| !self.devices.contains_key(device)) && self.devices.len() >= DEVICES_MAX {
            return Defined::TooManyDevices;
        }
        // The first birth of a device in a run holds for the whole run.
        let since = if had_birth { at } else { run.or(at) };
        let name: Option<Arc<str>> = device.map(Arc::from);
        let scope = Scope::of(stated, name.as_ref(), since, position);
        match name {
            None => self.node = Some(scope),
            Some(name) => drop(self.devices.insert(name, scope)),
        }
        if self.enforce(device) { Defined::Twice } else { Defined::Anew }
    }

    /// Forgets everything a scope ever said.
    fn forget(&mut self, device: Option<&str>) {
        match device {
            None => self.node = None,
            Some(device) => drop(self.devices.remove(device)),
        }
    }

    /// Takes the aliases of a scope out of force.
    fn revoke(&mut self, device: Option<&str>) {
        let Some(scope) = self.scope(device) else { return };
        let n_metrics = scope.all.len();
        let own: Vec<u64> = scope
            .all
            .iter()
            .filter_map(|definition| definition.alias.filter(|alias| self.owns(*alias, definition)))
            .collect();
        for alias in own {
            self.by_alias.remove(&alias);
        }
        self.n_metrics -= n_metrics;
    }

    fn owns(&self, alias: u64, definition: &Arc<Definition>) -> bool {
        self.by_alias.get(&alias).is_some_and(|known| Arc::ptr_eq(known, definition))
    }

    /// Puts the aliases of a scope in force; whether one of them is claimed twice.
    fn enforce(&mut self, device: Option<&str>) -> bool {
        let scope = match device {
            None => self.node.as_mut(),
            Some(device) => self.devices.get_mut(device),
        };
        let Some(scope) = scope else { return false };
        scope.force = Force::InForce;
        scope.twice.clear();
        self.n_metrics += scope.all.len();
        for definition in &scope.all {
            let Some(alias) = definition.alias else { continue };
            match self.by_alias.get(&alias) {
                None => {
                    self.by_alias.insert(alias, Arc::clone(definition));
                }
                Some(other) if other.device == definition.device => {
                    scope.twice.insert(alias, None);
                }
                Some(_) => {
                    let own = Some(Arc::clone(definition));
                    scope.twice.entry(alias).and_modify(|own| *own = None).or_insert(own);
                }
            }
        }
        !scope.twice.is_empty()
    }
}

impl Scope {
    fn of(stated: &[Stated<'_>], device: Option<&Arc<str>>, since: Option<UnixMillis>, position: u64) -> Scope {
        let mut by_name = Vec::with_capacity(stated.len());
        let mut all = Vec::with_capacity(stated.len());
        for (place, stated) in (0u32..).zip(stated) {
            by_name.push((hash(stated.name), place));
            all.push(Arc::new(Definition {
                name: stated.name.into(),
                device: device.cloned(),
                alias: stated.alias,
                datatype: stated.datatype,
                unit: stated.unit.map(Box::from),
            }));
        }
        by_name.sort_unstable();
        Scope { all, by_name, twice: HashMap::new(), force: Force::InForce, since, position }
    }

    /// Whether a birth says what this one said, in the same order.
    fn says(&self, stated: &[Stated<'_>]) -> bool {
        self.all.len() == stated.len()
            && self.all.iter().zip(stated).all(|(known, stated)| {
                *known.name == *stated.name
                    && known.alias == stated.alias
                    && known.datatype == stated.datatype
                    && known.unit.as_deref() == stated.unit
            })
    }

    /// The metric of this name; of several the last.
    pub(super) fn of_name(&self, name: &str) -> Option<&Definition> {
        let hash = hash(name);
        let end = self.by_name.partition_point(|(known, _)| *known <= hash);
        let same = self.by_name[..end].iter().rev().take_while(|(known, _)| *known == hash);
        same.filter_map(|(_, place)| self.all.get(usize::try_from(*place).ok()?))
            .find(|definition| *definition.name == *name)
            .map(|definition| &**definition)
    }
}

/// Hashes aliases with a key that no sender knows, in a third of the time of the standard hash: this is the one look-up of
/// every value by alias.
#[derive(Debug, Clone)]
struct AliasHashing(u64);

impl Default for AliasHashing {
    fn default() -> AliasHashing {
        AliasHashing(RandomState::new().hash_one(0u64))
    }
}

impl BuildHasher for AliasHashing {
    type Hasher = AliasHasher;

    fn build_hasher(&self) -> AliasHasher {
        AliasHasher(self.0)
    }
}

struct AliasHasher(u64);

impl Hasher for AliasHasher {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    /// Two rounds of multiply and fold, so that every bit of the alias reaches every bit of the hash.
    fn write_u64(&mut self, alias: u64) {
        let mixed = (self.0 ^ alias).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mixed = (mixed ^ mixed >> 32).wrapping_mul(0xd6e8_feb8_6659_fd93);
        self.0 = mixed ^ mixed >> 32;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

fn hash(name: &str) -> u64 {
    xxhash_rust::xxh3::xxh3_64(name.as_bytes())
}
