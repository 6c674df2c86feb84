//! What K3s is told: `config.yaml`, its unit, its datastore.

use super::boot::BootArgs;
use super::bundle::{File, Files};
use super::grant;
use super::node::{Datastore, NodeArgs};
use super::pki::exposed;
use super::pki::secret::{Joiner, sha256_hex, token as joined};
use super::token;
use crate::kubernetes::etcd_snapshots;
use kplan_model::{ErrorKind, ProviderError};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use std::fmt::Write as _;

const CONFIG: &str = "etc/rancher/k3s/config.yaml";
const DATASTORE_CA: &str = "etc/rancher/k3s/datastore-ca.pem";
const TLS: &str = "var/lib/rancher/k3s/server/tls";
/// What may stand unescaped in the user part of an address (RFC 3986, unreserved).
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// A YAML mapping of K3s's flags: texts, lists of texts and switches.
#[derive(Default)]
struct Yaml(String);

impl Yaml {
    fn text(&mut self, key: &str, value: &str) {
        let _ = writeln!(self.0, "{key}: {}", quoted(value));
    }

    fn on(&mut self, key: &str) {
        let _ = writeln!(self.0, "{key}: true");
    }

    fn list<S: AsRef<str>>(&mut self, key: &str, values: impl IntoIterator<Item = S>) {
        let mut values = values.into_iter().peekable();
        if values.peek().is_none() {
            return;
        }
        let _ = writeln!(self.0, "{key}:");
        for value in values {
            let _ = writeln!(self.0, "  - {}", quoted(value.as_ref()));
        }
    }
}

/// JSON's form of a text is also YAML's.
pub(super) fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn missing(node: &str, what: &str) -> ProviderError {
    ProviderError::new(
        ErrorKind::Bug,
        format!("the server {node} was declared without {what}"),
    )
}

/// The address K3s keeps its data at, and the certificate authority it checks it with; `None`
/// where the data lies on the server itself.
pub fn datastore_endpoint(
    datastore: &Datastore,
) -> Result<Option<(String, String)>, ProviderError> {
    let scheme = datastore.kind.as_str();
    if matches!(scheme, "sqlite" | "etcd") {
        return Ok(None);
    }
    let part = |what: &str| {
        ProviderError::new(
            ErrorKind::Bug,
            format!("the datastore was declared without {what}"),
        )
    };
    let host = datastore
        .host
        .as_ref()
        .ok_or_else(|| part("a host"))?
        .known()?;
    let port = datastore
        .port
        .as_ref()
        .ok_or_else(|| part("a port"))?
        .known()?;
    let user = datastore
        .user
        .as_ref()
        .ok_or_else(|| part("a user"))?
        .known()?;
    let password = exposed(
        datastore
            .password
            .as_ref()
            .ok_or_else(|| part("a password"))?
            .known()?,
    )?;
    let database = datastore
        .database
        .as_ref()
        .ok_or_else(|| part("a database"))?
        .known()?;
    let ca = datastore
        .ca
        .as_ref()
        .ok_or_else(|| part("an authority"))?
        .known()?;
    let endpoint = match scheme {
        "postgres" => format!(
            "postgres://{}:{}@{host}:{port}/{database}?sslmode=verify-full",
            utf8_percent_encode(user, PLAIN),
            utf8_percent_encode(password, PLAIN),
        ),
        // The Go driver behind it takes user and password literally.
        "mysql" => format!("mysql://{user}:{password}@tcp({host}:{port})/{database}"),
        other => {
            return Err(ProviderError::new(
                ErrorKind::Bug,
                format!("`{other}` is not a datastore of K3s"),
            ));
        }
    };
    Ok(Some((endpoint, ca.clone())))
}

fn datastore_of(args: &NodeArgs) -> Result<&Datastore, ProviderError> {
    let datastore = args.datastore.as_ref();
    datastore.ok_or_else(|| missing(&args.boot.node, "a datastore"))
}

fn server_tokens(yaml: &mut Yaml, args: &NodeArgs) -> Result<(), ProviderError> {
    let hash = args.token_hash.known()?;
    let secret = args
        .server_token
        .as_ref()
        .ok_or_else(|| missing(&args.boot.node, "the server token"))?;
    yaml.text(
        "token",
        &joined(hash, Joiner::Server, exposed(secret.known()?)?),
    );
    yaml.text("agent-token", exposed(args.agent_token.known()?)?);
    Ok(())
}

fn agent_token(yaml: &mut Yaml, args: &NodeArgs) -> Result<(), ProviderError> {
    let secret = exposed(args.agent_token.known()?)?;
    yaml.text(
        "token",
        &joined(args.token_hash.known()?, Joiner::Agent, secret),
    );
    Ok(())
}

