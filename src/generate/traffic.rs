//! Blocks of what lets traffic in and spreads it: firewalls, load balancers, databases.

use super::block::{Block, Inline, Key, quoted};
use super::blocks::Site;
use super::read::typed;
use kplan_model::Input;
use kplan_model::codec::Codec as _;
use kplan_providers::digitalocean::{
    DatabaseAttrs, DatabaseRule, Discovered, FirewallAttrs, FirewallRule, ForwardingRule,
    HealthCheck, LoadBalancerAttrs, LoadBalancerFirewall, UNKEPT,
};

/// Remote sides show nothing but values.
fn known(inputs: &[Input<String>]) -> Vec<String> {
    let known = inputs.iter().filter_map(|input| match input {
        Input::Known(text) => Some(text.clone()),
        Input::Ref(_) | Input::Unknown => None,
    });
    known.collect()
}

/// One `[[firewall]]`.
pub(super) fn firewall(site: &Site, key: Key, one: &Discovered) -> Option<Block> {
    let attrs: FirewallAttrs = typed(one)?;
    let mut block = site.named(key, &attrs.name);
    block.texts("tags", &attrs.tags);
    block.texts("droplets", &site.names.droplets(&attrs.droplet_ids));
    let rules = |rules: &[FirewallRule], end: &str| {
        let rules = rules.iter().map(|one| rule(site, one, end));
        rules.collect::<Vec<Inline>>()
    };
    block.tables("inbound_rule", &rules(&attrs.inbound_rule, "source"));
    block.tables("outbound_rule", &rules(&attrs.outbound_rule, "destination"));
    Some(block)
}

fn rule(site: &Site, rule: &FirewallRule, end: &str) -> Inline {
    let mut inline = Inline::default();
    inline.row("protocol", quoted(&rule.protocol));
    inline.optional("port_range", rule.port_range.as_deref());
    inline.texts(&format!("{end}_addresses"), &rule.addresses);
    inline.texts(&format!("{end}_tags"), &known(&rule.tags));
    let droplets = site.names.droplets(&known(&rule.droplet_ids));
    inline.texts(&format!("{end}_droplets"), &droplets);
    let balancers = known(&rule.load_balancer_uids).into_iter();
    let balancers: Vec<String> = balancers
        .map(|id| site.names.block("load_balancer", &id))
        .collect();
    inline.texts(&format!("{end}_load_balancers"), &balancers);
    inline
}

/// One `[load_balancer.<label>]`: that stands beside `[load_balancer.api]`, which a list could not.
/// Where the file has a list of them already, one more of that.
pub(super) fn load_balancer(site: &Site, key: Key, one: &Discovered) -> Option<Block> {
    let attrs: LoadBalancerAttrs = typed(one)?;
    let mut block = if site.balancers_are_listed {
        site.named(key, &attrs.name)
    } else {
        let label = site.names.block(key.0, &key.1);
        let address = format!("load_balancer.{label}");
        let mut block = Block::new(format!("[load_balancer.{label}]")).holding(key, address);
        if label != attrs.name {
            block.text("name", &attrs.name);
        }
        block
    };
    if let Some(Ok(unkept)) = one.attrs.get(UNKEPT).map(Vec::<String>::decode)
        && !unkept.is_empty()
    {
        block.notes.push(format!(
            "It has settings that no block keeps: {}. They stay as they are, and one made anew would \
             not have them.",
            unkept.join(", ")
        ));
    }
    site.place(&mut block, &attrs.region, attrs.vpc_uuid.as_deref());
    if let Some(units) = attrs.size_unit {
        block.row("size_unit", units.to_string());
    }
    match &attrs.droplet_tag {
        Some(tag) => block.text("tag", tag),
        None => block.texts("droplets", &site.names.droplets(&attrs.droplet_ids)),
    }
    let rules: Vec<Inline> = attrs.forwarding_rule.iter().map(forwarding).collect();
    block.tables("forwarding_rule", &rules);
    if let Some(check) = &attrs.healthcheck {
        block.row("healthcheck", health_check(check).as_toml());
    }
    if let Some(doors) = &attrs.firewall {
        doorkeeper(&mut block, doors);
    }
    block.flag(
        "redirect_http_to_https",
        attrs.redirect_http_to_https,
        false,
    );
    block.flag("enable_proxy_protocol", attrs.enable_proxy_protocol, false);
    block.flag(
        "enable_backend_keepalive",
        attrs.enable_backend_keepalive,
        false,
    );
    if let Some(seconds) = attrs.http_idle_timeout_seconds {
        block.row("http_idle_timeout_seconds", seconds.to_string());
    }
    Some(block)
}

