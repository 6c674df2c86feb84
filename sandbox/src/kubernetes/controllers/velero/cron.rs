//! Cron expressions, as far as Velero's schedules use them.

use std::time::Duration;

use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _};

use super::span;

/// Least and greatest value of minute, hour, day, month and weekday.
const RANGES: [(u32, u32); 5] = [(0, 59), (0, 23), (1, 31), (1, 12), (0, 7)];

/// What is wrong with a cron expression of five fields, or a descriptor such as `@daily`.
pub(super) fn cron_error(cron: &str) -> Option<String> {
    if let Some(name) = cron.strip_prefix('@') {
        let known = [
            "yearly", "annually", "monthly", "weekly", "daily", "midnight", "hourly",
        ];
        let every = name
            .strip_prefix("every ")
            .is_some_and(|span| !span.trim().is_empty());
        return (!known.contains(&name) && !every)
            .then(|| format!("unrecognized descriptor: {cron}"));
    }
    let fields: Vec<&str> = cron.split_whitespace().collect();
    if fields.len() != RANGES.len() {
        return Some(format!(
            "expected exactly 5 fields, found {}: {cron:?}",
            fields.len()
        ));
    }
    let names = [
        "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec", "sun",
        "mon", "tue", "wed", "thu", "fri", "sat",
    ];
    let fits = |text: &str, (low, high): (u32, u32)| {
        names.contains(&text.to_lowercase().as_str())
            || text.parse::<u32>().is_ok_and(|n| (low..=high).contains(&n))
    };
    for (field, range) in fields.iter().zip(RANGES) {
        for part in field.split(',') {
            let (span, step) = part
                .split_once('/')
                .map_or((part, None), |(span, step)| (span, Some(step)));
            let step_fits = step.is_none_or(|step| step.parse::<u32>().is_ok_and(|n| n > 0));
            let span_fits = matches!(span, "*" | "?")
                || span.split_once('-').map_or_else(
                    || fits(span, range),
                    |(a, b)| fits(a, range) && fits(b, range),
                );
            if !step_fits || !span_fits {
                return Some(format!("failed to parse {part:?} in {cron:?}"));
            }
        }
    }
    None
}

/// How far ahead a next run is looked for: a leap day can be eight years away.
const HORIZON_DAYS: i32 = 366 * 8;

/// When something runs, in UTC and to the minute.
#[derive(Debug)]
pub(super) enum Cron {
    Every(Duration),
    /// The values of minute, hour, day, month and weekday that fit, as bits, and whether a field
    /// leaves its value open (`*`).
    Fields([(u64, bool); 5]),
}

const MONTHS: [&str; 12] = [
    "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
];
const WEEKDAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

impl Cron {
    /// Reads an expression; `None` for one that is wrong.
    pub(super) fn parse(text: &str) -> Option<Cron> {
        if cron_error(text).is_some() {
            return None;
        }
        let fields = match text {
            "@yearly" | "@annually" => "0 0 1 1 *",
            "@monthly" => "0 0 1 * *",
            "@weekly" => "0 0 * * 0",
            "@daily" | "@midnight" => "0 0 * * *",
            "@hourly" => "0 * * * *",
            every if every.starts_with('@') => {
                let every = span(every.strip_prefix("@every ")?.trim())?;
                return Some(Cron::Every(every.max(Duration::from_secs(1))));
            }
            fields => fields,
        };
        let mut read = [(0, false); 5];
        for (at, field) in fields.split_whitespace().enumerate() {
            *read.get_mut(at)? = bits(field, at)?;
        }
        // Sunday is 0 and 7.
        read[4].0 |= read[4].0 >> 7;
        Some(Cron::Fields(read))
    }

