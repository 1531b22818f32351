//! Loads a programme file. The built-in one is `programme/xinjiang-2025.toml`.
use model::Programme;
use model::registry::Mistake;

/// The built-in programme.
///
/// # Panics
/// Never: a test loads it.
pub fn builtin() -> Programme {
    unimplemented!()
}

/// Reads a programme file.
///
/// # Errors
/// All mistakes, with file and line.
pub fn parse(file: &str, text: &str) -> Result<Programme, Vec<Mistake>> {
    let _ = (file, text);
    unimplemented!()
}
