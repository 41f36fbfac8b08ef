//! Cron expressions of the rule reference: seconds, minutes, hours, day of month, month, day of week, and perhaps a year.
//!
//! Read here rather than by a library because those at hand refuse documented forms: `5/15`, `L-3`, a lone `L` for the
//! day of week, ranges across the end as `FRI-MON`.

use jiff::civil::{Date, DateTime, Weekday};

/// The fields' names, in order.
pub const CRON_FIELDS: [&str; 7] = ["seconds", "minutes", "hours", "day of month", "month", "day of week", "year"];

const MONTHS: [&str; 12] = ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"];
const WEEKDAYS: [&str; 7] = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];
const FIRST_YEAR: u16 = 1970;
const LAST_YEAR: u16 = 2199;

/// Why an expression cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CronError {
    /// Too few or too many fields.
    #[error(
        "has {0} fields, not 6 or 7: seconds, minutes, hours, day of month, month, day of week, and perhaps a year"
    )]
    Fields(usize),
    /// A field that is none.
    #[error("`{value}` is no {field}; it takes {takes}")]
    Field {
        /// Which field.
        field: &'static str,
        /// What it says.
        value: String,
        /// What it may say.
        takes: String,
    },
    /// Both days are given.
    #[error("names a day of month and a day of week: one of them must be `?`")]
    BothDays,
}

/// What is done with the days of a month.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Days {
    Any,
    OfMonth(Vec<MonthDay>),
    OfWeek(Vec<WeekDay>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum MonthDay {
    /// A set of days, bit 1 the first.
    Days(u32),
    /// So many days before the last.
    BeforeLast(i8),
    /// The weekday nearest to a day.
    NearestWeekday(i8),
    LastWeekday,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum WeekDay {
    /// A set of days, bit 1 Sunday.
    Days(u32),
    /// The last such day of the month.
    Last(i8),
    /// The nth such day of the month.
    Nth(i8, i8),
}

/// An expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Cron {
    minutes: Vec<i8>,
    hours: Vec<i8>,
    days: Days,
    /// Bit 1 is January.
    months: u32,
    years: Vec<u16>,
}

impl Cron {
    pub(super) fn parse(expression: &str) -> Result<Self, CronError> {
        let fields: Vec<&str> = expression.split_whitespace().collect();
        let (first, year) = match *fields.as_slice() {
            [s, m, h, dom, month, dow] => ([s, m, h, dom, month, dow], "*"),
            [s, m, h, dom, month, dow, year] => ([s, m, h, dom, month, dow], year),
            _ => return Err(CronError::Fields(fields.len())),
        };
        let [seconds, minutes, hours, day_of_month, month, day_of_week] = first;
        SECONDS.values(seconds)?;
        Ok(Self {
            minutes: small(MINUTES.values(minutes)?),
            hours: small(HOURS.values(hours)?),
            days: days(day_of_month, day_of_week)?,
            months: bits(&MONTH.values(month)?),
            years: YEAR.values(year)?,
        })
    }

    /// Every wall clock minute that matches, from `from` on, in order.
    pub(super) fn minutes_from(&self, from: DateTime) -> impl Iterator<Item = DateTime> + '_ {
        let days = from.date().series(jiff::Span::new().days(1)).take_while(|day| {
            u16::try_from(day.year()).is_ok_and(|year| self.years.last().is_some_and(|last| year <= *last))
        });
        let days = days.filter(|day| self.has_day(*day));
        let times = move |day: Date| {
            let hours = self.hours.iter();
            hours.flat_map(move |hour| self.minutes.iter().map(move |minute| day.at(*hour, *minute, 0, 0)))
        };
        days.flat_map(times).filter(move |minute| *minute >= from)
    }

    fn has_day(&self, day: Date) -> bool {
        let year = u16::try_from(day.year()).is_ok_and(|year| self.years.binary_search(&year).is_ok());
        year && self.months & bit(day.month()) != 0
            && match &self.days {
                Days::Any => true,
                Days::OfMonth(days) => days.iter().any(|which| which.is(day)),
                Days::OfWeek(days) => days.iter().any(|which| which.is(day)),
            }
    }
}

