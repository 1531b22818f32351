//! Seals a blob: eight bytes of xxh3-64 in front of it, seeded with the place where it belongs.
//!
//! ```text
//! 0        8
//! | xxh3-64 | payload …
//! ```
//!
//! SQLite's `integrity_check` does not see a flipped bit in a blob; this does. The place (table and key) is part of the
//! sum, so that a blob that stands under another key is found as well.

use serde::Serialize;
use serde::de::DeserializeOwned;
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use crate::error::StoreError;

/// Bytes of the checksum in front of every payload.
pub(crate) const SEAL_BYTES: usize = 8;

/// The payload behind its checksum.
pub(crate) fn seal(place: &str, payload: &[u8]) -> Vec<u8> {
    let mut blob = Vec::with_capacity(SEAL_BYTES + payload.len());
    blob.extend_from_slice(&xxh3_64_with_seed(payload, xxh3_64(place.as_bytes())).to_le_bytes());
    blob.extend_from_slice(payload);
    blob
}

/// The payload, if its checksum is right.
pub(crate) fn unseal<'a>(place: &str, blob: &'a [u8]) -> Result<&'a [u8], StoreError> {
    let damaged = || StoreError::Checksum { place: place.to_owned() };
    let (sum, payload) = blob.split_first_chunk::<SEAL_BYTES>().ok_or_else(damaged)?;
    if u64::from_le_bytes(*sum) != xxh3_64_with_seed(payload, xxh3_64(place.as_bytes())) {
        return Err(damaged());
    }
    Ok(payload)
}

/// A value in postcard form, sealed.
pub(crate) fn seal_value<T: Serialize>(place: &str, value: &T) -> Result<Vec<u8>, StoreError> {
    let bytes = postcard::to_stdvec(value)
        .map_err(|error| StoreError::Encode { place: place.to_owned(), text: error.to_string() })?;
    Ok(seal(place, &bytes))
}

/// A value sealed by [`seal_value`].
pub(crate) fn unseal_value<T: DeserializeOwned>(place: &str, blob: &[u8]) -> Result<T, StoreError> {
    postcard::from_bytes(unseal(place, blob)?)
        .map_err(|error| StoreError::Format { place: place.to_owned(), text: error.to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_flipped_bit_and_any_other_place_is_found() {
        let blob = seal("figure/programme/defect_rate", b"0.25");
        assert_eq!(unseal("figure/programme/defect_rate", &blob).unwrap(), b"0.25");
        assert!(unseal("figure/programme/cycle_time", &blob).is_err());
        for bit in 0..blob.len() * 8 {
            let mut flipped = blob.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(unseal("figure/programme/defect_rate", &flipped).is_err(), "bit {bit}");
        }
        assert!(unseal("figure/programme/defect_rate", &[]).is_err());
    }
}
