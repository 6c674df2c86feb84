//! Who gets in, and how far.

use serde_json::{Value, json};

use super::{Client, cluster};
use crate::kubernetes::Identity;

#[tokio::test(start_paused = true)]
async fn only_ping_and_cacerts_answer_strangers() {
    let cluster = cluster().await;
    let stranger = Client {
        cluster: cluster.clone(),
        identity: None,
    };
    assert_eq!(stranger.get("/ping").await, json!("pong"));
    assert!(
        stranger
            .get("/cacerts")
            .await
            .as_str()
            .unwrap()
            .contains("BEGIN CERTIFICATE")
    );
    for path in ["/readyz", "/version", "/api/v1/nodes", "/apis", "/nonsense"] {
        let (code, status) = stranger.call("GET", path, "", &Value::Null).await;
        assert_eq!(
            (code, &status["reason"]),
            (401, &json!("Unauthorized")),
            "{path}"
        );
    }
    let admin = Client::admin(&cluster);
    assert_eq!(admin.get("/readyz").await, json!("ok"));
    assert!(
        admin
            .get("/readyz?verbose")
            .await
            .as_str()
            .unwrap()
            .ends_with("readyz check passed\n")
    );
}

#[tokio::test(start_paused = true)]
async fn others_need_a_binding() {
    let cluster = cluster().await;
    let admin = Client::admin(&cluster);
    let ann = Client {
        cluster: cluster.clone(),
        identity: Some(Identity::new("kplan:ann", &["kplan:admins"])),
    };
    let (code, status) = ann
        .call(
            "GET",
            "/api/v1/namespaces/default/secrets",
            "",
            &Value::Null,
        )
        .await;
    assert_eq!(code, 403);
    assert_eq!(
        status["message"],
        "secrets is forbidden: User \"kplan:ann\" cannot list resource \"secrets\" in API group \"\" in the namespace \"default\""
    );
    // Discovery is open to everybody who is known.
    assert_eq!(ann.get("/apis").await["kind"], "APIGroupList");
    let review = json!({"spec": {"resourceAttributes": {"verb": "list", "resource": "secrets"}}});
    let reviews = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
    assert_eq!(
        ann.create(reviews, &review).await["status"]["allowed"],
        json!(false)
    );
    admin
        .create(
            "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings",
            &json!({
                "metadata": {"name": "kplan-admins"},
                "roleRef": {"kind": "ClusterRole", "name": "cluster-admin"},
                "subjects": [{"kind": "Group", "name": "kplan:admins"}],
            }),
        )
        .await;
    assert_eq!(
        ann.get("/api/v1/namespaces/default/secrets").await["kind"],
        "SecretList"
    );
    assert_eq!(
        ann.create(reviews, &review).await["status"]["allowed"],
        json!(true)
    );
}