impl MonthDay {
    fn is(&self, day: Date) -> bool {
        match *self {
            Self::Days(days) => days & bit(day.day()) != 0,
            Self::BeforeLast(days) => day.day() == day.days_in_month() - days,
            Self::NearestWeekday(wanted) => nearest_weekday(day, wanted) == Some(day.day()),
            Self::LastWeekday => {
                let last = day.last_of_month();
                let back = match last.weekday() {
                    Weekday::Saturday => 1,
                    Weekday::Sunday => 2,
                    Weekday::Monday | Weekday::Tuesday | Weekday::Wednesday | Weekday::Thursday | Weekday::Friday => 0,
                };
                day.day() == last.day() - back
            }
        }
    }
}

/// The weekday nearest to a day of the month, within the month; none where the month has no such day.
fn nearest_weekday(month: Date, wanted: i8) -> Option<i8> {
    let last = month.days_in_month();
    let day = Date::new(month.year(), month.month(), wanted).ok()?;
    Some(match day.weekday() {
        Weekday::Saturday if wanted == 1 => 3,
        Weekday::Saturday => wanted - 1,
        Weekday::Sunday if wanted == last => wanted - 2,
        Weekday::Sunday => wanted + 1,
        Weekday::Monday | Weekday::Tuesday | Weekday::Wednesday | Weekday::Thursday | Weekday::Friday => wanted,
    })
}

impl WeekDay {
    fn is(&self, day: Date) -> bool {
        let of_week = day.weekday().to_sunday_one_offset();
        match *self {
            Self::Days(days) => days & bit(of_week) != 0,
            Self::Last(wanted) => of_week == wanted && day.day() > day.days_in_month() - 7,
            Self::Nth(wanted, nth) => of_week == wanted && (day.day() - 1) / 7 + 1 == nth,
        }
    }
}

fn bit(number: i8) -> u32 {
    1_u32.checked_shl(u32::try_from(number).unwrap_or(32)).unwrap_or(0)
}

fn bits(values: &[u16]) -> u32 {
    small(values.to_vec()).into_iter().fold(0, |bits, value| bits | bit(value))
}

/// Values of a field whose greatest is 59.
fn small(values: Vec<u16>) -> Vec<i8> {
    values.into_iter().filter_map(|value| i8::try_from(value).ok()).collect()
}

fn days(day_of_month: &str, day_of_week: &str) -> Result<Days, CronError> {
    let any = |field: &str| field == "?" || field == "*";
    match (any(day_of_month), any(day_of_week)) {
        (true, true) => Ok(Days::Any),
        (false, true) => day_of_month.split(',').map(month_day).collect::<Result<_, _>>().map(Days::OfMonth),
        (true, false) => day_of_week.split(',').map(week_day).collect::<Result<_, _>>().map(Days::OfWeek),
        (false, false) => Err(CronError::BothDays),
    }
}

fn month_day(item: &str) -> Result<MonthDay, CronError> {
    let upper = item.to_ascii_uppercase();
    let fault = || DAY_OF_MONTH.fault(item);
    if upper == "LW" {
        return Ok(MonthDay::LastWeekday);
    }
    if upper == "L" {
        return Ok(MonthDay::BeforeLast(0));
    }
    if let Some(before) = upper.strip_prefix("L-") {
        let before = before.parse().ok().filter(|days| (0..=30).contains(days)).ok_or_else(fault)?;
        return Ok(MonthDay::BeforeLast(before));
    }
    if let Some(day) = upper.strip_suffix('W') {
        let day = day.parse().ok().filter(|day| (1..=31).contains(day)).ok_or_else(fault)?;
        return Ok(MonthDay::NearestWeekday(day));
    }
    DAY_OF_MONTH.item(item).map(|days| MonthDay::Days(bits(&days)))
}

