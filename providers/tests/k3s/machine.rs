//! A machine that boots.

use crate::site::Site;
use kplan_conformance::skipped;
use kplan_model::{Secret, Timestamp};
use kplan_providers::k3s::boot::{Addresses, BootArgs, render};
use kplan_providers::k3s::bundle::{File, Files, Header, pack};
use kplan_providers::k3s::pki::secret::sha256_hex;
use kplan_providers::k3s::pki::{PkiAttrs, generate};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;
use tempfile::TempDir;

pub(crate) static PKI: LazyLock<PkiAttrs> =
    LazyLock::new(|| generate("demo-3f9a1c2e", Timestamp::from_seconds(1_790_000_000)).unwrap());

const BINARY: &str = "#!/bin/sh\necho k3s\n";
const PASSWORD: &str = "AVNS_database-password";

/// The machine: what cloud-init would have written, under one folder.
pub(crate) struct Machine {
    root: TempDir,
    pub(crate) site: Site,
    /// What this boot is told by its environment, over what every boot here is.
    pub(crate) told: Vec<(&'static str, String)>,
}

fn missing_tool() -> Option<&'static str> {
    ["curl", "openssl", "tar", "sha256sum", "awk", "base64"]
        .into_iter()
        .find(|tool| {
            Command::new("sh")
                .args(["-c", &format!("command -v {tool} >/dev/null")])
                .status()
                .map_or(true, |s| !s.success())
        })
}

impl Machine {
    /// `None` when this machine lacks what a droplet has.
    pub(crate) fn new() -> Option<Self> {
        if let Some(tool) = missing_tool() {
            skipped(tool);
            return None;
        }
        let (root, site) = (TempDir::new().unwrap(), Site::start());
        let args = boot_args("server");
        let addresses = Addresses {
            bundle: format!("{}/bundle?X-Amz-Signature=get-signature&x=1", site.url()),
            report: format!("{}/report?X-Amz-Signature=put-signature&x=1", site.url()),
        };
        let document: serde_norway::Value =
            serde_norway::from_str(&render(&args, &addresses).unwrap()).unwrap();
        for file in document["write_files"].as_sequence().unwrap() {
            let path = at(&root, file["path"].as_str().unwrap());
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, file["content"].as_str().unwrap()).unwrap();
            let mode = u32::from_str_radix(file["permissions"].as_str().unwrap(), 8).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        }
        site.put("/metadata/v1/id", "4711");
        site.put("/k3s", BINARY);
        let told = Vec::new();
        Some(Self { root, site, told })
    }

    pub(crate) fn at(&self, path: &str) -> PathBuf {
        at(&self.root, path)
    }

    pub(crate) fn offer(&self, header: &Header, files: &Files) {
        let key = PKI.bundle_key.expose().unwrap();
        self.site
            .put_bytes("/bundle", pack(header, files, key).unwrap());
    }

    /// Runs the script; whether it succeeded.
    pub(crate) fn boot(&self) -> bool {
        self.boot_with(&std::env::var("PATH").unwrap())
    }

    /// The same, with the programs of these folders.
    pub(crate) fn boot_with(&self, path: &str) -> bool {
        let tools = self.at("/tools");
        fs::create_dir_all(&tools).unwrap();
        for (name, text) in [
            (
                "systemctl",
                "#!/bin/sh\necho \"$@\" >>\"$KPLAN_ROOT/systemctl\"\n\
                 [ \"$*\" != \"is-active --quiet ${KPLAN_DEAD_UNIT:-}\" ]\n",
            ),
            (
                "journalctl",
                "#!/bin/sh\ncat \"$KPLAN_ROOT/journal\" 2>/dev/null\n",
            ),
        ] {
            let path = tools.join(name);
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        }
        let path = format!("{}:{path}", tools.display());
        let status = Command::new("sh")
            .arg(self.at("/usr/local/sbin/kplan-boot"))
            .env("KPLAN_ROOT", self.root.path())
            .env("KPLAN_METADATA", self.site.url())
            .env("KPLAN_REFUSALS", "1")
            .env("KPLAN_GRANT_TRIES", "1")
            .env("KPLAN_UNIT_WAIT", "30")
            .env("KPLAN_READY_PAUSE", "0.05")
            .env("PATH", path)
            .env_remove("http_proxy")
            .env("no_proxy", "*")
            .envs(self.told.iter().cloned())
            .status();
        status.unwrap().success()
    }

    /// Phase and message of every report.
    pub(crate) fn reports(&self) -> Vec<(String, String)> {
        let reports = self.site.reports();
        reports
            .iter()
            .map(|report| {
                let report: serde_json::Value = serde_json::from_slice(report).unwrap();
                assert_eq!(
                    (&report["format"], &report["node"]),
                    (&1.into(), &"demo-server-0".into())
                );
                let text = |name: &str| report[name].as_str().unwrap().to_owned();
                (text("phase"), text("message"))
            })
            .collect()
    }

    pub(crate) fn phases(&self) -> Vec<String> {
        self.reports().into_iter().map(|(phase, _)| phase).collect()
    }
}

