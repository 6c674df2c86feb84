//! What one resource costs a month, by its kind.

use super::money::Cents;
use super::table;
use crate::catalogue::Catalogue;
use kplan_model::{Kind, Value};

/// What something costs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Worth {
    /// Nothing.
    Free,
    /// So much a month.
    Monthly(Cents),
    /// Nobody here knows, for this reason.
    Unknown(String),
}

/// How a field of a resource is looked up.
pub(super) type Look<'a> = &'a dyn Fn(&str) -> Option<Value>;

/// What a resource of a kind costs. Buckets are priced together, by the caller.
pub(super) fn worth(kind: &Kind, look: Look<'_>, catalogue: &Catalogue) -> Worth {
    match kind.as_str() {
        "droplet" => droplet(look, catalogue),
        "database" => database(look),
        "load_balancer" => {
            let nodes = int(look, "size_unit").unwrap_or(1);
            Worth::Monthly(table::BALANCER_NODE * nodes)
        }
        "cluster_load_balancer" => match int(look, "size_unit") {
            Some(nodes) => Worth::Monthly(table::BALANCER_NODE * nodes),
            // A destroy of an earlier kplan put it on record.
            None => Worth::Unknown(format!(
                "how many nodes it has is not on record; {} each",
                table::BALANCER_NODE
            )),
        },
        "volume" | "cluster_volume" => by_size(look, table::VOLUME_GIB),
        "cluster_snapshot" => by_what_is_stored(look),
        "reserved_ip" => match look("droplet_id") {
            None | Some(Value::Null) => Worth::Monthly(table::ADDRESS_UNASSIGNED),
            Some(_) => Worth::Free,
        },
        _ => Worth::Free,
    }
}

fn int(look: Look<'_>, field: &str) -> Option<i64> {
    look(field)?.as_int()
}

fn by_size(look: Look<'_>, each: Cents) -> Worth {
    match int(look, "size") {
        Some(size) => Worth::Monthly(each * size),
        None => Worth::Unknown("its size is not on record".to_owned()),
    }
}

/// DigitalOcean bills what is stored of a snapshot, and not the size of the volume.
fn by_what_is_stored(look: Look<'_>) -> Worth {
    let stored = match look("stored") {
        // Amounts are read in hundredths, as those of money are.
        Some(Value::Str(stored)) => Cents::parse(&stored),
        _ => None,
    };
    match stored {
        Some(Cents(hundredths)) => Worth::Monthly(table::SNAPSHOT_GB.percent(hundredths)),
        // A destroy of an earlier kplan put it on record.
        None => Worth::Unknown(format!(
            "how much of it is stored is not on record; {} for each GB",
            table::SNAPSHOT_GB
        )),
    }
}

fn droplet(look: Look<'_>, catalogue: &Catalogue) -> Worth {
    let Some(Value::Str(slug)) = look("size") else {
        return Worth::Unknown("its size is not known".to_owned());
    };
    let listed = catalogue.size(&slug).and_then(|size| {
        let price = size.price_monthly.as_ref()?;
        Cents::of(price)
    });
    // What DigitalOcean says of a living one is of the size it has, not of one it will have.
    let told = || match (look("price_monthly"), look("priced_size")) {
        (Some(Value::Str(price)), Some(Value::Str(of))) if of == slug => Cents::parse(&price),
        _ => None,
    };
    let Some(base) = listed.or_else(told) else {
        return Worth::Unknown(match catalogue.sizes.value() {
            Some(_) => format!("DigitalOcean lists no price of {slug}"),
            None => "DigitalOcean's prices of sizes could not be read".to_owned(),
        });
    };
    let backups = look("backups") == Some(Value::Bool(true));
    let share = if backups { table::BACKUPS_PERCENT } else { 0 };
    Worth::Monthly(base + base.percent(share))
}

fn database(look: Look<'_>) -> Worth {
    let (Some(Value::Str(slug)), Some(nodes)) = (look("size"), int(look, "node_count")) else {
        return Worth::Unknown("its plan is not known".to_owned());
    };
    let engine = look("engine");
    let is_listed = matches!(&engine, Some(Value::Str(name)) if name == "pg" || name == "mysql");
    let Some(plan) = table::database(&slug).filter(|_| is_listed) else {
        return Worth::Unknown(format!("no price of {slug} was known on {}", table::DATED));
    };
    let gib = int(look, "storage_size_mib").map_or(0, |mib| mib / 1024);
    let more = (gib - plan.gib).max(0);
    if more == 0 {
        return Worth::Monthly(plan.node * nodes);
    }
    if nodes > 1 {
        return Worth::Unknown(format!(
            "DigitalOcean does not say what {more} GiB beyond the plan's own cost with standbys"
        ));
    }
    Worth::Monthly(plan.node + table::DATABASE_TEN_GIB * ((more + 9) / 10))
}
