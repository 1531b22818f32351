//! Tables in text files: a block at a time, so that a file of any length needs the memory of a few blocks.
//!
//! What a row is, the CSV reader of the mappings says; here the bytes become text, and a block is cut where a row ends.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use bumpalo::Bump;
use encoding_rs::{DecoderResult, Encoding};

use super::cell::{Cell, Row};
use super::error::{ImportError, Named};
use crate::mapping::csv::Rows;

/// Bytes read at once.
const BLOCK: usize = 1 << 20;
/// Longest row as text. A quote that is never closed would make the rest of the file one row.
const ROW_MAX: usize = 4 << 20;

/// Whether to go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    On,
    Stop,
}

/// A text file as a table.
#[derive(Debug, Clone, Copy)]
pub(super) struct TextTable {
    pub(super) charset: &'static Encoding,
    /// An ASCII character.
    pub(super) separator: char,
}

impl TextTable {
    /// Hands over every row that is not empty.
    ///
    /// # Errors
    /// On reading; at text that is not in this charset; at what is no CSV.
    pub(super) fn each_row(
        self,
        path: &Path,
        take: &mut dyn FnMut(Row<'_>) -> Result<Flow, ImportError>,
    ) -> Result<(), ImportError> {
        let named = Named::new(path);
        let mut file = File::open(path).map_err(|error| named.read(error))?;
        let mut decoder = self.charset.new_decoder_with_bom_removal();
        let (mut block, mut text, mut line) = (vec![0; BLOCK], String::new(), 1);
        loop {
            let n = file.read(&mut block).map_err(|error| named.read(error))?;
            let decoded = decode(&mut decoder, &block[..n], &mut text, n == 0);
            if let Err(NotInCharset) = decoded {
                let before = line + text.matches('\n').count();
                let name = self.charset.name();
                return Err(
                    named.row(before as u64, format!("the text is not {name}; name its charset with `--charset`"))
                );
            }
            let end = if n == 0 { text.len() } else { last_row_end(text.as_bytes(), self.separator) };
            if end == 0 && text.len() > ROW_MAX {
                return Err(named.row(line as u64, "the row has no end; it opens a quote that no line closes"));
            }
            let arena = Bump::new();
            let mut rows = Rows { rest: &text[..end], line, separator: self.separator, arena: &arena };
            while let Some((number, fields)) = rows.next().map_err(|wrong| named.whole(wrong))? {
                let cells = fields.into_iter().map(|field| Cell::Text(field.into())).collect();
                if take(Row { number: number as u64, cells })? == Flow::Stop {
                    return Ok(());
                }
            }
            line = rows.line;
            drop(text.drain(..end));
            if n == 0 {
                return Ok(());
            }
        }
    }
}

struct NotInCharset;

/// Puts the text of these bytes behind `text`.
fn decode(
    decoder: &mut encoding_rs::Decoder,
    bytes: &[u8],
    text: &mut String,
    is_last: bool,
) -> Result<(), NotInCharset> {
    let mut rest = bytes;
    loop {
        let room = decoder.max_utf8_buffer_length_without_replacement(rest.len()).unwrap_or(BLOCK * 3);
        text.reserve(room);
        let (result, n_read) = decoder.decode_to_string_without_replacement(rest, text, is_last);
        rest = &rest[n_read..];
        match result {
            DecoderResult::InputEmpty => return Ok(()),
            DecoderResult::OutputFull => {}
            DecoderResult::Malformed(..) => return Err(NotInCharset),
        }
    }
}

/// Where the last whole row of a text that begins with a row ends, behind its newline.
fn last_row_end(text: &[u8], separator: char) -> usize {
    let (mut end, mut is_quoted, mut is_field_start) = (0, false, true);
    for (index, &byte) in text.iter().enumerate() {
        match byte {
            // A doubled quote closes and opens again.
            b'"' if is_quoted => is_quoted = false,
            b'"' if is_field_start || text[index - 1] == b'"' => is_quoted = true,
            b'\n' if !is_quoted => end = index + 1,
            _ => {}
        }
        is_field_start = !is_quoted && (byte == b'\n' || char::from(byte) == separator);
    }
    end
}

/// Looks at bytes as they come: which charset they are in. A decoder is gone once it met what it cannot be.
pub(super) struct Charsets {
    utf8: Option<encoding_rs::Decoder>,
    chinese: Option<encoding_rs::Decoder>,
}

impl Charsets {
    pub(super) fn new() -> Charsets {
        let decoder = |encoding: &'static Encoding| Some(encoding.new_decoder_without_bom_handling());
        Charsets { utf8: decoder(encoding_rs::UTF_8), chinese: decoder(encoding_rs::GB18030) }
    }

    pub(super) fn look(&mut self, bytes: &[u8], is_last: bool) {
        for decoder in [&mut self.utf8, &mut self.chinese] {
            if decoder.as_mut().is_some_and(|decoder| !holds(decoder, bytes, is_last)) {
                *decoder = None;
            }
        }
    }

    /// UTF-8, else GB18030 (which GBK is a part of); none if the bytes are neither.
    pub(super) fn found(&self) -> Option<&'static Encoding> {
        [&self.utf8, &self.chinese].into_iter().flatten().next().map(encoding_rs::Decoder::encoding)
    }
}

fn holds(decoder: &mut encoding_rs::Decoder, bytes: &[u8], is_last: bool) -> bool {
    let (mut rest, mut scratch) = (bytes, [0u8; 4096]);
    loop {
        let (result, n_read, _) = decoder.decode_to_utf8_without_replacement(rest, &mut scratch, is_last);
        rest = &rest[n_read..];
        match result {
            DecoderResult::InputEmpty => return true,
            DecoderResult::OutputFull => {}
            DecoderResult::Malformed(..) => return false,
        }
    }
}
