//! Where a figure stands: the geometric glide path through the stages, and the point rule against it.
//!
//! Invariants:
//! - the path passes every milestone and stays at the last target after it;
//! - exactly one standing matches for every figure, path and target;
//! - a figure exactly at its target is not achieved.

use jiff::civil::Date;
use model::programme::Stage;
use model::{Period, StageStanding, Standing};

/// Differences below this are rounding: they neither achieve a target nor leave the path.
const ROUNDING: f64 = 1e-12;

/// Whether a figure may stand better than on track.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Cap {
    #[default]
    None,
    OnTrack,
}

/// A calendar day as a fractional year; the first of January is whole.
pub fn fractional_year(date: Date) -> f64 {
    let into_year = f64::from(date.day_of_year() - 1) / f64::from(date.days_in_year());
    f64::from(date.year()) + into_year
}

/// The end of a stage's year.
fn due(stage: &Stage) -> f64 {
    f64::from(stage.due.year()) + 1.0
}

/// The index (baseline = 1) that the glide path to `stages` asks for at `t`, geometric between the milestones.
pub fn path(stages: &[Stage], t0: f64, t: f64) -> f64 {
    let (mut from, mut index) = (t0, 1.0);
    if t <= t0 {
        return index;
    }
    for stage in stages.iter().filter(|stage| due(stage) > t0) {
        let (to, target) = (due(stage), 1.0 - stage.reduction);
        if t < to {
            return index * libm::pow(target / index, (t - from) / (to - from));
        }
        (from, index) = (to, target);
    }
    index
}

/// The point rule: `ratio` = actual / adjusted baseline against the path and the target of a stage.
pub fn standing(ratio: f64, path: f64, target: f64, cap: Cap) -> Standing {
    let free = if ratio < 1.0 - target - ROUNDING {
        Standing::Achieved
    } else if ratio < path - ROUNDING {
        Standing::Ahead
    } else if ratio <= path + ROUNDING {
        Standing::OnTrack
    } else {
        Standing::Behind
    };
    match (cap, free) {
        (Cap::OnTrack, Standing::Achieved | Standing::Ahead) => Standing::OnTrack,
        (Cap::None | Cap::OnTrack, free) => free,
    }
}

/// The standing against every stage. `ratio` is none for an insufficient figure; `paths` are indexes by stage.
pub fn stages(stages: &[Stage], ratio: Option<f64>, paths: &[f64], cap: Cap) -> Vec<StageStanding> {
    let of = |(stage, &path): (&Stage, &f64)| StageStanding {
        by: format!("{:04}-12-31", stage.due.year()),
        target: stage.reduction,
        path: 1.0 - path,
        standing: ratio.map_or(Standing::Insufficient, |ratio| standing(ratio, path, stage.reduction, cap)),
    };
    stages.iter().zip(paths).map(of).collect()
}

/// The path's index at the end of a period for each stage; `t0` is the end of the baseline period.
pub fn paths(stages: &[Stage], t0: f64, period: Period) -> Vec<f64> {
    let t = period_end(period);
    (1..=stages.len()).map(|n| path(&stages[..n], t0, t)).collect()
}

/// The stage that `standing` and `target` repeat: the first not before the period's end, else the last.
pub fn leading(stages: &[Stage], period: Period) -> Option<usize> {
    let t = period_end(period);
    let first = stages.iter().position(|stage| due(stage) >= t);
    first.or_else(|| stages.len().checked_sub(1))
}

fn period_end(period: Period) -> f64 {
    fractional_year(model::period::MonthNo(period.last_month().0 + 1).first_day())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::fixture::day;

    fn two() -> [Stage; 2] {
        [Stage { due: day("2020-12-31"), reduction: 0.2 }, Stage { due: day("2025-12-31"), reduction: 0.3 }]
    }

    #[test]
    fn the_path_is_geometric_and_passes_every_milestone() {
        // From the method's vector of one and two legs.
        let expected = [
            (2017.0, 0.956352499790037),
            (2018.0, 0.9146101038546527),
            (2019.0, 0.8746896591546225),
            (2020.0, 0.8365116420730186),
            (2021.0, 0.8),
            (2022.0, 0.7789177444921345),
            (2024.0, 0.7384053230743222),
            (2026.0, 0.7),
            (2030.0, 0.7),
        ];
        for (t, index) in expected {
            assert!((path(&two(), 2016.0, t) / index - 1.0).abs() < 1e-12, "{t}");
        }
        assert_eq!(path(&two(), 2016.0, 2015.5), 1.0);
        assert_eq!(path(&two()[..1], 2016.0, 2023.0), 0.8);
    }

    #[test]
    fn exactly_at_target_is_not_achieved() {
        assert_eq!(standing(0.8, 0.9, 0.2, Cap::None), Standing::Ahead);
        assert_eq!(standing(0.8 - 1e-15, 0.9, 0.2, Cap::None), Standing::Ahead);
        assert_eq!(standing(0.79, 0.9, 0.2, Cap::None), Standing::Achieved);
        assert_eq!(standing(0.79, 0.9, 0.2, Cap::OnTrack), Standing::OnTrack);
        assert_eq!(standing(1.0, 1.0, 0.2, Cap::None), Standing::OnTrack);
        assert_eq!(standing(0.95, 0.9, 0.2, Cap::OnTrack), Standing::Behind);
    }

    #[test]
    fn the_leading_stage_is_the_first_not_before_the_periods_end() {
        let leads = |text: &str| leading(&two(), Period::parse(text).unwrap());
        assert_eq!(
            [leads("2016"), leads("2020"), leads("2021-01"), leads("2026")],
            [Some(0), Some(0), Some(1), Some(1)]
        );
        assert_eq!(leading(&[], Period::parse("2020").unwrap()), None);
    }

    proptest! {
        #[test]
        fn the_path_falls_and_standings_follow_the_ratio(t in 2014f64..2030.0, step in 0.001f64..3.0,
                                                         ratio in 0.3f64..1.3, less in 0f64..0.3) {
            let (now, later) = (path(&two(), 2016.0, t), path(&two(), 2016.0, t + step));
            prop_assert!(later <= now && (0.7..=1.0).contains(&now));
            // `Standing` is ordered best first: a smaller ratio never stands worse.
            prop_assert!(standing(ratio - less, now, 0.3, Cap::None) <= standing(ratio, now, 0.3, Cap::None));
        }
    }
}
