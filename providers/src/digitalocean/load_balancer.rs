//! `load_balancer`: a public address that spreads connections over droplets.

mod remote;

use super::DigitalOcean;
use super::remote::{Remote, number, path_of, text, texts};
use http::Method;
use kplan_model::{
    Compare, CreateFailed, ErrorKind, Field, FieldSet, Found, Input, Kind, KindInfo, Known, Permit,
    ProviderError, Readiness, RemoteId, ReplaceOrder, Resource, ShapeError, Typical, Wanted,
    object,
};
pub(super) use remote::LoadBalancerRemote;
use remote::WRITABLE;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};

object! {
    /// Where connections to one port go.
    pub struct ForwardingRule {
        /// `tcp`, `http`, `https`, `http2`, `http3` or `udp`.
        pub entry_protocol: String,
        /// The port clients connect to.
        pub entry_port: u16,
        /// `tcp`, `http`, `https`, `http2` or `udp`.
        pub target_protocol: String,
        /// The port of the droplets.
        pub target_port: u16,
        /// The certificate, where TLS ends here.
        pub certificate_id: Option<String>,
        /// Whether TLS passes through untouched.
        pub tls_passthrough: bool,
    }
}

object! {
    /// How droplets are checked. Every value is always sent: the defaults of DigitalOcean and
    /// Terraform differ.
    pub struct HealthCheck {
        /// `tcp`, `http` or `https`.
        pub protocol: String,
        /// The port of the droplets.
        pub port: u16,
        /// The path, for `http` and `https`.
        pub path: Option<String>,
        /// Seconds between two checks; 3 to 300.
        pub check_interval_seconds: u32,
        /// Seconds until a check has failed; 3 to 300.
        pub response_timeout_seconds: u32,
        /// Failures in a row that take a droplet out; 2 to 10.
        pub unhealthy_threshold: u32,
        /// Successes in a row that take it in again; 2 to 10.
        pub healthy_threshold: u32,
    }
}

object! {
    /// Who may connect: entries look like `ip:203.0.113.5` or `cidr:203.0.113.0/24`.
    pub struct LoadBalancerFirewall {
        /// Who may; nobody else, where it is not empty.
        pub allow: Vec<String>,
        /// Who may not.
        pub deny: Vec<String>,
    }
}

object! {
    /// What is asked of a load balancer.
    pub struct LoadBalancerArgs {
        /// Its name; unique in the account.
        pub name: String,
        /// The region's slug.
        pub region: String,
        /// Nodes it consists of, 1 to 100; can be changed once an hour.
        pub size_unit: Option<u32>,
        /// Where connections go; at least one.
        pub forwarding_rule: Vec<ForwardingRule>,
        /// How droplets are checked.
        pub healthcheck: Option<HealthCheck>,
        /// The tag of the droplets; it must exist. Excludes `droplet_ids`.
        pub droplet_tag: Option<Input<String>>,
        /// The droplets by id; at most ten.
        pub droplet_ids: Vec<Input<String>>,
        /// The VPC it stands in; the region's default when left out.
        pub vpc_uuid: Option<Input<String>>,
        /// Who may connect; everybody when left out.
        pub firewall: Option<LoadBalancerFirewall>,
        /// Whether HTTP is redirected to HTTPS.
        pub redirect_http_to_https: bool,
        /// Whether droplets are told the client's address by the PROXY protocol.
        pub enable_proxy_protocol: bool,
        /// Whether connections to droplets are kept open.
        pub enable_backend_keepalive: bool,
        /// Seconds an idle HTTP connection is kept; 30 to 600.
        pub http_idle_timeout_seconds: Option<u32>,
    }
}

object! {
    /// What is seen of a load balancer.
    pub struct LoadBalancerAttrs {
        /// Its name.
        pub name: String,
        /// The region's slug.
        pub region: String,
        /// Nodes it consists of.
        pub size_unit: Option<u32>,
        /// Where connections go.
        pub forwarding_rule: Vec<ForwardingRule>,
        /// How droplets are checked.
        pub healthcheck: Option<HealthCheck>,
        /// The tag of the droplets.
        pub droplet_tag: Option<String>,
        /// The droplets by id, where no tag names them.
        pub droplet_ids: Vec<String>,
        /// The VPC it stands in.
        pub vpc_uuid: Option<String>,
        /// Who may connect.
        pub firewall: Option<LoadBalancerFirewall>,
        /// Whether HTTP is redirected to HTTPS.
        pub redirect_http_to_https: bool,
        /// Whether droplets are told the client's address.
        pub enable_proxy_protocol: bool,
        /// Whether connections to droplets are kept open.
        pub enable_backend_keepalive: bool,
        /// Seconds an idle HTTP connection is kept.
        pub http_idle_timeout_seconds: Option<u32>,
        /// Its public address; none until it is active.
        pub ip: Option<String>,
        /// Its public IPv6 address.
        pub ipv6: Option<String>,
        /// `new`, `active` or `errored`.
        pub status: Option<String>,
        /// Its uniform resource name, for projects.
        pub urn: String,
        /// When it was created.
        pub created_at: Option<String>,
    }
}

