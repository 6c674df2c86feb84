//! Property tests: random graphs of resources, random edits, random faults, death at any journal
//! entry. Whatever happens, the next applies converge: cloud and state agree, nothing exists
//! twice, nothing is lost, and there is nothing left to plan.

mod groups;

use crate::PlanOptions;
use crate::event::Event;
use crate::testing::{
    Build as _, Call, Cloud, Dying, Fault, Lab, Life, Verb, decl, declare, int, plan_text,
    reference, string,
};
use kplan_model::{Action, Declaration, Declarations, ErrorKind, Plan, PlanMode};
use proptest::prelude::*;
use std::time::Duration;

const KINDS: [&str; 9] = [
    "net", "net", "vm", "vm", "lb", "box", "app", "cell", "agent",
];

/// What one version of the file says about one resource.
#[derive(Clone, Debug)]
struct Node {
    /// Whether it is in the file.
    present: bool,
    /// Resources refer to those of smaller rank only.
    rank: u8,
    /// Chooses what it refers to and its values.
    seed: u64,
}

fn node() -> impl Strategy<Value = Node> {
    (prop::bool::weighted(0.85), any::<u8>(), any::<u64>()).prop_map(|(present, rank, seed)| Node {
        present,
        rank,
        seed,
    })
}

/// A resource's kind, and what two versions of the file say about it.
type Pair = (usize, Node, Node);

fn pairs() -> impl Strategy<Value = Vec<Pair>> {
    let pair =
        (0..KINDS.len(), node(), node(), any::<bool>()).prop_map(|(kind, old, new, same)| {
            let kept = if same { old.clone() } else { new };
            (kind, old, kept)
        });
    prop::collection::vec(pair, 1..14)
}

fn name(kind: usize, place: usize) -> String {
    format!("{}.r[{place}]", KINDS[kind])
}

/// One version of the file.
fn declarations(nodes: &[(usize, &Node)]) -> Declarations {
    let mut order: Vec<usize> = (0..nodes.len()).filter(|at| nodes[*at].1.present).collect();
    order.sort_by_key(|at| (nodes[*at].1.rank, *at));
    let mut done: Vec<usize> = Vec::new();
    let mut resources = Vec::new();
    for at in order {
        let before = |kinds: &[&str]| -> Vec<String> {
            let fitting = done
                .iter()
                .filter(|at| kinds.contains(&KINDS[nodes[**at].0]));
            fitting.map(|at| name(nodes[*at].0, *at)).collect()
        };
        let all = before(&["net", "vm", "lb", "box", "cell", "agent"]);
        let declaration = resource(
            nodes[at],
            &name(nodes[at].0, at),
            (
                &before(&["net"]),
                &all,
                &before(&["box", "cell"]),
                &before(&["vm"]),
            ),
        );
        resources.push(declaration);
        done.push(at);
    }
    declare(resources)
}

fn pick(from: &[String], seed: u64) -> Option<&String> {
    // One in three refers to nothing.
    let choice = usize::try_from(seed % 251).ok()?;
    if choice % 3 == 0 {
        None
    } else {
        from.get(choice % from.len().max(1))
    }
}

fn resource(
    (kind, node): (usize, &Node),
    address: &str,
    (nets, all, containers, machines): (&[String], &[String], &[String], &[String]),
) -> Declaration {
    let seed = node.seed;
    let mut made = decl(address).with("name", string(address));
    let kind = KINDS[kind];
    if kind == "app" {
        if let Some(container) = pick(containers, seed >> 8) {
            made = made
                .with("endpoint", reference(container, "endpoint"))
                .inside(container);
        }
        if let Some(used) = pick(all, seed >> 16) {
            made = made.with("uses", reference(used, "id"));
        }
        return made.with("manifest", int(i64::from((seed & 1) as u8)));
    }
    if kind == "agent" {
        if let Some(machine) = pick(machines, seed >> 8) {
            made = made.with("host", reference(machine, "id"));
        }
        if let Some(other) = pick(all, seed >> 16) {
            made = made.with("join", reference(other, "urn"));
        }
        return made.group("vms", 0, 1);
    }
    if kind == "net" {
        made = made.with("range", string(&format!("10.{}.0.0/16", seed % 3)));
    } else if let Some(net) = pick(nets, seed >> 24) {
        made = made.with("net", reference(net, "id"));
    }
    if let Some(other) = pick(all, seed >> 32) {
        made = match kind {
            "vm" if seed % 5 == 0 => made.with("image", reference(other, "urn")),
            "net" | "vm" | "lb" => made.with("note", reference(other, "urn")),
            _ => made.after(other),
        };
    }
    if kind == "vm" {
        made = made
            .with("size", int(i64::from((seed % 2) as u8)))
            .group("vms", 0, 1);
    }
    made
}

