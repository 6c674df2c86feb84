//! What the bundle of a node holds, and what its reports mean.

use super::*;
use crate::k3s::boot::tests::args as boot_args;
use crate::k3s::pki::tests::PKI;
use crate::kubernetes::testing::Fake;
use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use base64::Engine as _;
use kplan_model::{Address, BoxFuture, Codec, Value};
use std::collections::BTreeSet;
use std::io::Read as _;
use std::sync::Mutex;
use std::time::Duration;

mod configs;
mod drain;
mod etcd;
mod labels;
mod life;
mod living;

/// A bucket in memory; every write is a second later than the one before.
#[derive(Default)]
pub(crate) struct Bucket {
    objects: Mutex<BTreeMap<String, (Bytes, Timestamp)>>,
    clock: Mutex<i64>,
    calls: Mutex<Vec<String>>,
}

/// When the droplet of the arguments was created; the bucket's clock counts from there.
const BORN: i64 = 1_785_578_400_000;

impl Bucket {
    pub(crate) fn write(&self, key: &str, bytes: Bytes) {
        let mut clock = self.clock.lock().unwrap();
        *clock += 1000;
        self.objects
            .lock()
            .unwrap()
            .insert(key.to_owned(), (bytes, Timestamp(BORN + *clock)));
    }

    fn report(&self, args: &NodeArgs, phase: &str, message: &str) {
        let report = serde_json::json!({
            "format": 1, "node": args.boot.node, "phase": phase, "message": message, "log": "a\nb",
        });
        let key = boot::report_key(&args.boot.bundle_key().unwrap());
        self.write(&key, Bytes::from(report.to_string()));
    }

    pub(crate) fn names(&self) -> Vec<String> {
        self.objects.lock().unwrap().keys().cloned().collect()
    }

    fn say(&self, call: String) {
        self.calls.lock().unwrap().push(call);
    }
}

impl BootStorage for Bucket {
    fn put<'a>(
        &'a self,
        _: &'a Place,
        key: &'a str,
        bytes: Bytes,
        _: &'a Permit,
    ) -> BoxFuture<'a, Result<(), ProviderError>> {
        self.say(format!("put {key}"));
        self.write(key, bytes);
        Box::pin(async { Ok(()) })
    }

    fn get<'a>(
        &'a self,
        _: &'a Place,
        key: &'a str,
        limit: usize,
    ) -> BoxFuture<'a, Result<Option<Bytes>, ProviderError>> {
        self.say("get".to_owned());
        let found = self
            .objects
            .lock()
            .unwrap()
            .get(key)
            .map(|(bytes, _)| bytes.clone());
        Box::pin(async move { Ok(found.filter(|bytes| bytes.len() <= limit)) })
    }

    fn list<'a>(
        &'a self,
        _: &'a Place,
        prefix: &'a str,
    ) -> BoxFuture<'a, Result<Vec<Listed>, ProviderError>> {
        self.say(format!("list {prefix}"));
        let objects = self.objects.lock().unwrap();
        let found = objects
            .iter()
            .filter(|(key, _)| key.starts_with(prefix))
            .map(|(key, (_, at))| Listed {
                key: key.clone(),
                modified: Some(*at),
            })
            .collect();
        Box::pin(async move { Ok(found) })
    }

    fn presign_get<'a>(
        &'a self,
        place: &'a Place,
        key: &'a str,
        valid: Duration,
    ) -> BoxFuture<'a, Result<String, ProviderError>> {
        let address = format!("{}/{key}?for={}", place.bucket, valid.as_secs());
        Box::pin(async { Ok(address) })
    }

    fn remove<'a>(
        &'a self,
        _: &'a Place,
        key: &'a str,
        _: &'a Permit,
    ) -> BoxFuture<'a, Result<(), ProviderError>> {
        self.objects.lock().unwrap().remove(key);
        Box::pin(async { Ok(()) })
    }

    fn remove_prefix<'a>(
        &'a self,
        _: &'a Place,
        prefix: &'a str,
        _: &'a Permit,
    ) -> BoxFuture<'a, Result<(), ProviderError>> {
        self.objects
            .lock()
            .unwrap()
            .retain(|key, _| !key.starts_with(prefix));
        Box::pin(async { Ok(()) })
    }
}

