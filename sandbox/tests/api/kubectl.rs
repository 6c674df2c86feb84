//! `kubectl` against a cluster that a droplet of a served sandbox booted, through its proxy.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime};

use aws_lc_rs::hmac;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kplan_sandbox::mirror::version_set;
use kplan_sandbox::{Config, Endpoints, start};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, PKCS_RSA_SHA256,
};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::client::config;

/// Fast enough that nobody waits, slow enough that pods are seen starting.
const SCALE: f64 = 120.0;
/// The first kubectl whose every command the script knows.
const OLDEST: (u32, u32) = (1, 32);
const CLUSTER: &str = "judged-1a2b3c4d";
const NODE: &str = "judged-server-1";
const BUCKET: &str = "judged-boot";
const K3S: &str = "v1.35.6+k3s1";

/// The minor version of the `kubectl` on the path, if there is one.
fn installed() -> Option<(u32, u32)> {
    let output = Command::new("kubectl")
        .args(["version", "--client", "-o", "json"])
        .output()
        .ok()?;
    let version: Value = serde_json::from_slice(&output.stdout).ok()?;
    let version = version["clientVersion"]["gitVersion"].as_str()?;
    let mut numbers = version.trim_start_matches('v').split('.');
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kubectl_is_not_surprised() {
    if installed().is_none_or(|version| version < OLDEST) {
        println!("skipped: needs kubectl 1.32 or newer");
        return;
    }
    let Some(upstream) = std::env::var_os("KPLAN_TEST_UPSTREAM") else {
        println!("skipped: needs KPLAN_TEST_UPSTREAM");
        return;
    };
    drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
    let dir = tempfile::tempdir().unwrap();
    let running = start(Config {
        dir: Some(dir.path().join("cloud")),
        time_scale: SCALE,
        ..config()
    })
    .await
    .unwrap();
    let kubeconfig = dir.path().join("kubeconfig");
    std::fs::write(&kubeconfig, boot(running.endpoints()).await).unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/kubectl/session.sh");
    let mut command = Command::new("bash");
    command
        .arg(script)
        .env("KUBECONFIG", &kubeconfig)
        .env("KPLAN_TEST_UPSTREAM", upstream);
    let output = tokio::task::spawn_blocking(move || command.output())
        .await
        .unwrap()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{said}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let last = said.lines().last().unwrap_or_default();
    assert!(last.ends_with("steps, no surprise"), "{last}");
}

/// A client of the served sandbox, as whoever makes clusters has one.
struct Operator<'e> {
    endpoints: &'e Endpoints,
    http: reqwest::Client,
    /// Access key and secret key.
    key: (String, String),
}

