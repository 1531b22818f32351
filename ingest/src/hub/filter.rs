//! Topic filters: which are served, which topics they take, and which topics nobody but us may publish on.

/// First level of Sparkplug B, and of the STATE that Sparkplug 2.2 clients listen to.
const SPARKPLUG: &str = "spBv1.0";
const OLD_STATE: &str = "STATE";

/// Whether all that a filter takes is published by us: commands to edge nodes and devices, and STATE.
pub(crate) fn is_served(filter: &str) -> bool {
    if !is_valid(filter) {
        return false;
    }
    let mut levels = filter.split('/');
    let mut next = || levels.next();
    let levels = [next(), next(), next(), next(), next(), next()];
    matches!(
        levels,
        [Some(SPARKPLUG), Some("STATE"), Some(_), None, ..]
            | [Some(OLD_STATE), Some(_), None, ..]
            | [Some(SPARKPLUG), Some(_), Some("STATE"), Some(_), None, ..]
            | [Some(SPARKPLUG), Some(_), Some("NCMD"), Some(_), None, ..]
            | [Some(SPARKPLUG), Some(_), Some("NCMD"), Some(_), Some("#"), None]
            | [Some(SPARKPLUG), Some(_), Some("DCMD"), Some("#"), None, ..]
            | [Some(SPARKPLUG), Some(_), Some("DCMD"), Some(_), Some(_), None]
    )
}

/// Wildcards stand alone in their level, and `#` ends the filter.
fn is_valid(filter: &str) -> bool {
    let wrong_level = |level: &str| level.len() > 1 && level.contains(['+', '#']);
    let ends = filter.find('#').is_none_or(|at| at + 1 == filter.len());
    !filter.is_empty() && ends && !filter.split('/').any(wrong_level)
}

/// Whether only we may publish on this topic.
pub(crate) fn is_ours(topic: &str) -> bool {
    let mut levels = topic.split('/');
    matches!(
        (levels.next(), levels.next(), levels.next()),
        (Some(SPARKPLUG), Some("STATE"), _)
            | (Some(OLD_STATE), Some(_), _)
            | (Some(SPARKPLUG), Some(_), Some("STATE" | "NCMD" | "DCMD"))
    )
}

/// Whether a filter takes a topic.
pub(crate) fn matches(filter: &str, topic: &str) -> bool {
    let (mut filter, mut topic) = (filter.split('/'), topic.split('/'));
    loop {
        match (filter.next(), topic.next()) {
            (Some("#"), _) | (None, None) => return true,
            (Some("+"), Some(_)) => {}
            (Some(wanted), Some(level)) if wanted == level => {}
            _ => return false,
        }
    }
}

/// The first four levels, of a topic or of a filter that has no wildcard in them.
pub(super) fn node_of(filter: &str) -> Option<&str> {
    let (end, _) = filter.match_indices('/').nth(3).unwrap_or((filter.len(), ""));
    let node = &filter[..end];
    let is_whole = node.matches('/').count() == 3 && !node.contains(['+', '#']);
    is_whole.then_some(node)
}