/// Says that the digest of everything is `d…`.
struct Digests;

impl ArtifactSource for Digests {
    fn bytes<'a>(&'a self, _: &'a ArtifactRef) -> BoxFuture<'a, Result<Bytes, ProviderError>> {
        Box::pin(async { Ok(Bytes::new()) })
    }

    fn digest<'a>(&'a self, _: &'a ArtifactRef) -> BoxFuture<'a, Result<String, ProviderError>> {
        Box::pin(async { Ok("d".repeat(64)) })
    }
}

fn datastore(kind: &str) -> Datastore {
    let external = matches!(kind, "postgres" | "mysql");
    let text = |text: &str| external.then(|| Input::Known(text.to_owned()));
    Datastore {
        kind: kind.to_owned(),
        host: text("private-db.example"),
        port: external.then_some(Input::Known(25060)),
        user: text("kplan"),
        password: external.then(|| Secret::new("p@ss/wörd").into()),
        database: text("k3s"),
        ca: text("-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n"),
    }
}

pub(crate) fn server(kind: &str) -> NodeArgs {
    let mut boot = boot_args("server");
    boot.public_key = PKI.bundle_public_key.clone().into();
    NodeArgs {
        boot,
        droplet_id: "4711".to_owned().into(),
        droplet_created_at: Some("2026-08-01T10:00:00Z".to_owned().into()),
        private_ip: "10.10.10.2".to_owned().into(),
        public_ip: Some("203.0.113.7".to_owned().into()),
        certificates: Some(PKI.certificates.clone().into()),
        server_keys: Some(PKI.server_keys.clone().into()),
        token_hash: PKI.token_hash.clone().into(),
        server_token: Some(PKI.server_token.clone().into()),
        server_token_before: None,
        server_token_after: None,
        agent_token: PKI.agent_token.clone().into(),
        bundle_key: PKI.bundle_key.clone().into(),
        datastore: Some(datastore(kind)),
        init: kind == "etcd",
        join: None,
        begun: None,
        etcd_snapshots: None,
        restore: None,
        tls_sans: vec!["203.0.113.9".to_owned().into()],
        disable: vec!["servicelb".to_owned(), "local-storage".to_owned()],
        labels: BTreeMap::from([("tier".to_owned(), "app".to_owned())]),
        taints: vec!["a=b:NoSchedule".to_owned()],
        version: "v1.35.6+k3s1".to_owned(),
        binary: ArtifactRef {
            component: "k3s".to_owned(),
            version: "v1.35.6+k3s1".to_owned(),
            file: "k3s".to_owned(),
            url: "https://example.org/k3s".to_owned(),
            sha256: None,
        },
        api: Some(NodeApi {
            endpoint: "203.0.113.9".to_owned().into(),
            server_ca: PKI.certificates.server_ca.clone().into(),
            client_ca: PKI.certificates.client_ca.clone().into(),
            client_ca_key: PKI.server_keys.client_ca.clone().into(),
        }),
        certificates_after: None,
    }
}

fn agent() -> NodeArgs {
    let mut args = server("sqlite");
    args.boot.role = "agent".to_owned();
    args.join = Some("10.10.10.2".to_owned().into());
    args
}

fn permit() -> Permit {
    crate::k3s::testing::permit("k3s_node.servers[0]")
}

fn kind(bucket: &Arc<Bucket>, minutes: i64) -> K3sNode {
    let start = parse_timestamp("2026-08-01T10:00:00Z").unwrap();
    let storage = Arc::clone(bucket) as Arc<dyn BootStorage>;
    let now = Timestamp(start.0 + minutes * 60_000);
    let nobody = Fake::new(|_| None).kubernetes();
    K3sNode::new(storage, Arc::new(Digests), nobody, Arc::new(move || now))
}