/// The kind `load_balancer`.
pub struct LoadBalancer(pub DigitalOcean);

static FIELDS: [Field; 18] = [
    Field::in_place("name", "Unique in the account."),
    Field::replace("region", "The region's slug."),
    Field::in_place(
        "size_unit",
        "Nodes it consists of; can be changed once an hour.",
    ),
    Field::in_place("forwarding_rule", "Where connections go.").by(Compare::Set),
    Field::in_place("healthcheck", "How droplets are checked."),
    Field::in_place("droplet_tag", "The tag of the droplets."),
    Field::in_place("droplet_ids", "The droplets by id; at most ten.").by(Compare::Set),
    Field::replace("vpc_uuid", "The VPC it stands in."),
    Field::in_place("firewall", "Who may connect."),
    Field::in_place(
        "redirect_http_to_https",
        "Whether HTTP is redirected to HTTPS.",
    ),
    Field::in_place(
        "enable_proxy_protocol",
        "Whether droplets are told the client's address.",
    ),
    Field::in_place(
        "enable_backend_keepalive",
        "Whether connections to droplets stay open.",
    ),
    Field::in_place(
        "http_idle_timeout_seconds",
        "Seconds an idle HTTP connection is kept.",
    ),
    Field::computed("ip", "Its public address."),
    Field::computed("ipv6", "Its public IPv6 address."),
    Field::computed("status", "`new`, `active` or `errored`."),
    Field::computed("urn", "Uniform resource name, for projects."),
    Field::computed("created_at", "When it was created."),
];

static INFO: KindInfo = KindInfo {
    kind: Kind::new("load_balancer"),
    terraform: "digitalocean_loadbalancer",
    doc: "A public address that spreads connections over droplets.",
    fields: &FIELDS,
    // Names are unique.
    replace: ReplaceOrder::DeleteFirst,
    identity: &["name", "region"],
    holds: Some("its address, which nobody can get back"),
    // Until `active`: an estimate (Terraform waits up to 10 minutes).
    typical: Typical {
        create: 90,
        update: 5,
        delete: 5,
    },
    max_parallel: 8,
    alike: &["region"],
    import: Some("the load balancer's UUID"),
    operations: &[],
};

fn rule_body(rule: &ForwardingRule) -> Value {
    let mut body = json!({
        "entry_protocol": rule.entry_protocol,
        "entry_port": rule.entry_port,
        "target_protocol": rule.target_protocol,
        "target_port": rule.target_port,
        "tls_passthrough": rule.tls_passthrough,
    });
    if let (Some(id), Some(body)) = (&rule.certificate_id, body.as_object_mut()) {
        body.insert("certificate_id".to_owned(), json!(id));
    }
    body
}

fn check_body(check: &HealthCheck) -> Value {
    let mut body = json!({
        "protocol": check.protocol,
        "port": check.port,
        "check_interval_seconds": check.check_interval_seconds,
        "response_timeout_seconds": check.response_timeout_seconds,
        "unhealthy_threshold": check.unhealthy_threshold,
        "healthy_threshold": check.healthy_threshold,
    });
    if let (true, Some(body)) = (check.protocol != "tcp", body.as_object_mut()) {
        body.insert(
            "path".to_owned(),
            json!(check.path.as_deref().unwrap_or("/")),
        );
    }
    body
}

/// What we say about it, on top of what stands in `body` already.
fn overlay(
    mut body: Map<String, Value>,
    args: &LoadBalancerArgs,
) -> Result<Map<String, Value>, ProviderError> {
    if args.forwarding_rule.is_empty() {
        return Err(ProviderError::new(
            ErrorKind::Invalid,
            "a load balancer needs at least one forwarding rule",
        ));
    }
    let tag = text(args.droplet_tag.as_ref())?;
    if tag.is_some() && !args.droplet_ids.is_empty() {
        return Err(ProviderError::new(
            ErrorKind::Invalid,
            "a load balancer takes a tag or droplets by id, not both",
        ));
    }
    let mut put = |name: &str, value: Value| {
        body.insert(name.to_owned(), value);
    };
    put("name", json!(args.name));
    put("region", json!(args.region));
    put(
        "forwarding_rules",
        args.forwarding_rule.iter().map(rule_body).collect(),
    );
    put("redirect_http_to_https", json!(args.redirect_http_to_https));
    put("enable_proxy_protocol", json!(args.enable_proxy_protocol));
    put(
        "enable_backend_keepalive",
        json!(args.enable_backend_keepalive),
    );
    if let Some(check) = &args.healthcheck {
        put("health_check", check_body(check));
    }
    if let Some(units) = args.size_unit {
        put("size_unit", json!(units));
    }
    if let Some(vpc) = text(args.vpc_uuid.as_ref())? {
        put("vpc_uuid", json!(vpc));
    }
    if let Some(firewall) = &args.firewall {
        put(
            "firewall",
            json!({ "allow": firewall.allow, "deny": firewall.deny }),
        );
    }
    if let Some(seconds) = args.http_idle_timeout_seconds {
        put("http_idle_timeout_seconds", json!(seconds));
    }
    if let Some(tag) = tag {
        put("tag", json!(tag));
    } else {
        let ids: Result<Vec<i64>, ProviderError> = texts(&args.droplet_ids)?
            .iter()
            .map(|id| number(id))
            .collect();
        put("droplet_ids", json!(ids?));
    }
    Ok(body)
}

