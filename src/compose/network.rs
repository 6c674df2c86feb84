//! Tags, VPC, firewalls, the API's load balancer and reserved IP.

use super::build::{Builder, address, to};
use kplan_model::{Address, Input};
use kplan_providers::digitalocean::{
    FirewallArgs, FirewallRule, ForwardingRule, HealthCheck, LoadBalancerArgs,
    LoadBalancerFirewall, ReservedIpArgs, TagArgs, VpcArgs, all_ports,
};
use kplan_schema::Spanned;
use kplan_schema::spec::SERVERS_POOL;

/// Where the Kubernetes API listens, on servers and on the load balancer.
const API_PORT: u16 = 6443;

/// The owner's own tag; on everything taggable.
pub fn owner_tag() -> Address {
    address("tag", "owner")
}

/// The tag of all servers.
pub fn server_tag() -> Address {
    address("tag", "server")
}

/// The tag of all agents.
pub fn agent_tag() -> Address {
    address("tag", "agent")
}

/// The firewall of all servers.
pub fn server_firewall() -> Address {
    address("firewall", "servers")
}

/// What lets the load balancer reach the API. Firewalls add up; it stands apart from the servers'
/// own, so that droplets need not wait for the load balancer.
pub fn api_firewall() -> Address {
    address("firewall", "api")
}

/// The firewall of all agents.
pub fn agent_firewall() -> Address {
    address("firewall", "agents")
}

/// The VPC.
pub fn vpc() -> Address {
    address("vpc", "main")
}

/// The API's load balancer.
pub fn api_load_balancer() -> Address {
    address("load_balancer", "api")
}

/// The API's reserved address.
pub fn reserved_ip() -> Address {
    address("reserved_ip", "api")
}

/// Where one address leads to the API: the load balancer's, the reserved one, or the only
/// server's. Nothing where several servers have none in common.
pub fn api_address(builder: &Builder<'_>) -> Option<Input<String>> {
    let spec = builder.spec;
    if spec.api_load_balancer.is_some() {
        return Some(to(&api_load_balancer(), "ip"));
    }
    if spec.has_reserved_ip() {
        return Some(to(&reserved_ip(), "ip_address"));
    }
    let only = super::nodes::droplet(SERVERS_POOL, 0);
    (spec.server_count() == 1).then(|| to(&only, "ipv4_address"))
}

/// Declares them.
pub fn declare(builder: &mut Builder<'_>) {
    let spec = builder.spec;
    if !spec.runs_k3s() {
        return named(builder);
    }
    builder.add(owner_tag(), &TagArgs { name: None }, None);
    builder.add(
        server_tag(),
        &TagArgs {
            name: Some(builder.name("server")),
        },
        None,
    );
    // Also where there are no agents: the servers' firewall lets the tag in, and is not changed
    // before the last agent is drained, nor when the first one comes.
    builder.add(
        agent_tag(),
        &TagArgs {
            name: Some(builder.name("agent")),
        },
        None,
    );
    own_vpc(builder);
    load_balancer(builder);
    reserved(builder);
    firewalls(builder);
}

/// Where kplan runs no cluster: the VPC that the file asks for, and the owner's tag, if kplan makes
/// something that carries it: what of it was lost is found by that.
fn named(builder: &mut Builder<'_>) {
    let spec = builder.spec;
    let pools = spec.pools();
    let nodes = pools.flat_map(|pool| {
        (0..pool.count().value).map(move |index| super::nodes::droplet(pool.name(), index))
    });
    let droplets = spec.droplets.iter().map(|it| ("droplet", &it.label));
    let volumes = spec.volumes.iter().map(|it| ("volume", &it.label));
    let databases = spec.databases.iter().map(|it| ("database", &it.label));
    let free = droplets.chain(volumes).chain(databases);
    let free = free.map(|(kind, label)| address(kind, label.as_str()));
    let tagged = nodes.chain(free).any(|at| !builder.is_foreign(&at));
    if tagged {
        builder.add(owner_tag(), &TagArgs { name: None }, None);
    }
    if spec.has_own_vpc() {
        own_vpc(builder);
    }
}

fn own_vpc(builder: &mut Builder<'_>) {
    let spec = builder.spec;
    let network = &spec.network;
    let args = VpcArgs {
        name: network.vpc.name.to_string(),
        region: spec.region().to_owned(),
        ip_range: network.vpc.ip_range.as_ref().map(ToString::to_string),
        description: None,
    };
    let meta = builder.guard(None);
    builder.add_with(vpc(), &args, network.vpc.span.or(network.span), meta);
    builder.field_at("name", network.vpc.name.span);
    builder.field_at(
        "ip_range",
        network.vpc.ip_range.as_ref().and_then(|range| range.span),
    );
}

/// An address of the API that outlives the only server.
fn reserved(builder: &mut Builder<'_>) {
    if !builder.spec.has_reserved_ip() {
        return;
    }
    let args = ReservedIpArgs {
        region: builder.spec.region().to_owned(),
        droplet_id: Some(to(&super::nodes::droplet("servers", 0), "id")),
    };
    let meta = builder.guarded();
    let span = builder
        .spec
        .endpoint
        .as_ref()
        .and_then(|endpoint| endpoint.span);
    builder.add_with(reserved_ip(), &args, span, meta);
}

