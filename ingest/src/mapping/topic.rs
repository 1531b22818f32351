//! Topic filters of rules: MQTT's `+` and `#`, and named captures of one level (`{x}`) or of one or more (`{x...}`).
//!
//! A filter has at most [`OPEN_MAX`] captures of several levels, so that matching stays a bounded piece of work.

/// Captures of several levels in one filter. Each more multiplies the ways to match by the number of levels.
const OPEN_MAX: usize = 3;
/// Levels of a topic that are looked at: MQTT allows 32,767, no gateway uses more than a dozen.
const LEVELS_MAX: usize = 64;

/// One level of a filter.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Level {
    Literal(Box<str>),
    /// Any one level; its text goes to this capture.
    One(Option<usize>),
    /// One or more levels.
    Many(usize),
    /// The rest, nothing included.
    Rest,
}

/// A compiled filter; `names` of the rule say what the captures are called.
#[derive(Debug, Clone)]
pub(super) struct Filter {
    levels: Vec<Level>,
}

/// A topic cut into levels, once for all filters.
pub(super) struct Topic<'a> {
    text: &'a str,
    levels: Vec<&'a str>,
}

impl<'a> Topic<'a> {
    pub(super) fn new(text: &'a str) -> Topic<'a> {
        Topic { text, levels: text.split('/').take(LEVELS_MAX + 1).collect() }
    }

    /// The text from one level up to before another.
    fn between(&self, from: usize, to: usize) -> &'a str {
        let start = self.levels[..from].iter().map(|level| level.len() + 1).sum::<usize>();
        let length = self.levels[from..to].iter().map(|level| level.len() + 1).sum::<usize>().saturating_sub(1);
        self.text.get(start..start + length).unwrap_or("")
    }
}

impl Filter {
    /// Compiles a filter; names that it captures are added to `names`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn compile(text: &str, names: &mut Vec<String>) -> Result<Filter, String> {
        let text = match text.strip_prefix("$share/") {
            Some(shared) => shared.split_once('/').ok_or("needs a filter after `$share/<group>/`")?.1,
            None => text,
        };
        if text.is_empty() {
            return Err("is empty; write a filter such as `factory/{line}/data`".to_owned());
        }
        let parts: Vec<&str> = text.split('/').collect();
        let mut levels = Vec::with_capacity(parts.len());
        let mut own = Vec::new();
        for (index, part) in parts.iter().enumerate() {
            levels.push(level(part, index + 1 == parts.len(), names, &mut own)?);
        }
        let n_open = levels.iter().filter(|level| matches!(level, Level::Many(_))).count();
        if n_open > OPEN_MAX {
            return Err(format!("has {n_open} captures of several levels; at most {OPEN_MAX} are taken"));
        }
        Ok(Filter { levels })
    }

    /// Matches a topic, and puts what it captures into `captures`. Of the ways to match, the first counts in which every
    /// capture is `wanted`.
    pub(super) fn matches<'a>(
        &self,
        topic: &Topic<'a>,
        wanted: &dyn Fn(usize, &str) -> bool,
        captures: &mut [Option<&'a str>],
    ) -> bool {
        let hidden = topic.text.starts_with('$') && !matches!(self.levels.first(), Some(Level::Literal(_)));
        !hidden && topic.levels.len() <= LEVELS_MAX && step(&self.levels, topic, 0, wanted, captures)
    }
}

fn level(part: &str, is_last: bool, names: &mut Vec<String>, own: &mut Vec<String>) -> Result<Level, String> {
    if part == "+" {
        return Ok(Level::One(None));
    }
    if part == "#" {
        return if is_last {
            Ok(Level::Rest)
        } else {
            Err("has `#` before its last level; use `{name...}`".to_owned())
        };
    }
    if let Some(name) = part.strip_prefix('{').and_then(|part| part.strip_suffix('}')) {
        let (name, is_open) = name.strip_suffix("...").map_or((name, false), |name| (name, true));
        if name.is_empty() || !name.chars().all(|c| c.is_alphanumeric() || c == '_') {
            return Err(format!("has the capture `{part}`; a name has letters, digits and `_`, as in `{{line}}`"));
        }
        if own.iter().any(|taken| taken == name) {
            return Err(format!("captures `{name}` twice"));
        }
        own.push(name.to_owned());
        let index = names.iter().position(|known| known == name).unwrap_or_else(|| {
            names.push(name.to_owned());
            names.len() - 1
        });
        return Ok(if is_open { Level::Many(index) } else { Level::One(Some(index)) });
    }
    if part.contains(['{', '}', '+', '#']) {
        return Err(format!(
            "has the level `{part}`; a wildcard or capture is a whole level; cut inside one with `where` or `split`"
        ));
    }
    Ok(Level::Literal(part.into()))
}

