//! From nothing to a cluster with everything in it, against a sandbox.

use crate::rig::{Rig, root_application};
use kplan_model::codec::ObjectCodec as _;
use kplan_model::value::lookup;
use kplan_model::{Codec, Input, Known, Object, Secret, Timestamp, Value};
use kplan_providers::artifacts::{ArtifactRef, Lock, Mirror, pinned};
use kplan_providers::digitalocean::{DropletArgs, SpacesGrant, SpacesKeyArgs, VpcArgs};
use kplan_providers::k3s::{
    Access, BootArgs, Bundles, ClusterArgs, Datastore, Kubeconfig, NodeApi, NodeArgs, PkiArgs,
    kubeconfig,
};
use kplan_providers::kubernetes::{
    Applied, ArgocdArgs, ArgocdRepositoryArgs, CcmArgs, CloudSecretArgs, CsiArgs, VeleroArgs,
    velero,
};
use kplan_providers::spaces::BucketArgs;
use std::collections::BTreeMap;
use std::process::Command;
use std::time::Duration;

/// An attribute of something that was made.
fn attr<T: Codec>(of: &Known, path: &str) -> T {
    let value = lookup(&of.attrs, path).unwrap_or_else(|| panic!("{} has no {path}", of.address));
    T::decode(value).unwrap()
}

fn text(of: &Known, path: &str) -> Input<String> {
    Input::Known(attr(of, path))
}

/// What every node needs.
struct Ground {
    vpc: Known,
    pki: Known,
    key: Known,
    bucket: String,
}

impl Ground {
    async fn lay(rig: &Rig) -> Self {
        let vpc = VpcArgs {
            name: "demo".to_owned(),
            region: "fra1".to_owned(),
            ip_range: Some("10.10.10.0/24".to_owned()),
            description: None,
        };
        let vpc = rig.make("vpc.main", vpc.to_object()).await;
        let pki = rig
            .make(
                "pki.cluster",
                PkiArgs {
                    cluster: rig.owner_id(),
                    agent_token_after: None,
                    server_token_after: None,
                }
                .to_object(),
            )
            .await;
        let grant = SpacesGrant {
            bucket: Input::Known(String::new()),
            permission: "fullaccess".to_owned(),
        };
        let key = SpacesKeyArgs {
            name: "demo-boot".to_owned(),
            grant: vec![grant],
        };
        let key = rig.make("spaces_key.boot", key.to_object()).await;
        let ground = Self {
            vpc,
            pki,
            key,
            bucket: "kplan-demo-a1b2c3d4".to_owned(),
        };
        for (address, name) in [
            ("bucket.boot", ground.bucket.as_str()),
            ("bucket.backup", "acme-demo-backup"),
        ] {
            rig.make(address, ground.bucket_args(name)).await;
        }
        ground
    }

    fn bucket_args(&self, name: &str) -> Object {
        BucketArgs {
            name: Some(name.to_owned()),
            name_prefix: None,
            region: "fra1".to_owned(),
            acl: None,
            versioning: false,
            lifecycle_rule: Vec::new(),
            force_destroy: true,
            access_key: Some(text(&self.key, "access_key")),
            secret_key: Some(Input::Known(attr(&self.key, "secret_key"))),
        }
        .to_object()
    }

    fn boot(&self, rig: &Rig, node: &str, role: &str) -> BootArgs {
        BootArgs {
            cluster: rig.owner_id(),
            node: node.to_owned(),
            role: role.to_owned(),
            bucket: self.bucket.clone().into(),
            endpoint: rig.running.endpoints().spaces_url.clone().into(),
            region: "fra1".to_owned().into(),
            access_key: text(&self.key, "access_key"),
            secret_key: Input::Known(attr(&self.key, "secret_key")),
            public_key: text(&self.pki, "bundle_public_key"),
            packages: None,
            datastore_admin: None,
        }
    }

    async fn droplet(&self, rig: &Rig, node: &str, role: &str) -> Known {
        let args = DropletArgs {
            name: node.to_owned(),
            region: "fra1".to_owned(),
            size: "s-2vcpu-4gb".to_owned(),
            image: "ubuntu-24-04-x64".to_owned(),
            vpc_uuid: Some(self.vpc.id.as_str().to_owned().into()),
            ssh_keys: Vec::new(),
            tags: Vec::new(),
            user_data: None,
            boot: Some(self.boot(rig, node, role)),
            monitoring: false,
            backups: false,
            ipv6: false,
            droplet_agent: None,
            resize_disk: None,
            power: None,
        };
        rig.make(&format!("droplet.{node}"), args.to_object()).await
    }

