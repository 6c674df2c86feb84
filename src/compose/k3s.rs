//! The cluster's keys, what every node needs to become one, and the cluster itself.

use super::build::{Builder, address, indexed, to};
use super::members::Birth;
use super::nodes::droplet;
use super::{database, network, restoring, rotating, storage};
use kplan_model::{Address, Input, Meta};
use kplan_providers::k3s::{
    BootArgs, Bundles, ClusterArgs, Datastore, DatastoreAdmin, NodeApi, NodeArgs, PkiArgs, grant,
};
use kplan_schema::spec::{Pool, SERVERS_POOL};
use kplan_schema::value::Datastore as Wanted;
use std::collections::BTreeMap;

/// The taint that keeps workloads off servers; K3s's own components and the cloud controller
/// tolerate it (K3s documentation, "High Availability Embedded etcd").
const NO_WORKLOADS: &str = "CriticalAddonsOnly=true:NoExecute";

/// Certificates, keys and tokens.
pub fn pki() -> Address {
    address("pki", "cluster")
}

/// The cluster, once its API answers and its nodes are registered.
pub fn cluster() -> Address {
    address("k3s", "cluster")
}

/// What makes a droplet a node.
pub fn node(pool: &str, index: u32) -> Address {
    indexed("k3s_node", pool, index)
}

/// Where a droplet finds its bundle.
pub fn boot(builder: &Builder<'_>, pool: Pool<'_>, index: u32) -> BootArgs {
    let role = if matches!(pool, Pool::Servers(_)) {
        "server"
    } else {
        "agent"
    };
    BootArgs {
        cluster: builder.inputs.owner.id(),
        node: builder.node_name(pool.name(), index),
        role: role.to_owned(),
        bucket: to(&storage::boot_bucket(), "name"),
        endpoint: to(&storage::boot_bucket(), "endpoint"),
        region: Input::Known(storage::boot_region(builder)),
        access_key: to(&storage::operator_key(), "access_key"),
        secret_key: to(&storage::operator_key(), "secret_key"),
        public_key: to(&pki(), "bundle_public_key"),
        packages: (role == "server" && database::needs_grant(builder))
            .then(|| vec![grant::CLIENT_PACKAGE.to_owned()]),
        datastore_admin: None,
    }
}

/// Declares them.
pub fn declare(builder: &mut Builder<'_>) {
    let rotated = builder.inputs.rotating.args();
    let args = PkiArgs {
        cluster: builder.inputs.owner.id(),
        agent_token_after: rotated.agent_token,
        server_token_after: rotated.server_token,
    };
    let meta = builder.guarded();
    builder.add_with(pki(), &args, None, meta);
    for pool in builder.spec.pools() {
        for index in 0..pool.count().value {
            declare_node(builder, pool, index);
        }
    }
    restoring::declare_snapshot(builder);
    declare_cluster(builder);
}

/// Whether a server needs the server token from before, too: while it is exchanged, and where it begins
/// from a snapshot, which may be from before.
fn both_tokens(builder: &Builder<'_>, init: bool) -> bool {
    let rotating = &builder.inputs.rotating;
    let begins = restoring::snapshot(builder, init).is_some();
    rotating.is_exchanging() || (begins && rotating.args().server_token.is_some())
}

/// Where the cluster is asked about its nodes.
pub(super) fn api(builder: &Builder<'_>) -> NodeApi {
    NodeApi {
        endpoint: endpoint(builder),
        server_ca: to(&pki(), "certificates.server_ca"),
        client_ca: to(&pki(), "certificates.client_ca"),
        client_ca_key: to(&pki(), "server_keys.client_ca"),
    }
}