fn step<'a>(
    levels: &[Level],
    topic: &Topic<'a>,
    at: usize,
    wanted: &dyn Fn(usize, &str) -> bool,
    captures: &mut [Option<&'a str>],
) -> bool {
    let Some((first, rest)) = levels.split_first() else { return at == topic.levels.len() };
    match first {
        Level::Rest => true,
        Level::Many(index) => {
            // Every level that follows needs one; the shortest capture that lets the rest match is taken.
            (at + 1..=topic.levels.len()).any(|to| {
                // What the rest captures is wanted whatever this one is, so asking last asks least.
                step(rest, topic, to, wanted, captures) && {
                    let text = topic.between(at, to);
                    captures[*index] = Some(text);
                    wanted(*index, text)
                }
            })
        }
        Level::Literal(text) => {
            topic.levels.get(at).is_some_and(|level| **text == **level) && step(rest, topic, at + 1, wanted, captures)
        }
        Level::One(index) => {
            let Some(level) = topic.levels.get(at) else { return false };
            if !step(rest, topic, at + 1, wanted, captures) {
                return false;
            }
            match index {
                Some(index) => {
                    captures[*index] = Some(level);
                    wanted(*index, level)
                }
                None => true,
            }
        }
    }
}

/// Whether a glob with `*` (any text, also none) takes the name.
pub(super) fn glob(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or("");
    let Some(mut rest) = name.strip_prefix(first) else { return false };
    let Some(last) = parts.next_back() else { return rest.is_empty() };
    for part in parts {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.len() >= last.len() && rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(filter: &str, topic: &str, expected: Option<&[&str]>) {
        let mut names = Vec::new();
        let filter = Filter::compile(filter, &mut names).unwrap();
        let mut captures = vec![None; names.len()];
        let matched = filter.matches(&Topic::new(topic), &|_, _| true, &mut captures);
        let captures: Vec<&str> = captures.into_iter().flatten().collect();
        assert_eq!(matched.then_some(&captures[..]), expected, "{topic}");
    }

    #[test]
    fn a_filter_takes_levels_by_name() {
        check("/neuron/{app}/upload", "/neuron/gw/upload", Some(&["gw"]));
        check("/neuron/{app}/upload", "neuron/gw/upload", None);
        check("/neuron/{app}/upload", "/neuron/a/b/upload", None);
        check("umh/v1/{location...}/_historian", "umh/v1/acme/site/_historian", Some(&["acme/site"]));
        check("umh/v1/{location...}/_historian", "umh/v1/_historian", None);
        check("umh/v1/{l...}/_historian/{g...}", "umh/v1/a/b/_historian/c/d", Some(&["a/b", "c/d"]));
        check("a/+/#", "a/b", Some(&[]));
        check("a/+/#", "a/b/c/d", Some(&[]));
        check("a/+/#", "a", None);
        check("{x}/y", "$sys/y", None);
        check("#", "$sys/y", None);
        check("$oc/devices/{d}/up", "$oc/devices/7/up", Some(&["7"]));
        check("$share/group/a/{x}", "a/b", Some(&["b"]));
        check("a/{x}", "a/", Some(&[""]));
    }

    #[test]
    fn of_the_ways_to_match_the_first_counts_that_is_wanted() {
        let mut names = Vec::new();
        let filter = Filter::compile("umh/{a...}/{contract}/{tag...}", &mut names).unwrap();
        let wanted = |index: usize, text: &str| index != 1 || text.starts_with('_');
        let check = |topic: &str, expected: Option<[&str; 3]>| {
            let mut captures = vec![None; 3];
            let matched = filter.matches(&Topic::new(topic), &wanted, &mut captures);
            assert_eq!(matched.then(|| captures.into_iter().flatten().collect()), expected.map(Vec::from), "{topic}");
        };
        check("umh/x/_raw/t", Some(["x", "_raw", "t"]));
        check("umh/x/y/z/_raw/t/u", Some(["x/y/z", "_raw", "t/u"]));
        check("umh/x/_raw/_b/t", Some(["x", "_raw", "_b/t"]));
        check("umh/x/y/z/t", None);
        check("umh/x/y/_raw", None);
    }

    #[test]
    fn a_filter_with_a_mistake_is_refused() {
        for bad in ["", "a/#/b", "a/x{y}", "a/{}", "{a}/{a}", "{a...}/{b...}/{c...}/{d...}", "$share/g"] {
            assert!(Filter::compile(bad, &mut Vec::new()).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_glob_takes_names() {
        for (pattern, name, expected) in [
            ("a", "a", true),
            ("a", "ab", false),
            ("*", "", true),
            ("*/total", "x/total", true),
            ("*/total", "total", false),
            ("a*b*c", "aXbYc", true),
            ("a*b*c", "ac", false),
            ("*energy_total", "energy_total", true),
        ] {
            assert_eq!(glob(pattern, name), expected, "{pattern} {name}");
        }
    }
}