fn week_day(item: &str) -> Result<WeekDay, CronError> {
    let upper = item.to_ascii_uppercase();
    let one = |text: &str| DAY_OF_WEEK.number(text).and_then(|day| i8::try_from(day).ok());
    let fault = || DAY_OF_WEEK.fault(item);
    if upper == "L" {
        return Ok(WeekDay::Days(bit(7)));
    }
    if let Some(day) = upper.strip_suffix('L') {
        return one(day).map(WeekDay::Last).ok_or_else(fault);
    }
    if let Some((day, nth)) = upper.split_once('#') {
        let nth = nth.parse().ok().filter(|nth| (1..=5).contains(nth)).ok_or_else(fault)?;
        return one(day).map(|day| WeekDay::Nth(day, nth)).ok_or_else(fault);
    }
    DAY_OF_WEEK.item(item).map(|days| WeekDay::Days(bits(&days)))
}

/// A field of numbers.
struct Field {
    name: &'static str,
    first: u16,
    last: u16,
    /// Names of the numbers from `first` on.
    names: &'static [&'static str],
    more: &'static str,
}

const SECONDS: Field = Field { name: CRON_FIELDS[0], first: 0, last: 59, names: &[], more: "" };
const MINUTES: Field = Field { name: CRON_FIELDS[1], first: 0, last: 59, names: &[], more: "" };
const HOURS: Field = Field { name: CRON_FIELDS[2], first: 0, last: 23, names: &[], more: "" };
const DAY_OF_MONTH: Field =
    Field { name: CRON_FIELDS[3], first: 1, last: 31, names: &[], more: ", ?, L, L-3, 15W, LW" };
const MONTH: Field = Field { name: CRON_FIELDS[4], first: 1, last: 12, names: &MONTHS, more: ", JAN-DEC" };
const DAY_OF_WEEK: Field =
    Field { name: CRON_FIELDS[5], first: 1, last: 7, names: &WEEKDAYS, more: " (1 is Sunday), SUN-SAT, ?, L, 6L, 6#3" };
const YEAR: Field = Field { name: CRON_FIELDS[6], first: FIRST_YEAR, last: LAST_YEAR, names: &[], more: "" };

impl Field {
    fn fault(&self, value: &str) -> CronError {
        let takes = format!("{}-{}{}, lists (1,2), ranges (1-3), steps (1/2) and *", self.first, self.last, self.more);
        CronError::Field { field: self.name, value: value.into(), takes }
    }

    /// Every value of the field, in order.
    fn values(&self, field: &str) -> Result<Vec<u16>, CronError> {
        let mut values = Vec::new();
        for item in field.split(',') {
            values.extend(self.item(item)?);
        }
        values.sort_unstable();
        values.dedup();
        Ok(values)
    }

    /// One item of a list: a number, a range, everything, and perhaps a step.
    fn item(&self, item: &str) -> Result<Vec<u16>, CronError> {
        let fault = || self.fault(item);
        let (range, step) = match item.split_once('/') {
            None => (item, None),
            Some((range, step)) => {
                let step = step.parse::<u16>().ok().filter(|step| *step >= 1 && *step <= self.last.max(1));
                (range, Some(step.ok_or_else(fault)?))
            }
        };
        let (from, to) = match range.split_once('-') {
            _ if range == "*" => (self.first, self.last),
            None => {
                let only = self.number(range).ok_or_else(fault)?;
                // `5/15` goes on to the end.
                (only, if step.is_some() { self.last } else { only })
            }
            Some((from, to)) => (self.number(from).ok_or_else(fault)?, self.number(to).ok_or_else(fault)?),
        };
        let step = usize::from(step.unwrap_or(1));
        Ok(match from <= to {
            true => (from..=to).step_by(step).collect(),
            // Across the end: `FRI-MON`.
            false => (from..=self.last).chain(self.first..=to).step_by(step).collect(),
        })
    }

    fn number(&self, text: &str) -> Option<u16> {
        let named = self.names.iter().position(|name| name.eq_ignore_ascii_case(text));
        let number = match named {
            Some(place) => u16::try_from(place).ok()? + self.first,
            None if text.bytes().all(|byte| byte.is_ascii_digit()) => text.parse().ok()?,
            None => return None,
        };
        (self.first..=self.last).contains(&number).then_some(number)
    }
}
