//! The keys of a shared state's objects, below the root of one cluster's state. Numbers are padded
//! with zeros, so that the order of keys is the order of numbers.

/// Digits of a number in a key: enough for ten quadrillion.
const DIGITS: usize = 16;

/// The log.
pub(super) const LOG: &str = "state/";
/// Checkpoints.
pub(super) const SNAPSHOTS: &str = "snapshot/";
/// The history.
pub(super) const HISTORY: &str = "history/";
/// Locks, their signs of life, and that they were released.
pub(super) const LOCKS: &str = "lock/";
/// Objects of a probe.
pub(super) const PROBES: &str = "probe/";

fn padded(number: u64) -> String {
    format!("{number:0DIGITS$}")
}

/// The log object of that number.
pub(super) fn log(number: u64) -> String {
    format!("{LOG}{}", padded(number))
}

/// The checkpoint after that log object.
pub(super) fn snapshot(number: u64) -> String {
    format!("{SNAPSHOTS}{}", padded(number))
}

/// The history entry of that serial.
pub(super) fn history(serial: u64) -> String {
    format!("{HISTORY}{}", padded(serial))
}

/// The lock of that number.
pub(super) fn lock(number: u64) -> String {
    format!("{LOCKS}{}", padded(number))
}

/// A lock's sign of life.
pub(super) fn beat(number: u64, beat: u64) -> String {
    format!("{}/beat/{}", lock(number), padded(beat))
}

/// That a lock was released.
pub(super) fn released(number: u64) -> String {
    format!("{}/released", lock(number))
}

/// The number of a key directly below `prefix`.
pub(super) fn number(key: &str, prefix: &str) -> Option<u64> {
    let digits = key.strip_prefix(prefix)?;
    let whole = digits.len() == DIGITS && digits.bytes().all(|byte| byte.is_ascii_digit());
    whole.then(|| digits.parse().ok()).flatten()
}

/// What a key below [`LOCKS`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LockKey {
    Lock,
    Beat,
    Released,
}

/// The lock a key is about, and what it says of it.
pub(super) fn lock_key(key: &str) -> Option<(u64, LockKey)> {
    let rest = key.strip_prefix(LOCKS)?;
    let (digits, below) = rest.split_once('/').unwrap_or((rest, ""));
    let number = number(digits, "")?;
    match below {
        "" => Some((number, LockKey::Lock)),
        "released" => Some((number, LockKey::Released)),
        beat if beat.starts_with("beat/") => Some((number, LockKey::Beat)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_back_and_sort_as_their_numbers() {
        assert_eq!(number(&log(12), LOG), Some(12));
        assert_eq!(number(&snapshot(0), SNAPSHOTS), Some(0));
        assert!(log(9) < log(10) && snapshot(99) < snapshot(100));
        for key in [lock(3), beat(3, 7), released(3)] {
            assert_eq!(lock_key(&key).map(|(number, _)| number), Some(3), "{key}");
        }
        assert_eq!(lock_key(&beat(3, 7)), Some((3, LockKey::Beat)));
        assert_eq!(lock_key(&released(3)), Some((3, LockKey::Released)));
        for other in ["state/12", "state/000000000000001x", "lock/", "lock/1/beat"] {
            assert_eq!(
                (number(other, LOG), lock_key(other)),
                (None, None),
                "{other}"
            );
        }
    }
}