    /// A node's arguments; a server without `join`, an agent with it.
    fn node(&self, rig: &Rig, droplet: &Known, join: Option<&Known>) -> NodeArgs {
        let role = if join.is_some() { "agent" } else { "server" };
        let server = join.is_none();
        let name: String = attr(droplet, "name");
        NodeArgs {
            boot: self.boot(rig, &name, role),
            droplet_id: droplet.id.as_str().to_owned().into(),
            droplet_created_at: Some(text(droplet, "created_at")),
            private_ip: text(droplet, "ipv4_address_private"),
            public_ip: Some(text(droplet, "ipv4_address")),
            certificates: server.then(|| Input::Known(attr(&self.pki, "certificates"))),
            server_keys: server.then(|| Input::Known(attr(&self.pki, "server_keys"))),
            token_hash: text(&self.pki, "token_hash"),
            server_token: server.then(|| Input::Known(attr(&self.pki, "server_token"))),
            server_token_before: None,
            server_token_after: None,
            agent_token: Input::Known(attr(&self.pki, "agent_token")),
            bundle_key: Input::Known(attr(&self.pki, "bundle_key")),
            datastore: server.then(|| Datastore {
                kind: "sqlite".to_owned(),
                host: None,
                port: None,
                user: None,
                password: None,
                database: None,
                ca: None,
            }),
            init: false,
            join: join.map(|join| text(join, "private_ip")),
            begun: None,
            etcd_snapshots: None,
            restore: None,
            tls_sans: if server {
                vec![text(droplet, "ipv4_address")]
            } else {
                Vec::new()
            },
            disable: if server {
                vec!["servicelb".to_owned(), "local-storage".to_owned()]
            } else {
                Vec::new()
            },
            labels: BTreeMap::from([("tier".to_owned(), role.to_owned())]),
            taints: Vec::new(),
            version: "v1.35.6+k3s1".to_owned(),
            binary: artifact(rig, "k3s", "k3s"),
            api: None,
            certificates_after: None,
        }
    }
}

fn artifacts(rig: &Rig, component: &str) -> Vec<ArtifactRef> {
    // Droplets of the sandbox run the sandbox's own K3s.
    let set = if component == "k3s" {
        &rig.set
    } else {
        &rig.manifests
    };
    let version = set.default_version(component).unwrap();
    set.resolve(&Lock::default(), component, version).unwrap()
}

fn artifact(rig: &Rig, component: &str, file: &str) -> ArtifactRef {
    artifacts(rig, component)
        .into_iter()
        .find(|artifact| artifact.file == file)
        .unwrap()
}

/// A server, an agent, and the cluster they form.
pub(crate) struct Booted {
    ground: Ground,
    cluster: Known,
    pub(crate) access: Access,
}

pub(crate) async fn boot(rig: &Rig) -> Booted {
    let ground = Ground::lay(rig).await;
    let (first, second) = tokio::join!(
        ground.droplet(rig, "demo-server-0", "server"),
        ground.droplet(rig, "demo-agent-0", "agent")
    );
    let server = ground.node(rig, &first, None).to_object();
    let server = rig.make("k3s_node.servers[0]", server).await;
    let agent = ground.node(rig, &second, Some(&server)).to_object();
    let agent = rig.make("k3s_node.agents[0]", agent).await;
    let args = ClusterArgs {
        endpoint: text(&first, "ipv4_address"),
        hostname: None,
        nodes: vec![text(&server, "name"), text(&agent, "name")],
        server_ca: text(&ground.pki, "certificates.server_ca"),
        client_ca: text(&ground.pki, "certificates.client_ca"),
        client_ca_key: Input::Known(attr(&ground.pki, "server_keys.client_ca")),
        bundles: Some(Bundles {
            cluster: rig.owner_id(),
            bucket: ground.bucket.clone().into(),
            endpoint: rig.running.endpoints().spaces_url.clone().into(),
            region: "fra1".to_owned().into(),
            access_key: text(&ground.key, "access_key"),
            secret_key: Input::Known(attr(&ground.key, "secret_key")),
        }),
    };
    let cluster = rig.make("k3s.cluster", args.to_object()).await;
    let access = attr(&cluster, "access");
    Booted {
        ground,
        cluster,
        access,
    }
}

