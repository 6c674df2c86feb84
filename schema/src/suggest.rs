//! "Did you mean …?": the nearest known word, and texts cut to a length fit for a message.

/// Longest text whose neighbours are looked for: longer ones are no typing slips, and the cost of
/// the distance grows with the product of both lengths.
const MAX_LENGTH: usize = 48;

/// Longest piece of the file that is repeated in a message, in characters.
const SHOWN: usize = 40;

/// The candidate that is few enough keystrokes away from `text` to be what was meant.
pub(crate) fn nearest<'a>(
    text: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    if text.is_empty() || text.len() > MAX_LENGTH {
        return None;
    }
    let lower = text.to_lowercase();
    let allowed = match text.chars().count() {
        0..=3 => 1,
        4..=7 => 2,
        _ => 3,
    };
    candidates
        .into_iter()
        .map(|candidate| {
            (
                strsim::osa_distance(&lower, &candidate.to_lowercase()),
                candidate,
            )
        })
        .filter(|(distance, candidate)| *distance <= allowed && *distance < candidate.len())
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// The text with control characters escaped, cut after forty characters.
pub(crate) fn shortened(text: &str) -> String {
    let mut out = String::new();
    for (index, c) in text.chars().enumerate() {
        if index == SHOWN {
            out.push('…');
            break;
        }
        if c.is_control() {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_one_slip_and_ignores_strangers() {
        let keys = ["region", "name", "protect"];
        assert_eq!(nearest("regoin", keys), Some("region"));
        assert_eq!(nearest("Name", keys), Some("name"));
        assert_eq!(nearest("protct", keys), Some("protect"));
        assert_eq!(nearest("colour", keys), None);
        assert_eq!(nearest("", keys), None);
        assert_eq!(nearest(&"x".repeat(5000), keys), None);
    }

    #[test]
    fn takes_the_closest_of_several() {
        assert_eq!(nearest("nyc4", ["nyc1", "sfo3", "nyc3"]), Some("nyc1"));
        assert_eq!(nearest("sgp", ["sfo2", "sgp1"]), Some("sgp1"));
    }

    #[test]
    fn messages_stay_short_and_printable() {
        assert_eq!(shortened("a\u{1b}[31mb"), "a\\u{1b}[31mb");
        assert_eq!(shortened(&"x".repeat(100)).chars().count(), 41);
    }
}
