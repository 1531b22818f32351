//! A pilot, an index over a store of its own, and messages, for the tests of this crate.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use bytes::Bytes;
use model::registry::parse_pilot;
use model::{PilotId, Registry, SeriesId, SeriesKey, UnixMillis};
use store::{Access, Store};

use crate::Observation;
use crate::foreign::Foreign;
use crate::index::{CurrentIndex, Index};
use crate::mapping::Mappings;
use crate::observation::LISTENER;

/// When every message of the tests arrives: 2025-03-01T00:10:00Z.
pub(crate) const RECEIVED_AT: UnixMillis = UnixMillis(1_740_787_800_000);

pub(crate) const HEAD: &str = r#"
[pilot]
id = "p-1"
name = "P"
region = "hami"
sector = "electronics"
class = "pilot"
zone = "Asia/Shanghai"
earliest = 2015-01-01
[baseline]
from = 2015-01-01
to = 2015-12-31
"#;

/// Series of every kind, a product list, an ignore.
pub(crate) const PLANT: &str = r#"
[[product]]
id = "A12"
[[product]]
id = "B7"
[[ignore]]
asset = "line-*"
name = "debug*"
[[series]]
asset = "press-01"
name = "electricity"
quantity = "energy.electricity"
kind = "counter"
unit = "kWh"
plausible = [0, 1e9]
[[series]]
asset = "press-01"
name = "power"
quantity = "power.press"
kind = "gauge"
unit = "kW"
[[series]]
asset = "line-a"
name = "good"
quantity = "output.good"
kind = "delta"
unit = "piece"
[[series]]
asset = "line-a"
name = "defective"
product = "A12"
quantity = "output.defective"
kind = "delta"
unit = "piece"
[[series]]
asset = "line-a"
name = "cycle"
quantity = "time.cycle"
kind = "duration"
unit = "s"
[[series]]
asset = "line-a"
name = "speed"
quantity = "variable.speed"
kind = "gauge"
unit = "rpm"
"#;

/// An index over a store in a directory of its own, which goes with it.
pub(crate) struct Plant {
    pub(crate) index: Index,
    dir: PathBuf,
}

impl Plant {
    pub(crate) fn new() -> Plant {
        Plant::of(PLANT)
    }

    pub(crate) fn of(series: &str) -> Plant {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("pilotline-ingest-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let dir = std::env::temp_dir().join(name);
        let store = Store::open(&dir, Access::Owner).unwrap();
        Plant { index: Index::new(registry(series), store), dir }
    }

    pub(crate) fn store(&self) -> &Arc<Store> {
        self.index.store()
    }

    /// The same store under another registry.
    pub(crate) fn under(&self, series: &str) -> Index {
        Index::new(registry(series), Arc::clone(self.store()))
    }

    /// The same store and registry with these mapping rules.
    pub(crate) fn mapped(&self, rules: &str) -> Index {
        let mappings = Mappings::load(vec![("own.toml".to_owned(), rules.to_owned())]).unwrap();
        let foreign = Foreign::builtin().with_mappings(mappings);
        Index::with(registry(PLANT), Arc::clone(self.store()), Arc::new(foreign))
    }

    /// The same store and registry with the built-in mappings, as the doors share them.
    pub(crate) fn shared(&self) -> Arc<CurrentIndex> {
        Arc::new(CurrentIndex::new(self.under(PLANT)))
    }

    pub(crate) fn key_of(&self, id: SeriesId) -> SeriesKey {
        self.store().entry(id).unwrap().key
    }
}

impl Drop for Plant {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.dir).unwrap();
    }
}

pub(crate) fn pilot_id() -> PilotId {
    PilotId::parse("p-1").unwrap()
}

fn registry(series: &str) -> Arc<Registry> {
    let pilot = parse_pilot("p-1.toml", &format!("{HEAD}{series}")).unwrap_or_else(|mistakes| panic!("{mistakes:#?}"));
    let mut registry = Registry::default();
    registry.pilots.insert(pilot.id.clone(), Arc::new(pilot));
    Arc::new(registry)
}

pub(crate) fn observed(payload: impl Into<Vec<u8>>) -> Observation {
    Observation {
        door: LISTENER.into(),
        client: Arc::default(),
        topic: "pilotline/v1/p-1/gw".to_owned(),
        payload: Bytes::from(payload.into()),
        received_at: RECEIVED_AT,
        qos: 1,
        dup: false,
        retained: false,
    }
}

/// A message of these readings, timed 2025-03-01T00:00:00Z.
pub(crate) fn timed(readings: &str) -> Observation {
    observed(format!(r#"{{"at":"2025-03-01T08:00:00+08:00","readings":[{readings}]}}"#))
}