fn declare_node(builder: &mut Builder<'_>, pool: Pool<'_>, index: u32) {
    let spec = builder.spec;
    let rotated = builder.inputs.rotating.args();
    let server = matches!(pool, Pool::Servers(_));
    let at = droplet(pool.name(), index);
    let joining = joining(builder, (server, pool.name()), index);
    let mut boot = boot(builder, pool, index);
    if server && database::needs_grant(builder) {
        boot.datastore_admin = Some(DatastoreAdmin {
            user: to(&database::cluster(), "user"),
            password: to(&database::cluster(), "password"),
        });
    }
    // What the others run: a node newer than its servers may not join, and an upgrade takes all.
    let version = match builder.inputs.members.version() {
        Some(version) => version.to_owned(),
        None => spec.k3s.version.to_string(),
    };
    let args = NodeArgs {
        boot,
        droplet_id: to(&at, "id"),
        droplet_created_at: Some(to(&at, "created_at")),
        private_ip: to(&at, "ipv4_address_private"),
        public_ip: Some(to(&at, "ipv4_address")),
        certificates: server.then(|| to(&pki(), "certificates")),
        server_keys: server.then(|| to(&pki(), "server_keys")),
        token_hash: to(&pki(), "token_hash"),
        server_token: server.then(|| to(&pki(), "server_token")),
        server_token_before: (server && both_tokens(builder, joining.init))
            .then(|| to(&pki(), "server_token_before")),
        server_token_after: rotated.server_token.filter(|_| server),
        agent_token: to(&pki(), "agent_token"),
        bundle_key: to(&pki(), "bundle_key"),
        datastore: server.then(|| datastore(builder)),
        init: joining.init,
        join: joining.join,
        begun: joining.begun.then_some(true),
        etcd_snapshots: (server && super::platform::snapshots_are_kept(spec)).then_some(true),
        restore: restoring::snapshot(builder, joining.init),
        tls_sans: if server { sans(builder) } else { vec![] },
        disable: if server { disabled(builder) } else { vec![] },
        labels: labels(pool),
        taints: taints(pool),
        binary: builder.inputs.artifacts.k3s(&version),
        version,
        api: Some(api(builder)),
        certificates_after: rotated.certificates,
    };
    let mut meta = if server {
        builder.guarded()
    } else {
        Meta::default()
    };
    meta.inside = Some(at);
    meta.group = Some(super::nodes::group(builder, pool));
    if server {
        meta.after = database::parts(builder);
        // A living server is told a new load balancer's address through that one.
        if spec.api_load_balancer.is_some() {
            meta.after.push(network::api_firewall());
        }
        // Nobody exchanges a token that others do not know.
        if rotated.server_token.is_some() {
            meta.after.push(rotating::server_token());
        }
    } else if rotated.agent_token.is_some() {
        // An agent that is started with a new token needs servers that know it.
        let servers = 0..spec.servers.count.value;
        meta.after = servers.map(|index| node(SERVERS_POOL, index)).collect();
    }
    builder.add_with(node(pool.name(), index), &args, pool.span(), meta);
}

/// How a node comes to its cluster.
#[derive(Default)]
struct Joining {
    /// It begins the cluster.
    init: bool,
    /// Whom it joins.
    join: Option<Input<String>>,
    /// Servers with embedded etcd: the cluster was begun, and has others of them.
    begun: bool,
}

/// Only the first server of a cluster's life begins one; every other server, a replacement of
/// the first included, joins a living one. Agents join a server. What joined once stays as it is.
fn joining(builder: &Builder<'_>, (server, pool): (bool, &str), index: u32) -> Joining {
    let members = &builder.inputs.members;
    // A server cannot join one that is yet to move its data to etcd: its node is waited for then,
    // not only its droplet.
    let address_of = |index: u32| {
        if server && members.have_sqlite() {
            to(&node(SERVERS_POOL, index), "private_ip")
        } else {
            to(&droplet(SERVERS_POOL, index), "ipv4_address_private")
        }
    };
    if server && builder.spec.datastore() != Wanted::Etcd {
        return Joining::default();
    }
    // What was there is lost; the first begins from its snapshot, and is waited for: until it did,
    // names belong to the nodes of before.
    if restoring::begins_from_a_snapshot(builder) {
        let first = (!server || index != 0).then(|| to(&node(SERVERS_POOL, 0), "private_ip"));
        return Joining {
            init: first.is_none(),
            join: first,
            begun: false,
        };
    }
    let own = server.then_some(index);
    let joins = |address| Joining {
        init: false,
        join: Some(address),
        begun: server && members.first_but(own).is_some(),
    };
    let begins = Joining {
        init: true,
        ..Joining::default()
    };
    let count = builder.spec.servers.count.value;
    match members.birth(&node(pool, index), count) {
        // Its successor joins those it began the cluster with. Where it stays, nothing is done:
        // how it joined is of no interest any more. An address, and no reference: those others
        // may have joined this one, or are replaced after it.
        Some(Birth::Began) => match members.address_of_another(index) {
            Some(other) => return joins(Input::Known(other.to_owned())),
            None => return begins,
        },
        Some(Birth::Joined(other)) => return joins(address_of(other)),
        None => {}
    }
    match members.first_but(own) {
        Some(other) => joins(address_of(other)),
        None if server && (members.lives(index) || index == 0) => begins,
        None => joins(address_of(0)),
    }
}