/// The kind when the droplet was just made, with that cluster and nothing in the bucket.
fn beside(cluster: &Fake) -> K3sNode {
    let storage: Arc<dyn BootStorage> = Arc::new(Bucket::default());
    let now = Arc::new(|| Timestamp(BORN));
    K3sNode::new(storage, Arc::new(Digests), cluster.kubernetes(), now)
}

fn known(args: &NodeArgs, attrs: &NodeAttrs) -> Known {
    Known {
        address: address(),
        id: id(args).unwrap(),
        args: args.to_object(),
        attrs: attrs.to_object(),
    }
}

fn address() -> Address {
    "k3s_node.servers[0]".parse().unwrap()
}

/// Reads a bundle as a node does: signature, header first, then files.
fn open(bytes: &[u8]) -> (String, BTreeMap<String, (u32, String)>) {
    let end = bytes.iter().position(|byte| *byte == b'\n').unwrap();
    let signature = base64::engine::general_purpose::STANDARD
        .decode(&bytes[..end])
        .unwrap();
    let payload = &bytes[end + 1..];
    let pem = x509_parser::pem::Pem::iter_from_buffer(PKI.bundle_public_key.as_bytes())
        .next()
        .unwrap()
        .unwrap();
    let raw = &pem.contents[pem.contents.len() - 32..];
    UnparsedPublicKey::new(&ED25519, raw)
        .verify(payload, &signature)
        .expect("signed");
    let mut archive = tar::Archive::new(payload);
    let mut header = None;
    let mut files = BTreeMap::new();
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        assert_eq!(entry.header().entry_type(), tar::EntryType::Regular);
        assert!(entry.header().as_ustar().is_some());
        let path = entry.path().unwrap().to_string_lossy().into_owned();
        let mode = entry.header().mode().unwrap();
        let mut text = String::new();
        entry.read_to_string(&mut text).unwrap();
        match &header {
            None => {
                assert_eq!(path, "header");
                header = Some(text);
            }
            Some(_) => {
                let path = path
                    .strip_prefix("files/")
                    .expect("below files/")
                    .to_owned();
                files.insert(path, (mode, text));
            }
        }
    }
    (header.unwrap(), files)
}

async fn bundle_of(args: &NodeArgs) -> (String, BTreeMap<String, (u32, String)>) {
    let bucket = Arc::new(Bucket::default());
    create(&kind(&bucket, 1), args).await.unwrap();
    let key = args.boot.bundle_key().unwrap();
    let bytes = bucket.objects.lock().unwrap()[&key].0.clone();
    open(&bytes)
}

async fn create(
    kind: &K3sNode,
    args: &NodeArgs,
) -> Result<Found<NodeAttrs>, CreateFailed<NodeAttrs>> {
    let owner = kplan_model::Owner {
        cluster: "demo".to_owned(),
        suffix: "3f9a1c2e".to_owned(),
    };
    let address = address();
    let wanted = Wanted {
        owner: &owner,
        address: &address,
        args,
    };
    Resource::create(kind, wanted, &permit()).await
}

fn config(files: &BTreeMap<String, (u32, String)>) -> serde_norway::Value {
    serde_norway::from_str(&files["etc/rancher/k3s/config.yaml"].1).unwrap()
}