fn versions(pairs: &[Pair]) -> (Declarations, Declarations) {
    let old: Vec<(usize, &Node)> = pairs.iter().map(|(kind, old, _)| (*kind, old)).collect();
    let new: Vec<(usize, &Node)> = pairs.iter().map(|(kind, _, new)| (*kind, new)).collect();
    (declarations(&old), declarations(&new))
}

fn apply_options() -> PlanOptions {
    PlanOptions::new(PlanMode::Apply)
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap()
        .block_on(future)
}

/// Applies in peace: everything is done, in an order that no remote side objects to.
async fn peaceful(lab: &mut Lab, declarations: &Declarations, options: &PlanOptions) {
    let life = lab.run(declarations, options).await;
    assert!(life.is_complete(), "{life:#?}");
    let put_off = lab
        .events
        .iter()
        .find(|event| matches!(event, Event::PutOff { .. }));
    assert_eq!(put_off, None);
    assert_eq!(lab.disagreements(), Vec::<String>::new());
}

async fn plan(lab: &Lab, declarations: &Declarations, options: &PlanOptions) -> Plan {
    lab.plan(declarations, options).await.unwrap().plan
}

async fn nothing_left(lab: &Lab, declarations: &Declarations) {
    let left = plan(lab, declarations, &apply_options()).await;
    assert_eq!(plan_text(&left), "");
}

/// Goes wrong now and then, in every way, by a seed.
fn faults(seed: u64, one_in: u64) -> impl FnMut(&Call) -> Option<Fault> {
    let mut state = seed | 1;
    move |call| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let roll = state >> 33;
        if !roll.is_multiple_of(one_in) {
            return None;
        }
        let mutates = !matches!(call.verb, Verb::Read | Verb::List | Verb::Find);
        match roll / one_in % 6 {
            0 if call.verb == Verb::Create => Some(Fault::CutOff("name", string(""))),
            0 | 1 if mutates => Some(Fault::LoseAnswer),
            2 if call.verb == Verb::Create => Some(Fault::HalfMade),
            3 => Some(Fault::Throttle(3)),
            4 => Some(Fault::Refuse(ErrorKind::Transient)),
            _ if mutates => Some(Fault::Refuse(ErrorKind::OutcomeUnknown)),
            _ => Some(Fault::Refuse(ErrorKind::Transient)),
        }
    }
}

