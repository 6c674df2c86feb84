//! The settings of a load balancer that a PUT replaces, with their documented defaults.

use std::net::IpAddr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::digitalocean::says_something;
use crate::http::ApiError;

/// Ports DigitalOcean keeps for itself on load balancers (README of its cloud controller manager).
const RESERVED_ENTRIES: [u16; 3] = [50053, 50054, 50055];

/// Everything that is left out is at its default.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Settings {
    forwarding_rules: Vec<ForwardingRule>,
    health_check: Option<HealthCheck>,
    sticky_sessions: Option<StickySessions>,
    firewall: Option<Firewall>,
    /// These three are for global load balancers only.
    domains: Option<Value>,
    #[serde(rename = "glb_settings")]
    global: Option<Value>,
    target_load_balancer_ids: Option<Value>,
    algorithm: Option<String>,
    redirect_http_to_https: Option<bool>,
    enable_proxy_protocol: Option<bool>,
    enable_backend_keepalive: Option<bool>,
    disable_lets_encrypt_dns_records: Option<bool>,
    http_idle_timeout_seconds: Option<u32>,
    tls_cipher_policy: Option<String>,
    r#type: Option<String>,
    network: Option<String>,
    network_stack: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ForwardingRule {
    entry_protocol: String,
    entry_port: u16,
    target_protocol: String,
    target_port: u16,
    #[serde(default)]
    certificate_id: String,
    #[serde(default)]
    tls_passthrough: bool,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct HealthCheck {
    protocol: Option<String>,
    port: Option<u16>,
    path: Option<String>,
    check_interval_seconds: Option<u32>,
    response_timeout_seconds: Option<u32>,
    unhealthy_threshold: Option<u32>,
    healthy_threshold: Option<u32>,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct StickySessions {
    r#type: Option<String>,
    cookie_name: Option<String>,
    cookie_ttl_seconds: Option<u32>,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Firewall {
    #[serde(default)]
    allow: Vec<String>,
    #[serde(default)]
    deny: Vec<String>,
}

impl Settings {
    pub(super) fn is_global(&self) -> bool {
        self.r#type.as_deref() == Some("GLOBAL")
    }

    pub(super) fn is_dual_stack(&self) -> bool {
        self.network_stack.as_deref() == Some("DUALSTACK")
    }

    pub(super) fn is_internal(&self) -> bool {
        self.network.as_deref() == Some("INTERNAL")
    }

    /// Whether what can never change is as it was (or left out).
    pub(super) fn same_kind(&self, old: &Settings) -> bool {
        let same = |new: &Option<String>, old: &Option<String>, default: &str| {
            let old = old.as_deref().unwrap_or(default);
            new.as_deref().is_none_or(|new| new == old)
        };
        same(&self.r#type, &old.r#type, "REGIONAL")
            && same(&self.network, &old.network, "EXTERNAL")
            && same(&self.network_stack, &old.network_stack, "IPV4")
    }

    /// Takes over what can never change.
    pub(super) fn keep_kind(mut self, old: &Settings) -> Settings {
        self.r#type.clone_from(&old.r#type);
        self.network.clone_from(&old.network);
        self.network_stack.clone_from(&old.network_stack);
        self
    }

    pub(super) fn change_rules(&mut self, rules: Vec<ForwardingRule>, add: bool) {
        self.forwarding_rules.retain(|rule| !rules.contains(rule));
        if add {
            self.forwarding_rules.extend(rules);
        }
    }

    /// Whether names of Let's Encrypt's certificates get DNS records that lead here.
    pub(super) fn makes_dns_records(&self) -> bool {
        !self.disable_lets_encrypt_dns_records.unwrap_or(false)
    }

    /// The certificates its forwarding rules name.
    pub(super) fn certificates(&self) -> impl Iterator<Item = &str> {
        let ids = self
            .forwarding_rules
            .iter()
            .map(|rule| rule.certificate_id.as_str());
        ids.filter(|id| !id.is_empty())
    }

    pub(super) fn check(&self) -> Result<(), ApiError> {
        if self.forwarding_rules.is_empty() {
            return Err(ApiError::unprocessable(
                "at least one forwarding rule is required",
            ));
        }
        let mut entries = std::collections::BTreeSet::new();
        for rule in &self.forwarding_rules {
            rule.check()?;
            // HTTP/3 is UDP, so it can have the port of HTTPS.
            let udp = matches!(rule.entry_protocol.as_str(), "udp" | "http3");
            if !entries.insert((udp, rule.entry_port)) {
                let message = format!("entry port {} is used twice", rule.entry_port);
                return Err(ApiError::unprocessable(message));
            }
        }
        self.check_words()?;
        self.check_kind()?;
        if let Some(sticky) = &self.sticky_sessions {
            sticky.check()?;
        }
        if self
            .http_idle_timeout_seconds
            .is_some_and(|seconds| !(30..=600).contains(&seconds))
        {
            return Err(ApiError::unprocessable(
                "http_idle_timeout_seconds must be 30 to 600",
            ));
        }
        if let Some(check) = &self.health_check {
            check.check()?;
        }
        self.firewall.iter().try_for_each(Firewall::check)
    }

    /// What only one type of load balancer can have.
    fn check_kind(&self) -> Result<(), ApiError> {
        let global = [
            ("domains", &self.domains),
            ("glb_settings", &self.global),
            ("target_load_balancer_ids", &self.target_load_balancer_ids),
        ];
        let given = |value: &Option<Value>| value.as_ref().is_some_and(says_something);
        if let Some((name, _)) = global.into_iter().find(|(_, value)| given(value))
            && !self.is_global()
        {
            return Err(ApiError::unprocessable(format!(
                "{name} is only for load balancers of type GLOBAL"
            )));
        }
        // It works on the transport layer.
        let plain = |rule: &ForwardingRule| matches!(rule.entry_protocol.as_str(), "tcp" | "udp");
        if self.r#type.as_deref() == Some("REGIONAL_NETWORK")
            && !self.forwarding_rules.iter().all(plain)
        {
            return Err(ApiError::unprocessable(
                "load balancers of type REGIONAL_NETWORK only forward tcp and udp",
            ));
        }
        Ok(())
    }

    fn check_words(&self) -> Result<(), ApiError> {
        let words: [(&str, &Option<String>, &[&str]); 5] = [
            (
                "algorithm",
                &self.algorithm,
                &["round_robin", "least_connections"],
            ),
            (
                "tls_cipher_policy",
                &self.tls_cipher_policy,
                &["DEFAULT", "STRONG"],
            ),
            (
                "type",
                &self.r#type,
                &["REGIONAL", "REGIONAL_NETWORK", "GLOBAL"],
            ),
            ("network", &self.network, &["EXTERNAL", "INTERNAL"]),
            ("network_stack", &self.network_stack, &["IPV4", "DUALSTACK"]),
        ];
        words
            .into_iter()
            .try_for_each(|(name, value, allowed)| one_of(name, value.as_ref(), allowed))
    }

    pub(super) fn view(&self) -> Value {
        let text = |value: &Option<String>, default: &str| {
            value.clone().unwrap_or_else(|| default.to_owned())
        };
        let health = self.health_check.clone().unwrap_or_default();
        let firewall = self.firewall.clone().unwrap_or_default();
        json!({
            "algorithm": text(&self.algorithm, "round_robin"),
            "forwarding_rules": self.forwarding_rules,
            "health_check": health.view(),
            "sticky_sessions": self.sticky_sessions.clone().unwrap_or_default().view(),
            "redirect_http_to_https": self.redirect_http_to_https.unwrap_or(false),
            "enable_proxy_protocol": self.enable_proxy_protocol.unwrap_or(false),
            "enable_backend_keepalive": self.enable_backend_keepalive.unwrap_or(false),
            "disable_lets_encrypt_dns_records":
                self.disable_lets_encrypt_dns_records.unwrap_or(false),
            "http_idle_timeout_seconds": self.http_idle_timeout_seconds.unwrap_or(60),
            "tls_cipher_policy": text(&self.tls_cipher_policy, "DEFAULT"),
            "type": text(&self.r#type, "REGIONAL"),
            "network": text(&self.network, "EXTERNAL"),
            "network_stack": text(&self.network_stack, "IPV4"),
            "firewall": { "allow": firewall.allow, "deny": firewall.deny },
        })
    }
}

impl ForwardingRule {
    fn check(&self) -> Result<(), ApiError> {
        let entry = ["http", "https", "http2", "http3", "tcp", "udp"];
        let target = ["http", "https", "http2", "tcp", "udp"];
        one_of("entry_protocol", Some(&self.entry_protocol), &entry)?;
        one_of("target_protocol", Some(&self.target_protocol), &target)?;
        if self.entry_port == 0 || self.target_port == 0 {
            return Err(ApiError::unprocessable(
                "ports of forwarding rules must be 1 to 65535",
            ));
        }
        if RESERVED_ENTRIES.contains(&self.entry_port) {
            return Err(ApiError::unprocessable("entry port is invalid"));
        }
        if (self.entry_protocol == "udp") != (self.target_protocol == "udp") {
            return Err(ApiError::unprocessable(
                "entry_protocol and target_protocol must both be udp, or neither",
            ));
        }
        let tls = matches!(self.entry_protocol.as_str(), "https" | "http2" | "http3");
        if tls && self.certificate_id.is_empty() && !self.tls_passthrough {
            return Err(ApiError::unprocessable(
                "a TLS entry needs certificate_id or tls_passthrough",
            ));
        }
        Ok(())
    }
}

impl HealthCheck {
    fn check(&self) -> Result<(), ApiError> {
        one_of(
            "health_check.protocol",
            self.protocol.as_ref(),
            &["http", "https", "tcp"],
        )?;
        if self.port == Some(0) {
            return Err(ApiError::unprocessable(
                "health_check.port must be 1 to 65535",
            ));
        }
        let path = self.path.as_deref().unwrap_or_default();
        if !path.is_empty() && !path.starts_with('/') {
            return Err(ApiError::unprocessable(
                "health_check.path must begin with a slash",
            ));
        }
        let ranges = [
            (
                "check_interval_seconds",
                self.check_interval_seconds,
                3..=300,
            ),
            (
                "response_timeout_seconds",
                self.response_timeout_seconds,
                3..=300,
            ),
            ("unhealthy_threshold", self.unhealthy_threshold, 2..=10),
            ("healthy_threshold", self.healthy_threshold, 2..=10),
        ];
        for (name, value, range) in ranges {
            if value.is_some_and(|value| !range.contains(&value)) {
                let (low, high) = (range.start(), range.end());
                let message = format!("health_check.{name} must be {low} to {high}");
                return Err(ApiError::unprocessable(message));
            }
        }
        Ok(())
    }

    fn view(&self) -> Value {
        let protocol = self.protocol.as_deref().unwrap_or("http");
        let mut value = json!({
            "protocol": protocol,
            "port": self.port.unwrap_or(80),
            "check_interval_seconds": self.check_interval_seconds.unwrap_or(10),
            "response_timeout_seconds": self.response_timeout_seconds.unwrap_or(5),
            "unhealthy_threshold": self.unhealthy_threshold.unwrap_or(5),
            "healthy_threshold": self.healthy_threshold.unwrap_or(3),
        });
        let default = if protocol == "tcp" { "" } else { "/" };
        value["path"] = json!(self.path.as_deref().unwrap_or(default));
        value
    }
}

impl StickySessions {
    fn has_cookies(&self) -> bool {
        self.r#type.as_deref() == Some("cookies")
    }

    /// The limits are those of DigitalOcean's Terraform provider.
    fn check(&self) -> Result<(), ApiError> {
        one_of(
            "sticky_sessions.type",
            self.r#type.as_ref().filter(|kind| !kind.is_empty()),
            &["cookies", "none"],
        )?;
        if !self.has_cookies() {
            return Ok(());
        }
        let length = self
            .cookie_name
            .as_ref()
            .map_or(0, |name| name.chars().count());
        if !(2..=40).contains(&length) {
            return Err(ApiError::unprocessable(
                "sticky_sessions.cookie_name must be 2 to 40 characters",
            ));
        }
        if self.cookie_ttl_seconds.is_none_or(|seconds| seconds == 0) {
            return Err(ApiError::unprocessable(
                "sticky_sessions.cookie_ttl_seconds must be at least 1",
            ));
        }
        Ok(())
    }

    /// Name and time of the cookie are there only when there is one.
    fn view(&self) -> Value {
        if !self.has_cookies() {
            return json!({ "type": "none" });
        }
        json!({
            "type": "cookies",
            "cookie_name": self.cookie_name,
            "cookie_ttl_seconds": self.cookie_ttl_seconds,
        })
    }
}

impl Firewall {
    /// Entries are `ip:ADDRESS` or `cidr:RANGE`.
    fn check(&self) -> Result<(), ApiError> {
        for entry in self.allow.iter().chain(&self.deny) {
            let valid = match entry.split_once(':') {
                Some(("ip", address)) => address.parse::<IpAddr>().is_ok(),
                Some(("cidr", range)) => range.parse::<IpNet>().is_ok(),
                _ => false,
            };
            if !valid {
                let message =
                    format!("firewall rule {entry:?} must be ip:<address> or cidr:<range>");
                return Err(ApiError::unprocessable(message));
            }
        }
        Ok(())
    }
}

fn one_of(name: &str, value: Option<&String>, allowed: &[&str]) -> Result<(), ApiError> {
    match value {
        Some(value) if !allowed.contains(&value.as_str()) => Err(ApiError::unprocessable(format!(
            "{name} {value:?} must be one of {}",
            allowed.join(", ")
        ))),
        _ => Ok(()),
    }
}
