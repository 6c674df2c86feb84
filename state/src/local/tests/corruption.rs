//! A thousand random corruptions of a state's folder: each is repaired or refused with a named
//! error; nobody reads a state that never was, an older one, or none.
//!
//! `KPLAN_CORRUPTIONS=20000` runs more, `KPLAN_SEED=7` begins with that seed. A failure prints the
//! seed and what was damaged.

use super::{Place, append_all, warnings};
use crate::local::repair;
use crate::notice::Notice;
use crate::testing::{run, started, succeeded};
use crate::{Identity, LocalReader, bind_file, bound_cluster, code};
use kplan_model::{Journal as _, Snapshot, StoreError, Timestamp};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

/// How many corruptions an ordinary run makes.
const CASES: u64 = 1_000;

/// xorshift64*: the same numbers for the same seed, everywhere.
struct Dice(u64);

impl Dice {
    fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15).wrapping_add(1))
    }

    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let drawn = self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 16;
        usize::try_from(drawn).unwrap() % limit.max(1)
    }
}

/// A folder as it was at some moment, and the state that was acknowledged then.
struct Shape {
    name: &'static str,
    files: BTreeMap<PathBuf, Vec<u8>>,
    truth: Snapshot,
    /// What it was after each earlier record of its journal.
    earlier: Vec<Snapshot>,
    history: BTreeMap<u64, Snapshot>,
    identity: Identity,
}

fn shape(name: &'static str, make: impl FnOnce(&Place)) -> Shape {
    let place = Place::new();
    make(&place);
    bind_file(place.path.parent().unwrap(), "cluster.toml", "demo").unwrap();
    let root = place.path.parent().unwrap().to_path_buf();
    let mut files = BTreeMap::new();
    super::collect(&root, &mut files);
    let relative = |path: PathBuf| path.strip_prefix(&root).unwrap().to_path_buf();
    let reader = place.reader();
    let entries = reader.history().unwrap();
    let history = entries
        .iter()
        .map(|entry| (entry.serial, reader.at(entry.serial).unwrap()));
    let history = history.collect();
    let truth = place.state();
    let journal = place.bytes("journal");
    place.mark_at(0);
    let (frames, _) = crate::local::frame::scan(&journal, 0);
    let earlier = frames.iter().map(|frame| {
        place.put("journal", &journal[..frame.end]);
        place.read_once().unwrap().0.unwrap()
    });
    Shape {
        name,
        truth,
        earlier: earlier.collect(),
        history,
        files: files
            .into_iter()
            .map(|(path, bytes)| (relative(path), bytes))
            .collect(),
        identity: place.identity.clone(),
    }
}

fn applied(place: &Place, names: &[&str]) {
    let mut writer = place.writer();
    append_all(&mut writer, &run(names)).unwrap();
    writer.close("kplan apply", Timestamp(0)).unwrap();
}

fn shapes() -> Vec<Shape> {
    vec![
        shape("after a run", |place| {
            applied(place, &["a", "b"]);
            applied(place, &["c"]);
        }),
        shape("in the middle of a run", |place| {
            applied(place, &["a", "b"]);
            applied(place, &["c"]);
            let mut writer = place.writer();
            append_all(&mut writer, &run(&["d", "e", "f", "g", "h"])).unwrap();
        }),
        shape("in doubt", |place| {
            applied(place, &["a"]);
            let mut writer = place.writer();
            writer.append(&[started("x")]).unwrap();
            writer.append(&[started("y")]).unwrap();
        }),
        shape("in the middle of the first run", |place| {
            let mut writer = place.writer();
            append_all(&mut writer, &run(&["a"])[..3]).unwrap();
        }),
        shape("after recipients changed", |place| {
            applied(place, &["a", "b"]);
            let mut writer = place.writer();
            let other = Identity::generate().recipients().remove(0);
            writer.add_recipient(&other).unwrap();
            writer.append(&[succeeded("c", "1")]).unwrap();
            writer
                .remove_recipient(&other, &place.identity.recipients())
                .unwrap();
            writer.append(&[succeeded("d", "1")]).unwrap();
        }),
    ]
}

