//! A firewall's rule that DigitalOcean would refuse.

use crate::code::Code;
use crate::diagnostic::{Finding, Report};
use crate::span::Span;
use crate::spec::{FreeFirewall, Spec, TrafficRule};
use crate::value::FirewallProtocol;

pub(super) const SUMMARY: &str = "A firewall's rules have ports where their protocol has, and another end.";

/// DigitalOcean takes so many of one firewall.
const MAX_TAGS: usize = 5;

pub(super) fn check(spec: &Spec, report: &mut Report) {
    for firewall in &spec.firewalls {
        for rule in firewall.inbound_rule.iter().chain(&firewall.outbound_rule) {
            ports(rule, report);
            ends(rule, report);
        }
        tags(firewall, report);
        name(firewall, report);
    }
}

/// DigitalOcean's document: a letter or digit, and at least one more.
fn name(firewall: &FreeFirewall, report: &mut Report) {
    if firewall.name.as_str().len() == 1 {
        judge(
            &format!("the name `{}` is too short for a firewall", firewall.name),
            firewall.name.span,
            "DigitalOcean takes firewalls' names of two characters or more.",
            "Choose a longer one; `label = \"…\"` keeps its address.",
            report,
        );
    }
}

fn judge(what: &str, span: Option<Span>, why: &str, remedy: &str, report: &mut Report) {
    report.judge(
        Finding::new(Code::FirewallRule, what)
            .label(span, "here")
            .why(why)
            .remedy(remedy),
    );
}

fn ports(rule: &TrafficRule, report: &mut Report) {
    if rule.protocol.span.is_none() || !report.trusts(rule.protocol.span) {
        return;
    }
    let why = "DigitalOcean wants to know the ports of TCP and UDP; ICMP has none.";
    match (rule.protocol.value, &rule.port_range) {
        (FirewallProtocol::Icmp, Some(ports)) => {
            judge("a rule for ICMP has no ports", ports.span, why, "Take `port_range` out.", report);
        }
        (FirewallProtocol::Tcp | FirewallProtocol::Udp, None) => {
            let what = format!("a rule for {} says nothing of ports", rule.protocol.value);
            let remedy = "Add `port_range`; `\"all\"` means every port.";
            judge(&what, rule.span, why, remedy, report);
        }
        _ => {}
    }
}

fn ends(rule: &TrafficRule, report: &mut Report) {
    let droplets = rule.tags.is_empty() && rule.droplets.is_empty();
    if droplets && rule.addresses.is_empty() && rule.load_balancers.is_empty() {
        judge(
            "a firewall's rule names nobody at its other end",
            rule.span,
            "DigitalOcean takes no rule without one; what no rule allows is refused anyway.",
            "Add `source_addresses = [\"0.0.0.0/0\", \"::/0\"]` (`destination_addresses` in an \
             `outbound_rule`) for everybody, or tags, droplets or load balancers.",
            report,
        );
    }
}

fn tags(firewall: &FreeFirewall, report: &mut Report) {
    if let Some(tag) = firewall.tags.get(MAX_TAGS) {
        judge(
            &format!("the firewall `{}` has more than {MAX_TAGS} tags", firewall.name),
            tag.span,
            "DigitalOcean takes no more.",
            "Give the droplets one tag in common.",
            report,
        );
    }
}