impl Operator<'_> {
    async fn post(&self, path: &str, body: &Value) -> Value {
        let answer = self
            .http
            .post(format!("{}{path}", self.endpoints.api_url))
            .bearer_auth(&self.endpoints.token)
            .header("content-type", "application/json")
            .body(body.to_string())
            .send()
            .await
            .unwrap();
        let status = answer.status();
        let text = answer.text().await.unwrap();
        assert!(status.is_success(), "{path}: {status} {text}");
        serde_json::from_str(&text).unwrap()
    }

    /// A link that lets whoever has it make one request to the bucket: Signature Version 4 in the
    /// query, as S3 documents it.
    fn link(&self, method: &str, path: &str) -> String {
        let host = self.endpoints.spaces_url.trim_start_matches("http://");
        let now: jiff::Timestamp = SystemTime::now().try_into().unwrap();
        let (time, day) = (
            now.strftime("%Y%m%dT%H%M%SZ").to_string(),
            now.strftime("%Y%m%d").to_string(),
        );
        let scope = format!("{day}/fra1/s3/aws4_request");
        let query = format!(
            "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential={}%2F{}&X-Amz-Date={time}&X-Amz-Expires=3600&X-Amz-SignedHeaders=host",
            self.key.0,
            scope.replace('/', "%2F"),
        );
        let request = format!("{method}\n{path}\n{query}\nhost:{host}\n\nhost\nUNSIGNED-PAYLOAD");
        let signed = format!(
            "AWS4-HMAC-SHA256\n{time}\n{scope}\n{}",
            hex(&Sha256::digest(request))
        );
        let mut key = format!("AWS4{}", self.key.1).into_bytes();
        for part in [day.as_str(), "fra1", "s3", "aws4_request", &signed] {
            let signer = hmac::Key::new(hmac::HMAC_SHA256, &key);
            key = hmac::sign(&signer, part.as_bytes()).as_ref().to_vec();
        }
        format!("http://{host}{path}?{query}&X-Amz-Signature={}", hex(&key))
    }

    async fn put(&self, path: &str, body: Vec<u8>) {
        let answer = self
            .http
            .put(self.link("PUT", path))
            .body(body)
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), 200, "{path}");
    }

    async fn get(&self, path: &str) -> Option<Vec<u8>> {
        let answer = self.http.get(self.link("GET", path)).send().await.unwrap();
        let found = answer.status().is_success();
        let bytes = answer.bytes().await.unwrap();
        found.then(|| bytes.to_vec())
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Makes a droplet that becomes a server; the administrator's kubeconfig of its cluster.
async fn boot(endpoints: &Endpoints) -> String {
    let mut operator = Operator {
        endpoints,
        http: reqwest::Client::builder().no_proxy().build().unwrap(),
        key: Default::default(),
    };
    let grants = json!({"name": "boot", "grants": [{"bucket": "", "permission": "fullaccess"}]});
    let made = operator.post("/v2/spaces/keys", &grants).await;
    let part = |field: &str| made["key"][field].as_str().unwrap().to_owned();
    operator.key = (part("access_key"), part("secret_key"));
    operator.put(&format!("/{BUCKET}"), Vec::new()).await;
    let pki = Pki::new();
    let signer = Ed25519KeyPair::generate().unwrap();
    let bundle = format!("/{BUCKET}/boot/{NODE}-r4nd0m");
    let report = format!("/{BUCKET}/report/{NODE}");
    let data = user_data(
        &operator.link("GET", &bundle),
        &operator.link("PUT", &report),
        &signer,
    );
    let droplet = json!({"name": NODE, "region": "fra1", "size": "s-4vcpu-8gb",
                         "image": "ubuntu-24-04-x64", "user_data": data});
    let droplet = operator.post("/v2/droplets", &droplet).await["droplet"]["id"].clone();
    let address = address(&operator, &droplet).await;
    let payload = payload(&droplet, &address, &pki, &endpoints.mirror_url);
    let mut signed = STANDARD.encode(signer.sign(&payload)).into_bytes();
    signed.push(b'\n');
    signed.extend_from_slice(&payload);
    operator.put(&bundle, signed).await;
    started(&operator, &report).await;
    let (ca, own) = (
        STANDARD.encode(pki.server_chain()),
        STANDARD.encode(pki.admin()),
    );
    format!(
        "{{apiVersion: v1, kind: Config, current-context: x, contexts: [{{name: x, context: {{cluster: c, user: u}}}}], \
         clusters: [{{name: c, cluster: {{server: 'https://{address}:6443', proxy-url: '{}', certificate-authority-data: {ca}}}}}], \
         users: [{{name: u, user: {{client-certificate-data: {own}, client-key-data: {own}}}}}]}}",
        endpoints.proxy_url
    )
}

/// How often something is asked for before it counts as never coming, and the pause between.
const PATIENCE: (u32, Duration) = (1200, Duration::from_millis(25));

/// The droplet's public address, once it has one.
async fn address(operator: &Operator<'_>, droplet: &Value) -> String {
    let url = format!("{}/v2/droplets/{droplet}", operator.endpoints.api_url);
    for _ in 0..PATIENCE.0 {
        let request = operator.http.get(&url);
        let answer = request.bearer_auth(&operator.endpoints.token).send().await;
        let text = answer.unwrap().text().await.unwrap();
        let droplet: Value = serde_json::from_str(&text).unwrap();
        let networks = droplet["droplet"]["networks"]["v4"].as_array().unwrap();
        if let Some(public) = networks.iter().find(|one| one["type"] == "public") {
            return public["ip_address"].as_str().unwrap().to_owned();
        }
        tokio::time::sleep(PATIENCE.1).await;
    }
    panic!("the droplet never got an address");
}

/// Waits until the node reports that it has started.
async fn started(operator: &Operator<'_>, report: &str) {
    let mut last = Value::Null;
    for _ in 0..PATIENCE.0 {
        if let Some(bytes) = operator.get(report).await {
            last = serde_json::from_slice(&bytes).unwrap();
            assert_ne!(last["phase"], "failed", "{last}");
        }
        if last["phase"] == "started" {
            return;
        }
        tokio::time::sleep(PATIENCE.1).await;
    }
    panic!("the node never started: {last}");
}

/// What the droplet gets, by the contract of `docs/internals/node-boot.md`.
fn user_data(bundle: &str, report: &str, signer: &Ed25519KeyPair) -> String {
    // SubjectPublicKeyInfo of Ed25519: a fixed prefix and the 32 bytes of the key.
    let mut der = vec![
        0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00,
    ];
    der.extend_from_slice(signer.public_key().as_ref());
    let public = format!(
        "-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n",
        STANDARD.encode(der)
    );
    let env = format!(
        "FORMAT=1\nCLUSTER={CLUSTER}\nNODE={NODE}\nROLE=server\nBUNDLE_URL={bundle}\nREPORT_URL={report}\n"
    );
    let file = |path: &str, mode: &str, content: &str| json!({"path": path, "permissions": mode, "content": content});
    let document = json!({
        "ssh_pwauth": false,
        "write_files": [
            file("/etc/kplan/node.env", "0644", &env),
            file("/etc/kplan/bundle.pub", "0644", &public),
            file("/usr/local/sbin/kplan-boot", "0755", "#!/bin/sh\n"),
            file("/etc/systemd/system/kplan-boot.service", "0644", "[Unit]\n"),
        ],
        "runcmd": [["systemctl", "start", "--no-block", "kplan-boot.service"]],
    });
    format!("#cloud-config\n{document}\n")
}

/// The archive of the bundle: a single server that keeps its state in SQLite.
fn payload(droplet: &Value, address: &str, pki: &Pki, mirror: &str) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    let mut append = |path: &str, mode: u32, content: &str| {
        let mut header = tar::Header::new_ustar();
        header.set_mode(mode);
        header.set_size(content.len() as u64);
        header.set_entry_type(tar::EntryType::Regular);
        archive
            .append_data(&mut header, path, content.as_bytes())
            .unwrap();
    };
    append(
        "header",
        0o644,
        &format!("format=1\ncluster={CLUSTER}\nnode={NODE}\ndroplet_id={droplet}\nrole=server\n"),
    );
    let settings = json!({
        "token": format!("K10{}::server:secret", pki.root), "agent-token": "other",
        "node-name": NODE, "node-external-ip": address, "disable": ["traefik", "servicelb", "local-storage"],
        "disable-cloud-controller": true, "write-kubeconfig-mode": "0600",
    });
    append(
        "files/etc/rancher/k3s/config.yaml",
        0o600,
        &settings.to_string(),
    );
    let set = version_set();
    let binary = set.iter().find(|artifact| artifact.file == "k3s").unwrap();
    append(
        "files/etc/kplan/k3s.env",
        0o644,
        &format!(
            "K3S_VERSION={K3S}\nK3S_BINARY_URL={mirror}{}\nK3S_BINARY_SHA256={}\n",
            binary.url_path, binary.sha256
        ),
    );
    append("files/etc/systemd/system/k3s.service", 0o644, "[Service]\n");
    for (path, content) in &pki.files {
        let mode = if path.contains("key") { 0o600 } else { 0o644 };
        append(
            &format!("files/var/lib/rancher/k3s/server/tls/{path}"),
            mode,
            content,
        );
    }
    archive.into_inner().unwrap()
}