fn velero_args(rig: &Rig, booted: &Booted, schedules: &[&str]) -> VeleroArgs {
    VeleroArgs {
        access: booted.access.clone().into(),
        objects: Applied,
        artifacts: pinned(artifacts(rig, "velero")).0,
        sources: Some(pinned(artifacts(rig, "velero")).1),
        version: "v1.17.2".to_owned(),
        bucket: "acme-demo-backup".to_owned().into(),
        prefix: None,
        region: "fra1".to_owned(),
        endpoint: rig.running.endpoints().spaces_url.clone().into(),
        access_key: text(&booted.ground.key, "access_key"),
        secret_key: Input::Known(attr(&booted.ground.key, "secret_key")),
        restoring: None,
        repository_password: Some(Secret::new("kopia-pass").into()),
        volumes: true,
        schedules: schedules
            .iter()
            .map(|name| velero::Schedule {
                name: (*name).to_owned(),
                cron: "0 2 * * *".to_owned(),
                ttl: "720h0m0s".to_owned(),
                namespaces: Vec::new(),
                excluded_namespaces: vec![],
                paused: false,
            })
            .collect(),
    }
}

/// What initializes the nodes: before it, nothing else is scheduled.
async fn cloud(rig: &Rig, booted: &Booted) -> Vec<Known> {
    let access = || Input::Known(booted.access.clone());
    let secret = CloudSecretArgs {
        access: access(),
        objects: Applied,
        token: Secret::new("dop_v1_in_cluster").into(),
    };
    let ccm = CcmArgs {
        access: access(),
        objects: Applied,
        artifacts: pinned(artifacts(rig, "digitalocean-ccm")).0,
        sources: Some(pinned(artifacts(rig, "digitalocean-ccm")).1),
        region: "fra1".to_owned(),
        vpc_id: booted.ground.vpc.id.as_str().to_owned().into(),
        cluster_id: rig.owner_id(),
        load_balancer_type: "REGIONAL".to_owned(),
        api_url: None,
    };
    let secret = rig.make("cloud_secret.main", secret.to_object()).await;
    vec![secret, rig.make("ccm.main", ccm.to_object()).await]
}

/// Everything that runs in the cluster, in its order.
async fn platform(rig: &Rig, booted: &Booted) -> Vec<Known> {
    let access = || Input::Known(booted.access.clone());
    let csi = CsiArgs {
        access: access(),
        objects: Applied,
        artifacts: pinned(artifacts(rig, "csi-digitalocean")).0,
        sources: Some(pinned(artifacts(rig, "csi-digitalocean")).1),
        tag: "kplan:demo-3f9a1c2e".to_owned().into(),
        default_class: Some("do-block-storage".to_owned()),
        api_url: None,
    };
    let argocd = ArgocdArgs {
        access: access(),
        objects: Applied,
        artifacts: pinned(vec![artifact(rig, "argo-cd", "install.yaml")]).0,
        sources: Some(pinned(vec![artifact(rig, "argo-cd", "install.yaml")]).1),
        admin_password: Some(Secret::new("4dm1n").into()),
        ingress: None,
    };
    let repository = ArgocdRepositoryArgs {
        access: access(),
        objects: Applied,
        url: "https://github.com/acme/infra.git".to_owned(),
        username: None,
        token: Some(Secret::new("ghp_token").into()),
        ssh_key: None,
        github_app: None,
    };
    let application = root_application(access());
    let mut made = cloud(rig, booted).await;
    for (address, args) in [
        ("csi.main", csi.to_object()),
        (
            "velero.main",
            velero_args(rig, booted, &["nightly", "weekly"]).to_object(),
        ),
        ("argocd.main", argocd.to_object()),
        ("argocd_repository.main", repository.to_object()),
        ("argocd_application.root", application.to_object()),
    ] {
        made.push(rig.make(address, args).await);
    }
    made
}