fn datastore(builder: &Builder<'_>) -> Datastore {
    let none = |kind: &str| Datastore {
        kind: kind.to_owned(),
        host: None,
        port: None,
        user: None,
        password: None,
        database: None,
        ca: None,
    };
    let wanted = match (builder.spec.datastore(), &builder.spec.k3s.database) {
        (Wanted::Etcd, _) => return none("etcd"),
        (Wanted::Postgres | Wanted::Mysql, Some(wanted)) => wanted,
        _ => return none("sqlite"),
    };
    let kind = if builder.spec.datastore() == Wanted::Mysql {
        "mysql"
    } else {
        "postgres"
    };
    Datastore {
        kind: kind.to_owned(),
        host: Some(to(&database::cluster(), "private_host")),
        port: Some(to(&database::cluster(), "port")),
        user: Some(Input::Known(wanted.user.to_string())),
        password: Some(database::password(wanted)),
        database: Some(Input::Known(wanted.database.to_string())),
        ca: Some(to(&database::cluster(), "ca_certificate")),
    }
}

/// What the API's certificate must hold besides the node's own names and addresses.
fn sans(builder: &Builder<'_>) -> Vec<Input<String>> {
    let name = hostname(builder).map(Input::Known);
    let mut sans: Vec<Input<String>> = name.into_iter().collect();
    if builder.spec.api_load_balancer.is_some() {
        sans.push(to(&network::api_load_balancer(), "ip"));
    }
    if builder.spec.has_reserved_ip() {
        sans.push(to(&network::reserved_ip(), "ip_address"));
    }
    sans
}

fn disabled(builder: &Builder<'_>) -> Vec<String> {
    builder
        .spec
        .k3s_disable()
        .into_iter()
        .map(str::to_owned)
        .collect()
}

fn labels(pool: Pool<'_>) -> BTreeMap<String, String> {
    pool.labels()
        .iter()
        .map(|(key, value)| (key.clone(), value.to_string()))
        .collect()
}

fn taints(pool: Pool<'_>) -> Vec<String> {
    let mut taints: Vec<String> = pool.taints().iter().map(ToString::to_string).collect();
    if let Pool::Servers(servers) = pool
        && !servers.schedulable.value
        && !taints.iter().any(|taint| taint == NO_WORKLOADS)
    {
        taints.push(NO_WORKLOADS.to_owned());
    }
    taints
}

/// Where kplan calls the API: at an address, so that nothing waits until resolvers know a name;
/// by name where several servers have no address in common, which the file says to be theirs.
fn endpoint(builder: &Builder<'_>) -> Input<String> {
    let name = || hostname(builder).map(Input::Known);
    let first = || to(&droplet(SERVERS_POOL, 0), "ipv4_address");
    network::api_address(builder)
        .or_else(name)
        .unwrap_or_else(first)
}

/// What people call the API by.
fn hostname(builder: &Builder<'_>) -> Option<String> {
    builder.spec.api_hostname().map(ToString::to_string)
}

fn declare_cluster(builder: &mut Builder<'_>) {
    let spec = builder.spec;
    let mut nodes = Vec::new();
    let mut after = Vec::new();
    for pool in spec.pools() {
        for index in 0..pool.count().value {
            nodes.push(Input::Known(builder.node_name(pool.name(), index)));
            after.push(node(pool.name(), index));
        }
    }
    if spec.api_load_balancer.is_some() {
        after.push(network::api_firewall());
    }
    let bundles = Bundles {
        cluster: builder.inputs.owner.id(),
        bucket: to(&storage::boot_bucket(), "name"),
        endpoint: to(&storage::boot_bucket(), "endpoint"),
        region: Input::Known(storage::boot_region(builder)),
        access_key: to(&storage::operator_key(), "access_key"),
        secret_key: to(&storage::operator_key(), "secret_key"),
    };
    let args = ClusterArgs {
        endpoint: endpoint(builder),
        hostname: hostname(builder),
        nodes,
        server_ca: to(&pki(), "certificates.server_ca"),
        client_ca: to(&pki(), "certificates.client_ca"),
        client_ca_key: to(&pki(), "server_keys.client_ca"),
        bundles: Some(bundles),
    };
    let mut meta = Meta {
        after,
        ..builder.guarded()
    };
    // A local datastore lives and dies with its one server. A member of etcd stops being the only
    // one when another joined it.
    let alone = spec.servers.count.value == 1 && builder.inputs.members.servers() <= 1;
    if spec.datastore() == Wanted::Sqlite || (spec.datastore() == Wanted::Etcd && alone) {
        meta.inside = Some(droplet(SERVERS_POOL, 0));
    }
    builder.add_with(cluster(), &args, spec.k3s.span, meta);
    builder.field_at(
        "endpoint",
        spec.endpoint.as_ref().and_then(|endpoint| endpoint.span),
    );
    builder.field_at("hostname", spec.api_hostname().and_then(|name| name.span));
}
