//! K3s's `config.yaml`, read strictly: a key K3s does not have is a mistake, not a comment.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use serde_norway::Value;

use super::user_data::Role;

/// Keys of both `k3s server` and `k3s agent`.
const NODE_KEYS: &str = "token token-file server data-dir node-name with-node-id node-label node-taint node-ip \
    node-external-ip flannel-iface kubelet-arg kube-proxy-arg protect-kernel-defaults private-registry selinux \
    prefer-bundled-bin bind-address debug log alsologtostderr pause-image snapshotter resolv-conf \
    container-runtime-endpoint lb-server-port disable-default-registry-endpoint";
/// Keys of `k3s server` only.
const SERVER_KEYS: &str = "https-listen-port advertise-address advertise-port tls-san tls-san-security cluster-cidr \
    service-cidr cluster-dns cluster-domain service-node-port-range flannel-backend flannel-external-ip \
    flannel-ipv6-masq egress-selector-mode agent-token agent-token-file cluster-init cluster-reset \
    cluster-reset-restore-path write-kubeconfig write-kubeconfig-mode write-kubeconfig-group disable \
    disable-cloud-controller disable-kube-proxy disable-network-policy disable-helm-controller disable-apiserver \
    disable-controller-manager disable-scheduler disable-etcd disable-agent embedded-registry kube-apiserver-arg \
    kube-controller-manager-arg kube-scheduler-arg kube-cloud-controller-manager-arg etcd-arg datastore-endpoint \
    datastore-cafile datastore-certfile datastore-keyfile etcd-expose-metrics etcd-disable-snapshots \
    etcd-snapshot-schedule-cron etcd-snapshot-retention etcd-snapshot-dir etcd-snapshot-name etcd-snapshot-compress \
    etcd-s3 etcd-s3-endpoint etcd-s3-endpoint-ca etcd-s3-skip-ssl-verify etcd-s3-access-key etcd-s3-secret-key \
    etcd-s3-session-token etcd-s3-bucket etcd-s3-bucket-lookup-type etcd-s3-region etcd-s3-folder etcd-s3-retention \
    etcd-s3-proxy etcd-s3-insecure etcd-s3-timeout etcd-s3-config-secret secrets-encryption \
    secrets-encryption-provider system-default-registry default-local-storage-path servicelb-namespace \
    supervisor-metrics helm-job-image";
/// Keys that every server of a cluster must set alike: those that K3s compares (`CriticalControlArgs`).
/// Its documentation names `agent-token`, too, which it does not compare: servers get another one after
/// the other.
const CRITICAL: [&str; 13] = [
    "cluster-cidr",
    "cluster-dns",
    "cluster-domain",
    "disable-cloud-controller",
    "disable-helm-controller",
    "disable-network-policy",
    "egress-selector-mode",
    "embedded-registry",
    "flannel-backend",
    "flannel-external-ip",
    "secrets-encryption",
    "secrets-encryption-provider",
    "service-cidr",
];

/// Why K3s would not start with a configuration.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(super) enum ConfigError {
    #[error("config.yaml is not YAML: {0}")]
    Yaml(String),
    #[error("config.yaml has the key {key:?}, which k3s {role} does not have")]
    Unknown { key: String, role: &'static str },
    #[error("config.yaml: {key} must be {wanted}")]
    Type {
        key: &'static str,
        wanted: &'static str,
    },
    #[error("config.yaml: {0} is missing")]
    Missing(&'static str),
    #[error(
        "config.yaml sets {0}; a server has at most one of cluster-init, server and datastore-endpoint"
    )]
    Datastore(String),
    #[error("config.yaml: {key} has {value:?}, {why}")]
    Value {
        key: &'static str,
        value: String,
        why: &'static str,
    },
}

/// Where a server keeps the cluster's state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Datastore {
    /// A file on the node.
    Sqlite,
    /// A new etcd cluster with this node as its only member.
    EtcdInit,
    /// A member of the etcd cluster of another server, by its URL.
    EtcdJoin(String),
    /// An external SQL database.
    External {
        endpoint: String,
        cafile: Option<String>,
    },
}

