//! What lets traffic in and spreads it: firewalls, load balancers, and databases with their trusted
//! sources.

use super::{Lowerer, flag, optional_flag, present};
use crate::code::Code;
use crate::diagnostic::Finding;
use crate::raw::{
    Leaf, Opt, RawBalancerFirewall, RawDatabaseRule, RawFirewall, RawForwardingRule,
    RawFreeDatabase, RawHealthCheck, RawInboundRule, RawLoadBalancer, RawLoadBalancers,
    RawOutboundRule, Req,
};
use crate::span::{Span, Spanned};
use crate::spec::{
    BalancerCheck, BalancerFirewall, Cluster, DatabaseRule, DatabaseSource, Forwarding,
    FreeDatabase, FreeFirewall, FreeLoadBalancer, TrafficRule,
};
use crate::value::{DatabaseRuleType, ResourceName};

/// Ports are numbers of 16 bits, and none is 0.
const PORTS: std::ops::RangeInclusive<u32> = 1..=65_535;

/// The other end of a rule, as it is written.
struct Ends<'r> {
    addresses: &'r Opt<Vec<Leaf<String>>>,
    tags: &'r Opt<Vec<Leaf<String>>>,
    droplets: &'r Opt<Vec<Leaf<String>>>,
    load_balancers: &'r Opt<Vec<Leaf<String>>>,
}

