//! Random plans, of everything a plan may hold and with values nobody would write, for tests of
//! everything that shows one.

use kplan_model::{
    Action, Address, Base, Declarations, Disruption, Drift, FieldChange, Kind, Meta, Object,
    Origin, Owner, Plan, PlanMode, Reason, Recorded, RemoteId, Secret, Snapshot, Status, Step,
    StepId, Text, Timestamp, Value,
};
use std::collections::BTreeSet;
use std::sync::LazyLock;

/// What no plan may ever show.
pub(crate) const HIDDEN: &str = "hunter2-canary";

/// A plan with the state it was made from.
#[derive(Clone, Debug)]
pub(crate) struct Made {
    pub(crate) plan: Plan,
    pub(crate) snapshot: Snapshot,
}

impl Made {
    /// How it reads.
    pub(crate) fn review(&self) -> super::Review {
        static KINDS: LazyLock<super::Kinds> = LazyLock::new(crate::wire::kinds);
        super::Review::of(&self.plan, &self.snapshot, &Declarations::default(), &KINDS)
    }
}

/// A source of choices, the same for the same seed: ten times as fast as strategies that could
/// shrink, and a seed is as good to look at.
struct Dice(u64);

impl Dice {
    /// A number below `limit`, which is not 0 (splitmix64).
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let limit = u64::try_from(limit).unwrap();
        usize::try_from((mixed ^ (mixed >> 31)) % limit).unwrap()
    }

    fn flag(&mut self) -> bool {
        self.below(2) == 0
    }

    /// Text that would do harm where it is not written as what it is.
    fn nasty(&mut self) -> String {
        const ODD: [&str; 9] = [
            "plain",
            "```\n</details>\n<!-- kplan -->\n# title\n",
            "`````` `a` ``b``",
            "<script>alert(1)</script> & <b>",
            "| a | b |\n|---|---|\n",
            "@everyone #1 [x](javascript:y) ![i](http://x) **b** _i_ ~~s~~",
            "\u{1b}[2J\r\u{0}tab\tend",
            "> [!CAUTION]\n> - nothing is destroyed\n\n---\n",
            "\u{202e}\u{feff}ünï \u{1f600}",
        ];
        match self.below(13) {
            at if at < ODD.len() => ODD[at].to_owned(),
            9 => {
                let printable = (0..self.below(40))
                    .map(|_| char::from(32 + u8::try_from(self.below(95)).unwrap()));
                printable.collect()
            }
            10 => "a line of text\n".repeat(self.below(30)),
            11 => "x".repeat(200 + self.below(2_800)),
            _ => format!(
                "{}{}",
                ODD[self.below(ODD.len())],
                ODD[self.below(ODD.len())]
            ),
        }
    }

    fn value(&mut self, depth: usize) -> Value {
        match self.below(if depth == 0 { 8 } else { 10 }) {
            0 => Value::Null,
            1 => Value::Bool(self.flag()),
            2 => Value::Int(i64::try_from(self.below(1_000)).unwrap() - 500),
            3 => Value::Secret(Secret::new(HIDDEN)),
            4 => Value::Unknown,
            5..=7 => Value::str(self.nasty()),
            8 => {
                let items: Vec<Value> = (0..self.below(4)).map(|_| self.value(depth - 1)).collect();
                Value::list(items)
            }
            _ => Value::Map(self.object(depth - 1)),
        }
    }

    fn name(&mut self) -> String {
        let letters =
            (0..=self.below(6)).map(|_| char::from(b'a' + u8::try_from(self.below(6)).unwrap()));
        letters.collect()
    }

    fn object(&mut self, depth: usize) -> Object {
        let named = (0..self.below(5)).map(|_| (Text::from(self.name()), self.value(depth)));
        named.collect()
    }

    fn changes(&mut self) -> Vec<FieldChange> {
        let one = |dice: &mut Self| FieldChange {
            field: dice.name(),
            before: dice.value(2),
            after: dice.value(2),
            forces_replacement: dice.flag(),
            disruption: match dice.below(3) {
                0 => Disruption::None,
                1 => Disruption::Restart,
                _ => Disruption::PowerOff,
            },
        };
        (0..=self.below(3)).map(|_| one(self)).collect()
    }

    fn piece(&mut self) -> Piece {
        Piece {
            what: self.below(7),
            args: self.object(2),
            before: self.object(1),
            changes: self.changes(),
            loses: self.flag().then(|| self.nasty()),
            why: self.nasty(),
            indexed: self.flag(),
        }
    }
}