/// The certificate authorities of the cluster.
struct Pki {
    /// Paths below the server's `tls` folder.
    files: BTreeMap<String, String>,
    /// Digest of the root, which tokens pin.
    root: String,
    client: (CertificateParams, KeyPair),
}

fn authority(
    name: &str,
    issuer: Option<&(CertificateParams, KeyPair)>,
) -> ((CertificateParams, KeyPair), rcgen::Certificate) {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![
        KeyUsagePurpose::KeyCertSign,
        KeyUsagePurpose::DigitalSignature,
    ];
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    let key = KeyPair::generate().unwrap();
    let certificate = match issuer {
        Some((own, signer)) => params
            .signed_by(&key, &Issuer::from_params(own, signer))
            .unwrap(),
        None => params.self_signed(&key).unwrap(),
    };
    ((params, key), certificate)
}

impl Pki {
    fn new() -> Pki {
        let (root, root_certificate) = authority("root", None);
        let (middle, middle_certificate) = authority("intermediate", Some(&root));
        let mut files = BTreeMap::new();
        let mut client = None;
        for name in [
            "server-ca",
            "client-ca",
            "request-header-ca",
            "etcd/peer-ca",
            "etcd/server-ca",
        ] {
            let (own, certificate) = authority(name, Some(&middle));
            let chain = [&certificate, &middle_certificate, &root_certificate];
            let chain: String = chain.iter().map(|one| one.pem()).collect();
            files.insert(format!("{name}.crt"), chain);
            files.insert(format!("{name}.key"), own.1.serialize_pem());
            if name == "client-ca" {
                client = Some(own);
            }
        }
        let service = KeyPair::generate_for(&PKCS_RSA_SHA256).unwrap();
        files.insert("service.key".to_owned(), service.serialize_pem());
        Pki {
            files,
            root: hex(&Sha256::digest(root_certificate.der())),
            client: client.unwrap(),
        }
    }

    fn server_chain(&self) -> &str {
        &self.files["server-ca.crt"]
    }

    /// Certificate and key of an administrator.
    fn admin(&self) -> String {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        let name = &mut params.distinguished_name;
        name.push(DnType::CommonName, "admin");
        name.push(DnType::OrganizationName, "system:masters");
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let key = KeyPair::generate().unwrap();
        let issuer = Issuer::from_params(&self.client.0, &self.client.1);
        let leaf = params.signed_by(&key, &issuer).unwrap();
        format!("{}{}", leaf.pem(), key.serialize_pem())
    }
}
