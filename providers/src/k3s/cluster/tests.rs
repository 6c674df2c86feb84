//! The cluster, against a scripted API.

use super::*;
use crate::k3s::node::tests::Bucket;
use crate::k3s::pki::tests::PKI;
use crate::k3s::testing::permit;
use crate::kubernetes::known::survives;
use crate::kubernetes::testing::{Asked, Fake, status};
use bytes::Bytes;
use kplan_model::Owner;

fn args(nodes: &[&str]) -> ClusterArgs {
    ClusterArgs {
        endpoint: "203.0.113.7".to_owned().into(),
        hostname: None,
        nodes: nodes.iter().map(|node| (*node).to_owned().into()).collect(),
        server_ca: PKI.certificates.server_ca.clone().into(),
        client_ca: PKI.certificates.client_ca.clone().into(),
        client_ca_key: PKI.server_keys.client_ca.clone().into(),
        bundles: Some(Bundles {
            cluster: "demo-3f9a1c2e".to_owned(),
            bucket: "b".to_owned().into(),
            endpoint: "https://s3.example".to_owned().into(),
            region: "fra1".to_owned().into(),
            access_key: "id".to_owned().into(),
            secret_key: Secret::new("storage-key").into(),
        }),
    }
}

#[test]
fn the_admins_binding_is_known_to_kubernetes_field_by_field() {
    survives(&admins());
}

/// An API that becomes ready after some looks, and lets admins in once they are bound.
fn api(mut unready: u32, registered: &'static [&'static str]) -> Fake {
    let mut bound = 0;
    Fake::new(move |asked: &Asked| {
        match (
            asked.method.as_str(),
            asked.path.split('?').next().unwrap_or(""),
        ) {
            (_, "/ping") if unready > 0 => {
                unready -= 1;
                None
            }
            (_, "/ping") => Some((200, json!("pong"))),
            (_, "/readyz") => Some((200, json!("ok"))),
            (_, "/version") => Some((200, json!({"gitVersion": "v1.35.6+k3s1"}))),
            ("PATCH", "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/kplan%3Aadmins") => {
                assert_eq!(asked.body["subjects"][0]["name"], "kplan:admins");
                assert_eq!(
                    asked.body["metadata"]["labels"]["kplan.dev/owner"],
                    "demo-3f9a1c2e"
                );
                bound = 1;
                Some((200, asked.body.clone()))
            }
            // The authorizer learns of a binding a moment later.
            (_, "/api/v1/nodes") if bound < 2 => {
                bound *= 2;
                status(403, "Forbidden", "no")
            }
            (_, "/api/v1/nodes") => {
                let items: Vec<_> = registered
                    .iter()
                    .map(|name| json!({"metadata": {"name": name}}))
                    .collect();
                Some((200, json!({"items": items, "metadata": {}})))
            }
            other => panic!("nobody expected {other:?}"),
        }
    })
}

async fn create(kind: &Cluster, args: &ClusterArgs) -> Result<ClusterAttrs, ProviderError> {
    let owner = Owner {
        cluster: "demo".to_owned(),
        suffix: "3f9a1c2e".to_owned(),
    };
    let address = "k3s.cluster".parse().unwrap();
    let wanted = Wanted {
        owner: &owner,
        address: &address,
        args,
    };
    let made = Resource::create(kind, wanted, &permit("k3s.cluster")).await;
    made.map(|found| found.attrs).map_err(|failed| failed.error)
}

#[tokio::test(start_paused = true)]
async fn it_waits_for_the_api_binds_the_admins_and_forgets_the_bundles() {
    let bucket = Arc::new(Bucket::default());
    let key = object_key("demo-3f9a1c2e", "demo-server-0", "storage-key");
    let other = object_key("demo-3f9a1c2e", "demo-agent-9", "storage-key");
    for name in [&key, &report_key(&key), &other] {
        bucket.write(name, Bytes::from_static(b"x"));
    }
    let fake = api(9, &["demo-server-0", "somebody-elses"]);
    let kind = Cluster::new(
        fake.kubernetes(),
        Arc::clone(&bucket) as Arc<dyn BootStorage>,
    );
    let attrs = create(&kind, &args(&["demo-server-0"])).await.unwrap();
    assert_eq!(attrs.server, "https://203.0.113.7:6443");
    assert_eq!(attrs.version.as_deref(), Some("v1.35.6+k3s1"));
    assert_eq!(attrs.nodes, ["demo-server-0"]);
    assert_eq!(kind.readiness(&attrs), Readiness::Ready);
    // The bundle of a node that is not up yet stays.
    assert_eq!(bucket.names(), [other]);
}

#[tokio::test(start_paused = true)]
async fn a_name_is_handed_out_and_not_called() {
    let fake = api(0, &[]);
    let kind = Cluster::new(fake.kubernetes(), Arc::new(Bucket::default()));
    let args = ClusterArgs {
        hostname: Some("k8s.example.com".to_owned()),
        ..args(&[])
    };
    let attrs = create(&kind, &args).await.unwrap();
    assert_eq!(attrs.server, "https://k8s.example.com:6443");
    assert_eq!(attrs.access.server, "https://203.0.113.7:6443");
}

#[tokio::test(start_paused = true)]
async fn a_node_that_has_not_registered_is_waited_for() {
    let fake = api(0, &["demo-server-0"]);
    let kind = Cluster::new(fake.kubernetes(), Arc::new(Bucket::default()));
    let attrs = create(&kind, &args(&["demo-server-0", "demo-agent-0"]))
        .await
        .unwrap();
    let Readiness::Waiting(what) = kind.readiness(&attrs) else {
        panic!("{attrs:?}")
    };
    assert_eq!(what, "1 of 2 nodes have not registered: demo-agent-0");
}

#[tokio::test(start_paused = true)]
async fn an_api_of_another_cluster_is_not_waited_for() {
    let fake = Fake::new(|asked| match asked.path.as_str() {
        "/ping" => Some((200, json!("pong"))),
        _ => status(401, "Unauthorized", "Unauthorized"),
    });
    let kind = Cluster::new(fake.kubernetes(), Arc::new(Bucket::default()));
    let error = create(&kind, &args(&[])).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Failed);
    assert!(error.help.unwrap().contains("another cluster"));
}

#[tokio::test(start_paused = true)]
async fn an_api_that_never_answers_is_given_up() {
    let kind = Cluster::new(
        Fake::new(|_| None).kubernetes(),
        Arc::new(Bucket::default()),
    );
    let error = create(&kind, &args(&[])).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Busy);
    assert!(error.message.contains("does not answer"), "{error}");
}