/// The tag that it names.
fn tags(args: &LoadBalancerArgs) -> Result<BTreeSet<String>, ShapeError> {
    Ok(text(args.droplet_tag.as_ref())?.into_iter().collect())
}

impl Resource for LoadBalancer {
    type Args = LoadBalancerArgs;
    type Attrs = LoadBalancerAttrs;
    const INFO: &'static KindInfo = &INFO;

    async fn read(&self, known: &Known) -> Result<Option<LoadBalancerAttrs>, ProviderError> {
        self.0.read::<LoadBalancerRemote>(known).await
    }

    async fn read_all(
        &self,
        known: &[Known],
    ) -> Result<BTreeMap<RemoteId, LoadBalancerAttrs>, ProviderError> {
        self.0
            .read_all::<LoadBalancerRemote>(known, &LoadBalancerRemote::list())
            .await
    }

    async fn find(
        &self,
        wanted: Wanted<'_, LoadBalancerArgs>,
    ) -> Result<Vec<Found<LoadBalancerAttrs>>, ProviderError> {
        let args = wanted.args;
        self.0
            .search(
                &LoadBalancerRemote::list(),
                |balancer: &LoadBalancerRemote| {
                    balancer.name == args.name && balancer.region() == args.region
                },
            )
            .await
    }

    async fn create(
        &self,
        wanted: Wanted<'_, LoadBalancerArgs>,
        permit: &Permit,
    ) -> Result<Found<LoadBalancerAttrs>, CreateFailed<LoadBalancerAttrs>> {
        let tags = tags(wanted.args).map_err(ProviderError::from)?;
        let body = Value::Object(overlay(Map::new(), wanted.args)?);
        let to = (&Method::POST, LoadBalancerRemote::PATH);
        let balancer: LoadBalancerRemote = self.0.naming(permit, &tags, to, &body).await?;
        let mut found = balancer.found();
        found.attrs.respell(
            &wanted.args.forwarding_rule,
            wanted.args.healthcheck.as_ref(),
            wanted.args.firewall.as_ref(),
        );
        Ok(found)
    }

    async fn update(
        &self,
        known: &Known,
        args: &LoadBalancerArgs,
        changed: &FieldSet,
        permit: &Permit,
    ) -> Result<LoadBalancerAttrs, ProviderError> {
        // What is left out is reset to its default, so everything that can be written is sent:
        // what stands there now, and what we want on top of it.
        let path = path_of::<LoadBalancerRemote>(known.id.as_str());
        let now: Map<String, Value> = self
            .0
            .one(&path, LoadBalancerRemote::ONE)
            .await?
            .ok_or_else(|| super::remote::vanished(known))?;
        let kept = now
            .into_iter()
            .filter(|(name, value)| WRITABLE.contains(&name.as_str()) && !is_unset(value))
            .collect();
        let mut body = overlay(kept, args)?;
        if changed.contains("firewall") && args.firewall.is_none() {
            body.insert("firewall".to_owned(), json!({ "allow": [], "deny": [] }));
        }
        let to = (&Method::PUT, path.as_str());
        let body = Value::Object(body);
        let balancer: LoadBalancerRemote = self.0.naming(permit, &tags(args)?, to, &body).await?;
        let mut attrs = balancer.attrs(Some(known));
        attrs.respell(
            &args.forwarding_rule,
            args.healthcheck.as_ref(),
            args.firewall.as_ref(),
        );
        Ok(attrs)
    }

    async fn delete(&self, known: &Known, permit: &Permit) -> Result<(), ProviderError> {
        self.0.destroy::<LoadBalancerRemote>(known, permit).await
    }

    fn readiness(&self, attrs: &LoadBalancerAttrs) -> Readiness {
        match attrs.status.as_deref() {
            Some("errored") => Readiness::Failed("DigitalOcean reports it as errored".into()),
            Some("active") if attrs.ip.is_some() => Readiness::Ready,
            Some("active") => Readiness::Waiting("it has no address yet".into()),
            status => Readiness::Waiting(format!("status is \"{}\"", status.unwrap_or("new"))),
        }
    }
}

/// Empty texts stand for nothing in answers and are refused in requests.
fn is_unset(value: &Value) -> bool {
    value.is_null() || value.as_str().is_some_and(str::is_empty)
}