/// A parsed configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct K3sConfig {
    pub token: String,
    pub agent_token: Option<String>,
    /// Only for servers.
    pub datastore: Datastore,
    /// Only for agents.
    pub server: Option<String>,
    pub node_name: Option<String>,
    pub node_ip: Option<Ipv4Addr>,
    pub node_external_ip: Option<Ipv4Addr>,
    pub flannel_iface: Option<String>,
    pub tls_san: Vec<String>,
    pub disable: Vec<String>,
    /// Whether the Helm controller runs.
    pub helm_controller: bool,
    pub provider_id: Option<String>,
    /// Whether nodes wait for an external cloud controller.
    pub external_cloud: bool,
    pub labels: BTreeMap<String, String>,
    /// (key, value, effect).
    pub taints: Vec<(String, String, String)>,
    /// The Secret that says where snapshots of etcd are copied to.
    pub etcd_s3_secret: Option<String>,
    /// Values all servers share, as JSON.
    pub critical: BTreeMap<String, String>,
    /// What K3s says on its Node that it was started with: flags and values, secrets left out.
    pub args: Vec<String>,
}

/// Flags whose values K3s leaves out of what it says.
const SECRET: [&str; 5] = [
    "token",
    "agent-token",
    "datastore-endpoint",
    "etcd-s3-access-key",
    "etcd-s3-secret-key",
];

/// The document's values with typed access.
struct Raw(BTreeMap<String, Value>);

impl Raw {
    fn text(&self, key: &'static str) -> Result<Option<String>, ConfigError> {
        match self.0.get(key) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(_) => Err(ConfigError::Type {
                key,
                wanted: "a string",
            }),
        }
    }

    fn flag(&self, key: &'static str) -> Result<bool, ConfigError> {
        match self.0.get(key) {
            None | Some(Value::Null) => Ok(false),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(_) => Err(ConfigError::Type {
                key,
                wanted: "true or false",
            }),
        }
    }

    /// A list; a single string is a list of one (or of the parts between commas), as in K3s.
    fn list(&self, key: &'static str) -> Result<Vec<String>, ConfigError> {
        let wrong = ConfigError::Type {
            key,
            wanted: "a list of strings",
        };
        match self.0.get(key) {
            None | Some(Value::Null) => Ok(Vec::new()),
            Some(Value::String(text)) => {
                Ok(text.split(',').map(|part| part.trim().to_owned()).collect())
            }
            Some(Value::Sequence(items)) => {
                let texts: Option<Vec<String>> = items
                    .iter()
                    .map(|v| v.as_str().map(str::to_owned))
                    .collect();
                texts.ok_or(wrong)
            }
            Some(_) => Err(wrong),
        }
    }

    fn address(&self, key: &'static str) -> Result<Option<Ipv4Addr>, ConfigError> {
        let Some(value) = self.list(key)?.into_iter().next() else {
            return Ok(None);
        };
        let why = "which is not an IPv4 address";
        value
            .parse()
            .map(Some)
            .map_err(|_invalid| ConfigError::Value { key, value, why })
    }
}

