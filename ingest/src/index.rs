//! The registry, indexed for the hot path: (pilot, asset, name, product) → series number and conversion.
use std::sync::Arc;

use model::Registry;
use store::Store;

/// Built once per registry in force; shared by all connections.
pub struct Index {
    _registry: Arc<Registry>,
    _store: Arc<Store>,
}

impl Index {
    /// Indexes a registry.
    pub fn new(registry: Arc<Registry>, store: Arc<Store>) -> Index {
        Index { _registry: registry, _store: store }
    }
}