/// The arguments of a node that boots here.
pub(crate) fn boot_args(role: &str) -> BootArgs {
    BootArgs {
        cluster: "demo-3f9a1c2e".to_owned(),
        node: "demo-server-0".to_owned(),
        role: role.to_owned(),
        bucket: "b".to_owned().into(),
        endpoint: "e".to_owned().into(),
        region: "fra1".to_owned().into(),
        access_key: "k".to_owned().into(),
        secret_key: Secret::new("s").into(),
        public_key: PKI.bundle_public_key.clone().into(),
        packages: None,
        datastore_admin: None,
    }
}

fn at(root: &TempDir, path: &str) -> PathBuf {
    root.path().join(path.trim_start_matches('/'))
}

pub(crate) fn header() -> Header {
    Header {
        cluster: "demo-3f9a1c2e".to_owned(),
        node: "demo-server-0".to_owned(),
        droplet_id: "4711".to_owned(),
        role: "server".to_owned(),
    }
}

pub(crate) fn files(url: &str) -> Files {
    let file = |mode: u32, content: String| File { mode, content };
    let env = format!(
        "K3S_VERSION=v1.35.6+k3s1\nK3S_BINARY_URL={url}/k3s\nK3S_BINARY_SHA256={}\n",
        sha256_hex(BINARY.as_bytes())
    );
    let config = format!(
        "token: \"K10abc::server:server-secret\"\nagent-token: \"agent-secret\"\n\
         datastore-endpoint: \"postgres://kplan:{PASSWORD}@db:25060/k3s?sslmode=verify-full\"\n"
    );
    BTreeMap::from([
        (
            "etc/rancher/k3s/config.yaml".to_owned(),
            file(0o600, config),
        ),
        ("etc/kplan/k3s.env".to_owned(), file(0o644, env)),
        (
            "etc/systemd/system/k3s.service".to_owned(),
            file(0o644, "[Unit]\n".to_owned()),
        ),
        (
            "var/lib/rancher/k3s/server/tls/etcd/peer-ca.key".to_owned(),
            file(
                0o600,
                PKI.server_keys.etcd_peer_ca.expose().unwrap().to_owned(),
            ),
        ),
    ])
}

pub(crate) fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

#[test]
fn a_machine_becomes_a_node() {
    let Some(machine) = Machine::new() else {
        return;
    };
    machine.offer(&header(), &files(machine.site.url()));
    assert!(
        machine.boot(),
        "{}",
        fs::read_to_string(machine.at("/var/log/kplan-boot.log")).unwrap()
    );
    assert_eq!(
        machine.phases(),
        [
            "waiting-for-bundle",
            "bundle-verified",
            "installing",
            "started"
        ]
    );
    let config = machine.at("/etc/rancher/k3s/config.yaml");
    assert!(
        fs::read_to_string(&config)
            .unwrap()
            .contains("server-secret")
    );
    assert_eq!(mode(&config), 0o600);
    assert_eq!(mode(&machine.at("/etc/rancher/k3s")), 0o755);
    assert_eq!(
        mode(&machine.at("/var/lib/rancher/k3s/server/tls/etcd/peer-ca.key")),
        0o600
    );
    assert_eq!(
        fs::read_to_string(machine.at("/usr/local/bin/k3s")).unwrap(),
        BINARY
    );
    assert_eq!(mode(&machine.at("/usr/local/bin/k3s")), 0o755);
    let commands = fs::read_to_string(machine.at("/systemctl")).unwrap();
    assert!(
        commands.contains("start --no-block k3s.service"),
        "{commands}"
    );
    assert!(!machine.at("/run/kplan/payload").exists() && !machine.at("/run/kplan/files").exists());
    // Run again, it does nothing.
    assert!(machine.boot());
    assert_eq!(machine.phases().len(), 4);
}

impl Machine {
    /// Boots, and expects that it is refused with this message and that nothing was installed.
    fn refuses(&self, message: &str) {
        assert!(!self.boot(), "{message}");
        assert_eq!(
            self.reports().pop().unwrap(),
            ("failed".to_owned(), message.to_owned())
        );
        assert!(!self.at("/etc/rancher").exists());
        assert!(!self.at("/usr/local/bin/k3s").exists());
    }
}

#[test]
fn a_bundle_for_another_machine_is_refused() {
    let Some(machine) = Machine::new() else {
        return;
    };
    let changed = |change: &dyn Fn(&mut Header)| {
        let mut header = header();
        change(&mut header);
        machine.offer(&header, &files(machine.site.url()));
    };
    changed(&|header| header.cluster = "demo-00000000".to_owned());
    machine.refuses("the bundle is for another cluster");
    changed(&|header| header.node = "demo-server-1".to_owned());
    machine.refuses("the bundle is for another node");
    changed(&|header| header.role = "agent".to_owned());
    machine.refuses("the bundle is for another role");
    changed(&|header| header.droplet_id = "4712".to_owned());
    machine.refuses("the bundle is for another droplet");
}