/// Parses a configuration as the K3s of this role reads it, from its files in their order.
pub(super) fn parse<'a>(
    texts: impl IntoIterator<Item = &'a str>,
    role: Role,
) -> Result<K3sConfig, ConfigError> {
    let values = merged(texts)?;
    for key in values.keys() {
        let known = |keys: &str| keys.split_whitespace().any(|name| name == key);
        let allowed = known(NODE_KEYS) || (role == Role::Server && known(SERVER_KEYS));
        if !allowed {
            return Err(ConfigError::Unknown {
                key: key.clone(),
                role: role.as_str(),
            });
        }
    }
    let args = args(&values, role);
    let raw = Raw(values);
    let server = raw.text("server")?;
    let datastore = if role == Role::Server {
        datastore(&raw, server.clone())?
    } else {
        Datastore::Sqlite
    };
    if role == Role::Agent && server.is_none() {
        return Err(ConfigError::Missing("server"));
    }
    let kubelet = raw.list("kubelet-arg")?;
    let kubelet_arg = |name: &str| {
        kubelet.iter().rev().find_map(|arg| {
            Some(
                arg.split_once('=')
                    .filter(|(key, _)| *key == name)?
                    .1
                    .to_owned(),
            )
        })
    };
    let critical = CRITICAL.iter().filter_map(|key| {
        let value = raw.0.get(*key)?;
        Some(((*key).to_owned(), serde_json::to_string(value).ok()?))
    });
    Ok(K3sConfig {
        token: raw.text("token")?.ok_or(ConfigError::Missing("token"))?,
        agent_token: raw.text("agent-token")?,
        datastore,
        server: server.filter(|_| role == Role::Agent),
        node_name: raw.text("node-name")?,
        node_ip: raw.address("node-ip")?,
        node_external_ip: raw.address("node-external-ip")?,
        flannel_iface: raw.text("flannel-iface")?,
        tls_san: raw.list("tls-san")?,
        disable: raw.list("disable")?,
        helm_controller: !raw.flag("disable-helm-controller")?,
        provider_id: kubelet_arg("provider-id"),
        external_cloud: kubelet_arg("cloud-provider").as_deref() == Some("external"),
        labels: labels(raw.list("node-label")?)?,
        taints: taints(raw.list("node-taint")?)?,
        etcd_s3_secret: raw
            .text("etcd-s3-config-secret")?
            .filter(|_| matches!(raw.flag("etcd-s3"), Ok(true))),
        critical: critical.collect(),
        args,
    })
}

/// As K3s makes flags of a file: one for each item of a list.
fn args(values: &BTreeMap<String, Value>, role: Role) -> Vec<String> {
    let mut args = vec![role.as_str().to_owned()];
    for (key, value) in values {
        for item in items(Some(value.clone())) {
            let text = match item {
                _ if SECRET.contains(&key.as_str()) => "********".to_owned(),
                Value::String(text) => text,
                other => serde_json::to_string(&other).unwrap_or_default(),
            };
            args.extend([format!("--{key}"), text]);
        }
    }
    args
}

/// The values of all files: a later file's count instead of an earlier one's, lists as a whole,
/// except that a key with `+` adds to what there is (K3s documentation, "Multiple config files").
fn merged<'a>(
    texts: impl IntoIterator<Item = &'a str>,
) -> Result<BTreeMap<String, Value>, ConfigError> {
    let mut all = BTreeMap::new();
    for text in texts {
        // A file may be empty.
        let values: Option<BTreeMap<String, Value>> =
            serde_norway::from_str(text).map_err(|error| ConfigError::Yaml(error.to_string()))?;
        for (key, value) in values.into_iter().flatten() {
            let Some(name) = key.strip_suffix('+') else {
                all.insert(key, value);
                continue;
            };
            let mut list = items(all.remove(name));
            list.extend(items(Some(value)));
            all.insert(name.to_owned(), Value::Sequence(list));
        }
    }
    Ok(all)
}

fn items(value: Option<Value>) -> Vec<Value> {
    match value {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::Sequence(items)) => items,
        Some(one) => vec![one],
    }
}

fn datastore(raw: &Raw, server: Option<String>) -> Result<Datastore, ConfigError> {
    let (init, endpoint) = (raw.flag("cluster-init")?, raw.text("datastore-endpoint")?);
    let cafile = raw.text("datastore-cafile")?;
    match (init, server, endpoint) {
        (false, None, None) => Ok(Datastore::Sqlite),
        (true, None, None) => Ok(Datastore::EtcdInit),
        (false, Some(url), None) => Ok(Datastore::EtcdJoin(url)),
        (false, None, Some(endpoint)) => Ok(Datastore::External { endpoint, cafile }),
        (init, server, endpoint) => {
            let set = [
                ("cluster-init", init),
                ("server", server.is_some()),
                ("datastore-endpoint", endpoint.is_some()),
            ];
            let names: Vec<&str> = set
                .into_iter()
                .filter(|(_, set)| *set)
                .map(|(name, _)| name)
                .collect();
            Err(ConfigError::Datastore(names.join(" and ")))
        }
    }
}

fn labels(list: Vec<String>) -> Result<BTreeMap<String, String>, ConfigError> {
    list.into_iter()
        .map(|label| match label.split_once('=') {
            Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
            _ => Err(ConfigError::Value {
                key: "node-label",
                value: label,
                why: "which is not key=value",
            }),
        })
        .collect()
}