    /// The first run after a moment.
    pub(super) fn after(&self, moment: Timestamp) -> Option<Timestamp> {
        let fields = match self {
            Cron::Every(span) => return moment.checked_add(*span).ok(),
            Cron::Fields(fields) => fields,
        };
        let [minutes, hours, days, months, weekdays] = fields;
        let fits = |(bits, _): &(u64, bool), value: i8| bits & (1 << value) != 0;
        let start = moment.to_zoned(TimeZone::UTC).datetime();
        let mut date = start.date();
        for _ in 0..HORIZON_DAYS {
            let weekday = date.weekday().to_sunday_zero_offset();
            // When both are given, either will do.
            let day = match (days.1, weekdays.1) {
                (false, false) => fits(days, date.day()) || fits(weekdays, weekday),
                _ => fits(days, date.day()) && fits(weekdays, weekday),
            };
            if day && fits(months, date.month()) {
                let times = (0..24).flat_map(|hour| (0..60).map(move |minute| (hour, minute)));
                for (hour, minute) in times {
                    let run = date.at(hour, minute, 0, 0);
                    if fits(hours, hour) && fits(minutes, minute) && run > start {
                        return run.to_zoned(TimeZone::UTC).ok().map(|run| run.timestamp());
                    }
                }
            }
            date = date.checked_add(1.day()).ok()?;
        }
        None
    }
}

/// The values of one field.
fn bits(field: &str, at: usize) -> Option<(u64, bool)> {
    let (low, high) = *RANGES.get(at)?;
    let number = |text: &str| {
        let text = text.to_lowercase();
        let named = |names: &[&str]| names.iter().position(|name| *name == text);
        let named = match at {
            3 => named(&MONTHS).map(|month| month + 1),
            4 => named(&WEEKDAYS),
            _ => None,
        };
        named
            .and_then(|value| u32::try_from(value).ok())
            .or_else(|| text.parse().ok())
    };
    let (mut bits, mut open) = (0, false);
    for part in field.split(',') {
        let (span, step) = match part.split_once('/') {
            Some((span, step)) => (span, Some(step.parse::<usize>().ok()?)),
            None => (part, None),
        };
        let (from, to) = match span {
            "*" | "?" => {
                open |= step.is_none_or(|step| step == 1);
                (low, high)
            }
            span => match span.split_once('-') {
                Some((from, to)) => (number(from)?, number(to)?),
                None if step.is_some() => (number(span)?, high),
                None => (number(span)?, number(span)?),
            },
        };
        for value in (from..=to).step_by(step.unwrap_or(1).max(1)) {
            bits |= 1 << value.min(63);
        }
    }
    Some((bits, open))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cron_expressions_are_checked() {
        for good in [
            "0 2 * * *",
            "*/15 0-6 1,15 jan-mar mon",
            "@daily",
            "@every 6h",
        ] {
            assert_eq!(cron_error(good), None, "{good}");
        }
        for bad in [
            "",
            "0 2 * *",
            "60 * * * *",
            "a * * * *",
            "*/0 * * * *",
            "@never",
            "0 2 * * * *",
        ] {
            assert!(cron_error(bad).is_some(), "{bad}");
        }
    }

    #[test]
    fn the_next_run_is_crons() {
        for (cron, from, next) in [
            ("0 2 * * *", "2026-03-01T12:00:00Z", "2026-03-02T02:00:00Z"),
            ("0 2 * * *", "2026-03-01T02:00:00Z", "2026-03-02T02:00:00Z"),
            (
                "*/15 * * * *",
                "2026-03-01T12:07:30Z",
                "2026-03-01T12:15:00Z",
            ),
            (
                "30 4 1,15 * fri",
                "2026-03-02T00:00:00Z",
                "2026-03-06T04:30:00Z",
            ),
            (
                "0 0 29 feb *",
                "2026-03-01T00:00:00Z",
                "2028-02-29T00:00:00Z",
            ),
            ("0 0 * * 7", "2026-03-02T00:00:00Z", "2026-03-08T00:00:00Z"),
            ("@monthly", "2026-03-01T00:00:00Z", "2026-04-01T00:00:00Z"),
            ("@every 6h", "2026-03-01T01:00:00Z", "2026-03-01T07:00:00Z"),
        ] {
            let found = Cron::parse(cron).unwrap().after(from.parse().unwrap());
            assert_eq!(found, Some(next.parse().unwrap()), "{cron}");
        }
        assert!(Cron::parse("61 * * * *").is_none());
        assert_eq!(
            Cron::parse("0 0 31 2 *")
                .unwrap()
                .after(Timestamp::UNIX_EPOCH),
            None
        );
    }
}
