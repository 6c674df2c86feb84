//! Joins the account to the nodes it boots, and gives the proxy and the mirror their ports.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::control::Control;
use super::{Sandbox, SandboxError, listen};
pub(super) use crate::boot::Nodes;
use crate::boot::{DropletFacts, Held, Network, Phase};
use crate::digitalocean::droplets::Droplet;
use crate::mirror::Mirror;
use crate::proxy::Proxy;
use crate::store::StoreError;
use crate::world::catalogue;
use crate::world::cloud::Hooks;

/// Where nodes keep what belongs to a droplet, by its id.
const NODE_COLLECTIONS: [&str; 2] = ["boot/droplet", "boot/disk"];

/// Bytes of one read of a tunnel.
const CHUNK: usize = 16 * 1024;

/// Tells the nodes what becomes of droplets.
struct Boots(Held);

impl Hooks for Boots {
    fn active(&self, droplet: &Droplet) -> Result<(), StoreError> {
        let Some(nodes) = self.0.nodes() else {
            return Ok(());
        };
        let size = catalogue::size_of(&droplet.size);
        nodes.droplet_active(DropletFacts {
            id: droplet.id,
            name: droplet.name.clone(),
            user_data: droplet.user_data.clone(),
            public_ip: droplet.public_ip.unwrap_or(droplet.private_ip),
            private_ip: Some(droplet.private_ip),
            vpc_uuid: Some(droplet.vpc_uuid.clone()),
            tags: droplet.tags.clone(),
            region: droplet.region.clone(),
            size: droplet.size.clone(),
            vcpus: size.map_or(1, |size| size.vcpus),
            memory_mib: size.map_or(512, |size| size.memory_mib),
            image: droplet.image.clone(),
        })
    }

    fn stopped(&self, id: u64) -> Result<(), StoreError> {
        self.0
            .nodes()
            .map_or(Ok(()), |nodes| nodes.droplet_stopped(id))
    }

    fn gone(&self, id: u64) -> Result<(), StoreError> {
        self.0
            .nodes()
            .map_or(Ok(()), |nodes| nodes.droplet_gone(id))
    }
}

impl Sandbox {
    /// Boots droplets as long as what is returned is held, those that already run first. Nodes reach the object store and
    /// the mirror under these authorities (`host:port`), whether something listens there or not.
    /// Needs a tokio runtime, and [`Sandbox::run`] for droplets that become active while nobody
    /// asks. To be called once.
    pub fn boot_nodes(
        &self,
        spaces_authority: &str,
        mirror_authority: &str,
    ) -> Result<Nodes, SandboxError> {
        let network = Network {
            spaces: self.spaces(),
            spaces_authority: spaces_authority.to_owned(),
            mirror: Mirror::new(),
            mirror_authority: mirror_authority.to_owned(),
        };
        let (store, clock, rng) = (self.store.clone(), self.clock.clone(), self.rng.clone());
        let nodes = Nodes::open(network, self.facts(), store, clock, rng)?
            .logging(self.log.clone())
            .reaching(self.cloud_api());
        // A droplet destroyed just before a crash: its nodes never heard of it.
        for collection in NODE_COLLECTIONS {
            for key in self
                .store
                .load::<serde_json::Value>(collection)?
                .into_keys()
            {
                if let Some(id) = key.parse().ok().filter(|id| !self.cloud.has_droplet(*id)) {
                    nodes.droplet_gone(id)?;
                }
            }
        }
        self.cloud.set_hooks(Arc::new(Boots(nodes.held())))?;
        Ok(nodes)
    }
}

/// Boots nodes and serves what leads to them.
pub(super) fn start(
    sandbox: &Sandbox,
    tasks: &mut JoinSet<Option<SandboxError>>,
    spaces: SocketAddr,
    proxy: TcpListener,
    mirror: TcpListener,
) -> Result<Nodes, SandboxError> {
    let mirror_authority = address(&mirror)?.to_string();
    let nodes = sandbox.boot_nodes(&spaces.to_string(), &mirror_authority)?;
    let (control, log) = (Arc::clone(&sandbox.control), sandbox.log.clone());
    tasks.spawn(async move {
        listen::mirror(mirror, Mirror::new().router(), control, log).await;
        None
    });
    let (inner, control) = (
        Proxy::new(nodes.clone(), sandbox.facts()),
        Arc::clone(&sandbox.control),
    );
    tasks.spawn(async move { front(proxy, inner, control).await.err() });
    Ok(nodes)
}

fn under_way(phase: Phase) -> bool {
    matches!(
        phase,
        Phase::Booting | Phase::BundleVerified | Phase::Installing
    )
}

/// Whether a node is on its way up, so that the process must not end.
pub(super) fn booting(nodes: &Nodes) -> bool {
    let statuses = nodes.statuses();
    statuses.iter().any(|status| under_way(status.phase))
}

/// Whether a cluster that was there before is on its way back. Other droplets boot in their own
/// time.
pub(super) fn returning(nodes: &Nodes) -> bool {
    let installed = nodes.installed();
    nodes
        .statuses()
        .iter()
        .any(|status| under_way(status.phase) && installed.contains(&status.droplet_id))
}

/// The proxy behind a relay that notices every byte: a watch that runs for hours is one request,
/// and the process must not end under it.
async fn front(
    outer: TcpListener,
    proxy: Proxy,
    control: Arc<Control>,
) -> Result<(), SandboxError> {
    let port = |source| SandboxError::Port {
        what: "proxy",
        source,
    };
    let inner = TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, 0))
        .await
        .map_err(port)?;
    let target = address(&inner)?;
    let serving = proxy.serve(inner);
    let relaying = listen::accept(outer, move |client| {
        let control = Arc::clone(&control);
        async move {
            let Ok(server) = TcpStream::connect(target).await else {
                return;
            };
            // Small answers should not wait for more.
            drop(server.set_nodelay(true));
            let (mut client_read, mut client_write) = client.into_split();
            let (mut server_read, mut server_write) = server.into_split();
            tokio::join!(
                copy(&mut client_read, &mut server_write, &control),
                copy(&mut server_read, &mut client_write, &control),
            );
        }
    });
    tokio::select! {
        biased;
        () = serving => {}
        () = relaying => {}
    }
    Ok(())
}

/// Copies until one side ends, then ends the other.
async fn copy(
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
    control: &Control,
) {
    let mut chunk = vec![0; CHUNK];
    while let Ok(count) = from.read(&mut chunk).await {
        control.touch();
        let Some(bytes) = chunk.get(..count).filter(|bytes| !bytes.is_empty()) else {
            break;
        };
        if to.write_all(bytes).await.is_err() {
            break;
        }
    }
    // The other side may be gone already.
    drop(to.shutdown().await);
}

fn address(listener: &TcpListener) -> Result<SocketAddr, SandboxError> {
    listener.local_addr().map_err(|source| SandboxError::Port {
        what: "listener",
        source,
    })
}
