//! Schedules and durations.

use super::{FromText, Invalid, text_newtype};
use crate::code::Code;
use crate::suggest::shortened;

text_newtype!(
    /// A cron schedule of five fields (minute, hour, day of month, month, day of week) or one of
    /// the words `@hourly`, `@daily`, `@weekly`, `@monthly`, `@yearly`; times are UTC.
    CronSchedule
);

const WORDS: &[&str] = &[
    "@hourly",
    "@daily",
    "@midnight",
    "@weekly",
    "@monthly",
    "@yearly",
    "@annually",
];

struct CronField {
    name: &'static str,
    min: u32,
    max: u32,
    words: &'static [&'static str],
}

const FIELDS: [CronField; 5] = [
    CronField {
        name: "minute",
        min: 0,
        max: 59,
        words: &[],
    },
    CronField {
        name: "hour",
        min: 0,
        max: 23,
        words: &[],
    },
    CronField {
        name: "day of month",
        min: 1,
        max: 31,
        words: &[],
    },
    CronField {
        name: "month",
        min: 1,
        max: 12,
        words: &[
            "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
        ],
    },
    CronField {
        name: "day of week",
        min: 0,
        max: 6,
        words: &["sun", "mon", "tue", "wed", "thu", "fri", "sat"],
    },
];

impl FromText for CronSchedule {
    fn from_text(text: &str) -> Result<Self, Invalid> {
        match check_cron(text) {
            Ok(()) => Ok(Self(text.to_owned())),
            Err(what) => Err(Invalid::new(
                Code::CronInvalid,
                what,
                "Velero refuses a schedule it cannot read, and then no backup is ever made.",
                "Write minute, hour, day of month, month and day of week, for example \
                 `0 2 * * *` for every night at 02:00 UTC, or a word such as `@daily`.",
            )),
        }
    }

    fn stand_in() -> Self {
        Self("@daily".to_owned())
    }
}

fn check_cron(text: &str) -> Result<(), String> {
    if text.starts_with('@') {
        if WORDS.contains(&text) {
            return Ok(());
        }
        return Err(format!("unknown schedule word `{}`", shortened(text)));
    }
    let fields: Vec<&str> = text
        .split([' ', '\t'])
        .filter(|part| !part.is_empty())
        .collect();
    if fields.len() != FIELDS.len() {
        let count = fields.len();
        let plural = if count == 1 { "" } else { "s" };
        return Err(format!(
            "the schedule `{}` has {count} field{plural} instead of 5",
            shortened(text)
        ));
    }
    for (part, field) in fields.iter().zip(&FIELDS) {
        for item in part.split(',') {
            check_item(item, field).map_err(|what| {
                format!("{what} in the {} field `{}`", field.name, shortened(part))
            })?;
        }
    }
    Ok(())
}

/// One of `*`, `n`, `a-b`, each with an optional `/step`.
fn check_item(item: &str, field: &CronField) -> Result<(), String> {
    let (range, step) = match item.split_once('/') {
        Some((range, step)) => (range, Some(step)),
        None => (item, None),
    };
    if let Some(step) = step {
        match cron_number(step) {
            Some(n) if n >= 1 => {}
            _ => return Err(format!("`{}` is not a step", shortened(step))),
        }
    }
    if range == "*" || range == "?" {
        return Ok(());
    }
    let (from, to) = match range.split_once('-') {
        Some((from, to)) => (cron_value(from, field)?, cron_value(to, field)?),
        None => {
            let value = cron_value(range, field)?;
            (value, value)
        }
    };
    if from > to {
        return Err(format!("the range `{}` runs backwards", shortened(range)));
    }
    Ok(())
}

fn cron_value(text: &str, field: &CronField) -> Result<u32, String> {
    let word = text.to_ascii_lowercase();
    if let Some(index) = field.words.iter().position(|w| *w == word) {
        return Ok(field.min.saturating_add(u32::try_from(index).unwrap_or(0)));
    }
    match cron_number(text) {
        Some(n) if (field.min..=field.max).contains(&n) => Ok(n),
        Some(n) => Err(format!(
            "{n} is not between {} and {}",
            field.min, field.max
        )),
        None => Err(format!("`{}` is not a number", shortened(text))),
    }
}

fn cron_number(text: &str) -> Option<u32> {
    let plain = (1..=4).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    plain.then(|| text.parse().ok()).flatten()
}

/// How long something is kept: a whole number of minutes, hours, days or weeks, up to ten years.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Retention {
    seconds: u64,
}

const MAX_RETENTION_SECONDS: u64 = 3650 * 24 * 3600;

impl Retention {
    /// Length in seconds; at least 60.
    pub fn seconds(self) -> u64 {
        self.seconds
    }

    /// The length as Go's durations are written, for Velero's `ttl`: `720h0m0s`.
    pub fn go_duration(self) -> String {
        let minutes = self.seconds / 60;
        format!("{}h{}m0s", minutes / 60, minutes % 60)
    }

    pub(crate) const fn days(days: u64) -> Self {
        Self {
            seconds: days * 24 * 3600,
        }
    }
}

impl std::fmt::Display for Retention {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        const UNITS: [(u64, &str); 3] = [(24 * 3600, "d"), (3600, "h"), (60, "m")];
        for (unit, letter) in UNITS {
            if self.seconds.is_multiple_of(unit) {
                return write!(f, "{}{letter}", self.seconds / unit);
            }
        }
        write!(f, "{}s", self.seconds)
    }
}

impl FromText for Retention {
    fn from_text(text: &str) -> Result<Self, Invalid> {
        let invalid = |what: String| {
            Invalid::new(
                Code::DurationInvalid,
                what,
                "It decides when backups are deleted for good, so kplan does not guess.",
                "Write a whole number and a unit: `12h`, `30d` or `8w`.",
            )
        };
        let split = text
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(text.len());
        let (digits, unit) = text.split_at(split);
        let unit_seconds: u64 = match unit {
            "m" => 60,
            "h" => 3600,
            "d" => 24 * 3600,
            "w" => 7 * 24 * 3600,
            "" if !digits.is_empty() => {
                return Err(invalid(format!("`{}` has no unit", shortened(text))));
            }
            _ => return Err(invalid(format!("`{}` is not a duration", shortened(text)))),
        };
        let seconds = digits
            .parse::<u64>()
            .ok()
            .and_then(|n| n.checked_mul(unit_seconds));
        match seconds {
            Some(0) => Err(invalid("the duration is zero".to_owned())),
            Some(seconds) if seconds <= MAX_RETENTION_SECONDS => Ok(Self { seconds }),
            Some(_) => Err(invalid(format!(
                "`{}` is longer than ten years",
                shortened(text)
            ))),
            None => Err(invalid(format!("`{}` is not a duration", shortened(text)))),
        }
    }

    fn stand_in() -> Self {
        Self::days(30)
    }
}