fn sans(args: &NodeArgs) -> Result<Vec<&String>, ProviderError> {
    let sans = args.tls_sans.iter().map(kplan_model::Input::known);
    Ok(sans.collect::<Result<Vec<_>, _>>()?)
}

fn server_keys(yaml: &mut Yaml, args: &NodeArgs) -> Result<(), ProviderError> {
    let node = &args.boot.node;
    server_tokens(yaml, args)?;
    let datastore = datastore_of(args)?;
    if let Some((endpoint, _)) = datastore_endpoint(datastore)? {
        yaml.text("datastore-endpoint", &endpoint);
        yaml.text("datastore-cafile", &format!("/{DATASTORE_CA}"));
    } else if datastore.kind == "etcd" {
        match (&args.join, args.init) {
            (None, true) => yaml.on("cluster-init"),
            (Some(join), false) => {
                yaml.text("server", &format!("https://{}:6443", join.known()?));
            }
            // With both, K3s would quietly start a second cluster; with neither, SQLite.
            _ => return Err(missing(node, "exactly one of `init` and `join`")),
        }
        // Beside these two, K3s takes everything else of the storage from the Secret.
        if args.etcd_snapshots == Some(true) {
            yaml.on("etcd-s3");
            yaml.text("etcd-s3-config-secret", etcd_snapshots::SECRET);
        }
    }
    yaml.list("tls-san", sans(args)?);
    yaml.list("disable", &args.disable);
    yaml.on("disable-cloud-controller");
    yaml.on("secrets-encryption");
    yaml.text("write-kubeconfig-mode", "0600");
    Ok(())
}

fn agent_keys(yaml: &mut Yaml, args: &NodeArgs) -> Result<(), ProviderError> {
    let join = args
        .join
        .as_ref()
        .ok_or_else(|| missing(&args.boot.node, "a server to join"))?;
    yaml.text("server", &format!("https://{}:6443", join.known()?));
    agent_token(yaml, args)
}

/// The label K3s is started with when it was told something new: it says on its Node what it was started
/// with, and this tells one start from another.
const MARK: &str = "kplan.io/k3s-config";

/// What the K3s of a living node is told beside its bundle.
pub(super) struct Told {
    /// A file that counts more than the bundle's: everything that can change while the node lives. It
    /// holds secrets.
    pub(super) content: String,
    /// Tells it from what was told before; no secret.
    pub(super) mark: String,
}

fn labels(args: &NodeArgs) -> Vec<String> {
    let labels = args.labels.iter();
    labels
        .map(|(key, value)| format!("{key}={value}"))
        .collect()
}

/// What a node is told. `moves` is a server whose data moves from SQLite to etcd, or did.
pub(super) fn told(args: &NodeArgs, moves: bool) -> Result<Told, ProviderError> {
    let mut yaml = Yaml::default();
    if args.boot.role == "server" {
        server_tokens(&mut yaml, args)?;
        if let Some((endpoint, _)) = datastore_endpoint(datastore_of(args)?)? {
            yaml.text("datastore-endpoint", &endpoint);
        }
        // K3s takes no notice of it once a member's data is on the disk.
        if moves {
            yaml.on("cluster-init");
        }
        let sans = sans(args)?;
        if sans.is_empty() {
            yaml.0.push_str("tls-san: []\n");
        }
        yaml.list("tls-san", sans);
    } else {
        agent_token(&mut yaml, args)?;
    }
    let mut labels = labels(args);
    let after = args.certificates_after.unwrap_or_default();
    let mut mark = sha256_hex(format!("{}{labels:?}{after}", yaml.0).as_bytes());
    mark.truncate(16);
    labels.push(format!("{MARK}={mark}"));
    // K3s gives the labels it is started with to its Node again at every start.
    yaml.list("node-label", labels);
    let content = yaml.0;
    Ok(Told { content, mark })
}

/// Whether K3s was started with what bears this mark, by what it says on its Node.
pub(super) fn started_with(node_args: &str, mark: &str) -> bool {
    let args: Vec<String> = serde_json::from_str(node_args).unwrap_or_default();
    args.contains(&format!("{MARK}={mark}"))
}

/// `config.yaml` of one node.
pub fn yaml(args: &NodeArgs) -> Result<String, ProviderError> {
    let mut yaml = Yaml::default();
    match args.boot.role.as_str() {
        "server" => server_keys(&mut yaml, args)?,
        _ => agent_keys(&mut yaml, args)?,
    }
    yaml.text("node-name", &args.boot.node);
    yaml.text("node-ip", args.private_ip.known()?);
    if let Some(public) = &args.public_ip {
        yaml.text("node-external-ip", public.known()?);
    }
    yaml.text("flannel-iface", "eth1");
    yaml.list(
        "kubelet-arg",
        [
            "cloud-provider=external".to_owned(),
            format!("provider-id=digitalocean://{}", args.droplet_id.known()?),
        ],
    );
    yaml.list("node-label", labels(args));
    yaml.list("node-taint", &args.taints);
    Ok(yaml.0)
}