#[tokio::test]
async fn a_servers_bundle_is_what_the_contract_says() {
    let (header, files) = bundle_of(&server("sqlite")).await;
    assert_eq!(
        header,
        "format=1\ncluster=demo-3f9a1c2e\nnode=demo-server-0\ndroplet_id=4711\nrole=server\n"
    );
    let tls = "var/lib/rancher/k3s/server/tls";
    let expected: BTreeSet<String> = [
        "server-ca",
        "client-ca",
        "request-header-ca",
        "etcd/peer-ca",
        "etcd/server-ca",
    ]
    .iter()
    .flat_map(|name| [format!("{tls}/{name}.crt"), format!("{tls}/{name}.key")])
    .chain([format!("{tls}/service.key")])
    .chain(
        [
            "etc/rancher/k3s/config.yaml",
            "etc/kplan/k3s-token",
            "etc/kplan/k3s.env",
            "etc/systemd/system/k3s.service",
        ]
        .map(str::to_owned),
    )
    .collect();
    assert_eq!(files.keys().cloned().collect::<BTreeSet<_>>(), expected);
    for (path, (mode, text)) in &files {
        let key = path.rsplit('.').next() == Some("key");
        let secret = key || path.ends_with("config.yaml");
        let wanted = match path.as_str() {
            _ if secret => 0o600,
            "etc/kplan/k3s-token" => 0o755,
            _ => 0o644,
        };
        assert_eq!(*mode, wanted, "{path}");
        assert_eq!(text.contains("PRIVATE KEY"), key, "{path}");
    }
    assert_eq!(
        files["etc/kplan/k3s.env"].1,
        format!(
            "K3S_VERSION=v1.35.6+k3s1\nK3S_BINARY_URL=https://example.org/k3s\nK3S_BINARY_SHA256={}\n",
            "d".repeat(64)
        )
    );
    let config = config(&files);
    let secret = PKI.server_token.expose().unwrap();
    assert_eq!(
        config["token"].as_str().unwrap(),
        format!("K10{}::server:{secret}", PKI.token_hash)
    );
    assert_eq!(config["agent-token"].as_str(), PKI.agent_token.expose());
    assert_eq!(
        config["kubelet-arg"][1].as_str(),
        Some("provider-id=digitalocean://4711")
    );
    assert_eq!(config["node-label"][0].as_str(), Some("tier=app"));
    assert_eq!(config["write-kubeconfig-mode"].as_str(), Some("0600"));
    for absent in ["cluster-init", "server", "datastore-endpoint"] {
        assert!(config.get(absent).is_none(), "{absent}");
    }
}

#[tokio::test]
async fn an_agent_gets_no_authority_and_no_server_token() {
    let (header, files) = bundle_of(&agent()).await;
    assert!(header.ends_with("role=agent\n"));
    assert_eq!(files.len(), 3);
    let whole: String = files.values().map(|(_, text)| text.as_str()).collect();
    assert!(!whole.contains(PKI.server_token.expose().unwrap()));
    assert!(!whole.contains("PRIVATE KEY"));
    let config = config(&files);
    let secret = PKI.agent_token.expose().unwrap();
    assert_eq!(
        config["token"].as_str().unwrap(),
        format!("K10{}::node:{secret}", PKI.token_hash)
    );
    assert_eq!(config["server"].as_str(), Some("https://10.10.10.2:6443"));
    assert!(config.get("tls-san").is_none() && config.get("disable").is_none());
}

