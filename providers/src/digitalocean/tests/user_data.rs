//! What DigitalOcean is told when a node's droplet is made holds no secret, whatever the node's are.

use super::*;
use crate::k3s::etcd_restore::EtcdRestore;
use crate::k3s::grant::DatastoreAdmin;
use crate::k3s::node::{NodeArgs, tests::server};
use proptest::prelude::*;
use std::collections::BTreeSet;

/// How many secrets a node's arguments can hold at once.
const SECRETS: usize = 14;

/// A node with every secret it can have, each of them drawn.
fn node(drawn: &[String], role: &str) -> NodeArgs {
    let mut left = drawn.iter();
    let mut next = || Secret::new(left.next().unwrap().clone());
    let mut node = server("postgres");
    role.clone_into(&mut node.boot.role);
    node.boot.secret_key = next().into();
    node.boot.datastore_admin = Some(DatastoreAdmin {
        user: "doadmin".to_owned().into(),
        password: next().into(),
    });
    let Some(Input::Known(keys)) = &mut node.server_keys else {
        panic!("a server has keys");
    };
    for key in [
        &mut keys.server_ca,
        &mut keys.client_ca,
        &mut keys.request_header_ca,
        &mut keys.etcd_peer_ca,
        &mut keys.etcd_server_ca,
        &mut keys.service_account,
    ] {
        *key = next();
    }
    node.server_token = Some(next().into());
    node.agent_token = next().into();
    node.bundle_key = next().into();
    node.datastore.as_mut().unwrap().password = Some(next().into());
    node.restore = Some(EtcdRestore {
        bucket: "backups".to_owned().into(),
        endpoint: "https://fra1.digitaloceanspaces.com".to_owned().into(),
        region: "fra1".to_owned(),
        access_key: "DO00BACKUP".to_owned().into(),
        secret_key: next().into(),
        key: "plugins/k3s/demo/snapshot".to_owned(),
        size: 1,
        sha256: "d".repeat(64),
    });
    node.api.as_mut().unwrap().client_ca_key = next().into();
    assert!(left.next().is_none());
    node
}

/// Every secret text in a value.
fn secrets(value: &Plain, into: &mut BTreeSet<String>) {
    match value {
        Plain::Secret(secret) => {
            into.insert(secret.expose().unwrap().to_owned());
        }
        Plain::List(items) => items.iter().for_each(|item| secrets(item, into)),
        Plain::Map(map) => map.values().for_each(|inner| secrets(inner, into)),
        _ => {}
    }
}

/// The request with which the droplet of the node is made.
async fn request(node: &NodeArgs) -> String {
    let made = serde_json::from_slice(droplet("new", "s").body()).unwrap();
    let script = Script::answers([json(202, &made)]);
    let (owner, address): (_, Address) = (owner(), "droplet.a".parse().unwrap());
    let args = DropletArgs {
        boot: Some(node.boot.clone()),
        ..droplet_args()
    };
    let wanted = Wanted {
        owner: &owner,
        address: &address,
        args: &args,
    };
    droplets(&script).create(wanted, &permit()).await.unwrap();
    let body = script.body(0);
    assert!(body["user_data"].as_str().unwrap().contains("BUNDLE_URL="));
    body.to_string()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn no_secret_of_the_arguments_is_in_user_data(
        drawn in proptest::collection::vec("[A-Za-z0-9+/]{20,60}", SECRETS),
        role in prop_oneof![Just("server"), Just("agent")],
    ) {
        let node = node(&drawn, role);
        // A secret that is added to the arguments is to be drawn, too.
        let mut held = BTreeSet::new();
        for value in node.to_object().values() {
            secrets(value, &mut held);
        }
        prop_assert_eq!(&held, &drawn.iter().cloned().collect::<BTreeSet<_>>());
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let body = runtime.block_on(request(&node));
        for secret in held {
            prop_assert!(!body.contains(&secret), "{}", secret);
        }
    }
}
