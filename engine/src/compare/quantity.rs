//! Kubernetes quantities by value: `1000m` is `1`, `1Gi` is `1024Mi`.

/// The quantity in billionths; `None` for what is no quantity or too fine or large to hold.
pub(super) fn nanos(text: &str) -> Option<i128> {
    let text = text.trim();
    let (negative, text) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let end = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let (number, suffix) = text.split_at(end);
    let value = scaled(number, unit(suffix)?)?;
    Some(if negative { -value } else { value })
}

/// What one of `suffix` is worth in billionths.
fn unit(suffix: &str) -> Option<i128> {
    const ONE: i128 = 1_000_000_000;
    let binary = |power: u32| 1024_i128.checked_pow(power).map(|worth| worth * ONE);
    match suffix {
        "" => Some(ONE),
        "n" => Some(1),
        "u" => Some(1_000),
        "m" => Some(1_000_000),
        "k" => Some(ONE * 1_000),
        "M" => Some(ONE * 1_000_000),
        "G" => Some(ONE * 1_000_000_000),
        "T" => Some(ONE * 1_000_000_000_000),
        "P" => Some(ONE * 1_000_000_000_000_000),
        "E" => Some(ONE * 1_000_000_000_000_000_000),
        "Ki" => binary(1),
        "Mi" => binary(2),
        "Gi" => binary(3),
        "Ti" => binary(4),
        "Pi" => binary(5),
        "Ei" => binary(6),
        exponent => {
            let power: i32 = exponent.strip_prefix(['e', 'E'])?.parse().ok()?;
            10_i128.checked_pow(u32::try_from(power.checked_add(9)?).ok()?)
        }
    }
}

/// `number` (digits with at most one point) times `unit`, where that is exact.
fn scaled(number: &str, unit: i128) -> Option<i128> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() || fraction.contains('.') {
        return None;
    }
    let digits: i128 = format!("{whole}{fraction}").parse().ok()?;
    let divisor = 10_i128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    let product = digits.checked_mul(unit)?;
    (product % divisor == 0).then_some(product / divisor)
}

#[cfg(test)]
mod tests {
    use super::nanos;

    #[test]
    fn same_amount_same_number() {
        for (left, right) in [
            ("1", "1000m"),
            ("0.5", "500m"),
            ("1Gi", "1024Mi"),
            ("1e3", "1k"),
            ("1.5Gi", "1536Mi"),
            ("-2", "-2000m"),
        ] {
            assert_eq!(nanos(left), nanos(right), "{left} {right}");
            assert!(nanos(left).is_some(), "{left}");
        }
    }

    #[test]
    fn what_is_no_quantity_is_none() {
        for text in ["", "Gi", "1.2.3", "1X", "1e", "."] {
            assert_eq!(nanos(text), None, "{text}");
        }
    }
}