/// Damages one or two files; says what it did.
fn damage(root: &Path, shape: &Shape, dice: &mut Dice) -> Vec<String> {
    // What a state is read from is hit more often than the many other files.
    let (store, other): (Vec<&PathBuf>, Vec<&PathBuf>) = shape
        .files
        .keys()
        .partition(|path| path.starts_with("demo/store"));
    let read: Vec<&PathBuf> = ["snapshot", "snapshot.1", "journal", "journal.1", "mark"]
        .iter()
        .filter_map(|name| other.iter().find(|path| path.ends_with(name)).copied())
        .collect();
    let count = 1 + dice.below(2);
    (0..count)
        .map(|_| {
            let from = match dice.below(8) {
                0 => &store,
                1 | 2 => &other,
                _ => &read,
            };
            let path = from[dice.below(from.len())];
            let second = other[dice.below(other.len())];
            damage_one(root, (path, second), dice)
        })
        .collect()
}

fn damage_one(root: &Path, (path, second): (&PathBuf, &PathBuf), dice: &mut Dice) -> String {
    let file = root.join(path);
    let Ok(mut bytes) = fs::read(&file) else {
        return format!("{} was gone", path.display());
    };
    let length = bytes.len();
    let at = dice.below(length);
    let what = match dice.below(8) {
        0 => {
            bytes.truncate(at);
            format!("cut at {at}")
        }
        1 => {
            let flips = 1 + dice.below(3);
            let mut said = "bits flipped at".to_owned();
            for _ in 0..flips.min(length) {
                let (at, bit) = (dice.below(length), dice.below(8));
                bytes[at] ^= 1 << bit;
                write!(said, " {at}.{bit}").unwrap();
            }
            said
        }
        2 => {
            let end = length.min(at + 1 + dice.below(600));
            bytes[at..end].fill(0);
            format!("zeros from {at} to {end}")
        }
        3 => {
            fs::remove_file(&file).unwrap();
            return format!("{} removed", path.display());
        }
        4 => {
            let tail = bytes[at..].to_vec();
            bytes.extend(tail);
            format!("tail from {at} doubled")
        }
        5 => {
            let other = root.join(second);
            let theirs = fs::read(&other).unwrap_or_default();
            fs::write(&other, &bytes).unwrap();
            bytes = theirs;
            format!("swapped with {}", second.display())
        }
        6 => {
            // A cut between two records is the one that a journal alone cannot tell.
            let (frames, _) = crate::local::frame::scan(&bytes, 0);
            let end = frames.get(dice.below(frames.len())).map_or(at, |f| f.end);
            bytes.truncate(end);
            format!("cut between records at {end}")
        }
        _ => {
            bytes.clear();
            "emptied".to_owned()
        }
    };
    fs::write(&file, bytes).unwrap();
    format!("{}: {what}", path.display())
}

#[derive(Default, Debug)]
struct Tally {
    same: usize,
    told: usize,
    refused: usize,
    written: usize,
    repaired: usize,
}

struct Case<'a> {
    shape: &'a Shape,
    place: &'a Place,
    what: String,
}