#[tokio::test]
async fn each_datastore_is_told_in_its_own_way() {
    let (_, files) = bundle_of(&server("postgres")).await;
    assert_eq!(
        config(&files)["datastore-endpoint"].as_str(),
        Some(
            "postgres://kplan:p%40ss%2Fw%C3%B6rd@private-db.example:25060/k3s?sslmode=verify-full"
        )
    );
    assert!(files.contains_key("etc/rancher/k3s/datastore-ca.pem"));
    let (_, files) = bundle_of(&server("mysql")).await;
    assert_eq!(
        config(&files)["datastore-endpoint"].as_str(),
        Some("mysql://kplan:p@ss/wörd@tcp(private-db.example:25060)/k3s")
    );
    let first = config(&bundle_of(&server("etcd")).await.1);
    assert_eq!(
        (first["cluster-init"].as_bool(), first.get("server")),
        (Some(true), None)
    );
    let mut second = server("etcd");
    (second.init, second.join) = (false, Some("10.10.10.2".to_owned().into()));
    let second_config = config(&bundle_of(&second).await.1);
    assert_eq!(
        second_config["server"].as_str(),
        Some("https://10.10.10.2:6443")
    );
    assert!(second_config.get("cluster-init").is_none());
    assert!(second_config.get("etcd-s3").is_none());
    // Everything but the Secret's name would be refused beside it.
    second.etcd_snapshots = Some(true);
    let kept = config(&bundle_of(&second).await.1);
    let s3 = kept
        .as_mapping()
        .unwrap()
        .keys()
        .filter_map(|key| key.as_str());
    let s3: Vec<&str> = s3.filter(|key| key.starts_with("etcd-s3")).collect();
    assert_eq!(s3, ["etcd-s3", "etcd-s3-config-secret"]);
    assert_eq!(
        kept["etcd-s3-config-secret"].as_str(),
        Some("kplan-etcd-s3")
    );
    second.init = true;
    let error = create(&kind(&Arc::default(), 1), &second)
        .await
        .unwrap_err()
        .error;
    assert!(error.message.contains("exactly one"), "{error}");
}

#[tokio::test]
async fn a_node_is_ready_when_it_says_so_and_never_read_again() {
    let (bucket, args) = (Arc::new(Bucket::default()), server("sqlite"));
    let kind = kind(&bucket, 1);
    let found = create(&kind, &args).await.unwrap();
    assert_eq!(
        kind.readiness(&found.attrs),
        Readiness::Waiting("the droplet boots".to_owned())
    );
    let mut record = known(&args, &found.attrs);
    let look = async |record: &Known| Resource::read(&kind, record).await.unwrap().unwrap();
    bucket.report(&args, "installing", "installing K3s v1.35.6+k3s1");
    let attrs = look(&record).await;
    assert_eq!(
        kind.readiness(&attrs),
        Readiness::Waiting("installing K3s v1.35.6+k3s1".to_owned())
    );
    bucket.report(&args, "started", "K3s is running");
    let attrs = look(&record).await;
    assert_eq!(
        (kind.readiness(&attrs), &attrs.log),
        (Readiness::Ready, &None)
    );
    record.attrs = attrs.to_object();
    bucket.calls.lock().unwrap().clear();
    assert_eq!(look(&record).await, attrs);
    assert_eq!(*bucket.calls.lock().unwrap(), Vec::<String>::new());
}

#[tokio::test]
async fn one_list_serves_all_that_wait() {
    let bucket = Arc::new(Bucket::default());
    let kind = kind(&bucket, 1);
    let mut records = Vec::new();
    for index in 0..20 {
        let mut args = agent();
        args.boot.node = format!("demo-agent-{index}");
        let found = create(&kind, &args).await.unwrap();
        records.push(known(&args, &found.attrs));
    }
    bucket.calls.lock().unwrap().clear();
    let seen = Resource::read_all(&kind, &records).await.unwrap();
    assert_eq!(seen.len(), 20);
    assert_eq!(*bucket.calls.lock().unwrap(), ["list boot/"]);
}

#[tokio::test]
async fn a_failure_is_told_with_the_end_of_the_log() {
    let (bucket, args) = (Arc::new(Bucket::default()), server("sqlite"));
    let kind = kind(&bucket, 1);
    let found = create(&kind, &args).await.unwrap();
    bucket.report(&args, "failed", "K3s could not be downloaded");
    let attrs = Resource::read(&kind, &known(&args, &found.attrs))
        .await
        .unwrap()
        .unwrap();
    let Readiness::Failed(text) = kind.readiness(&attrs) else {
        panic!("{attrs:?}")
    };
    assert!(
        text.contains("K3s could not be downloaded") && text.ends_with("a\nb"),
        "{text}"
    );
}