fn cloud() -> Cloud {
    Cloud::new()
        .boots("vm", 45)
        .boots("lb", 20)
        .boots("cell", 15)
        .reboots(30)
        .vanishes(Duration::from_secs(3))
        .lags(Duration::from_millis(500))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_edits_converge_in_an_order_nobody_objects_to(pairs in pairs()) {
        let (old, new) = versions(&pairs);
        block_on(async {
            let mut lab = Lab::new(cloud());
            peaceful(&mut lab, &old, &apply_options()).await;
            nothing_left(&lab, &old).await;
            peaceful(&mut lab, &new, &apply_options()).await;
            nothing_left(&lab, &new).await;
        });
    }

    #[test]
    fn the_order_of_the_file_does_not_matter(pairs in pairs(), turn in 0..14_usize) {
        let (old, new) = versions(&pairs);
        block_on(async {
            let mut lab = Lab::new(cloud());
            peaceful(&mut lab, &old, &apply_options()).await;
            let mut turned = new.clone();
            turned.resources.reverse();
            let by = turn % turned.resources.len().max(1);
            turned.resources.rotate_left(by);
            let one = plan(&lab, &new, &apply_options()).await;
            let other = plan(&lab, &turned, &apply_options()).await;
            assert_eq!(one, other);
        });
    }

    #[test]
    fn destroy_leaves_nothing_and_runs_in_reverse(pairs in pairs()) {
        let (old, _) = versions(&pairs);
        block_on(async {
            let mut lab = Lab::new(cloud());
            peaceful(&mut lab, &old, &apply_options()).await;
            let destroy = PlanOptions::new(PlanMode::Destroy);
            let plan = plan(&lab, &declare([]), &destroy).await;
            let place = |address: &_| plan.steps.iter().position(|step| step.address == *address);
            for step in plan.steps.iter().filter(|step| step.goes_with.is_none()) {
                assert_eq!(step.action, Action::Delete);
                for need in &step.depends_on {
                    assert!(place(need) > place(&step.address), "{}", plan_text(&plan));
                }
            }
            peaceful(&mut lab, &declare([]), &destroy).await;
            assert_eq!(lab.cloud.living(), []);
            assert!(lab.state().resources.is_empty() && lab.state().deposed.is_empty());
        });
    }

    #[test]
    fn death_at_any_entry_and_faults_at_any_call_lose_and_double_nothing(
        pairs in pairs(),
        deaths in prop::collection::vec((1..40_usize, any::<bool>()), 0..5),
        seed in any::<u64>(),
        one_in in prop::sample::select(vec![4_u64, 10, 1_000_000]),
    ) {
        let (old, new) = versions(&pairs);
        block_on(async {
            let mut lab = Lab::new(cloud());
            lab.cloud.script(faults(seed, one_in));
            for (turn, (at, before)) in deaths.into_iter().enumerate() {
                let dying = if before { Dying::Before(at) } else { Dying::After(at) };
                let wanted = if turn % 3 == 2 { &old } else { &new };
                let wanted = if turn == 0 { &old } else { wanted };
                lab.live(wanted, &apply_options(), Some(dying)).await;
            }
            lab.cloud.heal();
            // What a fault left tainted or failed is put right by the next applies.
            let mut life = Life::Died;
            for _ in 0..3 {
                life = lab.apply(&new).await;
                if life.is_complete() {
                    break;
                }
            }
            assert!(life.is_complete(), "{life:#?}");
            assert_eq!(lab.disagreements(), Vec::<String>::new());
            nothing_left(&lab, &new).await;
        });
    }

    #[test]
    fn a_kill_at_any_moment_is_made_good_by_the_next_apply_and_by_destroy(
        pairs in pairs(),
        kills in prop::collection::vec(10..120_000_u64, 1..4),
        destroys in any::<bool>(),
    ) {
        let (old, new) = versions(&pairs);
        block_on(async {
            let mut lab = Lab::new(cloud());
            for (turn, moment) in kills.into_iter().enumerate() {
                let wanted = if turn % 2 == 0 { &old } else { &new };
                let moment = Duration::from_millis(moment);
                drop(tokio::time::timeout(moment, lab.apply(wanted)).await);
            }
            let (wanted, options) = if destroys {
                (declare([]), PlanOptions::new(PlanMode::Destroy))
            } else {
                (new, apply_options())
            };
            let life = lab.run(&wanted, &options).await;
            assert!(life.is_complete(), "{life:#?}");
            assert_eq!(lab.disagreements(), Vec::<String>::new());
            nothing_left(&lab, &wanted).await;
        });
    }

    /// Records are written one by one, so a run that is cut off leaves some of the old file and
    /// some of the new one. Whichever they are, there is a plan.
    #[test]
    fn records_of_two_files_never_stand_in_the_way_of_a_plan(
        pairs in pairs(),
        mixed in prop::collection::vec(any::<bool>(), 14),
    ) {
        let (old, new) = versions(&pairs);
        block_on(async {
            let mut lab = Lab::new(cloud());
            peaceful(&mut lab, &old, &apply_options()).await;
            for (declaration, taken) in new.resources.iter().zip(mixed) {
                let records = &mut lab.journal.durable.resources;
                if let Some(record) = records.get_mut(&declaration.address).filter(|_| taken) {
                    record.depends_on.extend(crate::graph::depends_on(declaration));
                    record.depends_on.sort();
                    record.depends_on.dedup();
                }
            }
            plan(&lab, &new, &apply_options()).await;
            plan(&lab, &old, &apply_options()).await;
            plan(&lab, &declare([]), &PlanOptions::new(PlanMode::Destroy)).await;
        });
    }

    #[test]
    fn a_cut_off_between_two_files_keeps_nobody_from_destroying_or_going_on(
        pairs in pairs(),
        deaths in prop::collection::vec((1..30_usize, any::<bool>()), 1..4),
        destroys in any::<bool>(),
    ) {
        let (old, new) = versions(&pairs);
        block_on(async {
            let mut lab = Lab::new(cloud());
            peaceful(&mut lab, &old, &apply_options()).await;
            for (turn, (at, before)) in deaths.into_iter().enumerate() {
                let dying = if before { Dying::Before(at) } else { Dying::After(at) };
                let wanted = if turn % 2 == 0 { &new } else { &old };
                lab.live(wanted, &apply_options(), Some(dying)).await;
            }
            let (wanted, options) = if destroys {
                (declare([]), PlanOptions::new(PlanMode::Destroy))
            } else {
                (new, apply_options())
            };
            let life = lab.run(&wanted, &options).await;
            assert!(life.is_complete(), "{life:#?}");
            assert_eq!(lab.disagreements(), Vec::<String>::new());
            nothing_left(&lab, &wanted).await;
        });
    }
}