impl Case<'_> {
    fn named(&self, error: &StoreError) {
        let known = [
            code::DAMAGED,
            code::MISSING,
            code::OTHER_LINEAGE,
            code::NEWER_FORMAT,
            code::WRONG_KEY,
        ];
        assert!(known.contains(&error.code), "{}: {error:?}", self.what);
    }

    /// What was found is what was acknowledged. Where the mark is gone too, and that was said, it
    /// may have been so earlier.
    fn truth(&self, found: Option<&Snapshot>, notices: &[Notice]) {
        let earlier = |found| self.shape.earlier.contains(found);
        if warnings(notices).contains(&code::UNMARKED) && found.is_some_and(earlier) {
            return;
        }
        assert!(
            found == Some(&self.shape.truth),
            "{}: serial {:?} was read for serial {}",
            self.what,
            found.map(|found| found.serial),
            self.shape.truth.serial
        );
    }

    /// Reads; gives whether that was possible.
    fn read(&self, tally: &mut Tally) -> bool {
        match self.place.read_once() {
            Ok((found, notices)) => {
                self.truth(found.as_ref(), &notices);
                tally.same += 1;
                tally.told += usize::from(!warnings(&notices).is_empty());
                true
            }
            Err(error) => {
                self.named(&error);
                assert!(error.help.is_some(), "{}: {error}", self.what);
                tally.refused += 1;
                false
            }
        }
    }

    /// Each entry of the history is what it was, or an error.
    fn history(&self, reader: &LocalReader) {
        for (serial, then) in &self.shape.history {
            match reader.at(*serial) {
                Ok(found) => assert!(found == *then, "{}: entry {serial}", self.what),
                Err(error) => self.named(&error),
            }
        }
        drop(reader.verify().map_err(|error| self.named(&error)));
    }

    /// A writer continues exactly the state, and what it writes is read.
    fn write(&self) {
        let mut writer = match self.place.try_writer() {
            Ok(writer) => writer,
            // The store is one more witness, which readers do not have.
            Err(error) => return self.named(&error),
        };
        let notices = writer.take_notices();
        self.truth(Some(writer.snapshot()), &notices);
        writer.append(&[succeeded("later", "9")]).unwrap();
        let live = writer.snapshot().clone();
        writer.close("kplan apply", Timestamp(1)).unwrap();
        let found = self.place.read();
        let (found, notices) = found.unwrap_or_else(|error| panic!("{}: {error}", self.what));
        assert!(found.as_ref() == Some(&live), "{}", self.what);
        assert!(notices.is_empty(), "{}: {notices:?}", self.what);
    }

    /// A repair ends with a state that can be read and written, or with a named error; what it
    /// leaves out it says.
    fn repair(&self, tally: &mut Tally) {
        let identity = Some(&self.place.identity);
        match repair(&self.place.path, "demo", identity, &Place::options()) {
            Err(error) => self.named(&error),
            Ok(notices) => {
                let again = |error| panic!("{}: after a repair: {error}", self.what);
                let (found, _) = self.place.read().unwrap_or_else(again);
                let found = found.unwrap();
                let said = !warnings(&notices).is_empty();
                assert!(found == self.shape.truth || said, "{}", self.what);
                let again = |error| panic!("{}: after a repair: {error}", self.what);
                let writer = self.place.try_writer().unwrap_or_else(again);
                assert!(*writer.snapshot() == found, "{}", self.what);
                tally.repaired += 1;
            }
        }
    }
}

fn number(variable: &str, otherwise: u64) -> u64 {
    let said = std::env::var(variable).ok();
    said.and_then(|said| said.parse().ok()).unwrap_or(otherwise)
}

#[test]
fn a_thousand_random_corruptions_are_repaired_or_refused() {
    let shapes = shapes();
    let mut tally = Tally::default();
    let first = number("KPLAN_SEED", 1);
    let cases = number("KPLAN_CORRUPTIONS", CASES);
    for seed in first..first + cases {
        let mut dice = Dice::new(seed);
        let shape = &shapes[dice.below(shapes.len())];
        let mut place = Place::new();
        place.identity = shape.identity.clone();
        let root = place.path.parent().unwrap();
        for (path, bytes) in &shape.files {
            let file = root.join(path);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, bytes).unwrap();
        }
        let what = damage(root, shape, &mut dice).join(", ");
        let case = Case {
            shape,
            place: &place,
            what: format!("KPLAN_SEED={seed}, {}: {what}", shape.name),
        };
        // A guard and no record: at worst it refuses, or does not refuse, a renamed file.
        drop(bound_cluster(root, "cluster.toml").map_err(|error| case.named(&error)));
        if case.read(&mut tally) {
            // Sealing and opening takes most of the time: every third is enough for these.
            if dice.below(3) == 0 {
                case.history(&place.reader());
                case.write();
                tally.written += 1;
            }
        } else {
            case.repair(&mut tally);
        }
    }
    println!("seeds {first} to {}: {tally:?}", first + cases - 1);
    assert!(cases < CASES || tally.refused > 100 && tally.same > 100);
}
