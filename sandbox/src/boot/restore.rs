//! A server that begins from a snapshot of etcd: `docs/internals/node-boot.md`, section 2.2.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use http::{Method, StatusCode};
use sha2::{Digest as _, Sha256};

use super::bundle::{ETCD_RESTORE, Files};
use super::clusters::{ClusterRecord, Installed, StartError, secret_hash};
use super::config::Datastore;
use super::machine::{Failure, Machine, START, again, read_config};
use super::network::shown;
use super::pki::{self, Token};
use super::report::Phase;
use super::user_data::Role;
use super::{Nodes, start};
use crate::kubernetes::EtcdSnapshot;
use crate::spaces::to_hex;

/// What the boot script reads from `etcd-restore.env`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Restore {
    pub name: String,
    pub url: String,
    size: u64,
    sha256: String,
}

impl Restore {
    /// Reads the file.
    pub(super) fn parse(text: &str) -> Result<Restore, String> {
        let get = |key: &str| {
            let value = text
                .lines()
                .find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
            let value = value.filter(|value| !value.is_empty()).map(str::to_owned);
            value.ok_or_else(|| "etcd-restore.env is not NAME, URL, SIZE and SHA256".to_owned())
        };
        let size = get("SIZE")?.parse();
        Ok(Restore {
            name: get("NAME")?,
            url: get("URL")?,
            size: size.map_err(|_invalid| "etcd-restore.env: SIZE is no number".to_owned())?,
            sha256: get("SHA256")?,
        })
    }

    fn check(&self, bytes: &[u8]) -> Result<(), String> {
        let found = to_hex(&Sha256::digest(bytes));
        if bytes.len() as u64 == self.size && found.eq_ignore_ascii_case(&self.sha256) {
            return Ok(());
        }
        Err(format!(
            "the snapshot {} has {} bytes and the sha256 {found}, not {} and {}",
            self.name,
            bytes.len(),
            self.size,
            self.sha256
        ))
    }
}

impl Machine {
    /// Where the bundle says so: fetches the snapshot, resets etcd to it, and deletes the nodes of
    /// the cluster it is of. Doing it again begins anew.
    pub(super) async fn begin_from_snapshot(
        &mut self,
        files: &mut Files,
        role: Role,
        version: &str,
    ) -> Result<(), Failure> {
        let Some(file) = files.remove(ETCD_RESTORE) else {
            return Ok(());
        };
        let wanted = Restore::parse(&file.content).map_err(Failure::Again)?;
        let config = read_config(files, role).map_err(Failure::Again)?;
        let message = format!("downloading the snapshot of etcd {}", wanted.name);
        self.tell(Phase::Installing, &message).await;
        let network = &self.nodes.inner.network;
        let answer = network.send(Method::GET, &wanted.url, Bytes::new()).await;
        let (status, bytes) = answer.map_err(again)?;
        if status != StatusCode::OK {
            let url = shown(&wanted.url);
            return Err(Failure::Again(format!("{url} answers {status}")));
        }
        wanted.check(&bytes).map_err(Failure::Again)?;
        self.tell(Phase::Installing, "resetting etcd to the snapshot")
            .await;
        self.clock().sleep(START).await;
        let nodes = self.nodes.clone();
        let mut installed = Installed {
            droplet: &self.droplet,
            files,
            config: &config,
            version,
            leaf: None,
            passwords: None,
        };
        // Of two tokens, the snapshot may be from the time of the old one.
        let mut reset = nodes.cluster_reset(&installed, &bytes);
        let older = start::with_old(files);
        let older_config = older.as_ref().map(|files| read_config(files, role));
        let older_config = older_config.transpose().map_err(Failure::Again)?;
        if let (Err(StartError::Bootstrap(_)), Some(files), Some(config)) =
            (&reset, &older, &older_config)
        {
            installed = Installed {
                files,
                config,
                ..installed
            };
            reset = nodes.cluster_reset(&installed, &bytes);
        }
        reset.map_err(again)?;
        self.clock().sleep(START).await;
        let forgotten = Box::pin(nodes.forget_nodes(&installed)).await;
        forgotten.map_err(again)?;
        // K3s runs for that, and exchanges the old one.
        let id = format!("etcd-{}", self.droplet.id);
        nodes
            .exchange_in_data(&id, &self.droplet, files)
            .map_err(again)
    }
}

impl Nodes {
    /// `k3s server --cluster-reset --cluster-reset-restore-path=…`: the datastore holds what the
    /// snapshot does, and this server is its only member. K3s then has no password of the node.
    pub(super) fn cluster_reset(
        &self,
        installed: &Installed<'_>,
        bytes: &[u8],
    ) -> Result<(), StartError> {
        let config = installed.config;
        if config.datastore != Datastore::EtcdInit || config.server.is_some() {
            let why = "cluster-reset: only a server that begins etcd can be reset here".to_owned();
            return Err(StartError::Etcd(why));
        }
        let authorities = pki::check(installed.files, self.inner.clock.now())?;
        let token = Token::parse(&config.token)?;
        token.check_pin(&authorities.root)?;
        let snapshot = EtcdSnapshot::read(bytes).map_err(StartError::Etcd)?;
        let unreadable = |_invalid| StartError::Etcd("its bootstrap data is unreadable".to_owned());
        let mut record: ClusterRecord =
            serde_json::from_value(snapshot.datastore.clone()).map_err(unreadable)?;
        record.check_server(installed, &authorities)?;
        let secret = secret_hash(&token.secret);
        if token.user != "server" || record.server_secret != secret {
            let why = "found already and encrypted with different token";
            return Err(StartError::Bootstrap(why));
        }
        let (id, own) = (installed.droplet.id, config.node_name.clone());
        let own = own.unwrap_or_else(|| installed.droplet.name.clone());
        record.id = format!("etcd-{id}");
        record.members = BTreeSet::from([id]);
        record.departed = BTreeSet::new();
        record.taken = BTreeMap::new();
        record.nodes.remove(&own);
        let there = self.installed();
        let gone = |node: &str| record.nodes.get(node).is_none_or(|id| !there.contains(id));
        let restored = snapshot.restore(&self.inner.store, &record.id, gone);
        restored.map_err(|error| StartError::Etcd(error.to_string()))?;
        self.save_cluster(&record, id)
    }

    /// A server without a kubelet for a moment, of which every Node is deleted.
    async fn forget_nodes(&self, installed: &Installed<'_>) -> Result<(), StartError> {
        let authorities = pki::check(installed.files, self.inner.clock.now())?;
        let id = format!("etcd-{}", installed.droplet.id);
        let cluster = self.open_cluster(&id, installed, &authorities).await?;
        let deleted = cluster.delete_nodes();
        // It ends with its last holder, and what serves opens it again.
        self.lock().clusters.remove(&id);
        deleted.map_err(StartError::Api)
    }
}
