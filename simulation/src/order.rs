//! What has to come before what when a cluster is made or its file is edited, whatever the file: the
//! order in which the parts of the platform need each other (docs/internals/traps.md, 13 to 16).

use crate::file::File;
use crate::life::{CLUSTER, Command, Ended, Operator};
use crate::run::LINEAGE;
use crate::world::World;
use kplan::compose::restoring::wish;
use kplan_engine::Discipline;
use kplan_model::{Action, Plan, Step, StepId, Timestamp, Value};
use kplan_providers::local::{RestoreRequestArgs, RestoreSource};
use kplan_sandbox::Rng;
use kplan_state::Identity;
use std::collections::{BTreeMap, BTreeSet};

/// Files that are drawn. That all kinds are among what they ask for is asked below.
const FILES: u64 = 150;
/// Files that are applied and then edited; each takes a whole life.
const EDITS: u64 = 8;

/// The parts that live in the cluster, each before the next where both are there. What comes from Git
/// has what kplan keeps of it in its place.
const IN_ORDER: [&[&str]; 9] = [
    &["cloud_secret"],
    &["ccm"],
    &["csi"],
    &["sealed_secrets", "sealing_secret"],
    &["velero", "velero_secret"],
    &["velero_restore"],
    &["argocd"],
    &["argocd_repository"],
    &["argocd_application"],
];

/// What else comes after what: the later kind, then the earlier ones.
const BESIDE: [(&str, &[&str]); 6] = [
    ("addon_manifest", &BEFORE_ADDONS),
    ("helm_release", &BEFORE_ADDONS),
    ("system_upgrade_controller", &["ccm", "csi"]),
    ("k3s_upgrade", &["system_upgrade_controller"]),
    ("etcd_snapshots", &["ccm", "csi"]),
    ("velero_restore", &["velero_source"]),
];

/// Volumes of theirs would come back empty, and what was sealed for them could not be opened.
const BEFORE_ADDONS: [&str; 5] = [
    "ccm",
    "csi",
    "sealed_secrets",
    "sealing_secret",
    "velero_restore",
];

/// What follows every later kind of the file, by what it needs.
fn pairs() -> Vec<(&'static str, &'static str)> {
    let mut pairs = Vec::new();
    for (place, kinds) in IN_ORDER.iter().enumerate() {
        for kind in *kinds {
            let earlier = IN_ORDER[..place].iter().copied().flatten();
            pairs.extend(earlier.map(|earlier| (*kind, *earlier)));
        }
    }
    for (later, earlier) in BESIDE {
        pairs.extend(earlier.iter().map(|earlier| (later, *earlier)));
    }
    pairs
}

/// The steps that come before a step, however far.
fn before<'a>(plan: &'a Plan, step: &'a Step) -> BTreeSet<StepId> {
    let mut found = BTreeSet::new();
    let mut open: Vec<StepId> = step.requires.iter().copied().collect();
    while let Some(id) = open.pop() {
        if found.insert(id) {
            open.extend(plan.step(id).into_iter().flat_map(|step| &step.requires));
        }
    }
    found
}

/// The steps that make or change something of a kind.
fn of<'a>(plan: &'a Plan, kind: &str) -> Vec<&'a Step> {
    let makes = |step: &&Step| matches!(step.action, Action::Create | Action::Update);
    steps(plan, kind).filter(makes).collect()
}

/// The steps that destroy something of a kind, once and for all.
fn ends<'a>(plan: &'a Plan, kind: &str) -> Vec<&'a Step> {
    let ends = |step: &&Step| step.action == Action::Delete && step.pair.is_none();
    steps(plan, kind).filter(ends).collect()
}

fn steps<'a>(plan: &'a Plan, kind: &str) -> impl Iterator<Item = &'a Step> {
    let steps = plan.steps.iter();
    steps.filter(move |step| step.address.kind().as_str() == kind)
}

fn arg<'a>(step: &'a Step, name: &str) -> Option<&'a Value> {
    step.args
        .as_ref()?
        .get(name)
        .filter(|value| !value.is_null())
}

/// Whether each of these comes after all of those.
fn follow(plan: &Plan, later: &[&Step], earlier: &[&Step]) -> bool {
    later.iter().all(|step| {
        let before = before(plan, step);
        earlier.iter().all(|one| before.contains(&one.id))
    })
}

/// An empty cloud to plan in.
struct Lab {
    world: World,
    identity: Identity,
}

