//! Seeded randomness: ids, tokens and jitter, the same for the same seed.

use std::sync::{Arc, Mutex, PoisonError};

/// A shared stream of pseudo-random numbers (`SplitMix64`). Good enough for the ids and local
/// credentials of a simulation; never for real secrets.
#[derive(Clone, Debug)]
pub struct Rng {
    state: Arc<Mutex<u64>>,
}

impl Rng {
    /// The stream of a seed.
    pub fn seeded(seed: u64) -> Rng {
        Rng {
            state: Arc::new(Mutex::new(seed)),
        }
    }

    /// The next 64 bits.
    pub fn u64(&self) -> u64 {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = *state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// The next `n` bytes.
    pub fn bytes(&self, n: usize) -> Vec<u8> {
        let mut out = Vec::with_capacity(n + 8);
        while out.len() < n {
            out.extend_from_slice(&self.u64().to_le_bytes());
        }
        out.truncate(n);
        out
    }

    /// A version 4 UUID in its usual lower-case form.
    pub fn uuid(&self) -> String {
        let mut bits = self.bytes(16);
        bits[6] = (bits[6] & 0x0f) | 0x40;
        bits[8] = (bits[8] & 0x3f) | 0x80;
        let hex = hex(&bits);
        format!(
            "{}-{}-{}-{}-{}",
            &hex[..8],
            &hex[8..12],
            &hex[12..16],
            &hex[16..20],
            &hex[20..]
        )
    }

    /// `n` lower-case hexadecimal digits.
    pub fn hex(&self, n: usize) -> String {
        let mut text = hex(&self.bytes(n.div_ceil(2)));
        text.truncate(n);
        text
    }

    /// `n` letters and digits, the alphabet of DigitalOcean's keys and passwords.
    pub fn alphanumeric(&self, n: usize) -> String {
        const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
        self.bytes(n)
            .into_iter()
            .map(|b| char::from(ALPHABET[usize::from(b) % ALPHABET.len()]))
            .collect()
    }

    /// A number in `0..bound` (0 when `bound` is 0).
    pub fn below(&self, bound: u64) -> u64 {
        if bound == 0 { 0 } else { self.u64() % bound }
    }
}

/// A hexadecimal digit of a number below 16.
fn digit(value: u8) -> char {
    char::from_digit(u32::from(value), 16).unwrap_or('0')
}

fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            text.push(digit(byte >> 4));
            text.push(digit(byte & 15));
            text
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_stream() {
        let (a, b, c) = (Rng::seeded(7), Rng::seeded(7), Rng::seeded(8));
        assert_eq!(
            (a.uuid(), a.hex(5), a.alphanumeric(9)),
            (b.uuid(), b.hex(5), b.alphanumeric(9))
        );
        assert_ne!(Rng::seeded(7).u64(), c.u64());
    }

    #[test]
    fn shapes_are_right() {
        let rng = Rng::seeded(1);
        let uuid = rng.uuid();
        assert_eq!(uuid.len(), 36);
        assert_eq!(&uuid[14..15], "4");
        assert!(matches!(&uuid[19..20], "8" | "9" | "a" | "b"));
        assert_eq!(rng.hex(7).len(), 7);
        assert_eq!(rng.bytes(13).len(), 13);
        assert!(
            rng.alphanumeric(20)
                .chars()
                .all(|c| c.is_ascii_alphanumeric())
        );
        assert_eq!(rng.below(0), 0);
    }
}
