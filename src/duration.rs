//! Durations as people type them: `30s`, `5m`, `8h`, `7d`.

use crate::error::Problem;
use std::time::Duration;

/// Reads one; the flag's name is for the message.
pub fn parse(flag: &str, text: &str) -> Result<Duration, Problem> {
    let problem = || {
        Problem::error(
            "cli::duration",
            format!("{flag}: `{text}` is not a duration"),
        )
        .help("write a whole number and a unit: 30s, 5m, 8h or 7d")
    };
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let number: u64 = digits.parse().map_err(|_| problem())?;
    let unit = match &text[digits.len()..] {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        _ => return Err(problem()),
    };
    number
        .checked_mul(unit)
        .map(Duration::from_secs)
        .ok_or_else(problem)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_units_and_refuses_the_rest() {
        assert_eq!(parse("--x", "5m").unwrap(), Duration::from_mins(5));
        for text in ["", "5", "m", "-5m", "5 m", "5y", "99999999999999999999s"] {
            assert!(parse("--x", text).is_err(), "{text}");
        }
    }
}
