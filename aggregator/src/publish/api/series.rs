//! Finds the series that a request names: by pilot, asset, name and, if it says so, product.

use std::sync::Arc;

use model::{Pilot, SeriesId, SeriesKey, UnixMillis};
use store::{CatalogueEntry, Registration, Store, StoreError};

use crate::publish::problem::Problem;

/// The series of one request, by product, none first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) series: Vec<CatalogueEntry>,
}

/// What a request names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Name {
    pub(crate) asset: String,
    pub(crate) name: String,
    pub(crate) product: Option<String>,
}

impl Name {
    fn fits(&self, key: &SeriesKey) -> bool {
        let same = *key.asset == *self.asset && *key.name == *self.name;
        same && self.product.as_deref().is_none_or(|product| key.product.as_deref() == Some(product))
    }
}

impl Asked {
    /// The stored series of this name; empty if the registry declares it and nothing came yet.
    pub(crate) fn find(store: &Store, pilot: &Pilot, name: &Name) -> Result<Asked, Problem> {
        let mut series = store.catalogue_of(&pilot.id);
        series.retain(|entry| name.fits(&entry.key));
        series.sort_by(|a, b| a.key.product.cmp(&b.key.product).then_with(|| a.registration.cmp(&b.registration)));
        let declared = pilot.resolve(&name.asset, &name.name, name.product.as_deref()).is_some()
            || pilot.series.iter().any(|s| *s.asset == *name.asset && *s.name == *name.name);
        if series.is_empty() && !declared {
            let detail = "the pilot has no series of this asset and name (and product); /api/v1/pilots/ID/series lists those \
                          that are registered";
            return Err(Problem::not_found("name", detail));
        }
        Ok(Asked { series })
    }

    /// Whether rows must say which product they are of.
    pub(crate) fn names_products(&self) -> bool {
        self.series.iter().any(|entry| entry.key.product != self.series[0].key.product)
    }

    /// First and last instant over all of them, as they stand.
    pub(crate) fn span(&self, store: &Store) -> Result<Option<(UnixMillis, UnixMillis)>, StoreError> {
        self.over(|id| store.span(id))
    }

    /// The same over everything that was sent or corrected.
    pub(crate) fn span_of_all(&self, store: &Store) -> Result<Option<(UnixMillis, UnixMillis)>, StoreError> {
        self.over(|id| store.span_of_all(id))
    }

    fn over(
        &self,
        span: impl Fn(SeriesId) -> Result<Option<(UnixMillis, UnixMillis)>, StoreError>,
    ) -> Result<Option<(UnixMillis, UnixMillis)>, StoreError> {
        let mut whole: Option<(UnixMillis, UnixMillis)> = None;
        for entry in &self.series {
            if let Some((first, last)) = span(entry.id)? {
                whole = Some(whole.map_or((first, last), |(from, to)| (from.min(first), to.max(last))));
            }
        }
        Ok(whole)
    }
}

/// The unit that a series' readings are stored in.
pub(crate) fn unit_of(pilot: &Pilot, entry: &CatalogueEntry) -> Arc<str> {
    match &entry.registration {
        Registration::Registered => {
            let declared = pilot.resolve(&entry.key.asset, &entry.key.name, entry.key.product.as_deref());
            declared.map_or_else(|| "".into(), |series| series.unit.symbol().into())
        }
        Registration::Unregistered { unit } => unit.clone().unwrap_or_else(|| "".into()),
    }
}
