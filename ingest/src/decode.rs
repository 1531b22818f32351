//! Pilotline v1 JSON: from bytes to values that are not yet matched to a series.
