//! Foreign topic filters: which are well formed, and which two take a topic in common.

use std::collections::BTreeMap;

/// Why a filter cannot be bound to a pilot; `None` if it can.
pub(super) fn refuse(filter: &str) -> Option<String> {
    if filter.is_empty() || filter.len() > 1024 {
        return Some("needs 1 to 1024 bytes".to_owned());
    }
    if filter.contains('\0') {
        return Some("has a NUL byte, which MQTT forbids".to_owned());
    }
    if filter.starts_with("$share/") {
        return Some("is a shared subscription; name the topics themselves".to_owned());
    }
    let levels: Vec<&str> = filter.split('/').collect();
    let (last, before) = levels.split_last()?;
    let misplaced = before.contains(&"#") || levels.iter().any(|level| level.len() > 1 && level.contains(['#', '+']));
    if misplaced || (last.len() > 1 && last.contains('#')) {
        return Some(
            "is no MQTT filter: `#` is the whole last level and `+` a whole level, as in `spBv1.0/Plant/#`".to_owned(),
        );
    }
    overlap(filter, "pilotline/#")
        .then(|| "takes topics below `pilotline/`, which belong to the pilots they name".to_owned())
}

/// Whether some topic is taken by both filters.
pub(super) fn overlap(a: &str, b: &str) -> bool {
    let (first_a, first_b) = (level(a), level(b));
    // A wildcard at the first level takes no topic that begins with `$`.
    let hidden = |one: &str, other: &str| one.starts_with('$') && (other == "#" || other == "+");
    !hidden(first_a, first_b) && !hidden(first_b, first_a) && meet(a.split('/'), b.split('/'))
}

fn level(filter: &str) -> &str {
    filter.split('/').next().unwrap_or(filter)
}

fn meet<'f>(mut a: impl Iterator<Item = &'f str>, mut b: impl Iterator<Item = &'f str>) -> bool {
    loop {
        match (a.next(), b.next()) {
            // `#` also takes the level above it: `a/#` takes `a`.
            (Some("#"), _) | (_, Some("#")) | (None, None) => return true,
            (Some(x), Some(y)) if x == y || x == "+" || y == "+" => {}
            (Some(_) | None, Some(_) | None) => return false,
        }
    }
}

/// Filters by level, so that a thousand pilots are not compared pair by pair.
#[derive(Debug, Default)]
pub(super) struct Taken {
    /// Who took the filter that ends here.
    owner: Option<usize>,
    below: BTreeMap<String, Taken>,
}

impl Taken {
    /// Takes a filter for `owner`.
    pub(super) fn take(&mut self, filter: &str, owner: usize) {
        let end = filter.split('/').fold(self, |node, level| node.below.entry(level.to_owned()).or_default());
        end.owner = Some(owner);
    }

    /// An owner of a filter that takes a topic which this filter takes, too.
    pub(super) fn rival(&self, filter: &str) -> Option<usize> {
        let levels: Vec<&str> = filter.split('/').collect();
        let (first, rest) = levels.split_first()?;
        let fits = |level: &str| {
            let hidden = |one: &str, other: &str| one.starts_with('$') && (other == "#" || other == "+");
            !hidden(level, first) && !hidden(first, level)
        };
        let candidates = self.below.iter().filter(|(level, _)| fits(level));
        candidates.into_iter().find_map(|(level, node)| node.meet(level, first, rest))
    }

    /// This node, which `level` led to, against the levels of a filter that are left.
    fn meet(&self, level: &str, first: &str, rest: &[&str]) -> Option<usize> {
        if level == "#" {
            return self.owner;
        }
        if first == "#" {
            return self.anyone();
        }
        if level != first && level != "+" && first != "+" {
            return None;
        }
        match rest.split_first() {
            // `#` also takes the level above it.
            None => self.owner.or_else(|| self.below.get("#").and_then(|node| node.owner)),
            Some((&"#", _)) => self.anyone(),
            Some((&"+", rest)) => self.below.iter().find_map(|(level, node)| node.meet(level, "+", rest)),
            Some((next, rest)) => {
                let same = |level: &str| self.below.get(level).and_then(|node| node.meet(level, next, rest));
                same(next).or_else(|| same("+")).or_else(|| same("#"))
            }
        }
    }

    fn anyone(&self) -> Option<usize> {
        self.owner.or_else(|| self.below.values().find_map(Taken::anyone))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn filter() -> impl Strategy<Value = String> {
        let level = || proptest::sample::select(vec!["a", "b", "", "+", "$x"]);
        (proptest::collection::vec(level(), 1..4), any::<bool>()).prop_map(|(levels, open)| {
            let tail = if open { "/#" } else { "" };
            format!("{}{tail}", levels.join("/"))
        })
    }

    proptest! {
        #[test]
        fn the_tree_finds_a_rival_exactly_if_some_pair_overlaps(taken in proptest::collection::vec(filter(), 0..6), asked in filter()) {
            let mut tree = Taken::default();
            for (owner, filter) in taken.iter().enumerate() {
                tree.take(filter, owner);
            }
            let pairwise = taken.iter().any(|taken| overlap(taken, &asked));
            let found = tree.rival(&asked);
            prop_assert_eq!(found.is_some(), pairwise);
            prop_assert!(found.is_none_or(|owner| overlap(&taken[owner], &asked)));
        }
    }

    #[test]
    fn filters_overlap_if_a_topic_fits_both() {
        check("a/#", "a/b", true);
        check("a/#", "a", true);
        check("a/+", "a/b", true);
        check("a/+", "a/b/c", false);
        check("a/+/c", "a/b/#", true);
        check("+/b", "a/+", true);
        check("a/b", "a/c", false);
        check("#", "$SYS/x", false);
        check("spBv1.0/A/#", "spBv1.0/+/DDATA/e1", true);
        check("spBv1.0/A/#", "spBv1.0/B/#", false);

        #[track_caller]
        fn check(a: &str, b: &str, expected: bool) {
            assert_eq!(overlap(a, b), expected, "{a} and {b}");
            assert_eq!(overlap(b, a), expected, "{b} and {a}");
        }
    }

    #[test]
    fn a_filter_is_well_formed_and_leaves_pilotline_alone() {
        for good in ["spBv1.0/TestPlant/#", "/neuron/gw1/#", "a/+/b", "$x/y", "shellies/em3/+/power"] {
            assert_eq!(refuse(good), None, "{good}");
        }
        for bad in ["", "a/#/b", "a#", "a/b+", "#", "+/v1/x/y", "pilotline/v1/p/g", "$share/g/a"] {
            assert!(refuse(bad).is_some(), "{bad}");
        }
    }
}
