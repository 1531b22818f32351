//! What takes messages that are not Pilotline v1: the compiled mappings, what dictionaries have learned, and the Sparkplug
//! host; and who was heard. It outlives a reload of the registry, because edge nodes, dictionaries and senders do.

use std::sync::Arc;

use crate::hub::Hub;
use crate::mapping::{Dictionaries, Mappings};
use crate::sources::Sources;
use crate::sparkplug::{self, Host};

/// See the module's comment.
pub struct Foreign {
    pub mappings: Arc<Mappings>,
    pub dictionaries: Arc<Dictionaries>,
    pub sparkplug: Arc<Host>,
    /// What we say to clients: rebirth requests, STATE.
    pub hub: Arc<Hub>,
    /// Who sends.
    pub sources: Arc<Sources>,
}

impl Foreign {
    /// With the built-in profiles, and nothing heard yet.
    pub fn builtin() -> Foreign {
        Foreign::new(Mappings::builtin(), sparkplug::Settings::default())
    }

    /// With these mappings, and nothing heard yet.
    pub fn new(mappings: Mappings, settings: sparkplug::Settings) -> Foreign {
        Foreign {
            mappings: Arc::new(mappings),
            dictionaries: Arc::default(),
            sparkplug: Arc::new(Host::new(settings)),
            hub: Arc::default(),
            sources: Arc::default(),
        }
    }

    /// The same, with other mappings: what was heard and learned stays.
    pub fn with_mappings(&self, mappings: Mappings) -> Foreign {
        Foreign {
            mappings: Arc::new(mappings),
            dictionaries: Arc::clone(&self.dictionaries),
            sparkplug: Arc::clone(&self.sparkplug),
            hub: Arc::clone(&self.hub),
            sources: Arc::clone(&self.sources),
        }
    }
}
