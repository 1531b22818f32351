//! What the registry says about days and times of day: rest days, stops, the tariff in force and its band.
//!
//! All of it is in the pilot's zone and in civil time; nothing here knows an instant.

use std::sync::Arc;

use jiff::civil::{Date, Time, Weekday};

use super::{BandSpan, Pilot, Tariff, TariffDays};

impl Pilot {
    /// Saturdays, Sundays, and the days that `[[restday]]` lists.
    pub fn is_restday(&self, date: Date) -> bool {
        let weekend = matches!(date.weekday(), Weekday::Saturday | Weekday::Sunday);
        weekend || self.restdays.binary_search(&date).is_ok()
    }

    /// Whether the plant stood still on purpose that day.
    pub fn is_stopped(&self, date: Date) -> bool {
        self.stops.iter().any(|stop| stop.from <= date && date <= stop.to)
    }

    /// The tariff row in force on a day: of the rows for its month and kind of day the one with the latest `from` not
    /// after it; of one date the one that says months or days wins over the one that does not.
    pub fn tariff_in_force(&self, date: Date) -> Option<&Tariff> {
        let rest = self.is_restday(date);
        let rows = self.tariffs.iter().filter(|row| row.from <= date && row.is_for(date.month(), rest));
        rows.max_by_key(|row| (row.from, row.specificity()))
    }
}

impl Tariff {
    /// Whether the row is for that month (1 to 12) and that kind of day.
    pub fn is_for(&self, month: i8, restday: bool) -> bool {
        let month_fits = self.months.is_empty() || self.months.contains(&month);
        let day_fits = match self.days {
            TariffDays::Every => true,
            TariffDays::Workday => !restday,
            TariffDays::Restday => restday,
        };
        month_fits && day_fits
    }

    /// How narrow the row is: one for months, one for days.
    pub(super) fn specificity(&self) -> u8 {
        u8::from(!self.months.is_empty()) + u8::from(self.days != TariffDays::Every)
    }

    /// The band of a local time of day.
    pub fn band_at(&self, time: Time) -> &Arc<str> {
        self.hours.iter().find(|span| span.contains(time)).map_or(&self.rest, |span| &span.band)
    }
}

impl BandSpan {
    /// Whether a local time of day lies in the span, which may pass midnight.
    pub fn contains(&self, time: Time) -> bool {
        if self.to == Time::midnight() {
            self.from <= time
        } else if self.from < self.to {
            self.from <= time && time < self.to
        } else {
            self.from <= time || time < self.to
        }
    }
}
