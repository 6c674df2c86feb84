//! The whole `config.yaml` of each kind of node, as it is written. `UPDATE_GOLDEN=1` rewrites the
//! files; what must be in them is said here besides, so that none of it can be rewritten away.

use super::*;
use std::path::Path;

/// The node with keys that are the same in every run.
fn fixed(mut args: NodeArgs) -> NodeArgs {
    args.token_hash = "0123456789abcdef".repeat(4).into();
    if args.server_token.is_some() {
        args.server_token = Some(Secret::new("server-secret").into());
    }
    args.agent_token = Secret::new("agent-secret").into();
    args
}

fn nodes() -> Vec<(&'static str, NodeArgs)> {
    let mut first = server("etcd");
    first.etcd_snapshots = Some(true);
    let mut joining = first.clone();
    (joining.init, joining.join) = (false, Some("10.10.10.2".to_owned().into()));
    (joining.begun, joining.private_ip) = (Some(true), "10.10.10.3".to_owned().into());
    let mut agent = agent();
    agent.server_token = None;
    agent.private_ip = "10.10.10.4".to_owned().into();
    let all = vec![
        ("sqlite", server("sqlite")),
        ("etcd-first", first),
        ("etcd-joining", joining),
        ("postgres", server("postgres")),
        ("mysql", server("mysql")),
        ("agent", agent),
    ];
    let all = all.into_iter();
    all.map(|(name, args)| (name, fixed(args))).collect()
}

#[test]
fn the_configuration_of_each_kind_of_node_is_what_was_reviewed() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/k3s/node/tests/configs");
    for (name, args) in nodes() {
        let (text, path) = (
            config::yaml(&args).unwrap(),
            folder.join(format!("{name}.yaml")),
        );
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(&path, &text).unwrap();
        }
        let golden = std::fs::read_to_string(&path).unwrap_or_default();
        assert_eq!(text, golden, "{name}: UPDATE_GOLDEN=1 rewrites it");
    }
}

/// What K3s on DigitalOcean cannot be without: the reference's section 2.1, and K3s's own pages on
/// what must be the same on all servers.
#[test]
fn no_configuration_lacks_what_a_node_at_digitalocean_needs() {
    const EVERY: [(&str, &str); 3] = [
        ("node-external-ip", "203.0.113.7"),
        ("flannel-iface", "eth1"),
        ("node-name", "demo-server-0"),
    ];
    for (name, args) in nodes() {
        let yaml = config::yaml(&args).unwrap();
        let found: serde_norway::Value = serde_norway::from_str(&yaml).unwrap();
        let texts = |key: &str| -> Vec<&str> {
            let list = found[key].as_sequence().into_iter().flatten();
            list.map(|one| one.as_str().unwrap()).collect()
        };
        for (key, value) in EVERY {
            assert_eq!(found[key].as_str(), Some(value), "{name}: {key}");
        }
        assert_eq!(
            found["node-ip"].as_str(),
            Some(args.private_ip.known().unwrap().as_str())
        );
        let kubelet = ["cloud-provider=external", "provider-id=digitalocean://4711"];
        assert_eq!(texts("kubelet-arg"), kubelet, "{name}");
        assert_eq!(texts("node-label"), ["tier=app"], "{name}");
        assert_eq!(texts("node-taint"), ["a=b:NoSchedule"], "{name}");
        let server = name != "agent";
        for key in ["disable-cloud-controller", "secrets-encryption"] {
            assert_eq!(
                found[key].as_bool(),
                server.then_some(true),
                "{name}: {key}"
            );
        }
        let disabled: &[&str] = if server {
            &["servicelb", "local-storage"]
        } else {
            &[]
        };
        assert_eq!(texts("disable"), disabled, "{name}");
        let sans: &[&str] = if server { &["203.0.113.9"] } else { &[] };
        assert_eq!(texts("tls-san"), sans, "{name}");
        let hash = "0123456789abcdef".repeat(4);
        let (user, secret) = if server {
            ("server", "server-secret")
        } else {
            ("node", "agent-secret")
        };
        let token = format!("K10{hash}::{user}:{secret}");
        assert_eq!(found["token"].as_str(), Some(token.as_str()), "{name}");
        let agents = server.then_some("agent-secret");
        assert_eq!(found["agent-token"].as_str(), agents, "{name}");
        let database = matches!(name, "postgres" | "mysql");
        for (key, there) in [
            ("cluster-init", name == "etcd-first"),
            ("server", matches!(name, "etcd-joining" | "agent")),
            ("datastore-endpoint", database),
            ("datastore-cafile", database),
            ("etcd-s3", name.starts_with("etcd")),
            ("etcd-s3-config-secret", name.starts_with("etcd")),
        ] {
            assert_eq!(found.get(key).is_some(), there, "{name}: {key}");
        }
    }
}
