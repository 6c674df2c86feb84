//! The managed database that holds the cluster's state, with a user and a database of its own.

use super::build::{Builder, address, to};
use super::network::{server_tag, vpc};
use kplan_model::{Address, Input, Meta, Secret};
use kplan_providers::digitalocean::{DatabaseArgs, DatabaseDbArgs, DatabaseRule, DatabaseUserArgs};
use kplan_providers::k3s::grant;
use kplan_schema::spec::Database;
use kplan_schema::value::Datastore;

/// The database every managed cluster comes with.
const FIRST_DATABASE: &str = "defaultdb";

/// The database cluster.
pub fn cluster() -> Address {
    address("database", "datastore")
}

/// K3s's user.
pub fn user() -> Address {
    address("database_user", "k3s")
}

/// K3s's database.
pub fn database() -> Address {
    address("database_db", "k3s")
}

/// Declares them where the file asks for a managed datastore.
pub fn declare(builder: &mut Builder<'_>) {
    let spec = builder.spec;
    let Some(wanted) = &spec.k3s.database else {
        return;
    };
    let engine = match spec.datastore() {
        Datastore::Mysql => "mysql",
        _ => "pg",
    };
    let args = DatabaseArgs {
        name: wanted.name.to_string(),
        engine: engine.to_owned(),
        version: Some(wanted.version.to_string()),
        size: wanted.size.to_string(),
        region: spec.region().to_owned(),
        node_count: wanted.nodes.value,
        storage_size_mib: None,
        private_network_uuid: Some(to(&vpc(), "id")),
        tags: vec![to(&super::network::owner_tag(), "name")],
        // In the create call: the database is never open to the world, not even for a moment.
        rules: vec![DatabaseRule {
            kind: "tag".to_owned(),
            value: to(&server_tag(), "name"),
        }],
    };
    let meta = builder.guarded();
    builder.add_with(cluster(), &args, wanted.span, meta);
    builder.field_at("name", wanted.name.span);
    builder.field_at("version", wanted.version.span);
    builder.field_at("size", wanted.size.span);
    builder.field_at("node_count", wanted.nodes.span);
    let inside = Meta {
        inside: Some(cluster()),
        ..builder.guarded()
    };
    if has_own_user(wanted) {
        let args = DatabaseUserArgs {
            cluster_id: to(&cluster(), "id"),
            name: wanted.user.to_string(),
            mysql_auth_plugin: None,
            password_after: builder.inputs.rotating.args().datastore_password,
        };
        builder.add_with(user(), &args, wanted.span, inside.clone());
        builder.field_at("name", wanted.user.span);
    }
    if has_own_database(wanted) {
        let args = DatabaseDbArgs {
            cluster_id: to(&cluster(), "id"),
            name: wanted.database.to_string(),
        };
        builder.add_with(database(), &args, wanted.span, inside);
        builder.field_at("name", wanted.database.span);
    }
}

/// What every cluster comes with is not made, and cannot be destroyed.
fn has_own_user(wanted: &Database) -> bool {
    wanted.user.as_str() != grant::ADMIN
}

fn has_own_database(wanted: &Database) -> bool {
    wanted.database.as_str() != FIRST_DATABASE
}

/// What has to be there inside the database cluster before K3s connects.
pub fn parts(builder: &Builder<'_>) -> Vec<Address> {
    let Some(wanted) = &builder.spec.k3s.database else {
        return Vec::new();
    };
    let mut parts = Vec::new();
    if has_own_user(wanted) {
        parts.push(user());
    }
    if has_own_database(wanted) {
        parts.push(database());
    }
    parts
}

/// The password of K3s's user.
pub fn password(wanted: &Database) -> Input<Secret> {
    let of = if has_own_user(wanted) {
        user()
    } else {
        cluster()
    };
    to(&of, "password")
}

/// Whether K3s's user cannot create tables before the servers give it the right.
pub fn needs_grant(builder: &Builder<'_>) -> bool {
    let spec = builder.spec;
    spec.datastore() == Datastore::Postgres
        && spec.k3s.database.as_ref().is_some_and(|wanted| {
            grant::is_needed(wanted.version.value.major(), wanted.user.as_str())
        })
}

#[cfg(test)]
mod tests {
    use super::super::{Inputs, compose};
    use super::*;
    use crate::artifacts::Artifacts;
    use kplan_model::value::lookup;
    use kplan_model::{Codec, Declarations, Owner, Value};
    use kplan_schema::Source;
    use std::collections::{BTreeMap, BTreeSet};