#[tokio::test]
async fn the_verdict_on_an_earlier_bundle_does_not_count() {
    let (bucket, args) = (Arc::new(Bucket::default()), server("sqlite"));
    let kind = kind(&bucket, 1);
    let phase_after = async |at: i64, phase: &str| {
        *bucket.clock.lock().unwrap() = at;
        bucket.report(&args, phase, "earlier");
        *bucket.clock.lock().unwrap() = 60_000;
        let found = create(&kind, &args).await.unwrap();
        let record = known(&args, &found.attrs);
        Resource::read(&kind, &record).await.unwrap().unwrap().phase
    };
    assert_eq!(phase_after(-60_000, "started").await, "none");
    assert_eq!(phase_after(-60_000, "failed").await, "none");
    assert_eq!(phase_after(10_000, "failed").await, "none");
    // K3s that started once on this droplet runs, whatever bundle came after.
    assert_eq!(phase_after(10_000, "started").await, "started");
}

#[tokio::test]
async fn a_droplet_that_reports_nothing_is_not_said_to_boot_for_ever() {
    let (bucket, args) = (Arc::new(Bucket::default()), server("sqlite"));
    let found = create(&kind(&bucket, 1), &args).await.unwrap();
    let record = known(&args, &found.attrs);
    let says = async |minutes: i64| {
        let kind = kind(&bucket, minutes);
        let attrs = Resource::read(&kind, &record).await.unwrap().unwrap();
        match kind.readiness(&attrs) {
            Readiness::Waiting(text) => text,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(says(4).await, "the droplet boots");
    let text = says(12).await;
    let endpoint = args.boot.endpoint.known().unwrap();
    assert!(
        text.contains("12 minutes ago and has reported nothing") && text.contains(endpoint),
        "{text}"
    );
    bucket.report(&args, "waiting-for-bundle", "no bundle yet");
    assert_eq!(says(12).await, "no bundle yet");
}

#[tokio::test]
async fn after_an_hour_only_a_new_droplet_helps() {
    let (bucket, args) = (Arc::new(Bucket::default()), server("sqlite"));
    let found = create(&kind(&bucket, 1), &args).await.unwrap();
    let late = kind(&bucket, 60);
    let attrs = Resource::read(&late, &known(&args, &found.attrs))
        .await
        .unwrap()
        .unwrap();
    let Readiness::Failed(text) = late.readiness(&attrs) else {
        panic!("{attrs:?}")
    };
    // The remedy is part of what is said: replacing the node alone does not help.
    let remedy = "the next apply replaces its droplet";
    assert!(text.contains(remedy), "{text}");
    let error = create(&late, &args).await.unwrap_err().error;
    assert_eq!(error.kind, ErrorKind::Failed);
    assert!(error.message.contains(remedy), "{error}");
    // What was made and what is missing need another droplet, and so for the last minutes.
    for (minutes, over) in [(0, false), (54, false), (55, true), (61, true)] {
        let kind = kind(&bucket, minutes);
        for attrs in [None, Some(&found.attrs)] {
            let why = Resource::too_late(&kind, &args, attrs);
            assert_eq!(why.is_some(), over, "{minutes}: {why:?}");
        }
    }
    bucket.report(&args, "installing", "it fetched the bundle in time");
    let attrs = Resource::read(&late, &known(&args, &found.attrs))
        .await
        .unwrap()
        .unwrap();
    assert!(
        matches!(late.readiness(&attrs), Readiness::Waiting(_)),
        "{attrs:?}"
    );
}

#[tokio::test]
async fn a_lost_create_is_found_and_a_delete_takes_the_bundle() {
    let (bucket, args) = (Arc::new(Bucket::default()), server("sqlite"));
    let kind = kind(&bucket, 1);
    let owner = kplan_model::Owner {
        cluster: "demo".to_owned(),
        suffix: "3f9a1c2e".to_owned(),
    };
    let address = address();
    let wanted = || Wanted {
        owner: &owner,
        address: &address,
        args: &args,
    };
    assert_eq!(Resource::find(&kind, wanted()).await.unwrap(), []);
    let made = create(&kind, &args).await.unwrap();
    let found = Resource::find(&kind, wanted()).await.unwrap();
    assert_eq!(found[0].id, made.id);
    assert_eq!(found[0].attrs, made.attrs);
    bucket.report(&args, "installing", "");
    let record = known(&args, &made.attrs);
    for _ in 0..2 {
        Resource::delete(&kind, &record, &permit()).await.unwrap();
    }
    // The report stays, for a droplet that runs K3s makes no other.
    let left = bucket.names();
    assert_eq!(left, [boot::report_key(&args.boot.bundle_key().unwrap())]);
}

#[tokio::test]
async fn a_droplet_looks_for_its_bundle_until_k3s_runs() {
    let (bucket, args) = (Arc::new(Bucket::default()), server("sqlite"));
    let kind = kind(&bucket, 1);
    let mut attrs = create(&kind, &args).await.unwrap().attrs;
    for (phase, late) in [("none", false), ("failed", false), ("started", true)] {
        phase.clone_into(&mut attrs.phase);
        let why = Resource::too_late(&kind, &args, Some(&attrs));
        assert_eq!(why.is_some(), late, "{phase}: {why:?}");
    }
    // A droplet that is not there yet takes what is made with it.
    let args = NodeArgs {
        droplet_created_at: None,
        ..args
    };
    assert_eq!(Resource::too_late(&kind, &args, None), None);
}

#[tokio::test]
async fn a_bundle_of_an_earlier_droplet_is_never_taken_for_this_ones() {
    let (bucket, earlier) = (Arc::new(Bucket::default()), server("sqlite"));
    let kind = kind(&bucket, 1);
    create(&kind, &earlier).await.unwrap();
    let owner = kplan_model::Owner {
        cluster: "demo".to_owned(),
        suffix: "3f9a1c2e".to_owned(),
    };
    let address = address();
    // Its name is the same, and it was made in the very second in which the bundle was written.
    let written = bucket.objects.lock().unwrap().values().next().unwrap().1;
    let args = NodeArgs {
        droplet_id: "4712".to_owned().into(),
        droplet_created_at: Some("2026-08-01T10:00:01Z".to_owned().into()),
        ..server("sqlite")
    };
    assert_eq!(K3sNode::droplet_created(&args).unwrap(), Some(written));
    let wanted = |args| Wanted {
        owner: &owner,
        address: &address,
        args,
    };
    let found = Resource::find(&kind, wanted(&args)).await.unwrap();
    assert_eq!(found, []);
    let both = [wanted(&args), wanted(&earlier)];
    bucket.calls.lock().unwrap().clear();
    let found = Resource::find_all(&kind, &both).await;
    let ids: Vec<Vec<RemoteId>> = found
        .into_iter()
        .map(|found| found.unwrap().into_iter().map(|found| found.id).collect())
        .collect();
    assert_eq!(ids, [vec![], vec![id(&earlier).unwrap()]]);
    let calls = bucket.calls.lock().unwrap().clone();
    let lists = calls.iter().filter(|call| call.starts_with("list")).count();
    assert_eq!(lists, 1, "{calls:?}");
    bucket.write(
        &args.boot.bundle_key().unwrap(),
        Bytes::from_static(b"no bundle"),
    );
    let found = Resource::find(&kind, wanted(&args)).await.unwrap();
    assert_eq!(found, []);
}

#[test]
fn every_argument_has_a_field_and_no_secret_is_shown() {
    for name in NodeArgs::NAMES.iter().chain(NodeAttrs::NAMES) {
        assert!(INFO.field(name).is_some(), "{name}");
    }
    let args = server("postgres");
    assert_eq!(NodeArgs::decode(&args.encode()).unwrap(), args);
    for (name, value) in args.to_object() {
        if value.has_secret() && !matches!(value, Value::Map(_)) {
            assert!(INFO.field(&name).unwrap().secret, "{name}");
        }
    }
}
