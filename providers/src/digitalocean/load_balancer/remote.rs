//! A load balancer as DigitalOcean shows it.

use super::{ForwardingRule, HealthCheck, LoadBalancerAttrs, LoadBalancerFirewall};
use crate::digitalocean::remote::{Remote, Slug, applied, filled};
use kplan_model::Known;
use serde::Deserialize;
use std::collections::BTreeSet;

/// What a full-object update may carry on from an answer. Not `droplet_ids` and `tag`, which
/// exclude each other and are always ours; not the deprecated `algorithm` and `size`.
pub(super) const WRITABLE: [&str; 15] = [
    "size_unit",
    "health_check",
    "sticky_sessions",
    "http_idle_timeout_seconds",
    "vpc_uuid",
    "disable_lets_encrypt_dns_records",
    "firewall",
    "project_id",
    "network",
    "network_stack",
    "type",
    "tls_cipher_policy",
    "domains",
    "glb_settings",
    "target_load_balancer_ids",
];

#[derive(Debug, Deserialize)]
struct RuleRemote {
    entry_protocol: String,
    entry_port: u16,
    target_protocol: String,
    target_port: u16,
    certificate_id: Option<String>,
    #[serde(default)]
    tls_passthrough: bool,
}

#[derive(Debug, Deserialize)]
struct CheckRemote {
    protocol: String,
    port: u16,
    path: Option<String>,
    check_interval_seconds: u32,
    response_timeout_seconds: u32,
    unhealthy_threshold: u32,
    healthy_threshold: u32,
}

#[derive(Debug, Default, Deserialize)]
struct FirewallRemote {
    allow: Option<Vec<String>>,
    deny: Option<Vec<String>>,
}

/// A load balancer as DigitalOcean shows it.
#[derive(Debug, Deserialize)]
pub(in crate::digitalocean) struct LoadBalancerRemote {
    id: String,
    pub(super) name: String,
    region: Option<Slug>,
    size_unit: Option<u32>,
    #[serde(default)]
    forwarding_rules: Vec<RuleRemote>,
    health_check: Option<CheckRemote>,
    tag: Option<String>,
    droplet_ids: Option<Vec<u64>>,
    vpc_uuid: Option<String>,
    firewall: Option<FirewallRemote>,
    #[serde(default)]
    redirect_http_to_https: bool,
    #[serde(default)]
    enable_proxy_protocol: bool,
    #[serde(default)]
    enable_backend_keepalive: bool,
    http_idle_timeout_seconds: Option<u32>,
    ip: Option<String>,
    ipv6: Option<String>,
    status: Option<String>,
    created_at: Option<String>,
}

impl LoadBalancerRemote {
    pub(super) fn region(&self) -> String {
        Slug::text(self.region.as_ref())
    }

    fn rules(&self) -> Vec<ForwardingRule> {
        let rule = |rule: &RuleRemote| ForwardingRule {
            entry_protocol: rule.entry_protocol.clone(),
            entry_port: rule.entry_port,
            target_protocol: rule.target_protocol.clone(),
            target_port: rule.target_port,
            certificate_id: filled(rule.certificate_id.clone()),
            tls_passthrough: rule.tls_passthrough,
        };
        self.forwarding_rules.iter().map(rule).collect()
    }

    fn check(&self) -> Option<HealthCheck> {
        let check = self.health_check.as_ref()?;
        Some(HealthCheck {
            protocol: check.protocol.clone(),
            port: check.port,
            // A path means nothing to a TCP check, but is shown there too.
            path: filled(check.path.clone()).filter(|_| check.protocol != "tcp"),
            check_interval_seconds: check.check_interval_seconds,
            response_timeout_seconds: check.response_timeout_seconds,
            unhealthy_threshold: check.unhealthy_threshold,
            healthy_threshold: check.healthy_threshold,
        })
    }

    fn firewall(&self) -> Option<LoadBalancerFirewall> {
        let firewall = self.firewall.as_ref()?;
        let list = |list: &Option<Vec<String>>| list.clone().unwrap_or_default();
        let firewall = LoadBalancerFirewall {
            allow: list(&firewall.allow),
            deny: list(&firewall.deny),
        };
        (!firewall.allow.is_empty() || !firewall.deny.is_empty()).then_some(firewall)
    }
}