    const EXAMPLE: &str = include_str!("../../examples/ha-postgres/cluster.toml");

    /// What the example asks for, with one text of it replaced.
    fn declared(from: &str, to: &str) -> Declarations {
        assert!(EXAMPLE.contains(from), "{from}");
        let source = Source::new("cluster.toml", EXAMPLE.replace(from, to));
        let parsed = kplan_schema::parse(&source);
        let spec = parsed.spec.unwrap_or_else(|| {
            panic!("{:?}", parsed.diagnostics);
        });
        let inputs = Inputs {
            owner: Owner {
                cluster: "k3s-cluster".to_owned(),
                suffix: "3f9a1c2e".to_owned(),
            },
            secrets: BTreeMap::new(),
            token: Secret::new("dop_v1_token"),
            members: crate::compose::Members::default(),
            earlier: crate::compose::Earlier::default(),
            standing: crate::compose::Standing::default(),
            restoring: crate::compose::Restoring::default(),
            rotating: crate::compose::Rotating::default(),
            artifacts: Artifacts::embedded().unwrap(),
        };
        compose(&spec, &inputs)
    }

    fn arg(declarations: &Declarations, address: &str, path: &str) -> Option<Value> {
        let all = &declarations.resources;
        let one = all.iter().find(|one| one.address.to_string() == address);
        let one = one.unwrap_or_else(|| panic!("{address} is not declared"));
        lookup(&one.args, path)
            .filter(|value| !value.is_null())
            .cloned()
    }

    fn names(declarations: &Declarations) -> BTreeSet<String> {
        let all = &declarations.resources;
        all.iter().map(|one| one.address.to_string()).collect()
    }

    const ADMIN: &str = "boot.datastore_admin";
    const PACKAGES: &str = "boot.packages";

    #[test]
    fn servers_of_a_user_of_its_own_get_the_administrators_login_and_nobody_else_does() {
        let all = declared("version = \"16\"", "version = \"16\"");
        for server in ["k3s_node.servers[0]", "k3s_node.servers[2]"] {
            let password = arg(&all, server, "boot.datastore_admin.password");
            assert_eq!(
                password,
                Some(Codec::encode(&to::<Secret>(&cluster(), "password")))
            );
        }
        // The droplets do not wait for the database, but they bring psql.
        assert_eq!(arg(&all, "droplet.servers[0]", ADMIN), None);
        assert_eq!(
            arg(&all, "droplet.servers[0]", PACKAGES),
            Some(Value::list([Value::str("postgresql-client")]))
        );
        assert_eq!(arg(&all, "k3s_node.workers[0]", ADMIN), None);
        assert_eq!(arg(&all, "droplet.workers[0]", PACKAGES), None);
    }

    #[test]
    fn nothing_is_given_where_nothing_is_needed() {
        let user = "user    = \"k3s_default_user\"";
        for (from, to) in [
            ("version = \"16\"", "version = \"14\""),
            (user, "user    = \"doadmin\""),
            // MySQL of any version; the schema does not know which there are.
            ("datastore = \"postgres\"", "datastore = \"mysql\""),
        ] {
            let all = declared(from, to);
            assert_eq!(arg(&all, "k3s_node.servers[0]", ADMIN), None, "{to}");
            assert_eq!(arg(&all, "droplet.servers[0]", PACKAGES), None, "{to}");
        }
    }

    #[test]
    fn what_every_database_cluster_comes_with_is_not_made() {
        let usual = names(&declared("nodes   = 1", "nodes   = 1"));
        assert!(usual.contains("database_user.k3s") && usual.contains("database_db.k3s"));
        let all = declared(
            "user    = \"k3s_default_user\"",
            "user    = \"doadmin\"\ndatabase = \"defaultdb\"",
        );
        let names = names(&all);
        assert!(!names.contains("database_user.k3s") && !names.contains("database_db.k3s"));
        let password = arg(&all, "k3s_node.servers[0]", "datastore.password");
        let expected: Input<Secret> = to(&cluster(), "password");
        assert_eq!(password, Some(Codec::encode(&expected)));
    }

    #[test]
    fn every_droplet_is_kept_on() {
        let all = declared("nodes   = 1", "nodes   = 1");
        for droplet in ["droplet.servers[0]", "droplet.workers[2]"] {
            assert_eq!(arg(&all, droplet, "power"), Some(Value::str("on")));
        }
    }
}