impl Lab {
    async fn new() -> Self {
        let world = World::new(1, 200, BTreeMap::new(), (false, BTreeMap::new()));
        Self {
            world: world.await.unwrap(),
            identity: Identity::generate(),
        }
    }

    fn operator(&self) -> Operator<'_> {
        Operator {
            world: &self.world,
            identity: &self.identity,
            lineage: LINEAGE,
            platform: true,
            discipline: Discipline::default(),
            seed: 1,
        }
    }

    /// The plan of the file; with a wish, of a cluster that is restored.
    async fn planned(&self, text: &str, wished: Option<&RestoreRequestArgs>) -> Plan {
        let mut snapshot = self.operator().recorded().unwrap();
        if let Some(args) = wished {
            let record = wish(args, Timestamp(0));
            snapshot.resources.insert(record.address.clone(), record);
        }
        let planned = self
            .operator()
            .planned_from(text, Command::Apply, snapshot)
            .await;
        planned.unwrap_or_else(|ended| panic!("{ended:?}\n{text}"))
    }
}

/// A table of the file, with what is added to it; the table is made where it is not there.
fn with(text: &str, table: &str, made: &str, more: &str) -> String {
    let head = format!("[{table}]\n");
    if text.contains(&head) {
        return text.replace(&head, &format!("{head}{more}"));
    }
    format!("{text}{head}{made}{more}\n")
}

/// The file with what the simulation cannot have, as it resolves no secrets and fetches nothing, or
/// never changes.
fn enriched(text: String, dice: &Rng) -> String {
    let lucky = |one_in: u64| dice.below(one_in) == 0;
    let mut text = text;
    if lucky(2) {
        text = text.replace("datastore = \"postgres\"", "datastore = \"mysql\"");
    }
    if lucky(2) {
        text = with(&text, "addons", "", "sealed_secrets = true\n");
    }
    if lucky(2) {
        let bucket = format!("bucket = \"{CLUSTER}-backup-5a1\"\n");
        let nightly = "schedules = [{ name = \"nightly\", cron = \"0 2 * * *\" }]\n";
        text = with(&text, "backup", &(bucket + nightly), "");
    }
    if lucky(2) {
        let repo = "repo = \"https://github.com/acme/infra.git\"\n";
        let mut more = "credentials = { token = { env = \"T\" } }\n".to_owned();
        if lucky(2) {
            more.push_str("delivery = \"git\"\n");
        }
        if text.contains("[servers]\ncount = 3") {
            more.push_str("ha = true\n");
        }
        text = with(&text, "gitops", repo, &more);
    }
    if lucky(2) {
        let behind = if text.contains("[gitops]") {
            ", \"argocd\""
        } else {
            ""
        };
        text = format!(
            "{text}[[addon]]\nname = \"second\"\nafter = [\"first\"{behind}]\nhelm = {{ url = \
             \"https://example.org/second-1.0.0.tgz\" }}\n\n[[addon]]\nname = \"first\"\n\
             manifest = {{ file = \"first.yaml\" }}\n"
        );
    }
    text
}

fn file(seed: u64) -> String {
    let text = File::random(&Rng::seeded(seed)).text();
    let text = enriched(text, &Rng::seeded(seed + 1_000_000));
    if seed.is_multiple_of(2) && text.contains("csi = true") {
        return text.replace("local_storage = true", "local_storage = false");
    }
    text
}

/// That a backup is to be brought back: the cluster's own, or another's.
fn wished(copy: bool) -> RestoreRequestArgs {
    RestoreRequestArgs {
        backup: "nightly-20261129020000".to_owned(),
        excluded_namespaces: vec![],
        accept_partial: false,
        snapshot: None,
        source: copy.then(|| RestoreSource {
            cluster: "first".to_owned(),
            bucket: "first-backup".to_owned(),
            prefix: None,
            region: "fra1".to_owned(),
            endpoint: "https://fra1.digitaloceanspaces.com".to_owned(),
            access_key: None,
            secret_key: None,
        }),
    }
}

/// Trap 13: exactly one storage class is the default one. K3s marks its own wherever it is
/// deployed. With the driver in Git, its class is marked there.
fn one_default_class(plan: &Plan) -> bool {
    let own = of(plan, "k3s_node").into_iter().any(|node| {
        let disabled = matches!(arg(node, "disable"), Some(Value::List(items))
            if items.contains(&Value::str("local-storage")));
        arg(node, "server_token").is_some() && !disabled
    });
    let ours = of(plan, "csi")
        .into_iter()
        .any(|csi| arg(csi, "default_class").is_some());
    own != ours
}

