//! What happens in one simulation, all of it drawn from a seed: the versions of the file, what
//! goes wrong at which call and at which operation of the disk.

use crate::fate::WriteMishap;
use crate::file::File;
use crate::life::Command;
use crate::net::Mishap;
use kplan_sandbox::Rng;
use std::collections::BTreeMap;
use std::fmt;

/// One thing that goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Trouble {
    /// At the call of that number.
    Call(u64, Mishap),
    /// At the changing operation of that number where the state is.
    Write(u64, WriteMishap),
}

/// A schedule.
#[derive(Clone, Debug)]
pub struct Schedule {
    /// What it was drawn from; also seeds the cloud and every jitter.
    pub seed: u64,
    /// Items a page in the cloud's lists.
    pub per_page: u32,
    /// Each life's file and command. The last one is lived until it is through, in peace.
    pub lives: Vec<(String, Command)>,
    /// Whether there is a cluster on the droplets, with all that runs in it; else there are only
    /// DigitalOcean's resources, which takes a fraction of the time.
    pub platform: bool,
    /// Whether the state is in a bucket; else it is on the disk.
    pub shared: bool,
    /// Whether another operator tries the same command at the same time in each life.
    pub second: bool,
    /// What goes wrong.
    pub troubles: Vec<Trouble>,
}

impl Schedule {
    /// The schedule of a seed.
    pub fn of(seed: u64) -> Self {
        let dice = Rng::seeded(seed);
        let mut file = File::random(&dice);
        let mut lives = vec![(file.text(), Command::Apply)];
        for _ in 0..dice.below(4) {
            file = file.edited(&dice);
            lives.push((file.text(), Command::Apply));
        }
        if dice.below(4) == 0 {
            lives.push((file.text(), Command::Destroy));
        }
        let count = dice.below(7);
        let troubles = (0..count).map(|_| trouble(&dice)).collect();
        Self {
            seed,
            per_page: if dice.below(2) == 0 { 200 } else { 3 },
            platform: dice.below(4) == 0,
            shared: dice.below(3) == 0,
            second: dice.below(8) == 0,
            lives,
            troubles,
        }
    }

    /// What goes wrong on the wire.
    pub fn calls(&self) -> BTreeMap<u64, Mishap> {
        let calls = self.troubles.iter().filter_map(|trouble| match trouble {
            Trouble::Call(at, mishap) => Some((*at, *mishap)),
            Trouble::Write(..) => None,
        });
        calls.collect()
    }

    /// What goes wrong where the state is.
    pub fn writes(&self) -> BTreeMap<u64, WriteMishap> {
        let writes = self.troubles.iter().filter_map(|trouble| match trouble {
            Trouble::Write(at, mishap) => Some((*at, *mishap)),
            Trouble::Call(..) => None,
        });
        writes.collect()
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "seed {}: {} lives, {} items a page, {} operators, {}, the state {}",
            self.seed,
            self.lives.len(),
            self.per_page,
            if self.second { 2 } else { 1 },
            if self.platform {
                "a whole cluster"
            } else {
                "the cloud alone"
            },
            if self.shared {
                "in a bucket"
            } else {
                "on disk"
            },
        )?;
        for trouble in &self.troubles {
            writeln!(f, "  {trouble:?}")?;
        }
        Ok(())
    }
}

/// Early calls are as likely as all late ones together: a short run has few.
fn when(dice: &Rng, most: u64) -> u64 {
    let bound = most >> dice.below(4);
    dice.below(bound.max(1))
}

fn number(dice: &Rng, from: u16, to: u16) -> u16 {
    let span = u64::from(to - from) + 1;
    from + u16::try_from(dice.below(span)).unwrap_or(0)
}

fn trouble(dice: &Rng) -> Trouble {
    if dice.below(4) == 0 {
        let mishap = match dice.below(6) {
            0 => WriteMishap::Full,
            1 => WriteMishap::Fails,
            2 => WriteMishap::DieBefore,
            3 => WriteMishap::DieHalfway,
            _ => WriteMishap::DieAfter,
        };
        return Trouble::Write(when(dice, 400), mishap);
    }
    let mishap = match dice.below(22) {
        0 => Mishap::NoConnection,
        1 => Mishap::Reset,
        2..6 => Mishap::LostAnswer,
        6 => Mishap::SlowAnswer(number(dice, 1, 90)),
        7 => Mishap::Throttled(number(dice, 1, 30)),
        8 => Mishap::Status(500),
        9 => Mishap::Status(503),
        10 => Mishap::Stale(number(dice, 1, 8)),
        11 => Mishap::SlowActions(number(dice, 1, 120)),
        12 => Mishap::FailedAction,
        13 => Mishap::NeighbourComes,
        14 => Mishap::NeighbourGoes,
        15 => Mishap::DieBefore,
        16 | 17 => Mishap::DieAfter,
        18 => Mishap::DieInFlight(number(dice, 1, 5000)),
        _ => Mishap::DieLater(u32::try_from(when(dice, 400_000)).unwrap_or(0)),
    };
    Trouble::Call(when(dice, 1200), mishap)
}
