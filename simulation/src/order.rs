//! What has to come before what when a cluster is made, whatever the file: the order in which the
//! parts of the platform need each other (docs/internals/traps.md, 13 to 16).

use crate::file::File;
use crate::life::{Command, Operator};
use crate::run::LINEAGE;
use crate::world::World;
use kplan_engine::Discipline;
use kplan_model::{Plan, Step, StepId, Value};
use kplan_sandbox::Rng;
use kplan_state::Identity;
use std::collections::{BTreeMap, BTreeSet};

/// Files that are drawn. That all kinds are among what they ask for is asked below.
const FILES: u64 = 150;

/// The kinds that live in the cluster, each before the next where both are there.
const IN_ORDER: [&str; 7] = [
    "cloud_secret",
    "ccm",
    "csi",
    "velero",
    "argocd",
    "argocd_repository",
    "argocd_application",
];

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

/// The steps that make something of a kind.
fn of<'a>(plan: &'a Plan, kind: &str) -> Vec<&'a Step> {
    let steps = plan.steps.iter();
    steps
        .filter(|step| step.address.kind().as_str() == kind)
        .collect()
}

fn arg<'a>(step: &'a Step, name: &str) -> Option<&'a Value> {
    step.args
        .as_ref()?
        .get(name)
        .filter(|value| !value.is_null())
}

/// Whether each of these comes after all of those.
fn follow(plan: &Plan, later: &str, earlier: &str) -> bool {
    let needed: Vec<StepId> = of(plan, earlier).iter().map(|step| step.id).collect();
    of(plan, later).into_iter().all(|step| {
        let before = before(plan, step);
        needed.iter().all(|id| before.contains(id))
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
}

/// A file with what the simulation cannot have, as it resolves no secrets, or never changes.
fn file(seed: u64) -> String {
    let text = File::random(&Rng::seeded(seed)).text();
    let private = "[gitops]\ncredentials = { token = { env = \"T\" } }\n";
    let text = text.replace("[gitops]\n", private);
    if seed.is_multiple_of(2) && text.contains("csi = true") {
        return text.replace("local_storage = true", "local_storage = false");
    }
    text
}

/// Trap 13: exactly one storage class is the default one. K3s marks its own wherever it is
/// deployed.
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

/// Traps 14, 15 and 16: the cluster, the controllers' token, the cloud controller, volumes, backups,
/// and Argo CD's root Application after all the rest.
fn wrong(plan: &Plan) -> Vec<String> {
    let mut wrong = Vec::new();
    if !one_default_class(plan) {
        wrong.push("not exactly one default storage class".to_owned());
    }
    for (place, kind) in IN_ORDER.iter().enumerate() {
        let earlier = ["k3s", "k3s_node"].iter().chain(&IN_ORDER[..place]);
        for earlier in earlier.filter(|earlier| !follow(plan, kind, earlier)) {
            wrong.push(format!("{kind} before {earlier}"));
        }
    }
    for ccm in of(plan, "ccm") {
        for field in ["vpc_id", "region", "load_balancer_type"] {
            if arg(ccm, field).is_none() {
                wrong.push(format!("the cloud controller has no {field}"));
            }
        }
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

#[tokio::test(start_paused = true)]
async fn whatever_the_file_each_part_comes_after_what_it_needs() {
    let lab = Lab::new().await;
    let mut seen = BTreeSet::new();
    for seed in 0..FILES {
        let text = file(seed);
        let plan = lab.operator().planned(&text, Command::Apply).await.unwrap();
        assert_eq!(wrong(&plan), Vec::<String>::new(), "seed {seed}\n{text}");
        seen.extend(plan.steps.iter().map(|step| step.address.kind().clone()));
    }
    for kind in IN_ORDER {
        assert!(
            seen.iter().any(|one| one.as_str() == kind),
            "no file has {kind}"
        );
    }
}

/// The question can be answered with no.
#[tokio::test(start_paused = true)]
async fn a_part_that_comes_too_early_is_noticed() {
    let lab = Lab::new().await;
    let text = "[cluster]\nname = \"sim\"\nregion = \"fra1\"\n[servers]\nsize = \"s-2vcpu-4gb\"\n";
    let mut plan = lab.operator().planned(text, Command::Apply).await.unwrap();
    assert_eq!(wrong(&plan), Vec::<String>::new());
    for step in &mut plan.steps {
        if step.address.kind().as_str() == "csi" {
            step.requires.clear();
        }
    }
    assert!(wrong(&plan).contains(&"csi before ccm".to_owned()));
}
