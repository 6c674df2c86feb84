//! What the document says of whatever plan, and that it hides what nobody may see.

use super::{Source, plan};
use crate::render::json::Statistics;
use crate::render::{events, terraform};
use crate::review::Kinds;
use crate::review::testing::{HIDDEN, Made, plan as made};
use kplan_engine::{PlanReport, Planned};
use kplan_model::{
    Action, Address, Declaration, Declarations, Drift, FieldChange, Kind, Object, Origin, PlanMode,
    Recorded, Ref, Secret, Status, Step, Value,
};
use serde_json::{Value as Json, json};
use std::sync::LazyLock;

static KINDS: LazyLock<Kinds> = LazyLock::new(crate::wire::kinds);

fn document(made: &Made, declarations: &Declarations) -> Json {
    let planned = Planned {
        plan: made.plan.clone(),
        report: PlanReport::default(),
        snapshot: made.snapshot.clone(),
        notes: Vec::new(),
    };
    plan(&Source {
        planned: &planned,
        declarations,
        kinds: &KINDS,
        statistics: &Statistics::default(),
        notes: &[],
    })
}

fn validator(schema: &str) -> jsonschema::Validator {
    let schema: Json = serde_json::from_str(schema).unwrap();
    jsonschema::validator_for(&schema).unwrap()
}

#[track_caller]
fn assert_fits(validator: &jsonschema::Validator, document: &Json) {
    let errors: Vec<String> = validator
        .iter_errors(document)
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect();
    assert!(errors.is_empty(), "{errors:#?}\n{document:#}");
}

/// Whatever a plan holds, its document fits the schema and shows no secret; so do its lines.
#[test]
fn every_plan_fits_the_schema_and_shows_no_secret() {
    let plans = validator(include_str!("../schemas/plan.json"));
    let lines = validator(include_str!("../schemas/events.json"));
    for seed in 0..300 {
        let made = made(seed, 1, 6);
        let document = document(&made, &Declarations::default());
        assert_fits(&plans, &document);
        let mut said = document.to_string();
        for line in events::planned(&made.plan, &KINDS) {
            assert_fits(&lines, &line);
            said.push_str(&line.to_string());
        }
        for change in events::changes(&made.plan, &KINDS).values() {
            said.push_str(&change.to_string());
        }
        assert!(!said.contains(HIDDEN), "seed {seed}: {said}");
    }
}

#[test]
fn what_the_schema_does_not_know_is_refused() {
    let plans = validator(include_str!("../schemas/plan.json"));
    let mut document = document(&made(1, 1, 3), &Declarations::default());
    assert!(plans.is_valid(&document));
    document["surprise"] = json!(1);
    assert!(!plans.is_valid(&document));
    let lines = validator(include_str!("../schemas/events.json"));
    let mut line = events::version();
    assert!(lines.is_valid(&line));
    line["surprise"] = json!(1);
    assert!(!lines.is_valid(&line));
}

fn vpc() -> Address {
    Address::new(Kind::new("vpc"), "main")
}

fn database() -> Address {
    Address::new(Kind::new("database"), "main")
}

fn record(address: Address, args: Object, attrs: Object) -> Recorded {
    let mut made = made(1, 1, 0);
    let step = made.plan.steps.remove(0);
    Recorded {
        id: kplan_model::RemoteId::new("remote-1"),
        address,
        args,
        attrs,
        meta: step.meta,
        depends_on: Vec::new(),
        status: Status::Ready,
        created_at: kplan_model::Timestamp(0),
        operations: std::collections::BTreeSet::new(),
        version: 1,
    }
}

/// A plan of nothing about a state with one database, on record with a password.
fn with_database() -> Made {
    let mut made = made(1, 1, 0);
    made.plan.steps.clear();
    made.plan.drift.clear();
    made.plan.mode = PlanMode::Apply;
    let args = Object::from([
        ("name", Value::str("db")),
        ("engine", Value::str("pg")),
        ("version", Value::Null),
        ("size", Value::str("db-s-1vcpu-1gb")),
        ("node_count", Value::Int(1)),
    ]);
    let attrs = Object::from([
        ("version", Value::str("16")),
        ("storage_size_mib", Value::Int(10_240)),
        ("password", Value::Secret(Secret::new(HIDDEN))),
        ("host", Value::str("db.example.com")),
    ]);
    let record = record(database(), args, attrs);
    made.snapshot.resources.insert(database(), record);
    made
}

fn step(made: &Made, action: Action) -> Step {
    let mut step = self::made(2, 1, 0).plan.steps.remove(0);
    let record = made.snapshot.resources.get(&database()).cloned();
    step.action = action;
    step.address = database();
    step.args = record.as_ref().map(|record| record.args.clone());
    step.before = record;
    step.pair = None;
    step.changes = Vec::new();
    step.reason = kplan_model::Reason::Changed;
    step
}

