//! Foreign topic filters: which are well formed, and which two take a topic in common.

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

#[cfg(test)]
mod tests {
    use super::*;

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
