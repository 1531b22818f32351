//! Variable-length integers and runs, the alphabet of journal rows and small chunks.
//!
//! Writing never fails; reading answers `None` where the bytes end early or do not fit, and never panics.

/// Appends an unsigned integer, seven bits a byte, the lowest first.
pub(crate) fn put_uint(out: &mut Vec<u8>, mut value: u64) {
    loop {
        // Safe because seven bits fit a byte.
        let low = u8::try_from(value & 0x7f).expect("seven bits");
        value >>= 7;
        if value == 0 {
            out.push(low);
            return;
        }
        out.push(low | 0x80);
    }
}

/// Appends a signed integer, zigzag.
pub(crate) fn put_int(out: &mut Vec<u8>, value: i64) {
    put_uint(out, (value.cast_unsigned() << 1) ^ (value >> 63).cast_unsigned());
}

/// Appends a length and the bytes.
pub(crate) fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_len(out, bytes.len());
    out.extend_from_slice(bytes);
}

/// Appends a length.
pub(crate) fn put_len(out: &mut Vec<u8>, len: usize) {
    put_uint(out, len as u64);
}

/// Appends equal neighbours as (value, length) pairs.
pub(crate) fn put_runs<T: PartialEq + Copy>(
    out: &mut Vec<u8>,
    values: impl Iterator<Item = T>,
    put: impl Fn(&mut Vec<u8>, T),
) {
    let mut run: Option<(T, usize)> = None;
    for value in values {
        run = match run {
            Some((current, n)) if current == value => Some((current, n + 1)),
            Some((current, n)) => {
                put(out, current);
                put_len(out, n);
                Some((value, 1))
            }
            None => Some((value, 1)),
        };
    }
    if let Some((current, n)) = run {
        put(out, current);
        put_len(out, n);
    }
}

/// Reads what the functions above wrote.
pub(crate) struct Wire<'a> {
    rest: &'a [u8],
}

impl<'a> Wire<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Wire<'a> {
        Wire { rest: bytes }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub(crate) fn byte(&mut self) -> Option<u8> {
        let (&byte, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(byte)
    }

    #[inline]
    pub(crate) fn uint(&mut self) -> Option<u64> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let low = u64::from(byte & 0x7f);
            if shift == 63 && low > 1 {
                return None;
            }
            value |= low << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    #[inline]
    pub(crate) fn int(&mut self) -> Option<i64> {
        let value = self.uint()?;
        Some((value >> 1).cast_signed() ^ -((value & 1).cast_signed()))
    }

    pub(crate) fn len(&mut self) -> Option<usize> {
        usize::try_from(self.uint()?).ok()
    }

    pub(crate) fn take(&mut self, n: usize) -> Option<&'a [u8]> {
        let (bytes, rest) = self.rest.split_at_checked(n)?;
        self.rest = rest;
        Some(bytes)
    }

    pub(crate) fn bytes(&mut self) -> Option<&'a [u8]> {
        let n = self.len()?;
        self.take(n)
    }

    pub(crate) fn text(&mut self) -> Option<&'a str> {
        std::str::from_utf8(self.bytes()?).ok()
    }

    /// Reads runs until they cover `n` values, and hands each over as (value, length).
    pub(crate) fn runs<T>(
        &mut self,
        n: usize,
        read: impl Fn(&mut Wire<'a>) -> Option<T>,
        mut each: impl FnMut(T, usize) -> Option<()>,
    ) -> Option<()> {
        let mut left = n;
        while left > 0 {
            let value = read(self)?;
            let length = self.len()?;
            left = left.checked_sub(length).filter(|_| length > 0)?;
            each(value, length)?;
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn integers_come_back(unsigned in any::<u64>(), signed in any::<i64>()) {
            let mut out = Vec::new();
            put_uint(&mut out, unsigned);
            put_int(&mut out, signed);
            let mut wire = Wire::new(&out);
            prop_assert_eq!(wire.uint(), Some(unsigned));
            prop_assert_eq!(wire.int(), Some(signed));
            prop_assert!(wire.is_empty());
        }

        #[test]
        fn any_bytes_are_read_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            let mut wire = Wire::new(&bytes);
            while wire.uint().is_some() && wire.int().is_some() && wire.text().is_some() {}
        }
    }

    #[test]
    fn runs_cover_exactly_what_was_written() {
        let mut out = Vec::new();
        put_runs(&mut out, [3u8, 3, 3, 1, 3].into_iter(), |out, value| out.push(value));
        let mut seen = Vec::new();
        Wire::new(&out)
            .runs(5, Wire::byte, |value, n| {
                seen.push((value, n));
                Some(())
            })
            .unwrap();
        assert_eq!(seen, [(3, 3), (1, 1), (3, 1)]);
        assert!(Wire::new(&out).runs(6, Wire::byte, |_, _| Some(())).is_none(), "one value is missing");
        assert!(Wire::new(&out).runs(2, Wire::byte, |_, _| Some(())).is_none(), "a run is too long");
    }
}