fn kubectl(rig: &Rig, access: &Access, args: &[&str]) -> Option<String> {
    let config = Kubeconfig {
        name: "demo",
        user: "test",
        proxy_url: Some(&rig.running.endpoints().proxy_url),
        now: Timestamp(jiff::Timestamp::now().as_millisecond()),
        valid: Duration::from_mins(10),
    };
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(
        file.path(),
        kubeconfig(access, config).unwrap().expose().unwrap(),
    )
    .unwrap();
    let Ok(output) = Command::new("kubectl")
        .env("KUBECONFIG", file.path())
        .args(args)
        .output()
    else {
        kplan_conformance::skipped("kubectl");
        return None;
    };
    assert!(
        output.status.success(),
        "kubectl {args:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Some(String::from_utf8(output.stdout).unwrap())
}

async fn objects_left(rig: &Rig, booted: &Booted) -> Vec<String> {
    use kplan_providers::k3s::BootStorage as _;
    let place = booted.ground.boot(rig, "any", "agent").place().unwrap();
    let listed = rig.spaces.list(&place, "").await.unwrap();
    listed.into_iter().map(|one| one.key).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn from_nothing_to_argo_cd() {
    let rig = Rig::start().await;
    let booted = boot(&rig).await;
    assert_eq!(
        objects_left(&rig, &booted).await,
        Vec::<String>::new(),
        "bundles are left behind"
    );
    assert_eq!(attr::<String>(&booted.cluster, "version"), "v1.35.6+k3s1");
    let made = platform(&rig, &booted).await;

    // Read again, nothing differs, and lists are shared: fewer requests than objects.
    let before = rig.calls.calls();
    for known in &made {
        let attrs = rig
            .read(known)
            .await
            .unwrap_or_else(|| panic!("{} is gone", known.address));
        assert_eq!(attrs, known.attrs, "{}", known.address);
        assert_eq!(attrs["objects"], Value::str("applied"), "{}", known.address);
        let previews = rig.preview(known, &known.args).await;
        assert_eq!(previews, [], "{}", known.address);
    }
    let inventory: usize = made
        .iter()
        .map(|known| attr::<Vec<String>>(known, "inventory").len())
        .sum();
    let calls = rig.calls.calls() - before;
    assert!(
        inventory > 110 && calls < 60,
        "{calls} calls for {inventory} objects"
    );

    if let Some(nodes) = kubectl(&rig, &booted.access, &["get", "nodes", "--no-headers"]) {
        assert_eq!(nodes.lines().count(), 2, "{nodes}");
        let apps = kubectl(
            &rig,
            &booted.access,
            &["get", "applications.argoproj.io", "-A", "--no-headers"],
        );
        assert!(apps.unwrap().contains("root"));
    }
    rig.running.shutdown();
}

/// Argo CD's users change the password in Argo CD, which writes it into the Secret that kplan made:
/// an update of Argo CD is no conflict then, and does not take it back. A new password of kplan's is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_password_that_was_changed_in_argo_cd_stays() {
    let rig = Rig::start().await;
    let booted = boot(&rig).await;
    cloud(&rig, &booted).await;
    let args = |password: &str| ArgocdArgs {
        access: Input::Known(booted.access.clone()),
        objects: Applied,
        artifacts: pinned(vec![artifact(&rig, "argo-cd", "install.yaml")]).0,
        sources: Some(pinned(vec![artifact(&rig, "argo-cd", "install.yaml")]).1),
        admin_password: Some(Secret::new(password).into()),
        ingress: None,
    };
    let argocd = rig.make("argocd.main", args("4dm1n").to_object()).await;
    let stored = || {
        let path = "jsonpath={.data.admin\\.password}";
        kubectl(
            &rig,
            &booted.access,
            &["-n", "argocd", "get", "secret", "argocd-secret", "-o", path],
        )
    };
    let Some(ours) = stored() else {
        rig.running.shutdown();
        return;
    };
    let theirs = r#"{"data":{"admin.password":"dGhlaXJz"}}"#;
    kubectl(
        &rig,
        &booted.access,
        &[
            "-n",
            "argocd",
            "patch",
            "secret",
            "argocd-secret",
            "--field-manager=argocd-server",
            "-p",
            theirs,
        ],
    );
    assert_eq!(stored().unwrap(), "dGhlaXJz");
    let later = args("4dm1n").to_object();
    let previews = rig.preview(&argocd, &later).await;
    let secret = previews
        .iter()
        .find(|one| one.object.contains("argocd-secret"));
    assert!(
        secret.is_none_or(|one| !one.after.contains("changed")),
        "{secret:?}"
    );
    let argocd = rig.update(&argocd, later).await;
    assert_eq!(stored().unwrap(), "dGhlaXJz");
    assert_ne!(ours, "dGhlaXJz");
    // Somebody else's it is: a new one of ours is named as a conflict.
    let mut known = argocd.clone();
    known.args = args("4dm1n").to_object();
    let refused = rig.try_update(&known, args("new").to_object()).await;
    let refused = refused.unwrap_err();
    assert!(refused.message.contains("argocd-server"), "{refused}");
    rig.running.shutdown();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_leaves_the_set_is_pruned_and_what_drifts_is_seen() {
    let rig = Rig::start().await;
    let booted = boot(&rig).await;
    cloud(&rig, &booted).await;
    let both = velero_args(&rig, &booted, &["nightly", "weekly"]).to_object();
    let velero = rig.make("velero.main", both).await;
    let one = velero_args(&rig, &booted, &["nightly"]).to_object();
    let previews = rig.preview(&velero, &one).await;
    assert_eq!(previews.len(), 1, "{previews:?}");
    assert_eq!(previews[0].object, "velero.io/v1 Schedule velero/weekly");
    assert!(previews[0].before.contains("schedule: 0 2 * * *") && previews[0].after.is_empty());

    let velero = rig.update(&velero, one).await;
    let inventory: Vec<String> = attr(&velero, "inventory");
    assert!(!inventory.iter().any(|line| line.contains("weekly")));
    if let Some(left) = kubectl(
        &rig,
        &booted.access,
        &["-n", "velero", "get", "schedules.velero.io", "-o", "name"],
    ) {
        assert_eq!(left.trim(), "schedule.velero.io/nightly");
        kubectl(
            &rig,
            &booted.access,
            &["-n", "velero", "delete", "schedules.velero.io", "nightly"],
        );
        let attrs = rig.read(&velero).await.unwrap();
        assert_eq!(
            attrs["objects"],
            Value::str("1 missing (velero.io/v1 Schedule velero/nightly)")
        );
        let drifted = Known {
            attrs,
            ..velero.clone()
        };
        let mended = rig.update(&drifted, velero.args.clone()).await;
        assert_eq!(attr::<String>(&mended, "objects"), "applied");
    }

    let mut args = VeleroArgs::from_object(&velero.args).unwrap();
    args.secret_key = Secret::new("changed").into();
    let previews = rig.preview(&velero, &args.to_object()).await;
    assert_eq!(previews.len(), 1, "{previews:?}");
    assert!(
        previews[0]
            .after
            .contains("cloud: (sensitive value, changed)"),
        "{}",
        previews[0].after
    );

    let found = rig.find(&velero).await;
    assert_eq!((found.len(), &found[0].id), (1, &velero.id));
    rig.delete(&velero).await.unwrap();
    assert_eq!(rig.read(&velero).await, None);
    assert_eq!(rig.find(&velero).await, []);
    rig.delete(&velero).await.unwrap();
    rig.running.shutdown();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_fails_says_why() {
    let rig = Rig::start().await;
    let ground = Ground::lay(&rig).await;
    let droplet = ground.droplet(&rig, "demo-server-0", "server").await;
    let mut args = ground.node(&rig, &droplet, None);
    args.binary.sha256 = Some("0".repeat(64));
    let node = rig
        .create("k3s_node.servers[0]", args.to_object())
        .await
        .unwrap();
    let why = rig.settled(node.clone()).await.unwrap_err();
    assert!(
        why.starts_with("demo-server-0: ") && why.contains(&"0".repeat(64)),
        "{why}"
    );
    // Made again with the right digest, the waiting droplet takes it.
    rig.delete(&node).await.unwrap();
    let args = ground.node(&rig, &droplet, None);
    rig.make("k3s_node.servers[0]", args.to_object()).await;
    rig.running.shutdown();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn servers_join_the_first_ones_etcd() {
    let rig = Rig::start().await;
    let ground = Ground::lay(&rig).await;
    let mut first: Option<Known> = None;
    for index in 0..3 {
        let droplet = ground
            .droplet(&rig, &format!("demo-server-{index}"), "server")
            .await;
        let mut args = ground.node(&rig, &droplet, None);
        if let Some(datastore) = &mut args.datastore {
            "etcd".clone_into(&mut datastore.kind);
        }
        args.init = first.is_none();
        args.join = first.as_ref().map(|first| text(first, "private_ip"));
        let node = rig
            .make(&format!("k3s_node.servers[{index}]"), args.to_object())
            .await;
        first.get_or_insert(node);
    }
    rig.running.shutdown();
}

/// Its droplet is active long before its K3s is; nobody else is bound as an admin yet.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_resized_server_works_again_when_its_kubelet_shows_life() {
    let rig = Rig::start().await;
    let ground = Ground::lay(&rig).await;
    let droplet = ground.droplet(&rig, "demo-server-0", "server").await;
    let mut args = ground.node(&rig, &droplet, None);
    args.api = Some(NodeApi {
        endpoint: text(&droplet, "ipv4_address"),
        server_ca: text(&ground.pki, "certificates.server_ca"),
        client_ca: text(&ground.pki, "certificates.client_ca"),
        client_ca_key: Input::Known(attr(&ground.pki, "server_keys.client_ca")),
    });
    let mut node = rig.make("k3s_node.servers[0]", args.to_object()).await;
    // The cluster shows the node's labels once K3s runs.
    node.attrs = rig.read(&node).await.unwrap();
    let observe = &rig.registry.get(node.address.kind()).unwrap().observe;
    let away = Known {
        attrs: observe.interrupted(&node.attrs).unwrap(),
        ..node.clone()
    };
    let mut grown = DropletArgs::from_object(&droplet.args).unwrap();
    grown.size = "s-4vcpu-8gb".to_owned();
    let droplet = rig.update(&droplet, grown.to_object()).await;
    assert_eq!(
        attr::<String>(&rig.ready(droplet).await, "status"),
        "active"
    );
    let attrs = rig.read(&away).await.unwrap();
    assert!(observe.is_interrupted(&attrs).unwrap(), "{attrs:?}");
    let back = rig.ready(away).await;
    assert_eq!(back.attrs, node.attrs);
    rig.running.shutdown();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn upstreams_own_manifests_become_ready_and_are_pruned() {
    let Some(folder) = std::env::var_os("KPLAN_TEST_UPSTREAM") else {
        kplan_conformance::skipped("KPLAN_TEST_UPSTREAM");
        return;
    };
    let rig = Rig::with(Some(Mirror::Folder(folder.into()))).await;
    let booted = boot(&rig).await;
    let made = platform(&rig, &booted).await;
    let inventory: usize = made
        .iter()
        .map(|known| attr::<Vec<String>>(known, "inventory").len())
        .sum();
    assert!(inventory > 110, "{inventory}");
    for known in &made {
        let attrs = rig.read(known).await.unwrap();
        assert_eq!(attrs["objects"], Value::str("applied"), "{}", known.address);
        // Applied again, the server finds nothing to change.
        let blank = Known {
            attrs: {
                let mut attrs = known.attrs.clone();
                attrs.insert("inventory".to_owned(), Value::list([]));
                attrs
            },
            ..known.clone()
        };
        assert_eq!(
            rig.preview(&blank, &known.args).await,
            [],
            "{}",
            known.address
        );
    }
    let csi = made
        .iter()
        .find(|known| known.address.kind().as_str() == "csi")
        .unwrap();
    let mut args = CsiArgs::from_object(&csi.args).unwrap();
    args.artifacts
        .retain(|artifact| artifact.file != "snapshot-controller.yaml");
    let before: Vec<String> = attr(csi, "inventory");
    let csi = rig.update(csi, args.to_object()).await;
    let after: Vec<String> = attr(&csi, "inventory");
    assert_eq!(before.len() - after.len(), 4);
    if let Some(left) = kubectl(
        &rig,
        &booted.access,
        &["-n", "kube-system", "get", "statefulsets", "-o", "name"],
    ) {
        assert_eq!(left.trim(), "statefulset.apps/csi-do-controller");
    }
    rig.running.shutdown();
}
