//! The DeploymentWindow rule: is the time within the window, and when does it next open?
//!
//! The window is every minute whose wall clock time, in the rule's time zone, matches the cron expression. Its seconds
//! are of no matter (the rule reference allows nothing but `*` there, yet its own example has `0`). When clocks are put
//! forward, the minutes left out never come; when they are put back, those that come twice are in the window twice.

mod cron;
mod zone;

use crate::{StringMap, Timestamp};
use cron::Cron;
pub use cron::{CRON_FIELDS, CronError};
use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, TimeZone};

const MINUTE_MILLIS: i64 = 60_000;

/// Why a window cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WindowError {
    /// A setting is missing.
    #[error("a DeploymentWindow rule needs `{0}` in its configuration")]
    Missing(&'static str),
    /// `Cron` cannot be read.
    #[error("`Cron` `{expression}`: {error}")]
    Cron {
        /// The expression.
        expression: String,
        /// What is wrong with it.
        error: CronError,
    },
    /// `TimeZone` names none.
    #[error("`TimeZone` is a region and city as `Europe/Berlin`, `UTC+05:30`, or an abbreviation as `PST`, not `{0}`")]
    TimeZone(String),
}

/// What the rule does now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The window is open: the rule succeeds.
    Open,
    /// It opens then: wait.
    OpensAt(Timestamp),
    /// It never opens again.
    Never,
}

/// A window.
#[derive(Clone, Debug)]
pub struct Window {
    cron: Cron,
    zone: TimeZone,
}

impl Window {
    /// Reads a rule's configuration: `Cron`, and `TimeZone`, which is UTC when absent.
    ///
    /// # Errors
    /// A setting that is missing or makes no sense.
    pub fn parse(configuration: &StringMap) -> Result<Self, WindowError> {
        let expression = configuration.get("Cron").ok_or(WindowError::Missing("Cron"))?;
        let cron =
            Cron::parse(expression).map_err(|error| WindowError::Cron { expression: expression.clone(), error })?;
        let zone = match configuration.get("TimeZone").map(String::as_str) {
            None => TimeZone::UTC,
            Some(name) => zone::parse(name).ok_or_else(|| WindowError::TimeZone(name.into()))?,
        };
        Ok(Self { cron, zone })
    }

    /// What the rule does at `now`.
    pub fn judge(&self, now: Timestamp) -> Verdict {
        let minute = Timestamp(now.0 - now.0.rem_euclid(MINUTE_MILLIS));
        match self.opening(minute) {
            Some(at) if at <= now => Verdict::Open,
            Some(at) => Verdict::OpensAt(at),
            None => Verdict::Never,
        }
    }

    /// The first minute of the window that begins at or after `from`, itself the beginning of a minute.
    fn opening(&self, from: Timestamp) -> Option<Timestamp> {
        let start = jiff::Timestamp::from_millisecond(from.0).ok()?;
        let local = self.zone.to_datetime(start);
        let mut candidates = self.cron.minutes_from(local);
        // Behind a change of clocks the order of wall clock times is not that of instants: the minutes that come twice.
        let again = self.again(start, local);
        let forward = candidates.find_map(|civil| self.first_instant_from(civil, start));
        let earliest = [again, forward].into_iter().flatten().min()?;
        Some(Timestamp(earliest.as_millisecond()))
    }

    /// When `civil` is on the clock for the first time at or after `start`; never, if it is left out.
    fn first_instant_from(&self, civil: DateTime, start: jiff::Timestamp) -> Option<jiff::Timestamp> {
        let ambiguous = self.zone.to_ambiguous_timestamp(civil);
        match ambiguous.offset() {
            AmbiguousOffset::Gap { .. } => None,
            AmbiguousOffset::Unambiguous { .. } => ambiguous.compatible().ok().filter(|at| *at >= start),
            AmbiguousOffset::Fold { .. } => {
                let both = [ambiguous.earlier(), ambiguous.later()];
                both.into_iter().flatten().find(|at| *at >= start)
            }
        }
    }

    /// Before clocks are put back, wall clock times earlier than now are still to come: the first of them in the window.
    fn again(&self, start: jiff::Timestamp, local: DateTime) -> Option<jiff::Timestamp> {
        let next = self.zone.following(start).next()?;
        let back_to = self.zone.to_datetime(next.timestamp());
        if back_to >= local {
            return None;
        }
        let mut minutes = self.cron.minutes_from(back_to).take_while(|civil| *civil < local);
        minutes.find_map(|civil| self.zone.to_ambiguous_timestamp(civil).later().ok().filter(|at| *at >= start))
    }
}

/// What is wrong with a rule's `Cron`, in words that follow its name.
pub(crate) fn cron_fault(expression: &str) -> Option<String> {
    Cron::parse(expression).err().map(|error| error.to_string())
}

/// Whether a rule's `TimeZone` names one.
pub(crate) fn is_time_zone(name: &str) -> bool {
    zone::parse(name).is_some()
}

#[cfg(test)]
mod tests;
