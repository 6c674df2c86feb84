//! The disks of one cluster's droplets, as its pods reach them, and K3s that is started again.

use std::time::Duration;

use serde_json::Value;

use super::bundle::File;
use super::machine::{Disk, Machine, read_config, status};
use super::{Held, Nodes, Phase, Running, start};
use crate::kubernetes::NodeDisks;
use crate::store::{Batch, StoreError};

/// The part of a disk that is simulated besides what a bundle installs.
const WRITABLE: [&str; 3] = [
    "etc/rancher/k3s/",
    "etc/kplan/",
    "etc/systemd/system/k3s.service",
];

/// See the module.
pub(super) struct ClusterDisks {
    pub nodes: Held,
    pub cluster: String,
}

impl ClusterDisks {
    /// The droplet that is a node, and what is on its disk.
    fn open(&self, node: &str) -> Result<(Nodes, u64, Disk), String> {
        let nodes = self.nodes.nodes().ok_or("the droplet is off")?;
        let record = nodes.cluster_record(&self.cluster);
        let droplet = record.and_then(|record| record.nodes.get(node).copied());
        let droplet = droplet.ok_or_else(|| format!("no droplet is the node {node}"))?;
        let disk = nodes.disk(droplet);
        let disk = disk.ok_or_else(|| format!("K3s is not installed on droplet {droplet}"))?;
        Ok((nodes, droplet, disk))
    }

    fn change(
        &self,
        node: &str,
        change: impl FnOnce(&mut Disk) -> Result<(), String>,
    ) -> Result<(), String> {
        let (nodes, droplet, mut disk) = self.open(node)?;
        change(&mut disk)?;
        let saved = nodes.save_disk(droplet, &disk);
        saved.map_err(|error| error.to_string())
    }
}

/// A path as the disk has it, if it may be written there.
fn writable(path: &str) -> Result<&str, String> {
    let plain = path.trim_start_matches('/');
    let strange = plain.split('/').any(|part| matches!(part, "" | "." | ".."));
    if strange || !WRITABLE.iter().any(|part| plain.starts_with(part)) {
        let parts = WRITABLE.join(", /");
        return Err(format!("the sandbox's disks hold no {path}: only /{parts}"));
    }
    Ok(plain)
}

fn missing(path: &str) -> String {
    format!("cannot stat '{path}': No such file or directory")
}

impl NodeDisks for ClusterDisks {
    fn replace_k3s(&self, node: &str, version: &str) -> Result<(), String> {
        self.change(node, |disk| {
            version.clone_into(&mut disk.version);
            Ok(())
        })
    }

    fn read(&self, node: &str, path: &str) -> Result<String, String> {
        let (_, _, disk) = self.open(node)?;
        let file = disk.files.get(path.trim_start_matches('/'));
        file.map(|file| file.content.clone())
            .ok_or_else(|| missing(path))
    }

    fn write(&self, node: &str, path: &str, mode: u32, content: &str) -> Result<(), String> {
        let path = writable(path)?.to_owned();
        let content = content.to_owned();
        self.change(node, |disk| {
            disk.files.insert(path, File { mode, content });
            Ok(())
        })
    }

    fn rename(&self, node: &str, from: &str, to: &str) -> Result<(), String> {
        let (source, target) = (writable(from)?, writable(to)?.to_owned());
        self.change(node, |disk| {
            let file = disk.files.remove(source).ok_or_else(|| missing(from))?;
            disk.files.insert(target, file);
            Ok(())
        })
    }

    fn rotate_certificates(&self, node: &str) -> Result<(), String> {
        self.change(node, |disk| {
            disk.leaf = None;
            Ok(())
        })
    }

    fn reload_units(&self, node: &str) -> Result<(), String> {
        let (nodes, droplet, disk) = self.open(node)?;
        let unit = start::unit(&disk);
        if let Some(running) = nodes.lock().machines.get_mut(&droplet) {
            running.unit = unit;
        }
        Ok(())
    }

    fn exchange_token(&self, node: &str) -> Result<(), String> {
        let (nodes, droplet, _) = self.open(node)?;
        nodes.exchange_token(&self.cluster, droplet)
    }

    fn restart_k3s(&self, node: &str, after: Duration) -> Result<(), String> {
        let (nodes, droplet, _) = self.open(node)?;
        let (clock, held) = (nodes.inner.clock.clone(), nodes.held());
        // As systemd's own timer: whoever asked for it may be gone by then.
        tokio::spawn(async move {
            clock.sleep(after).await;
            if let Some(nodes) = held.nodes() {
                // A store that fails is reported by the requests that write to it.
                drop(nodes.restart_k3s(droplet));
            }
        });
        Ok(())
    }

    fn etcd_s3(&self, node: &str) -> Result<Option<String>, String> {
        let (_, _, disk) = self.open(node)?;
        Ok(read_config(&disk.files, disk.role)?.etcd_s3_secret)
    }

    fn datastore(&self) -> Result<Value, String> {
        let nodes = self.nodes.nodes().ok_or("the droplet is off")?;
        let record = nodes.cluster_record(&self.cluster);
        let record = record.ok_or_else(|| format!("there is no cluster {}", self.cluster))?;
        serde_json::to_value(record).map_err(|error| error.to_string())
    }
}

impl Nodes {
    /// `systemctl restart k3s` on a droplet: its API server and its kubelet are away until K3s is
    /// up again with the configuration on the disk.
    fn restart_k3s(&self, id: u64) -> Result<(), StoreError> {
        let Some(disk) = self.disk(id) else {
            return Ok(());
        };
        let mut batch = Batch::default();
        let mut state = self.lock();
        let Some((droplet, unit)) = state
            .machines
            .get(&id)
            .map(|running| (running.droplet.clone(), running.unit.clone()))
        else {
            return Ok(());
        };
        state.stop(id);
        state.nodes_lost(id, false, &mut batch)?;
        let machine = Machine::new(self.clone(), droplet.clone());
        let running = Running {
            task: tokio::spawn(machine.restarted(disk)).abort_handle(),
            status: status(&droplet, Phase::Installing, "K3s is started again"),
            droplet,
            server: None,
            unit,
        };
        state.machines.insert(id, running);
        drop(state);
        self.inner.store.commit(batch)
    }
}