/// K3s's unit. It needs the block of the metadata service, and restarts K3s whatever happens. A
/// server's runs the script about its token.
pub fn unit(role: &str) -> String {
    let script = if role == "server" {
        let run =
            |when: &str, what: &str| format!("{when}=-/bin/sh {} {what}\n", token::SCRIPT_PATH);
        run("ExecStartPre", "before") + &run("ExecStartPost", "after")
    } else {
        String::new()
    };
    format!(
        "[Unit]\nDescription=Lightweight Kubernetes\nDocumentation=https://k3s.io\n\
         Wants=network-online.target\nAfter=network-online.target kplan-metadata.service\n\
         Requires=kplan-metadata.service\n\n[Install]\nWantedBy=multi-user.target\n\n[Service]\n\
         Type=notify\nEnvironmentFile=-/etc/default/%N\nEnvironmentFile=-/etc/sysconfig/%N\n\
         KillMode=process\nDelegate=yes\nUser=root\nLimitNOFILE=1048576\nLimitNPROC=infinity\n\
         LimitCORE=infinity\nTasksMax=infinity\nTimeoutStartSec=0\nRestart=always\n\
         RestartSec=5s\nExecStartPre=-/sbin/modprobe br_netfilter\n\
         ExecStartPre=-/sbin/modprobe overlay\n{script}ExecStart=/usr/local/bin/k3s {role}\n"
    )
}

fn authorities(files: &mut Files, args: &NodeArgs) -> Result<(), ProviderError> {
    let node = &args.boot.node;
    let chains = args
        .certificates
        .as_ref()
        .ok_or_else(|| missing(node, "certificates"))?
        .known()?;
    let keys = args
        .server_keys
        .as_ref()
        .ok_or_else(|| missing(node, "keys"))?
        .known()?;
    for (name, chain, key) in [
        ("server-ca", &chains.server_ca, &keys.server_ca),
        ("client-ca", &chains.client_ca, &keys.client_ca),
        (
            "request-header-ca",
            &chains.request_header_ca,
            &keys.request_header_ca,
        ),
        ("etcd/peer-ca", &chains.etcd_peer_ca, &keys.etcd_peer_ca),
        (
            "etcd/server-ca",
            &chains.etcd_server_ca,
            &keys.etcd_server_ca,
        ),
    ] {
        let certificate = File {
            mode: 0o644,
            content: chain.clone(),
        };
        files.insert(format!("{TLS}/{name}.crt"), certificate);
        let key = File {
            mode: 0o600,
            content: exposed(key)?.to_owned(),
        };
        files.insert(format!("{TLS}/{name}.key"), key);
    }
    let key = File {
        mode: 0o600,
        content: exposed(&keys.service_account)?.to_owned(),
    };
    files.insert(format!("{TLS}/service.key"), key);
    Ok(())
}

/// Every file of one node's bundle. `digest` is the SHA-256 of the K3s binary.
pub fn files(args: &NodeArgs, digest: &str) -> Result<Files, ProviderError> {
    let BootArgs { role, .. } = &args.boot;
    let mut files = Files::new();
    files.insert(
        CONFIG.to_owned(),
        File {
            mode: 0o600,
            content: yaml(args)?,
        },
    );
    let env = format!(
        "K3S_VERSION={}\nK3S_BINARY_URL={}\nK3S_BINARY_SHA256={digest}\n",
        args.version, args.binary.url
    );
    files.insert(
        "etc/kplan/k3s.env".to_owned(),
        File {
            mode: 0o644,
            content: env,
        },
    );
    let unit = File {
        mode: 0o644,
        content: unit(role),
    };
    files.insert("etc/systemd/system/k3s.service".to_owned(), unit);
    if role == "server" {
        if let Some(admin) = &args.boot.datastore_admin {
            let file = grant::file(admin, args.datastore.as_ref())?;
            files.insert(grant::PATH.to_owned(), file);
        }
        authorities(&mut files, args)?;
        token::add(&mut files, args)?;
        let datastore = args
            .datastore
            .as_ref()
            .map(datastore_endpoint)
            .transpose()?
            .flatten();
        if let Some((_, ca)) = datastore {
            files.insert(
                DATASTORE_CA.to_owned(),
                File {
                    mode: 0o644,
                    content: ca,
                },
            );
        }
    }
    Ok(files)
}
