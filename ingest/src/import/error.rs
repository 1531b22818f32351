//! Why a file cannot be brought in at all. What is wrong with one row refuses that row only.

use std::io;
use std::path::Path;

/// Why a file or its layout cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    #[error("failed to read `{file}`")]
    Read {
        file: String,
        #[source]
        source: io::Error,
    },
    /// The file as a whole, or one place of it: what is wrong and what would be right.
    #[error("`{file}`{place}: {text}")]
    File { file: String, place: String, text: String },
    /// The layout or a flag.
    #[error("{0}")]
    Layout(String),
}

/// Names the file in every error.
#[derive(Debug, Clone)]
pub(super) struct Named(String);

impl Named {
    pub(super) fn new(path: &Path) -> Named {
        Named(path.display().to_string())
    }

    pub(super) fn read(&self, source: io::Error) -> ImportError {
        ImportError::Read { file: self.0.clone(), source }
    }

    pub(super) fn whole(&self, text: impl Into<String>) -> ImportError {
        ImportError::File { file: self.0.clone(), place: String::new(), text: text.into() }
    }

    /// `number`: the line of a text, the row of a sheet.
    pub(super) fn row(&self, number: u64, text: impl Into<String>) -> ImportError {
        ImportError::File { file: self.0.clone(), place: format!(", row {number}"), text: text.into() }
    }
}