#[test]
fn an_update_says_what_stays_and_what_differs() {
    let mut made = with_database();
    let mut step = step(&made, Action::Update);
    step.args
        .as_mut()
        .unwrap()
        .insert("node_count", Value::Int(2));
    step.changes = vec![FieldChange {
        field: "node_count".to_owned(),
        before: Value::Int(1),
        after: Value::Int(2),
        forces_replacement: false,
        disruption: kplan_model::Disruption::None,
    }];
    made.plan.steps = vec![step];
    let document = document(&made, &Declarations::default());
    let change = &document["resource_changes"][0]["change"];
    assert_eq!(change["actions"], json!(["update"]));
    for side in ["before", "after"] {
        let side = &change[side];
        assert_eq!(side["id"], "remote-1");
        assert_eq!(side["version"], "16");
        assert_eq!(side["storage_size_mib"], "10240");
        assert_eq!(side["password"], Json::Null);
    }
    assert_eq!(change["before"]["node_count"], 1);
    assert_eq!(change["after"]["node_count"], 2);
    assert_eq!(change["after_sensitive"], json!({ "password": true }));
    let planned = &document["planned_values"]["root_module"]["resources"][0];
    assert_eq!(planned["type"], "digitalocean_database_cluster");
    assert_eq!(planned["values"], change["after"]);
    let prior = &document["prior_state"]["values"]["root_module"]["resources"][0];
    assert_eq!(prior["values"], change["before"]);
}

#[test]
fn a_create_leaves_out_what_is_known_only_then() {
    let mut made = with_database();
    made.snapshot.resources.clear();
    let step = Step {
        before: None,
        args: Some(Object::from([
            ("name", Value::str("db")),
            (
                "private_network_uuid",
                Value::reference(Ref::new(vpc(), "id")),
            ),
        ])),
        ..step(&with_database(), Action::Create)
    };
    made.plan.steps = vec![step];
    let document = document(&made, &Declarations::default());
    let change = &document["resource_changes"][0]["change"];
    assert_eq!(change["before"], Json::Null);
    assert_eq!(change["after"], json!({ "name": "db", "kplan": {} }));
    for name in ["id", "private_network_uuid", "host", "password", "version"] {
        assert_eq!(change["after_unknown"][name], true, "{name}");
    }
    assert_eq!(change["after_unknown"]["kplan"]["ca_certificate"], true);
}

#[test]
fn what_goes_is_in_no_plan_and_still_in_the_state() {
    let mut made = with_database();
    made.plan.mode = PlanMode::Destroy;
    made.plan.steps = vec![step(&made, Action::Delete)];
    let document = document(&made, &Declarations::default());
    let resources = |of: &Json| of["root_module"]["resources"].as_array().unwrap().len();
    assert_eq!(resources(&document["planned_values"]), 0);
    assert_eq!(resources(&document["prior_state"]["values"]), 1);
    let change = &document["resource_changes"][0]["change"];
    assert_eq!(change["actions"], json!(["delete"]));
    assert_eq!(change["after"], Json::Null);
}

#[test]
fn drift_has_both_sides_and_three_columns() {
    let mut made = with_database();
    made.plan.drift = vec![Drift {
        address: database(),
        fields: vec![
            ("node_count".to_owned(), Value::Int(1), Value::Int(3)),
            (
                "password".to_owned(),
                Value::str(HIDDEN),
                Value::str("other-hunter2-canary"),
            ),
        ],
        vanished: false,
    }];
    let asked = Declaration::new(
        database(),
        Object::from([("node_count", Value::Int(2))]),
        Origin::Default,
    );
    let declarations = Declarations {
        resources: vec![asked],
        ..Declarations::default()
    };
    let document = document(&made, &declarations);
    let change = &document["resource_drift"][0]["change"];
    assert_eq!(change["before"]["node_count"], 1);
    assert_eq!(change["after"]["node_count"], 3);
    assert_eq!(
        document["drift"][0]["fields"][0],
        json!({
            "field": "node_count", "recorded": 1, "real": 3, "file": 2, "sensitive": false,
        })
    );
    assert_eq!(
        document["drift"][0]["fields"][1],
        json!({
            "field": "password", "recorded": null, "real": null, "file": null, "sensitive": true,
        })
    );
    assert!(!document.to_string().contains(HIDDEN));
}

#[test]
fn the_configuration_says_what_refers_to_what() {
    let server = |index| {
        Declaration::new(
            Address::indexed(Kind::new("droplet"), "servers", index),
            Object::from([
                ("name", Value::str("web")),
                ("vpc_uuid", Value::reference(Ref::new(vpc(), "id"))),
            ]),
            Origin::Default,
        )
    };
    let volume = Declaration::new(
        Address::new(Kind::new("volume"), "data"),
        Object::from([(
            "droplet_id",
            Value::reference(Ref::new(server(1).address, "id")),
        )]),
        Origin::Default,
    );
    let declarations = Declarations {
        resources: vec![server(0), server(1), volume],
        ..Declarations::default()
    };
    let document = document(&with_database(), &declarations);
    let configured = &document["configuration"]["root_module"]["resources"];
    assert_eq!(configured.as_array().unwrap().len(), 2);
    assert_eq!(
        configured[0]["expressions"],
        json!({ "vpc_uuid": { "references": [
            "digitalocean_vpc.main.id", "digitalocean_vpc.main", "vpc.main",
        ] } })
    );
    assert_eq!(
        configured[1]["expressions"]["droplet_ids"]["references"],
        json!([
            "digitalocean_droplet.servers[1].id",
            "digitalocean_droplet.servers[1]",
            "digitalocean_droplet.servers",
            "droplet.servers[1]",
        ])
    );
    let provider = &document["configuration"]["provider_config"]["digitalocean"];
    assert_eq!(
        provider["full_name"],
        terraform::provider_name("digitalocean_vpc")
    );
}
