//! Everything kplan puts into a cluster, against a real `kube-apiserver`: one that
//! `KPLAN_TEST_KUBECONFIG` names, by a user who may do everything. Needs nothing but the API server
//! and its etcd: no pod ever runs. Leaves its objects behind; give it a server of its own.

use super::rig::{permit, root_application};
use super::upstream::{
    Upstream, access, argocd_args, ccm_args, controller_args, csi_args, upstream, velero_args,
};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kplan_model::{Address, Permit, ProviderError, Secret};
use kplan_providers::http::system_clock;
use kplan_providers::kubernetes::bundle::{Bundle, Target, read_inventory};
use kplan_providers::kubernetes::managed::Managed;
use kplan_providers::kubernetes::object::Object;
use kplan_providers::kubernetes::session::{Ownership, Session};
use kplan_providers::kubernetes::{
    Argocd, ArgocdApplication, BundleKind, Ccm, Csi, Endpoint, Kubernetes, KubernetesCalls,
    KubernetesConfig, Network, RestoreArgs, UpgradeController, Velero, diff, k3s_upgrade,
    velero_restore,
};
use serde_json::{Value, json};
use std::sync::Arc;

const OWNER: &str = "demo-3f9a1c2e";

/// A real server, and what may be done there.
struct Real {
    kubernetes: Kubernetes,
    session: Session,
    permit: Permit,
}

fn pem(value: &Value) -> String {
    let text = value.as_str().expect("a certificate in the kubeconfig");
    String::from_utf8(STANDARD.decode(text).unwrap()).unwrap()
}

/// The certificates of a PEM text, DER.
fn der(pem: &str) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    for part in pem.split("-----BEGIN CERTIFICATE-----").skip(1) {
        let body = part.split("-----END").next().unwrap();
        let body: String = body.split_whitespace().collect();
        found.push(STANDARD.decode(body).unwrap());
    }
    found
}

impl Real {
    fn named() -> Option<Self> {
        let Some(path) = std::env::var_os("KPLAN_TEST_KUBECONFIG") else {
            println!("not asked: KPLAN_TEST_KUBECONFIG names no server");
            return None;
        };
        let text = std::fs::read_to_string(path).unwrap();
        let config: Value = serde_norway::from_str(&text).unwrap();
        let cluster = &config["clusters"][0]["cluster"];
        let user = &config["users"][0]["user"];
        let endpoint = Endpoint {
            server: cluster["server"].as_str().unwrap().to_owned(),
            roots: der(&pem(&cluster["certificate-authority-data"])),
            certificate: pem(&user["client-certificate-data"]),
            key: Secret::new(pem(&user["client-key-data"])),
            name: None,
        };
        let kubernetes = Kubernetes::new(KubernetesConfig {
            connector: Arc::new(Network { proxy_url: None }),
            now: system_clock(),
            calls: Arc::new(KubernetesCalls::default()),
            scale: 1,
        });
        let session = kubernetes.session_at(&endpoint).unwrap();
        let address: Address = "k3s.cluster".parse().unwrap();
        Some(Self {
            kubernetes,
            session,
            permit: permit(&address),
        })
    }

    fn target(&self) -> Target<'_> {
        Target {
            kubernetes: &self.kubernetes,
            session: &self.session,
            permit: &self.permit,
        }
    }

    /// Applied, and a second plan finds nothing to change.
    async fn takes(&self, address: &str, objects: Vec<Value>) -> Bundle {
        let bundle = Bundle::new(OWNER, &address.parse().unwrap(), objects).unwrap();
        let applied = bundle
            .apply(&self.target(), |_, _| true, Ownership::Respect)
            .await;
        applied.unwrap_or_else(|error| panic!("{address}: {error}"));
        let mut lines = read_inventory(&bundle.inventory()).unwrap();
        // With the digests that were applied nobody would be asked.
        for line in &mut lines {
            "another".clone_into(&mut line.digest);
        }
        let differ = diff::previews(&self.session, &bundle, &lines, &Managed::default()).await;
        let differ = differ.unwrap_or_else(|error| panic!("{address}: {error}"));
        assert!(differ.is_empty(), "{address}: {differ:#?}");
        bundle
    }

    async fn installed<K: BundleKind>(&self, address: &str, args: &K::Args, upstream: &Upstream) {
        let objects = K::objects(args, &upstream.source).await.unwrap();
        assert!(!objects.is_empty());
        self.takes(address, objects).await;
    }

    async fn apply(&self, value: &Value) -> Result<Value, ProviderError> {
        self.session
            .apply(&self.permit, value, Ownership::Respect)
            .await
    }
}

