//! Frames: how records lie in a journal. `magic, length, crc32, payload`, where the checksum
//! covers length and payload and the magic's first byte never occurs in UTF-8, so that whole
//! frames can be found again behind damage.
//!
//! One frame is one `append`: a frame that is there is there entirely, and only the last one can
//! be the unfinished work of a process that died. Hence the rule by which damage is told from a
//! torn tail: a bad frame with a good one behind it was acknowledged once, so it is damage; a bad
//! frame with nothing good behind it is a tail.

use std::ops::Range;

const MAGIC: [u8; 4] = [0xF5, b'k', b'p', b'\n'];
/// Magic, length (`u32`, little-endian) and checksum (`u32`, little-endian).
pub(crate) const FRAME_HEAD: usize = 12;
/// Bytes one payload may have: far above any batch, far below what a damaged length could ask
/// the reader to believe.
pub(crate) const MAX_PAYLOAD: usize = 256 * 1024 * 1024;

/// What the end of a file looks like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Tail {
    /// The last frame ends where the file ends.
    Clean,
    /// Bytes from `at` on are not a frame, and no frame follows.
    Torn { at: usize },
    /// Bytes from `at` on are not a frame, but a good frame begins at `resume`.
    Damaged { at: usize, resume: usize },
}

/// The checksum of a payload.
fn checksum(length: [u8; 4], payload: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&length);
    hasher.update(payload);
    hasher.finalize()
}

/// A frame around `payload`; `None` when it is too large.
pub(crate) fn frame(payload: &[u8]) -> Option<Vec<u8>> {
    if payload.len() > MAX_PAYLOAD {
        return None;
    }
    let length = u32::try_from(payload.len()).ok()?.to_le_bytes();
    let mut bytes = Vec::with_capacity(FRAME_HEAD + payload.len());
    bytes.extend_from_slice(&MAGIC);
    bytes.extend_from_slice(&length);
    bytes.extend_from_slice(&checksum(length, payload).to_le_bytes());
    bytes.extend_from_slice(payload);
    Some(bytes)
}

/// The payload of the frame that begins at `at`, if one does.
fn frame_at(bytes: &[u8], at: usize) -> Option<Range<usize>> {
    let head = bytes.get(at..at + FRAME_HEAD)?;
    let (magic, rest) = head.split_first_chunk::<4>()?;
    let (length, rest) = rest.split_first_chunk::<4>()?;
    let (sum, _) = rest.split_first_chunk::<4>()?;
    if *magic != MAGIC {
        return None;
    }
    let size = usize::try_from(u32::from_le_bytes(*length)).ok()?;
    if size > MAX_PAYLOAD {
        return None;
    }
    let start = at + FRAME_HEAD;
    let payload = bytes.get(start..start + size)?;
    (checksum(*length, payload) == u32::from_le_bytes(*sum)).then_some(start..start + size)
}

/// The first good frame at or behind `from`.
fn next_frame(bytes: &[u8], from: usize) -> Option<usize> {
    let mut at = from;
    while let Some(found) = bytes.get(at..)?.iter().position(|byte| *byte == MAGIC[0]) {
        at += found;
        if frame_at(bytes, at).is_some() {
            return Some(at);
        }
        at += 1;
    }
    None
}

/// The payloads from `from` up to the first byte that is not part of a frame, and what is there.
pub(crate) fn scan(bytes: &[u8], from: usize) -> (Vec<Range<usize>>, Tail) {
    let mut at = from;
    let mut payloads = Vec::new();
    while at < bytes.len() {
        let Some(payload) = frame_at(bytes, at) else {
            let tail = match next_frame(bytes, at) {
                Some(resume) => Tail::Damaged { at, resume },
                None => Tail::Torn { at },
            };
            return (payloads, tail);
        };
        at = payload.end;
        payloads.push(payload);
    }
    (payloads, Tail::Clean)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn three() -> (Vec<u8>, [usize; 3]) {
        let frames = ["one", "", "three"].map(|text| frame(text.as_bytes()).unwrap());
        let ends = [
            frames[0].len(),
            frames[0].len() + frames[1].len(),
            frames.concat().len(),
        ];
        (frames.concat(), ends)
    }

    #[test]
    fn a_cut_anywhere_leaves_the_frames_before_it() {
        let (bytes, ends) = three();
        for length in 0..=bytes.len() {
            let (payloads, tail) = scan(&bytes[..length], 0);
            let whole = ends.iter().filter(|end| **end <= length).count();
            assert_eq!(payloads.len(), whole, "{length}");
            let at = if whole == 0 { 0 } else { ends[whole - 1] };
            let expected = if at == length {
                Tail::Clean
            } else {
                Tail::Torn { at }
            };
            assert_eq!(tail, expected, "{length}");
        }
    }

    #[test]
    fn a_flipped_bit_is_damage_unless_it_is_in_the_last_frame() {
        let (bytes, ends) = three();
        for index in 0..bytes.len() {
            for bit in 0..8 {
                let mut changed = bytes.clone();
                changed[index] ^= 1 << bit;
                let broken = ends.iter().filter(|end| **end <= index).count();
                let at = if broken == 0 { 0 } else { ends[broken - 1] };
                let (payloads, tail) = scan(&changed, 0);
                assert_eq!(payloads.len(), broken);
                let expected = if broken == 2 {
                    Tail::Torn { at }
                } else {
                    Tail::Damaged {
                        at,
                        resume: ends[broken],
                    }
                };
                assert_eq!(tail, expected, "byte {index} bit {bit}");
            }
        }
    }

    #[test]
    fn zeros_are_no_frames() {
        assert_eq!(scan(&[0; 64], 0), (vec![], Tail::Torn { at: 0 }));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let (payloads, _) = scan(&bytes, 0);
            prop_assert!(payloads.iter().all(|range| range.end <= bytes.len()));
        }
    }
}
