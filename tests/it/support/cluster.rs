//! The Kubernetes API of a folder's cluster, as its user calls it.

use super::Folder;
use kplan_model::{Address, Codec as _, Permit};
use kplan_providers::http::system_clock;
use kplan_providers::k3s::{Access, Kubeconfig, kubeconfig};
use kplan_providers::kubernetes::object::Object;
use kplan_providers::kubernetes::session::Ownership;
use kplan_providers::kubernetes::{
    Kubernetes, KubernetesCalls, KubernetesConfig, Network, Role, Session,
};
use serde_json::Value;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;

/// A session with it.
pub(crate) struct Cluster {
    session: Session,
    runtime: Runtime,
    permit: Permit,
    access: Access,
    proxy_url: String,
}

impl Cluster {
    /// The cluster on record, where kplan calls it.
    #[track_caller]
    pub(crate) fn of(folder: &Folder, name: &str) -> Self {
        Self::reached_at(folder, &access(folder, name))
    }

    /// The cluster on record, called at another address of it.
    #[track_caller]
    pub(crate) fn at(folder: &Folder, name: &str, server: &str) -> Self {
        let server = server.to_owned();
        let access = access(folder, name);
        Self::reached_at(folder, &Access { server, ..access })
    }

    /// Any cluster of the folder's cloud, reached with any key.
    #[track_caller]
    pub(crate) fn reached_at(folder: &Folder, access: &Access) -> Self {
        let note = folder.path().join(".kplan/.sandbox/cloud/endpoint.json");
        let note = std::fs::read_to_string(note).expect("the cloud's addresses");
        let note: Value = serde_json::from_str(&note).expect("the cloud's addresses");
        let proxy = note["endpoints"]["proxy_url"].as_str().expect("a proxy");
        let runtime = Runtime::new().expect("a runtime");
        let kubernetes = Kubernetes::new(KubernetesConfig {
            connector: Arc::new(Network {
                proxy_url: Some(proxy.to_owned()),
            }),
            now: system_clock(),
            calls: Arc::new(KubernetesCalls::default()),
            scale: 1,
        });
        let entered = runtime.enter();
        let session = kubernetes.session(access, Role::Admin).expect("a session");
        drop(entered);
        Self {
            session,
            runtime,
            permit: kplan_model::testing::permit(&cluster()).expect("a permit"),
            access: access.clone(),
            proxy_url: proxy.to_owned(),
        }
    }

    /// Applies an object.
    #[track_caller]
    pub(crate) fn apply(&self, object: &Value) {
        let applied = self.session.apply(&self.permit, object, Ownership::Take);
        let applied = self.runtime.block_on(applied);
        if let Err(error) = applied {
            panic!("{object}: {error}");
        }
    }

    /// Changes fields of an object, as somebody else would. `what` as for [`Self::get`].
    #[track_caller]
    pub(crate) fn merge(&self, what: &str, patch: &Value) {
        let object = object(what);
        let merged = self.session.merge(&self.permit, &object, patch);
        let merged = self.runtime.block_on(merged);
        merged.unwrap_or_else(|error| panic!("{what}: {error}"));
    }

    /// The same as a manager of that name: with `kubectl`, which must be there.
    #[track_caller]
    pub(crate) fn merge_as(&self, manager: &str, what: &str, patch: &Value) {
        let Object {
            of,
            namespace,
            name,
        } = object(what);
        let kind = match of.api_version.split_once('/') {
            Some((group, version)) => format!("{}.{version}.{group}", of.kind),
            None => of.kind,
        };
        let config = Kubeconfig {
            name: "demo",
            user: "test",
            proxy_url: Some(&self.proxy_url),
            now: system_clock()(),
            valid: Duration::from_mins(10),
        };
        let config = kubeconfig(&self.access, config).expect("a kubeconfig");
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), config.expose().expect("a text")).expect("a file");
        let output = Command::new("kubectl")
            .env("KUBECONFIG", file.path())
            .args([
                "patch",
                &kind,
                &name,
                "--type=merge",
                "-p",
                &patch.to_string(),
            ])
            .args(["-n", namespace.as_deref().unwrap_or("default")])
            .arg(format!("--field-manager={manager}"))
            .output()
            .expect("kubectl");
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{what}: {error}");
    }

    /// Deletes an object. `what` as for [`Self::get`].
    #[track_caller]
    pub(crate) fn delete(&self, what: &str) {
        let object = object(what);
        let deleted = self.session.delete(&self.permit, &object);
        let deleted = self.runtime.block_on(deleted);
        deleted.unwrap_or_else(|error| panic!("{what}: {error}"));
    }

    /// An object, if it is there. `what` is `apiVersion kind namespace/name`.
    #[track_caller]
    pub(crate) fn get(&self, what: &str) -> Option<Value> {
        let seen = self.runtime.block_on(self.session.get(&object(what)));
        seen.unwrap_or_else(|error| panic!("{what}: {error}"))
    }

    /// Why an object cannot be read.
    #[track_caller]
    pub(crate) fn refusal(&self, what: &str) -> String {
        let seen = self.runtime.block_on(self.session.get(&object(what)));
        seen.expect_err("it can be read").to_string()
    }

    /// Waits until an object's field has that text; gives the object.
    #[track_caller]
    pub(crate) fn until(&self, what: &str, path: &str, value: &str) -> Value {
        self.until_is(what, path, &Value::from(value))
    }

    /// Waits until an object's field has that value; gives the object.
    #[track_caller]
    pub(crate) fn until_is(&self, what: &str, path: &str, value: &Value) -> Value {
        let deadline = Instant::now() + Duration::from_mins(1);
        loop {
            let seen = self.get(what);
            if let Some(seen) = seen.as_ref()
                && seen.pointer(path) == Some(value)
            {
                return seen.clone();
            }
            assert!(
                Instant::now() < deadline,
                "{what} is never {value}: {seen:#?}"
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

fn cluster() -> Address {
    "k3s.cluster".parse().expect("an address")
}

/// How kplan calls the cluster on record.
#[track_caller]
pub(crate) fn access(folder: &Folder, name: &str) -> Access {
    let snapshot = folder.snapshot(name);
    let access = snapshot.resources[&cluster()].attribute("access");
    Access::decode(&access.expect("its access")).expect("its access")
}

#[track_caller]
fn object(what: &str) -> Object {
    Object::parse(what).expect("an object")
}
