//! US dollars a month, in whole cents.

use serde_json::Number;
use std::fmt;
use std::iter::Sum;
use std::ops::{Add, Mul, Sub};

/// So many cents of a US dollar, a month.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cents(pub i64);

impl Cents {
    /// A price as DigitalOcean writes it, such as `4.5` or `12`, to the nearest cent; nothing for what
    /// is no amount.
    pub fn parse(text: &str) -> Option<Self> {
        let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
        let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if whole.is_empty() || !digits(whole) || !digits(part) {
            return None;
        }
        // Tenths of a cent, which tell how to round.
        let mut mills = part.bytes().chain(*b"000").take(3);
        let mut part = 0;
        for _ in 0..3 {
            part = part * 10 + i64::from(mills.next()? - b'0');
        }
        let whole: i64 = whole.parse().ok()?;
        let cents = whole.checked_mul(100)?.checked_add((part + 5) / 10)?;
        Some(Self(cents))
    }

    /// The same of a JSON number.
    pub fn of(number: &Number) -> Option<Self> {
        Self::parse(&number.to_string())
    }

    /// So many of a hundred of it, to the nearest cent.
    #[must_use]
    pub fn percent(self, share: i64) -> Self {
        Self(self.0.saturating_mul(share).saturating_add(50) / 100)
    }

    /// With its sign, also where it is more: `+$60.00`.
    pub fn signed(self) -> String {
        if self.0 < 0 {
            self.to_string()
        } else {
            format!("+{self}")
        }
    }

    /// Without the currency: `-60.00`.
    pub fn plain(self) -> String {
        let sign = if self.0 < 0 { "-" } else { "" };
        let all = self.0.unsigned_abs();
        format!("{sign}{}.{:02}", all / 100, all % 100)
    }
}

impl fmt::Display for Cents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let all = self.0.unsigned_abs();
        write!(f, "{sign}${}.{:02}", all / 100, all % 100)
    }
}

impl Add for Cents {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl Sub for Cents {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

impl Mul<i64> for Cents {
    type Output = Self;
    fn mul(self, times: i64) -> Self {
        Self(self.0.saturating_mul(times))
    }
}

impl Sum for Cents {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self(0), Add::add)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_read_to_the_nearest_cent() {
        for (text, cents) in [
            ("24", Some(2400)),
            ("24.0", Some(2400)),
            ("4.5", Some(450)),
            ("0.005", Some(1)),
            ("5.9523", Some(595)),
            ("5.999", Some(600)),
            ("", None),
            (".5", None),
            ("-1", None),
            ("1e3", None),
            ("many", None),
        ] {
            assert_eq!(Cents::parse(text), cents.map(Cents), "{text}");
        }
        assert_eq!(Cents::of(&Number::from_f64(4.5).unwrap()), Some(Cents(450)));
    }

    #[test]
    fn amounts_have_two_decimals_and_one_sign() {
        assert_eq!(Cents(5).to_string(), "$0.05");
        assert_eq!(Cents(-6090).to_string(), "-$60.90");
        assert_eq!(Cents(6000).signed(), "+$60.00");
        assert_eq!(Cents(-6000).signed(), "-$60.00");
        assert_eq!(Cents(-6005).plain(), "-60.05");
        assert_eq!(Cents(1235).percent(30), Cents(371));
    }
}
