//! What lets traffic through and where it goes: a firewall, load balancers, a reserved address.

use super::{hand, number, post, put, row};
use crate::drift::hand::{Hand, Ids};
use serde_json::{Value, json};

pub(super) fn hands(id: Ids<'_>) -> Vec<Hand> {
    let ip = format!("/v2/reserved_ips/{}", id("reserved_ip.shop"));
    let one = number(id, "droplet.one");
    let assign = json!({ "type": "assign", "droplet_id": one });
    vec![
        firewall(id),
        front(id),
        rear(id),
        hand(
            "reserved_ip.shop",
            &ip,
            vec![post(format!("{ip}/actions"), assign)],
            vec![row(
                "droplet_id",
                id("droplet.two"),
                id("droplet.one"),
                "/reserved_ip/droplet/id",
            )],
        ),
    ]
}

fn firewall(id: Ids<'_>) -> Hand {
    let firewall = format!("/v2/firewalls/{}", id("firewall.web"));
    let rule = |protocol: &str, port: &str, address: &str| json!([{ "protocol": protocol, "port_range": port, "addresses": [address] }]);
    let theirs = json!({ "addresses": ["198.51.100.9"] });
    let body = json!({
        "name": "night", "tags": ["other"], "droplet_ids": [number(id, "droplet.one")],
        "inbound_rules": [{ "protocol": "tcp", "ports": "22", "sources": theirs }],
        "outbound_rules": [{ "protocol": "udp", "ports": "53", "destinations": theirs }],
    });
    let droplet = |address: &str| json!([id(address)]);
    hand(
        "firewall.web",
        &firewall,
        vec![put(&firewall, body)],
        vec![
            row("name", "web", "night", "/firewall/name"),
            row("tags", json!(["web"]), json!(["other"]), "/firewall/tags"),
            row(
                "droplet_ids",
                droplet("droplet.two"),
                droplet("droplet.one"),
                "/firewall/droplet_ids",
            ),
            row(
                "inbound_rule",
                rule("tcp", "22", "203.0.113.7"),
                rule("tcp", "22", "198.51.100.9"),
                "/firewall/inbound_rules",
            ),
            row(
                "outbound_rule",
                rule("udp", "53", "0.0.0.0/0"),
                rule("udp", "53", "198.51.100.9"),
                "/firewall/outbound_rules",
            ),
        ],
    )
}

fn rule(port: u32) -> Value {
    json!({
        "entry_protocol": "http", "entry_port": port, "target_protocol": "http",
        "target_port": 80, "tls_passthrough": false,
    })
}

fn check(path: &str) -> Value {
    json!({
        "protocol": "http", "port": 80, "path": path, "check_interval_seconds": 10,
        "response_timeout_seconds": 5, "unhealthy_threshold": 3, "healthy_threshold": 5,
    })
}

fn front(id: Ids<'_>) -> Hand {
    let front = format!("/v2/load_balancers/{}", id("load_balancer.front"));
    let allow = json!({ "allow": ["cidr:203.0.113.0/24"] });
    let deny = json!({ "deny": ["ip:198.51.100.9"] });
    let body = json!({
        "name": "night", "region": "fra1", "vpc_uuid": id("vpc.main"), "size_unit": 2,
        "tag": "other", "redirect_http_to_https": false, "enable_proxy_protocol": true,
        "enable_backend_keepalive": true, "http_idle_timeout_seconds": 90, "firewall": deny,
        "forwarding_rules": [rule(8080)], "health_check": check("/"),
    });
    hand(
        "load_balancer.front",
        &front,
        vec![put(&front, body)],
        vec![
            row("name", "front", "night", "/load_balancer/name"),
            row("size_unit", 1, 2, "/load_balancer/size_unit"),
            row("droplet_tag", "web", "other", "/load_balancer/tag"),
            row(
                "forwarding_rule",
                json!([rule(80)]),
                json!([rule(8080)]),
                "/load_balancer/forwarding_rules",
            ),
            row(
                "healthcheck",
                check("/healthz"),
                check("/"),
                "/load_balancer/health_check",
            ),
            row("firewall", allow, deny, "/load_balancer/firewall"),
            row(
                "enable_proxy_protocol",
                false,
                true,
                "/load_balancer/enable_proxy_protocol",
            ),
            row(
                "enable_backend_keepalive",
                false,
                true,
                "/load_balancer/enable_backend_keepalive",
            ),
            row(
                "http_idle_timeout_seconds",
                60,
                90,
                "/load_balancer/http_idle_timeout_seconds",
            ),
        ],
    )
}

fn rear(id: Ids<'_>) -> Hand {
    let rear = format!("/v2/load_balancers/{}", id("load_balancer.rear"));
    let passes = json!({
        "entry_protocol": "https", "entry_port": 443, "target_protocol": "https",
        "target_port": 443, "tls_passthrough": true,
    });
    let body = json!({
        "name": "rear", "region": "fra1", "vpc_uuid": id("vpc.main"),
        "droplet_ids": [number(id, "droplet.one")], "redirect_http_to_https": true,
        "forwarding_rules": [rule(80), passes], "health_check": check("/healthz"),
    });
    let droplet = |address: &str| json!([id(address)]);
    hand(
        "load_balancer.rear",
        &rear,
        vec![put(&rear, body)],
        vec![
            row(
                "droplet_ids",
                droplet("droplet.two"),
                droplet("droplet.one"),
                "/load_balancer/droplet_ids",
            ),
            row(
                "redirect_http_to_https",
                false,
                true,
                "/load_balancer/redirect_http_to_https",
            ),
        ],
    )
}