#[test]
fn a_bundle_that_reaches_elsewhere_is_refused() {
    let Some(machine) = Machine::new() else {
        return;
    };
    for path in [
        "etc/passwd",
        "etc/systemd/system/k3s.service.d/x.conf",
        "root/.ssh/authorized_keys",
    ] {
        let mut files = files(machine.site.url());
        let file = File {
            mode: 0o644,
            content: String::new(),
        };
        files.insert(path.to_owned(), file);
        machine.offer(&header(), &files);
        machine.refuses("the bundle holds a file that does not belong there");
    }
}

#[test]
fn a_bundle_somebody_else_signed_or_changed_is_refused() {
    let Some(machine) = Machine::new() else {
        return;
    };
    let files = files(machine.site.url());
    let other = generate("demo-3f9a1c2e", Timestamp(0)).unwrap();
    let forged = pack(&header(), &files, other.bundle_key.expose().unwrap()).unwrap();
    machine.site.put_bytes("/bundle", forged);
    machine.refuses("the signature of the bundle is not this cluster's");
    let mut changed = pack(&header(), &files, PKI.bundle_key.expose().unwrap()).unwrap();
    let middle = changed.len() / 2;
    changed[middle] ^= 1;
    machine.site.put_bytes("/bundle", changed);
    machine.refuses("the signature of the bundle is not this cluster's");
    machine.site.status("/bundle", 403);
    machine
        .refuses("the address of the bundle is refused (403): it has expired, or its key is gone");
}

#[test]
fn another_binary_is_not_installed() {
    let Some(machine) = Machine::new() else {
        return;
    };
    machine.offer(&header(), &files(machine.site.url()));
    machine.site.put("/k3s", "#!/bin/sh\necho evil\n");
    assert!(!machine.boot());
    assert!(!machine.at("/usr/local/bin/k3s").exists());
    let (phase, message) = machine.reports().pop().unwrap();
    assert_eq!(phase, "failed");
    assert!(
        message.starts_with("the digest of the downloaded K3s is not the pinned one"),
        "{message}"
    );
}

/// What a machine of another architecture sees of the pinned binary: it is the right one, and does
/// not run.
#[test]
fn a_binary_that_does_not_run_on_this_machine_is_not_installed() {
    let Some(machine) = Machine::new() else {
        return;
    };
    let foreign = "#!/no/such/interpreter\n";
    let mut files = files(machine.site.url());
    let env = files.get_mut("etc/kplan/k3s.env").unwrap();
    env.content = env.content.replace(
        &sha256_hex(BINARY.as_bytes()),
        &sha256_hex(foreign.as_bytes()),
    );
    machine.offer(&header(), &files);
    machine.site.put("/k3s", foreign);
    assert!(!machine.boot());
    assert!(!machine.at("/usr/local/bin/k3s").exists());
    assert!(!machine.at("/usr/local/bin/k3s.new").exists());
    let (phase, message) = machine.reports().pop().unwrap();
    assert_eq!(phase, "failed");
    assert!(
        message.starts_with("the pinned K3s does not run on this machine ("),
        "{message}"
    );
}

#[test]
fn reports_carry_the_log_but_no_secret() {
    let Some(machine) = Machine::new() else {
        return;
    };
    machine.offer(&header(), &files(machine.site.url()));
    machine.site.put("/k3s", "another");
    let key = PKI.server_keys.etcd_peer_ca.expose().unwrap();
    let journal = format!(
        "level=fatal msg=\"failed: dial postgres://kplan:{PASSWORD}@db\"\ntoken K10abc::server:server-secret \\ \t\u{7} ünï\n\
         again {PASSWORD} {PASSWORD}\nagent-secret\n{key}\nlast line\n"
    );
    fs::write(machine.at("/journal"), journal).unwrap();
    assert!(!machine.boot());
    let report = machine.site.reports().pop().unwrap();
    assert!(report.len() < 64 * 1024);
    let report: serde_json::Value = serde_json::from_slice(&report).unwrap();
    let log = report["log"].as_str().unwrap();
    assert!(
        log.contains("failed: dial postgres://kplan:(removed)@db"),
        "{log}"
    );
    assert!(
        log.contains("again (removed) (removed)") && log.contains("last line"),
        "{log}"
    );
    let body = key.lines().nth(1).unwrap();
    for secret in [
        PASSWORD,
        "server-secret",
        "agent-secret",
        "PRIVATE KEY",
        body,
        "get-signature",
        "put-signature",
    ] {
        assert!(!log.contains(secret), "{secret}: {log}");
    }
}