fn forwarding(rule: &ForwardingRule) -> Inline {
    let mut inline = Inline::default();
    inline.row("entry_protocol", quoted(&rule.entry_protocol));
    inline.row("entry_port", rule.entry_port);
    inline.row("target_protocol", quoted(&rule.target_protocol));
    inline.row("target_port", rule.target_port);
    inline.optional("certificate_id", rule.certificate_id.as_deref());
    if rule.tls_passthrough {
        inline.row("tls_passthrough", true);
    }
    inline
}

/// With what differs from the defaults, which are DigitalOcean's.
fn health_check(check: &HealthCheck) -> Inline {
    let mut inline = Inline::default();
    inline.row("protocol", quoted(&check.protocol));
    inline.row("port", check.port);
    let path = check.path.as_deref().filter(|path| *path != "/");
    inline.optional("path", path.filter(|_| check.protocol != "tcp"));
    for (key, number, default) in [
        ("check_interval_seconds", check.check_interval_seconds, 10),
        (
            "response_timeout_seconds",
            check.response_timeout_seconds,
            5,
        ),
        ("unhealthy_threshold", check.unhealthy_threshold, 3),
        ("healthy_threshold", check.healthy_threshold, 5),
    ] {
        if number != default {
            inline.row(key, number);
        }
    }
    inline
}

fn doorkeeper(block: &mut Block, doors: &LoadBalancerFirewall) {
    if doors.allow.is_empty() && doors.deny.is_empty() {
        return;
    }
    let mut inline = Inline::default();
    inline.texts("allow", &doors.allow);
    inline.texts("deny", &doors.deny);
    block.row("firewall", inline.as_toml());
}

/// One `[[database]]`.
pub(super) fn database(site: &Site, key: Key, one: &Discovered) -> Option<Block> {
    let attrs: DatabaseAttrs = typed(one)?;
    let mut block = site.named(key, &attrs.name);
    block.text("engine", &attrs.engine);
    block.optional("version", attrs.version.as_deref());
    block.text("size", &attrs.size);
    if attrs.node_count != 1 {
        block.row("nodes", attrs.node_count.to_string());
    }
    if let Some(mib) = attrs.storage_size_mib {
        block.row("storage_size_mib", mib.to_string());
    }
    site.place(
        &mut block,
        &attrs.region,
        attrs.private_network_uuid.as_deref(),
    );
    block.texts("tags", &attrs.tags);
    let rules = attrs.rules.unwrap_or_default();
    block.tables("rules", &trusted(site, &rules));
    Some(block)
}

/// Who may connect; a pool of which every droplet may is one line.
fn trusted(site: &Site, rules: &[DatabaseRule]) -> Vec<Inline> {
    let value = |rule: &DatabaseRule| known(std::slice::from_ref(&rule.value)).pop();
    let one = |kind: &str, value: &str| {
        let mut inline = Inline::default();
        inline.row("type", quoted(kind));
        inline.row("value", quoted(value));
        inline
    };
    let (droplets, others): (Vec<&DatabaseRule>, Vec<&DatabaseRule>) =
        rules.iter().partition(|rule| rule.kind == "droplet");
    let ids: Vec<String> = droplets.into_iter().filter_map(value).collect();
    let droplets = site.names.droplets(&ids);
    let droplets = droplets.iter().map(|droplet| one("droplet", droplet));
    let others = others.into_iter();
    let others = others.filter_map(|rule| Some(one(&rule.kind, &value(rule)?)));
    others.chain(droplets).collect()
}