/// Once found by the property above: a `cell` is replaced create-first, its new half is lost before
/// the old one was destroyed, and an `app` stands in the old one. It is not gone with the new half.
#[test]
fn what_stands_in_an_old_half_is_not_gone_with_the_new_one() {
    let there = |rank, seed| Node {
        present: true,
        rank,
        seed,
    };
    let none = Node {
        present: false,
        ..there(0, 0)
    };
    let pairs = [
        (6, none, there(54, 2_755_477_624_584_477_184)),
        (2, there(173, 2_068_842_835_464_945_664), there(54, 0)),
        (7, there(73, 349_890_049_803_812_864), there(0, 0)),
        (
            0,
            there(0, 429_424_451_003_960_436),
            there(0, 77_599_249_960_648_450),
        ),
    ];
    let (old, new) = versions(&pairs);
    for flags in 0..8_u8 {
        block_on(async {
            let mut lab = Lab::new(cloud());
            peaceful(&mut lab, &old, &apply_options()).await;
            for (turn, at) in [9, 7, 4].into_iter().enumerate() {
                let before = flags >> turn & 1 == 1;
                let dying = if before {
                    Dying::Before(at)
                } else {
                    Dying::After(at)
                };
                let wanted = if turn % 2 == 0 { &new } else { &old };
                lab.live(wanted, &apply_options(), Some(dying)).await;
            }
            peaceful(&mut lab, &new, &apply_options()).await;
            nothing_left(&lab, &new).await;
        });
    }
}

/// Once found by the property above: an `app` stands in the old half of a `cell`, and the file
/// gives it no container any more. The new half stays, but what the app stands in goes.
#[test]
fn what_leaves_its_container_does_not_stay_in_the_old_half() {
    let there = |rank, seed| Node {
        present: true,
        rank,
        seed,
    };
    let same = |node: Node| (node.clone(), node);
    let none = Node {
        present: false,
        ..there(0, 0)
    };
    let pairs = [
        (0, same(there(98, 0))),
        (2, same(there(0, 0))),
        (0, (none, there(0, 0))),
        (
            6,
            (
                there(56, 5_915_810_102_660_510_720),
                there(98, 2_811_315_062_536_931_328),
            ),
        ),
        (5, same(there(39, 4_455_706_460_558_458_880))),
        (5, same(there(31, 634_121_958_136_479_744))),
        (
            0,
            (
                there(0, 11_794_941_957_285_494_969),
                there(39, 7_059_073_471_634_878_580),
            ),
        ),
        (
            7,
            (
                there(39, 3_926_941_568_564_461_568),
                there(98, 5_107_310_564_590_223_360),
            ),
        ),
    ];
    let (old, new) = versions(&pairs.map(|(kind, (old, new))| (kind, old, new)));
    block_on(async {
        let mut lab = Lab::new(cloud());
        peaceful(&mut lab, &old, &apply_options()).await;
        lab.live(&new, &apply_options(), Some(Dying::After(3)))
            .await;
        peaceful(&mut lab, &new, &apply_options()).await;
        nothing_left(&lab, &new).await;
    });
}
