//! What the checks look at: the steps that make or change something, where the file asks for them, and
//! what was read of the account.

use super::{Finding, Severity};
use crate::catalogue::{Catalogue, Needs};
use crate::cmd::session::Session;
use crate::load::origin;
use kplan_engine::Planned;
use kplan_model::{
    Action, Address, Declaration, Declarations, Origin, Plan, PlanMode, ProviderError, Snapshot,
    Step, Value,
};
use kplan_providers::digitalocean::{Account, Taken};
use kplan_schema::value::Cidr;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// Something read, or why it could not be.
pub(super) type Read<T> = Result<T, ProviderError>;

/// Whom `[network] api_allow` lets in, and where the operator comes from.
#[derive(Clone, Debug, Default)]
pub struct Doors {
    /// Who may reach the API; nothing where everybody may.
    pub allowed: Option<Vec<Cidr>>,
    /// Where the file says so.
    pub origin: Origin,
    /// What `KPLAN_OPERATOR_ADDRESS` says.
    pub declared: Option<String>,
    /// The machine's own address, where that is a public one.
    pub own: Option<IpAddr>,
}

/// See the module.
pub struct Sight<'a> {
    /// The plan.
    pub plan: &'a Plan,
    /// The record it was made from.
    pub snapshot: &'a Snapshot,
    declared: BTreeMap<&'a Address, &'a Declaration>,
    /// Where the file says the region of everything.
    region: Origin,
    /// Who may reach the API, and from where.
    pub doors: Doors,
    /// What DigitalOcean sells.
    pub catalogue: Catalogue,
    /// The account; nothing where nobody needs it.
    pub account: Option<Read<Account>>,
    /// What the account has of kinds whose names are taken once, by kind.
    pub taken: BTreeMap<String, Read<Vec<Taken>>>,
    /// How many the account has of other kinds, by kind.
    pub counts: BTreeMap<String, Read<Option<u64>>>,
    /// Images that the catalogue does not list: whether there are such ones.
    pub images: BTreeMap<String, Read<bool>>,
    /// Names of buckets that are to be made: whether somebody has them.
    pub buckets: BTreeMap<Address, Read<bool>>,
}

impl<'a> Sight<'a> {
    /// Of a session's plan; nothing is read yet.
    pub fn of(session: &Session, planned: &'a Planned, declared: &'a Declarations) -> Self {
        let spec = &session.loaded.spec;
        let mut sight = Self::over(&planned.plan, &planned.snapshot, declared);
        sight.region = origin(spec.cluster.region.span);
        if let Some(list) = &spec.network.api_allow {
            sight.doors.allowed = Some(list.iter().map(|cidr| cidr.value).collect());
            sight.doors.origin = origin(list.span);
        }
        sight
    }

    /// Of a plan alone.
    pub fn over(plan: &'a Plan, snapshot: &'a Snapshot, declared: &'a Declarations) -> Self {
        let declared = declared.resources.iter();
        Self {
            plan,
            snapshot,
            declared: declared.map(|one| (&one.address, one)).collect(),
            region: Origin::Default,
            doors: Doors::default(),
            catalogue: Catalogue::default(),
            account: None,
            taken: BTreeMap::new(),
            counts: BTreeMap::new(),
            images: BTreeMap::new(),
            buckets: BTreeMap::new(),
        }
    }

    /// Whether the plan makes and changes nothing that could be refused.
    pub fn is_idle(&self) -> bool {
        self.plan.mode != PlanMode::Apply || self.steps().next().is_none()
    }

    /// Steps that make or change something.
    pub fn steps(&self) -> impl Iterator<Item = &'a Step> + use<'a> {
        let changes = |step: &&Step| match step.action {
            Action::Create => true,
            Action::Update => !step.only_waits(),
            _ => false,
        };
        self.plan.steps.iter().filter(changes)
    }

    /// Those of a kind.
    pub fn of_kind(&self, kind: &'static str) -> impl Iterator<Item = &'a Step> + use<'a> {
        self.steps()
            .filter(move |step| step.address.kind().as_str() == kind)
    }

    /// The first step that makes something of a kind.
    pub fn first_made(&self, kind: &str) -> Option<&'a Step> {
        let mut made = self.steps().filter(|step| step.action == Action::Create);
        made.find(|step| step.address.kind().as_str() == kind)
    }

    /// Ids that this plan destroys: what they hold is free afterwards.
    pub fn destroyed(&self) -> BTreeSet<&'a str> {
        let steps = self.plan.steps.iter();
        let ids = steps
            .filter(|step| step.action == Action::Delete)
            .filter_map(|step| step.remote());
        ids.map(kplan_model::RemoteId::as_str).collect()
    }

    /// Ids that are on record.
    pub fn recorded(&self) -> BTreeSet<&'a str> {
        let records = self.snapshot.resources.values();
        let all = records.chain(&self.snapshot.deposed);
        all.map(|record| record.id.as_str()).collect()
    }

    /// Where the file asks for a field of a step's resource, or for the resource.
    pub fn at(&self, step: &Step, field: &str) -> Origin {
        let declared = self.declared.get(&step.address);
        let given = declared.and_then(|one| one.field_origins.get(field).copied());
        let whole = || match (field, self.region) {
            ("region", region @ Origin::File { .. }) => region,
            _ => step.origin,
        };
        given.unwrap_or_else(whole)
    }

    /// A finding about a field of a step's resource.
    pub fn error(
        &self,
        code: &'static str,
        (step, field): (&Step, &str),
        message: String,
        help: impl Into<String>,
    ) -> Finding {
        Finding {
            severity: Severity::Error,
            code,
            address: step.address.clone(),
            more: 0,
            origin: self.at(step, field),
            message,
            help: help.into(),
        }
    }

    /// Which lists of the catalogue it takes.
    pub fn needs(&self) -> Needs {
        let mut needs = Needs::default();
        for step in self.steps() {
            let made = step.action == Action::Create;
            match step.address.kind().as_str() {
                "droplet" => {
                    needs.sizes |= is_given(step, "size");
                    needs.images |= made;
                    needs.regions |= made;
                }
                "database" => {
                    let fields = ["version", "size", "node_count", "region"];
                    needs.databases |= fields.iter().any(|field| is_given(step, field));
                }
                "vpc" | "volume" | "load_balancer" | "reserved_ip" => {
                    needs.regions |= is_given(step, "region");
                }
                _ => {}
            }
        }
        needs
    }
}

/// Whether a step says this field anew: it makes the resource, or changes the field.
pub(super) fn is_given(step: &Step, field: &str) -> bool {
    step.action == Action::Create || step.changes.iter().any(|change| change.field == field)
}

/// A text among a step's arguments.
pub(super) fn text<'s>(step: &'s Step, field: &str) -> Option<&'s str> {
    step.args.as_ref()?.get(field)?.as_str()
}

/// A number among a step's arguments.
pub(super) fn number(step: &Step, field: &str) -> Option<u64> {
    let number = step.args.as_ref()?.get(field).and_then(Value::as_int)?;
    u64::try_from(number).ok()
}