/// Traps 13 to 16 of a cluster that is made: one default class, and everything in the cluster after
/// all of its nodes.
fn wrong(plan: &Plan, by_git: bool) -> Vec<String> {
    let mut wrong = misplaced(plan);
    if !by_git && !one_default_class(plan) {
        wrong.push("not exactly one default storage class".to_owned());
    }
    for kind in IN_ORDER.iter().copied().flatten() {
        for earlier in ["k3s", "k3s_node"] {
            if !follow(plan, &of(plan, kind), &of(plan, earlier)) {
                wrong.push(format!("{kind} before {earlier}"));
            }
        }
    }
    for ccm in of(plan, "ccm") {
        for field in ["vpc_id", "region", "load_balancer_type"] {
            if arg(ccm, field).is_none() {
                wrong.push(format!("the cloud controller has no {field}"));
            }
        }
    }
    wrong
}

/// Traps 14, 15 and 16 of any plan: the controllers' token, the cloud controller, volumes, keys of
/// what was sealed, backups, what they bring back, and Argo CD's root Application after all the rest.
/// What goes, goes the other way round.
fn misplaced(plan: &Plan) -> Vec<String> {
    let mut wrong = Vec::new();
    for (later, earlier) in pairs() {
        if !follow(plan, &of(plan, later), &of(plan, earlier)) {
            wrong.push(format!("{later} before {earlier}"));
        }
        if !follow(plan, &ends(plan, earlier), &ends(plan, later)) {
            wrong.push(format!("{earlier} goes before {later}"));
        }
    }
    let named = |kind: &str, name: &str| -> Vec<&Step> {
        let mut all = of(plan, kind);
        all.retain(|step| step.address.name() == name);
        all
    };
    let second = named("helm_release", "second");
    if !follow(plan, &second, &named("addon_manifest", "first")) {
        wrong.push("the second add-on before the first".to_owned());
    }
    // Drawn so wherever there is an Argo CD.
    if !follow(plan, &second, &of(plan, "argocd")) {
        wrong.push("the second add-on before argocd".to_owned());
    }
    let last: BTreeSet<StepId> = of(plan, "argocd_application")
        .iter()
        .map(|step| step.id)
        .collect();
    for step in &plan.steps {
        if step.requires.iter().any(|id| last.contains(id)) {
            wrong.push(format!("{} waits for the root Application", step.address));
        }
    }
    wrong
}

/// Every kind that an order is asked of.
fn kinds() -> BTreeSet<&'static str> {
    pairs().into_iter().flat_map(<[_; 2]>::from).collect()
}

fn made(plan: &Plan) -> BTreeSet<&str> {
    let made = plan
        .steps
        .iter()
        .filter(|step| step.action == Action::Create);
    made.map(|step| step.address.kind().as_str()).collect()
}

fn is_by_git(text: &str) -> bool {
    text.contains("delivery = \"git\"")
}

#[tokio::test(start_paused = true)]
async fn whatever_the_file_each_part_comes_after_what_it_needs() {
    let lab = Lab::new().await;
    let (mut seen, mut texts) = (BTreeSet::new(), String::new());
    for seed in 0..FILES {
        let text = file(seed);
        let mut plans = vec![(lab.planned(&text, None).await, is_by_git(&text))];
        if text.contains("[backup]") {
            // Nothing comes from Git until the backup is back.
            let wish = wished(seed.is_multiple_of(3));
            plans.push((lab.planned(&text, Some(&wish)).await, false));
        }
        for (plan, by_git) in &plans {
            assert_eq!(
                wrong(plan, *by_git),
                Vec::<String>::new(),
                "seed {seed}\n{text}"
            );
            seen.extend(made(plan).into_iter().map(str::to_owned));
        }
        texts.push_str(&text);
    }
    for kind in kinds() {
        assert!(seen.contains(kind), "no file has {kind}");
    }
    for drawn in [
        "\"mysql\"",
        "\"postgres\"",
        "\"etcd\"",
        "ha = true",
        "\"git\"",
    ] {
        assert!(texts.contains(drawn), "no file has {drawn}");
    }
}