impl Lowerer<'_> {
    pub(super) fn firewalls(&mut self, raw: &Opt<Vec<Leaf<RawFirewall>>>) -> Vec<FreeFirewall> {
        Self::tables(raw)
            .map(|firewall| {
                let name = self.required::<ResourceName>(&firewall.name);
                FreeFirewall {
                    label: self.label(&firewall.label, name.as_str(), name.span),
                    name,
                    tags: self.list(&firewall.tags),
                    droplets: self.list(&firewall.droplets),
                    inbound_rule: Self::tables(&firewall.inbound_rule)
                        .map(|rule| self.inbound(rule))
                        .collect(),
                    outbound_rule: Self::tables(&firewall.outbound_rule)
                        .map(|rule| self.outbound(rule))
                        .collect(),
                    protect: optional_flag(&firewall.protect),
                    span: Some(firewall.span),
                }
            })
            .collect()
    }

    fn inbound(&mut self, raw: &RawInboundRule) -> TrafficRule {
        let ends = Ends {
            addresses: &raw.source_addresses,
            tags: &raw.source_tags,
            droplets: &raw.source_droplets,
            load_balancers: &raw.source_load_balancers,
        };
        self.traffic(&raw.protocol, &raw.port_range, &ends, raw.span)
    }

    fn outbound(&mut self, raw: &RawOutboundRule) -> TrafficRule {
        let ends = Ends {
            addresses: &raw.destination_addresses,
            tags: &raw.destination_tags,
            droplets: &raw.destination_droplets,
            load_balancers: &raw.destination_load_balancers,
        };
        self.traffic(&raw.protocol, &raw.port_range, &ends, raw.span)
    }

    fn traffic(
        &mut self,
        protocol: &Req<String>,
        ports: &Opt<String>,
        ends: &Ends<'_>,
        span: Span,
    ) -> TrafficRule {
        TrafficRule {
            protocol: self.required(protocol),
            port_range: self.optional(ports),
            addresses: self.list(ends.addresses),
            tags: self.list(ends.tags),
            droplets: self.list(ends.droplets),
            load_balancers: self.list(ends.load_balancers),
            span: Some(span),
        }
    }

    pub(super) fn load_balancers(
        &mut self,
        raw: &Opt<RawLoadBalancers>,
        cluster: &Cluster,
    ) -> Vec<FreeLoadBalancer> {
        let Some(Leaf::Read(all)) = raw else {
            return Vec::new();
        };
        let tables = all.value.free.iter().filter_map(|(key, leaf)| match leaf {
            Leaf::Read(table) => Some((key.as_ref(), &table.value)),
            Leaf::Unread(_) => None,
        });
        tables
            .map(|(key, table)| self.balancer(key, table, cluster))
            .collect()
    }

    fn balancer(
        &mut self,
        key: Option<&Spanned<String>>,
        raw: &RawLoadBalancer,
        cluster: &Cluster,
    ) -> FreeLoadBalancer {
        if let (Some(_), Some(label)) = (key, &raw.label) {
            self.report.push(
                Finding::new(Code::OneOf, "a load balancer has two labels")
                    .label(label.span(), "would be skipped")
                    .why("In `[load_balancer.<label>]` the key is the label.")
                    .remedy("Take `label` out, or make it the key."),
            );
        }
        let key = key.map(|key| Leaf::Read(key.clone()));
        let named = raw.name.clone().or_else(|| key.clone());
        let name = self.required::<ResourceName>(&Req(named));
        let label = key.or_else(|| raw.label.clone());
        let units = "A load balancer has 1 to 100 nodes.";
        FreeLoadBalancer {
            label: self.label(&label, name.as_str(), name.span),
            name,
            region: self.region(&raw.region, cluster),
            size_unit: self.optional_number(&raw.size_unit, 1..=100, units),
            vpc: self.optional(&raw.vpc),
            tag: self.optional(&raw.tag),
            droplets: self.list(&raw.droplets),
            forwarding_rule: Self::tables(&raw.forwarding_rule.0)
                .map(|rule| self.forwarding(rule))
                .collect(),
            healthcheck: present(&raw.healthcheck).map(|check| self.health_check(&check)),
            firewall: present(&raw.firewall).map(|firewall| self.balancer_firewall(&firewall)),
            redirect_http_to_https: flag(&raw.redirect_http_to_https, false),
            enable_proxy_protocol: flag(&raw.enable_proxy_protocol, false),
            enable_backend_keepalive: flag(&raw.enable_backend_keepalive, false),
            http_idle_timeout_seconds: self.optional_number(
                &raw.http_idle_timeout_seconds,
                30..=600,
                "DigitalOcean keeps idle connections for half a minute to ten minutes.",
            ),
            protect: optional_flag(&raw.protect),
            span: Some(raw.span),
        }
    }

    fn port(&mut self, field: &Req<i64>) -> Spanned<u32> {
        self.number(&field.0, PORTS, 1, "Ports are numbers of 16 bits.")
    }

    fn forwarding(&mut self, raw: &RawForwardingRule) -> Forwarding {
        Forwarding {
            entry_protocol: self.required(&raw.entry_protocol),
            entry_port: self.port(&raw.entry_port),
            target_protocol: self.required(&raw.target_protocol),
            target_port: self.port(&raw.target_port),
            certificate_id: self.optional(&raw.certificate_id),
            tls_passthrough: flag(&raw.tls_passthrough, false),
            span: Some(raw.span),
        }
    }

    /// The defaults are those of DigitalOcean's API.
    fn health_check(&mut self, raw: &RawHealthCheck) -> BalancerCheck {
        let why = "DigitalOcean takes 3 to 300 seconds, and 2 to 10 checks in a row.";
        BalancerCheck {
            protocol: self.required(&raw.protocol),
            port: self.port(&raw.port),
            path: self.optional(&raw.path),
            check_interval_seconds: self.number(&raw.check_interval_seconds, 3..=300, 10, why),
            response_timeout_seconds: self.number(&raw.response_timeout_seconds, 3..=300, 5, why),
            unhealthy_threshold: self.number(&raw.unhealthy_threshold, 2..=10, 3, why),
            healthy_threshold: self.number(&raw.healthy_threshold, 2..=10, 5, why),
            span: Some(raw.span),
        }
    }

    fn balancer_firewall(&mut self, raw: &RawBalancerFirewall) -> BalancerFirewall {
        BalancerFirewall {
            allow: self.list(&raw.allow),
            deny: self.list(&raw.deny),
            span: Some(raw.span),
        }
    }

    pub(super) fn databases(
        &mut self,
        raw: &Opt<Vec<Leaf<RawFreeDatabase>>>,
        cluster: &Cluster,
    ) -> Vec<FreeDatabase> {
        Self::tables(raw)
            .map(|database| self.free_database(database, cluster))
            .collect()
    }

    fn free_database(&mut self, raw: &RawFreeDatabase, cluster: &Cluster) -> FreeDatabase {
        let name = self.required::<ResourceName>(&raw.name);
        FreeDatabase {
            label: self.label(&raw.label, name.as_str(), name.span),
            name,
            engine: self.required(&raw.engine),
            version: self.optional(&raw.version),
            size: self.required(&raw.size),
            region: self.region(&raw.region, cluster),
            nodes: self.number(
                &raw.nodes,
                1..=100,
                1,
                "A managed database has one node at least.",
            ),
            storage_size_mib: self.optional_number(
                &raw.storage_size_mib,
                1..=u32::MAX,
                "A disk has a size.",
            ),
            vpc: self.optional(&raw.vpc),
            tags: self.list(&raw.tags),
            rules: Self::tables(&raw.rules)
                .map(|rule| self.database_rule(rule))
                .collect(),
            protect: optional_flag(&raw.protect),
            span: Some(raw.span),
        }
    }

    fn database_rule(&mut self, raw: &RawDatabaseRule) -> DatabaseRule {
        let kind: Spanned<DatabaseRuleType> = self.required(&raw.r#type);
        let source = match kind.value {
            // What was reported already says nothing about the value.
            _ if kind.span.is_none() || !self.report.trusts(kind.span) => {
                DatabaseSource::Other(kind.value, self.required(&raw.value))
            }
            DatabaseRuleType::Tag => DatabaseSource::Tag(self.required(&raw.value)),
            DatabaseRuleType::Droplet => DatabaseSource::Droplet(self.required(&raw.value)),
            DatabaseRuleType::IpAddr => DatabaseSource::Address(self.required(&raw.value)),
            DatabaseRuleType::K8s | DatabaseRuleType::App => {
                DatabaseSource::Other(kind.value, self.required(&raw.value))
            }
        };
        DatabaseRule {
            source,
            span: Some(raw.span),
        }
    }
}