impl Remote for LoadBalancerRemote {
    type Attrs = LoadBalancerAttrs;
    const PATH: &'static str = "/v2/load_balancers";
    const ONE: &'static str = "load_balancer";
    const MANY: &'static str = "load_balancers";

    fn id(&self) -> String {
        self.id.clone()
    }

    fn created_at(&self) -> Option<&str> {
        self.created_at.as_deref()
    }

    fn attrs(&self, known: Option<&Known>) -> LoadBalancerAttrs {
        let tag = filled(self.tag.clone());
        let ids = self.droplet_ids.iter().flatten().map(ToString::to_string);
        let mut attrs = LoadBalancerAttrs {
            name: self.name.clone(),
            region: self.region(),
            size_unit: self.size_unit.filter(|&units| units > 0),
            forwarding_rule: self.rules(),
            healthcheck: self.check(),
            // With a tag, the ids are only what the tag comes to at the moment.
            droplet_ids: if tag.is_some() {
                Vec::new()
            } else {
                ids.collect()
            },
            droplet_tag: tag,
            vpc_uuid: filled(self.vpc_uuid.clone()),
            firewall: self.firewall(),
            redirect_http_to_https: self.redirect_http_to_https,
            enable_proxy_protocol: self.enable_proxy_protocol,
            enable_backend_keepalive: self.enable_backend_keepalive,
            http_idle_timeout_seconds: self.http_idle_timeout_seconds,
            ip: filled(self.ip.clone()),
            ipv6: filled(self.ipv6.clone()),
            status: self.status.clone(),
            urn: format!("do:loadbalancer:{}", self.id),
            created_at: self.created_at.clone(),
        };
        let rules: Option<Vec<ForwardingRule>> = applied(known, "forwarding_rule");
        let check: Option<HealthCheck> = applied(known, "healthcheck");
        let firewall: Option<LoadBalancerFirewall> = applied(known, "firewall");
        attrs.respell(
            &rules.unwrap_or_default(),
            check.as_ref(),
            firewall.as_ref(),
        );
        attrs
    }
}

impl LoadBalancerAttrs {
    /// Puts what means the same as what was asked for into the words in which it was asked.
    pub(super) fn respell(
        &mut self,
        rules: &[ForwardingRule],
        check: Option<&HealthCheck>,
        firewall: Option<&LoadBalancerFirewall>,
    ) {
        for rule in &mut self.forwarding_rule {
            if let Some(asked) = rules.iter().find(|asked| same_rule(asked, rule)) {
                *rule = asked.clone();
            }
        }
        if let (Some(seen), Some(asked)) = (&mut self.healthcheck, check)
            && same_check(seen, asked)
        {
            *seen = asked.clone();
        }
        if let (Some(seen), Some(asked)) = (&mut self.firewall, firewall)
            && same_set(&seen.allow, &asked.allow)
            && same_set(&seen.deny, &asked.deny)
        {
            *seen = asked.clone();
        }
    }
}

fn same_rule(a: &ForwardingRule, b: &ForwardingRule) -> bool {
    let certificate = |rule: &ForwardingRule| filled(rule.certificate_id.clone());
    let bare = |rule: &ForwardingRule| ForwardingRule {
        certificate_id: None,
        ..rule.clone()
    };
    bare(a) == bare(b) && certificate(a) == certificate(b)
}

fn same_check(a: &HealthCheck, b: &HealthCheck) -> bool {
    let path = |check: &HealthCheck| match check.path.as_deref() {
        _ if check.protocol == "tcp" => None,
        path => Some(path.unwrap_or("/").to_owned()),
    };
    let bare = |check: &HealthCheck| HealthCheck {
        path: path(check),
        ..check.clone()
    };
    bare(a) == bare(b)
}

fn same_set(a: &[String], b: &[String]) -> bool {
    a.iter().collect::<BTreeSet<_>>() == b.iter().collect::<BTreeSet<_>>()
}
