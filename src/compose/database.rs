//! The managed database that holds the cluster's state, with a user and a database of its own.

use super::build::{Builder, address, to};
use super::network::{server_tag, vpc};
use kplan_model::{Address, Meta};
use kplan_providers::digitalocean::{DatabaseArgs, DatabaseDbArgs, DatabaseRule, DatabaseUserArgs};
use kplan_schema::value::Datastore;

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
        tags: vec![],
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
    let args = DatabaseUserArgs {
        cluster_id: to(&cluster(), "id"),
        name: wanted.user.to_string(),
        mysql_auth_plugin: None,
    };
    builder.add_with(user(), &args, wanted.span, inside.clone());
    builder.field_at("name", wanted.user.span);
    let args = DatabaseDbArgs {
        cluster_id: to(&cluster(), "id"),
        name: wanted.database.to_string(),
    };
    builder.add_with(database(), &args, wanted.span, inside);
    builder.field_at("name", wanted.database.span);
}