/// TCP 6443 in front of the servers, passed through: TLS ends at K3s. The health check is TCP
/// because K3s answers no HTTP request without a certificate.
fn load_balancer(builder: &mut Builder<'_>) {
    let spec = builder.spec;
    let Some(wanted) = &spec.api_load_balancer else {
        return;
    };
    let rule = ForwardingRule {
        entry_protocol: "tcp".to_owned(),
        entry_port: API_PORT,
        target_protocol: "tcp".to_owned(),
        target_port: API_PORT,
        certificate_id: None,
        tls_passthrough: false,
    };
    let check = HealthCheck {
        protocol: "tcp".to_owned(),
        port: API_PORT,
        path: None,
        check_interval_seconds: 10,
        response_timeout_seconds: 5,
        unhealthy_threshold: 3,
        healthy_threshold: 5,
    };
    let allow = |list: &Vec<_>| {
        list.iter()
            .map(|cidr: &Spanned<_>| format!("cidr:{cidr}"))
            .collect()
    };
    let firewall = spec
        .network
        .api_allow
        .as_ref()
        .map(|list| LoadBalancerFirewall {
            allow: allow(&list.value),
            deny: vec![],
        });
    let args = LoadBalancerArgs {
        name: wanted.name.to_string(),
        region: spec.region().to_owned(),
        size_unit: Some(wanted.size_unit.value),
        forwarding_rule: vec![rule],
        healthcheck: Some(check),
        droplet_tag: Some(to(&server_tag(), "name")),
        droplet_ids: vec![],
        vpc_uuid: Some(to(&vpc(), "id")),
        firewall,
        redirect_http_to_https: false,
        enable_proxy_protocol: false,
        enable_backend_keepalive: false,
        http_idle_timeout_seconds: None,
    };
    let meta = builder.guarded();
    builder.add_with(api_load_balancer(), &args, wanted.span, meta);
    builder.field_at("name", wanted.name.span);
    builder.field_at("size_unit", wanted.size_unit.span);
    builder.field_at(
        "firewall",
        spec.network.api_allow.as_ref().and_then(|list| list.span),
    );
}

fn firewalls(builder: &mut Builder<'_>) {
    let spec = builder.spec;
    let mut inbound = inside(builder);
    if spec.api_load_balancer.is_some() {
        let from_load_balancer = FirewallRule {
            load_balancer_uids: vec![to(&api_load_balancer(), "id")],
            ..api_rule(vec![])
        };
        let args = FirewallArgs {
            name: builder.name("api"),
            tags: vec![to(&server_tag(), "name")],
            droplet_ids: vec![],
            inbound_rule: vec![from_load_balancer],
            outbound_rule: vec![],
        };
        builder.add(api_firewall(), &args, spec.network.span);
    } else {
        inbound.push(api_rule(spec.api_sources()));
    }
    let args = FirewallArgs {
        name: builder.name("servers"),
        tags: vec![to(&server_tag(), "name")],
        droplet_ids: vec![],
        inbound_rule: inbound,
        outbound_rule: everywhere(),
    };
    builder.add(server_firewall(), &args, spec.network.span);
    if spec.agents.is_empty() {
        return;
    }
    let args = FirewallArgs {
        name: builder.name("agents"),
        tags: vec![to(&agent_tag(), "name")],
        droplet_ids: vec![],
        inbound_rule: inside(builder),
        outbound_rule: everywhere(),
    };
    builder.add(agent_firewall(), &args, spec.network.span);
}

/// What nodes may send to each other (VXLAN, kubelet, etcd: everything), ping, and SSH where the
/// file allows it. VXLAN (8472/udp) must never be open to the world, so sources are tags.
fn inside(builder: &Builder<'_>) -> Vec<FirewallRule> {
    let tags: Vec<Input<String>> = [server_tag(), agent_tag()]
        .iter()
        .map(|tag| to(tag, "name"))
        .collect();
    let from_nodes = |protocol: &str| FirewallRule {
        tags: tags.clone(),
        ..all_ports(protocol, &[])
    };
    let mut rules = vec![from_nodes("tcp"), from_nodes("udp")];
    rules.push(FirewallRule {
        port_range: None,
        ..all_ports("icmp", &["0.0.0.0/0", "::/0"])
    });
    let ssh: Vec<String> = builder
        .spec
        .network
        .ssh_allow
        .value
        .iter()
        .map(ToString::to_string)
        .collect();
    if !ssh.is_empty() {
        rules.push(FirewallRule {
            port_range: Some("22".to_owned()),
            addresses: ssh,
            ..all_ports("tcp", &[])
        });
    }
    rules
}

/// Who reaches 6443 on a server: the load balancer alone where there is one (it has its own
/// firewall), else whoever the file allows.
fn api_rule(addresses: Vec<String>) -> FirewallRule {
    FirewallRule {
        port_range: Some("6443".to_owned()),
        addresses,
        ..all_ports("tcp", &[])
    }
}

fn everywhere() -> Vec<FirewallRule> {
    let all = ["0.0.0.0/0", "::/0"];
    vec![
        all_ports("tcp", &all),
        all_ports("udp", &all),
        FirewallRule {
            port_range: None,
            ..all_ports("icmp", &all)
        },
    ]
}