#[tokio::test]
async fn a_real_server_takes_everything_and_a_second_plan_is_empty() {
    let (Some(real), Some(upstream)) = (Real::named(), upstream()) else {
        return;
    };
    let version = real.session.json("/version").await.unwrap();
    println!("kube-apiserver {}", version["gitVersion"]);
    real.installed::<Ccm>("ccm.main", &ccm_args(&upstream), &upstream)
        .await;
    let csi = csi_args(&upstream, Some("do-block-storage"));
    real.installed::<Csi>("csi.main", &csi, &upstream).await;
    let controller = controller_args(&upstream);
    let at = "system_upgrade_controller.main";
    real.installed::<UpgradeController>(at, &controller, &upstream)
        .await;
    real.installed::<Velero>("velero.main", &velero_args(&upstream), &upstream)
        .await;
    for file in ["install.yaml", "ha-install.yaml"] {
        let args = argocd_args(&upstream, file, Some("4dm1n"));
        let objects = Argocd::objects(&args, &upstream.source).await.unwrap();
        if file == "install.yaml" {
            real.takes("argocd.main", objects).await;
        }
    }
    let root = root_application(access());
    real.installed::<ArgocdApplication>("argocd_application.root", &root, &upstream)
        .await;
    for plan in k3s_upgrade::plans("v1.35.6+k3s1", true) {
        real.apply(&plan).await.unwrap();
    }
    let restore = velero_restore::restore(&RestoreArgs {
        access: access(),
        backup: "nightly-20261129020000".to_owned().into(),
        excluded_namespaces: vec!["scratch".to_owned()],
        accept_partial: false,
        location: None,
        name: None,
    });
    real.apply(&restore.unwrap()).await.unwrap();
}

#[tokio::test]
async fn a_real_server_prunes_and_says_who_else_manages_a_field() {
    let Some(real) = Real::named() else { return };
    let map = |name: &str, colour: &str| {
        json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": { "name": name, "namespace": "default" }, "data": { "colour": colour },
        })
    };
    let (one, two) = ["one", "two"]
        .map(|name| Object::new("v1", "ConfigMap", Some("default"), name))
        .into();
    for object in [&one, &two] {
        real.session.delete(&real.permit, object).await.unwrap();
    }
    let both = real
        .takes("addon.real", vec![map("one", "green"), map("two", "green")])
        .await;
    let before = read_inventory(&both.inventory()).unwrap();
    let less = Bundle::new(
        OWNER,
        &"addon.real".parse().unwrap(),
        vec![map("one", "green")],
    );
    let less = less.unwrap();
    less.update(&real.target(), &before, &Managed::default())
        .await
        .unwrap();
    assert_eq!(real.session.get(&two).await.unwrap(), None);
    // Somebody else takes the field over; kplan neither fights nor stays silent.
    let theirs = json!({ "data": { "colour": "blue" } });
    let merged = real.session.merge(&real.permit, &one, &theirs).await;
    merged.unwrap();
    let refused = real.apply(&map("one", "red")).await.unwrap_err();
    assert!(
        refused.message.contains("conflict with"),
        "{}",
        refused.message
    );
    let now = real.session.get(&one).await.unwrap().unwrap();
    assert_eq!(now["data"]["colour"], "blue");
}