#[tokio::test(start_paused = true)]
async fn whatever_the_edit_each_part_comes_after_what_it_needs() {
    let (mut made_by_edits, mut ended) = (BTreeSet::new(), 0);
    for seed in 0..EDITS {
        let (lab, dice) = (Lab::new().await, Rng::seeded(seed));
        let first = File::random(&dice);
        let text = first.text();
        let done = lab.operator().live(&text, Command::Apply).await;
        assert_eq!(done, Ended::Complete, "seed {seed}\n{text}");
        let edited = enriched(first.edited(&dice).text(), &Rng::seeded(seed + 1_000_000));
        let edited = edited.replace("\"mysql\"", "\"postgres\"");
        let plan = lab.planned(&edited, None).await;
        assert_eq!(
            misplaced(&plan),
            Vec::<String>::new(),
            "seed {seed}\n{text}\n---\n{edited}"
        );
        made_by_edits.extend(made(&plan).into_iter().map(str::to_owned));
        // The platform out of the file again.
        let bare = Lab::planned(&lab, &without(&text), None).await;
        assert_eq!(
            misplaced(&bare),
            Vec::<String>::new(),
            "seed {seed}\n{text}"
        );
        ended += kinds()
            .into_iter()
            .filter(|kind| !ends(&bare, kind).is_empty())
            .count();
    }
    for kind in [
        "velero",
        "argocd",
        "argocd_application",
        "helm_release",
        "sealed_secrets",
    ] {
        assert!(made_by_edits.contains(kind), "no edit brings {kind}");
    }
    assert!(ended > 3, "{ended}");
}

/// The file without Argo CD and backups.
fn without(text: &str) -> String {
    let tables = text.split("\n\n").filter(|table| {
        let table = table.trim_start();
        !table.starts_with("[gitops]") && !table.starts_with("[backup]")
    });
    tables.collect::<Vec<_>>().join("\n\n")
}

/// Whether a file may have both: what is kept of a part that comes from Git is there in its stead.
fn are_together(one: &str, other: &str) -> bool {
    let kept = |kind: &str| matches!(kind, "sealing_secret" | "velero_secret");
    let from_git = |kind: &str| {
        let parts = ["csi", "sealed_secrets", "velero", "velero_restore"];
        parts.contains(&kind) || matches!(kind, "addon_manifest" | "helm_release")
    };
    !(kept(one) && from_git(other) || from_git(one) && kept(other))
}

/// The question can be answered with no, for each part and each that it needs.
#[tokio::test(start_paused = true)]
async fn a_part_that_comes_too_early_is_noticed() {
    let lab = Lab::new().await;
    let all = pairs().into_iter();
    let mut unnoticed: BTreeSet<_> = all
        .filter(|(later, earlier)| are_together(later, earlier))
        .collect();
    for seed in 0..FILES {
        if unnoticed.is_empty() {
            break;
        }
        let text = file(seed);
        let wish = text.contains("[backup]") && seed.is_multiple_of(2);
        let wish = wish.then(|| wished(true));
        let plan = lab.planned(&text, wish.as_ref()).await;
        unnoticed.retain(|(later, earlier)| {
            let mut early = plan.clone();
            let steps = early.steps.iter_mut();
            for step in steps.filter(|step| step.address.kind().as_str() == *later) {
                step.requires.clear();
            }
            !misplaced(&early).contains(&format!("{later} before {earlier}"))
        });
    }
    assert_eq!(unnoticed, BTreeSet::new());
}

#[tokio::test(start_paused = true)]
async fn a_second_default_class_and_none_are_noticed() {
    let lab = Lab::new().await;
    let text = "[cluster]\nname = \"sim\"\nregion = \"fra1\"\n[servers]\nsize = \"s-2vcpu-4gb\"\n";
    let plan = lab.planned(text, None).await;
    assert_eq!(wrong(&plan, false), Vec::<String>::new());
    let classes = "not exactly one default storage class".to_owned();
    for (kind, argument, value) in [
        ("csi", "default_class", Value::Null),
        ("k3s_node", "disable", Value::list(Vec::new())),
    ] {
        let mut other = plan.clone();
        let steps = other.steps.iter_mut();
        for step in steps.filter(|step| step.address.kind().as_str() == kind) {
            let args = step.args.as_mut().unwrap();
            args.insert(argument, value.clone());
        }
        assert!(wrong(&other, false).contains(&classes), "{kind}");
    }
}
