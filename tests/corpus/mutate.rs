//! Seeded mutations of bytes and of JSON, and the corpus beside this file, for the fuzz tests of
//! every crate: they include it by its path. `docs/internals/fuzzing.md` says how to run more.

use std::path::{Path, PathBuf};

/// `SplitMix64`: a failing mutation is found again from its number alone.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        let bound = u64::try_from(bound.max(1)).expect("bound");
        usize::try_from(self.next() % bound).expect("below a usize")
    }
}

/// How many mutations to try: `KPLAN_FUZZ`, else what an ordinary run has time for.
pub(crate) fn rounds(ordinary: u64) -> u64 {
    let said = std::env::var("KPLAN_FUZZ").ok();
    said.and_then(|text| text.parse().ok()).unwrap_or(ordinary)
}

/// The files of one target in the corpus, with their names, in order.
pub(crate) fn corpus(target: &str) -> Vec<(String, Vec<u8>)> {
    let mut folder = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    // The root's own tests are one folder nearer.
    if !folder.join("tests/corpus").is_dir() {
        folder.pop();
    }
    let folder = folder.join("tests/corpus").join(target);
    let mut files = Vec::new();
    read(&folder, &mut files);
    assert!(!files.is_empty(), "{} is empty", folder.display());
    files.sort();
    files
}

fn read(folder: &Path, files: &mut Vec<(String, Vec<u8>)>) {
    for entry in std::fs::read_dir(folder).expect("a folder of the corpus") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().expect("a name").to_string_lossy();
        files.push((name.into_owned(), std::fs::read(&path).expect("a file")));
    }
}

/// What breaks readers of text, whatever its language.
const PIECES: &[&str] = &[
    "[",
    "]",
    "{",
    "}",
    "\"",
    "'",
    "=",
    ":",
    ",",
    ".",
    "#",
    "<",
    ">",
    "&",
    "\n",
    "\r\n",
    "\r",
    "\0",
    "\u{feff}",
    "é",
    "🙂",
    "\u{202e}",
    "\\u0000",
    "\\ud800",
    "\\",
    "0x",
    "-",
    "- ",
    "1e999",
    "nan",
    "null",
    "true",
    "-9223372036854775808",
    "18446744073709551616",
    "1e-400",
    "0.1",
    "*a",
    "&a ",
    "!!binary ",
    "---\n",
    "<![CDATA[",
    "&#0;",
    "&lt;",
    "%00",
    "[[[[[[[[[[[[[[[[",
];

/// A few mutations of `base`: bits flipped, bytes dropped, copied, moved, cut, taken from `other`,
/// or put in from `pieces` and what breaks every reader.
pub(crate) fn mutate(random: &mut Random, base: &[u8], other: &[u8], pieces: &[&str]) -> Vec<u8> {
    let mut bytes = base.to_vec();
    for _ in 0..=random.below(4) {
        let at = random.below(bytes.len() + 1);
        let end = (at + random.below(24)).min(bytes.len());
        match random.below(8) {
            0 => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 1 << random.below(8);
                }
            }
            1 => drop(bytes.drain(at..end)),
            2 | 3 => {
                let choice = random.below(PIECES.len() + pieces.len());
                let piece = PIECES.iter().chain(pieces).nth(choice).unwrap_or(&"");
                bytes.splice(at..at, piece.bytes());
            }
            4 => {
                let lines: Vec<&[u8]> = base.split(|byte| *byte == b'\n').collect();
                let line = lines[random.below(lines.len())];
                bytes.splice(at..at, [b"\n", line, b"\n"].concat());
            }
            5 => bytes.truncate(at),
            6 => {
                let from = random.below(other.len());
                let to = (from + random.below(64)).min(other.len());
                bytes.splice(at..end, other[from..to].iter().copied());
            }
            _ => {
                let copy = bytes[at..end].to_vec();
                bytes.splice(at..at, copy);
            }
        }
    }
    bytes
}