/// One resource of a plan.
struct Piece {
    what: usize,
    args: Object,
    before: Object,
    changes: Vec<FieldChange>,
    loses: Option<String>,
    why: String,
    indexed: bool,
}

const KINDS: [&str; 4] = ["droplet", "volume", "vpc", "unheard_of"];

/// A random plan of `least` resources, and up to `more` others.
pub(crate) fn plan(seed: u64, least: usize, more: usize) -> Made {
    let mut dice = Dice(seed);
    let mut steps = Vec::new();
    for at in 0..least + dice.below(more + 1) {
        let piece = dice.piece();
        add(&mut steps, at, piece);
    }
    let owner = Owner {
        cluster: "demo".to_owned(),
        suffix: "00000000".to_owned(),
    };
    let drift = (0..dice.below(3)).map(|at| Drift {
        address: address(at, false),
        fields: dice
            .object(1)
            .iter()
            .map(|(name, value)| (name.to_string(), Value::Null, value.clone()))
            .collect(),
        vanished: dice.flag(),
    });
    let drift = drift.collect();
    let plan = Plan {
        owner: owner.clone(),
        mode: match dice.below(3) {
            0 => PlanMode::Destroy,
            1 => PlanMode::RefreshOnly,
            _ => PlanMode::Apply,
        },
        base: Base {
            lineage: "lineage".to_owned(),
            serial: 1,
        },
        steps,
        moved: Vec::new(),
        imported: Vec::new(),
        refreshed: Vec::new(),
        vanished: Vec::new(),
        drift,
        outputs: Object::new(),
    };
    Made {
        plan,
        snapshot: Snapshot::empty("lineage".to_owned(), owner),
    }
}

fn address(at: usize, indexed: bool) -> Address {
    let kind = Kind::from(Text::from(KINDS[at % KINDS.len()]));
    if indexed {
        Address::indexed(kind, "pool", u32::try_from(at).unwrap())
    } else {
        Address::new(kind, format!("one-{at}"))
    }
}

fn add(steps: &mut Vec<Step>, at: usize, piece: Piece) {
    let address = address(at, piece.indexed);
    let number =
        |steps: &Vec<Step>, more: usize| StepId(u32::try_from(steps.len() + more).unwrap());
    let record = Recorded {
        address: address.clone(),
        id: RemoteId::new(format!("id-{at}")),
        args: piece.before.clone(),
        attrs: Object::new(),
        meta: Meta::default(),
        depends_on: Vec::new(),
        status: Status::Ready,
        created_at: Timestamp(0),
        operations: BTreeSet::new(),
        version: 1,
    };
    let step = |id: StepId, action: Action| Step {
        id,
        address: address.clone(),
        action,
        before: (action != Action::Create).then(|| record.clone()),
        args: (action != Action::Delete).then(|| piece.args.clone()),
        meta: Meta::default(),
        depends_on: Vec::new(),
        changes: Vec::new(),
        reason: Reason::Failed(piece.why.clone()),
        requires: (0..id.0).rev().step_by(3).take(9).map(StepId).collect(),
        pair: None,
        goes_with: None,
        loses: None,
        operation: None,
        origin: Origin::Default,
    };
    let first = number(steps, 0);
    match piece.what {
        0 | 1 => steps.push(step(first, Action::Create)),
        2 => steps.push(Step {
            changes: piece.changes.clone(),
            ..step(first, Action::Update)
        }),
        3 => steps.push(Step {
            loses: piece.loses.clone(),
            ..step(first, Action::Delete)
        }),
        4 => steps.push(step(first, Action::Forget)),
        5 => steps.push(Step {
            reason: Reason::Unfinished,
            ..step(first, Action::Update)
        }),
        _ => {
            let second = number(steps, 1);
            steps.push(Step {
                pair: Some(second),
                loses: piece.loses.clone(),
                ..step(first, Action::Delete)
            });
            steps.push(Step {
                pair: Some(first),
                changes: piece.changes.clone(),
                ..step(second, Action::Create)
            });
        }
    }
}