fn taints(list: Vec<String>) -> Result<Vec<(String, String, String)>, ConfigError> {
    list.into_iter()
        .map(|taint| {
            let parsed = taint.rsplit_once(':').and_then(|(pair, effect)| {
                let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
                let known = ["NoSchedule", "PreferNoSchedule", "NoExecute"].contains(&effect);
                (known && !key.is_empty())
                    .then(|| (key.to_owned(), value.to_owned(), effect.to_owned()))
            });
            let why = "which is not key=value:effect";
            parsed.ok_or(ConfigError::Value {
                key: "node-taint",
                value: taint,
                why,
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_configuration_is_read() {
        let text = "token: K10aa::server:x\nagent-token: y\ncluster-init: true\ntls-san: [a, 203.0.113.1]\n\
                    node-ip: 10.0.0.2\nkubelet-arg: [cloud-provider=external, 'provider-id=digitalocean://7']\n\
                    node-label: [tier=app]\nnode-taint: ['CriticalAddonsOnly=true:NoExecute']\n\
                    disable: [servicelb]\nsecrets-encryption: true\n";
        let config = parse([text], Role::Server).unwrap();
        assert_eq!(config.datastore, Datastore::EtcdInit);
        assert_eq!(config.provider_id.as_deref(), Some("digitalocean://7"));
        assert!(config.external_cloud && config.helm_controller);
        let said = config.args.join(" ");
        assert!(said.starts_with("server --agent-token ******** --cluster-init true "));
        assert!(
            said.ends_with("--tls-san a --tls-san 203.0.113.1 --token ********"),
            "{said}"
        );
        assert_eq!(
            config.taints,
            [(
                "CriticalAddonsOnly".into(),
                "true".into(),
                "NoExecute".into()
            )]
        );
        assert_eq!(
            config
                .critical
                .get("secrets-encryption")
                .map(String::as_str),
            Some("true")
        );
    }

    #[test]
    fn later_files_count_instead_of_earlier_ones_and_a_plus_adds() {
        let main = "token: x\ntls-san: [a, b]\ndisable: [servicelb]\n";
        let more = [
            "",
            "tls-san: [c]\ndisable+: [traefik]\ncluster-init: true\n",
        ];
        let config = parse([&[main], &more[..]].concat(), Role::Server).unwrap();
        assert_eq!(config.tls_san, ["c"]);
        assert_eq!(config.disable, ["servicelb", "traefik"]);
        assert_eq!(config.datastore, Datastore::EtcdInit);
        let unknown = parse([main, "tls-sans+: [c]\n"], Role::Server);
        assert!(unknown.is_err(), "{unknown:?}");
    }

    #[test]
    fn the_helm_controller_can_be_left_out() {
        let config = parse(["token: x\ndisable-helm-controller: true"], Role::Server).unwrap();
        assert!(!config.helm_controller);
    }

    #[test]
    fn what_k3s_does_not_know_is_refused() {
        let unknown = |key: &str, role: &'static str| ConfigError::Unknown {
            key: key.into(),
            role,
        };
        assert_eq!(
            parse(["token: x\ntls-sans: [a]"], Role::Server),
            Err(unknown("tls-sans", "server"))
        );
        assert_eq!(
            parse(["token: x\nserver: y\ntls-san: [a]"], Role::Agent),
            Err(unknown("tls-san", "agent"))
        );
        assert_eq!(
            parse(["token: x"], Role::Agent),
            Err(ConfigError::Missing("server"))
        );
        assert_eq!(
            parse(
                ["token: x\ncluster-init: true\nserver: https://a:6443"],
                Role::Server
            ),
            Err(ConfigError::Datastore("cluster-init and server".into()))
        );
        let wrong = parse(["token: x\ncluster-init: 'yes'"], Role::Server);
        assert_eq!(
            wrong,
            Err(ConfigError::Type {
                key: "cluster-init",
                wanted: "true or false"
            })
        );
        assert!(parse(["token: x\nnode-taint: [a=b]"], Role::Server).is_err());
    }
}
