//! The sandbox as a process: ports, background work, and its end.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::control::Control;
use super::folder::EndpointFile;
use super::nodes::Nodes;
use super::{Config, Endpoints, Sandbox, SandboxError, listen, nodes};

/// How long running clusters may take to come back before the process says where it listens.
const RETURN_LIMIT: Duration = Duration::from_secs(10);
/// How long answers that are under way have before connections are closed.
const LAST_WORDS: Duration = Duration::from_millis(50);

/// A sandbox that listens. Dropping it stops everything at once.
#[derive(Debug)]
pub struct Running {
    endpoints: Endpoints,
    sandbox: Sandbox,
    nodes: Nodes,
    /// Each ends only when something is wrong, and says what.
    tasks: JoinSet<Option<SandboxError>>,
    idle_exit: Option<Duration>,
    _endpoint_file: Option<EndpointFile>,
}

/// Starts a sandbox on loopback ports and writes `endpoint.json` into its folder.
pub async fn start(config: Config) -> Result<Running, SandboxError> {
    let sandbox = Sandbox::open(&config)?;
    let api = listen::bind(&sandbox.store, "DigitalOcean API", config.api_port).await?;
    let spaces = listen::bind(&sandbox.store, "object store", 0).await?;
    let proxy = listen::bind(&sandbox.store, "proxy", 0).await?;
    let mirror = listen::bind(&sandbox.store, "mirror", 0).await?;
    let endpoints = Endpoints {
        api_url: url(&api)?,
        spaces_url: url(&spaces)?,
        proxy_url: url(&proxy)?,
        mirror_url: url(&mirror)?,
        token: sandbox.token.clone(),
        time_scale: config.time_scale,
    };
    let spaces_address = address(&spaces)?;
    let mut tasks = JoinSet::new();
    let service = sandbox.service();
    tasks.spawn(async move {
        listen::api(api, service).await;
        None
    });
    let (store, control) = (sandbox.spaces(), Arc::clone(&sandbox.control));
    let log = sandbox.log.clone();
    tasks.spawn(async move {
        listen::spaces(spaces, store, control, log).await;
        None
    });
    let nodes = nodes::start(&sandbox, &mut tasks, spaces_address, proxy, mirror)?;
    let world = sandbox.clone();
    tasks.spawn(async move { Some(world.run().await) });
    // Clusters that were running come back before anybody is told where to find them.
    let began = tokio::time::Instant::now();
    while nodes::returning(&nodes) && began.elapsed() < RETURN_LIMIT {
        tokio::time::sleep(LAST_WORDS).await;
    }
    let endpoint_file = match &config.dir {
        Some(dir) => Some(EndpointFile::write(dir, &endpoints)?),
        None => None,
    };
    let idle_exit = config.idle_exit;
    Ok(Running {
        endpoints,
        sandbox,
        nodes,
        tasks,
        idle_exit,
        _endpoint_file: endpoint_file,
    })
}

impl Running {
    /// Where it listens.
    pub fn endpoints(&self) -> &Endpoints {
        &self.endpoints
    }

    /// The same services without ports.
    pub fn sandbox(&self) -> &Sandbox {
        &self.sandbox
    }

    /// Everything there is that did not come with the account, without secrets.
    pub fn inspect(&self) -> Value {
        self.sandbox.inspect()
    }

    /// Asks it to end; [`Running::stopped`] returns soon after.
    pub fn shutdown(&self) {
        self.sandbox.control.stop();
    }

    /// Returns once it was asked to end, was idle for too long, or its state could not be written
    /// any more, which is the error. All connections are closed by then.
    pub async fn stopped(mut self) -> Result<(), SandboxError> {
        let control = Arc::clone(&self.sandbox.control);
        let outcome = tokio::select! {
            biased;
            () = control.stopping() => Ok(()),
            () = idle(&control, &self.nodes, self.idle_exit) => Ok(()),
            Some(Ok(Some(error))) = self.tasks.join_next() => Err(error),
        };
        // Answers that are under way, such as the one to the request to end, still get out.
        tokio::time::sleep(LAST_WORDS).await;
        self.tasks.shutdown().await;
        outcome
    }
}

/// Returns when nobody has used the sandbox for this long.
async fn idle(control: &Control, nodes: &Nodes, limit: Option<Duration>) {
    let Some(limit) = limit else {
        return std::future::pending().await;
    };
    loop {
        let left = limit.saturating_sub(control.idle());
        if left.is_zero() && !nodes::booting(nodes) {
            return;
        }
        // A boot that outlasts the limit is looked at again now and then.
        tokio::time::sleep(left.max(limit / 16)).await;
    }
}

fn url(listener: &TcpListener) -> Result<String, SandboxError> {
    Ok(format!("http://{}", address(listener)?))
}

fn address(listener: &TcpListener) -> Result<SocketAddr, SandboxError> {
    listener.local_addr().map_err(|source| SandboxError::Port {
        what: "listener",
        source,
    })
}
