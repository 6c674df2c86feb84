//! One droplet, from power on to a running node: what the boot script and systemd do.

use std::time::Duration;

use bytes::Bytes;
use http::{Method, StatusCode};
use serde::{Deserialize, Serialize};

use super::bundle::{self, DATASTORE_ADMIN, Files};
use super::clusters::Installed;
use super::config::{self, K3sConfig};
use super::datastore::Grant;
use super::network::shown;
use super::report::{Log, Phase};
use super::start::{self, Passwords};
use super::user_data::{self, NodeIdentity, Role};
use super::{DropletFacts, Nodes};
use crate::clock::Clock;
use crate::kubernetes::Leaf;
use crate::spaces::to_hex;
use sha2::{Digest as _, Sha256};

/// K3s's configuration; more of it is in the folder of that name and `.d`.
const CONFIG: &str = "etc/rancher/k3s/config.yaml";
/// Time a droplet needs from active to cloud-init's last stage.
const BOOT: Duration = Duration::from_secs(20);
/// Time to download and install K3s.
const INSTALL: Duration = Duration::from_secs(15);
/// Time from `systemctl start k3s` to an API server that answers.
pub(super) const START: Duration = Duration::from_secs(15);
/// First and longest pause between two looks for the bundle.
const POLL: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(15));
/// How often the boot script tries to give K3s's user its right in the datastore.
const GRANTS: u32 = 20;
/// Pause before systemd runs a failed unit again.
const RESTART: Duration = Duration::from_secs(5);
/// How long the boot script waits for K3s to stay up before it reports a failure.
const PATIENCE: Duration = Duration::from_mins(15);
/// How often a failed unit is run again before systemd's patience ends here: about a day.
const MAX_RESTARTS: u32 = 17_280;

/// What is on a droplet's disk once the bundle is installed; it boots from this ever after.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Disk {
    pub role: Role,
    pub files: Files,
    /// The version the installed K3s binary says.
    pub version: String,
    /// A server's serving certificate, once K3s made it.
    #[serde(default)]
    pub leaf: Option<Leaf>,
    /// A server's file of passwords, once K3s made it.
    #[serde(default)]
    pub passwords: Option<Passwords>,
}

/// What a node is doing, for `inspect` and for tests.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NodeStatus {
    /// The droplet.
    pub droplet_id: u64,
    /// Its name.
    pub name: String,
    /// How far it has come.
    pub phase: Phase,
    /// The last thing it said, without secrets.
    pub message: String,
}

/// The status of a droplet.
pub(super) fn status(droplet: &DropletFacts, phase: Phase, message: &str) -> NodeStatus {
    NodeStatus {
        droplet_id: droplet.id,
        name: droplet.name.clone(),
        phase,
        message: message.to_owned(),
    }
}

/// A boot in progress.
pub(super) struct Machine {
    pub nodes: Nodes,
    pub droplet: DropletFacts,
    identity: Option<NodeIdentity>,
    log: Log,
}

/// A failure that systemd retries, or one that no retry helps.
pub(super) enum Failure {
    Again(String),
    Final(String),
}

pub(super) fn again<E: std::fmt::Display>(error: E) -> Failure {
    Failure::Again(error.to_string())
}

impl Machine {
    pub(super) fn new(nodes: Nodes, droplet: DropletFacts) -> Machine {
        Machine {
            nodes,
            droplet,
            identity: None,
            log: Log::default(),
        }
    }

    pub(super) fn clock(&self) -> Clock {
        self.nodes.inner.clock.clone()
    }

    /// Runs until K3s is up, or until nothing will ever start it.
    pub(super) async fn run(mut self) {
        self.clock().sleep(BOOT).await;
        let user_data = self.droplet.user_data.clone().unwrap_or_default();
        match user_data::parse(&user_data) {
            Ok(Some(identity)) => self.identity = Some(identity),
            Ok(None) => return self.note(Phase::Idle, "user_data asks for no node"),
            Err(error) => return self.note(Phase::Failed, &error.to_string()),
        }
        let disk = match self.nodes.disk(self.droplet.id) {
            Some(disk) => disk,
            None => match self.install().await {
                Some(disk) => disk,
                None => return,
            },
        };
        self.keep_running(disk).await;
    }

    /// Runs until K3s is up again that was stopped on a running droplet. Nobody reports that: the
    /// boot script did its work.
    pub(super) async fn restarted(mut self, disk: Disk) {
        self.keep_running(disk).await;
    }

    fn note(&mut self, phase: Phase, message: &str) {
        self.log.say(message);
        let message = self.log.clean(message);
        self.nodes.set_status(&self.droplet, phase, message);
    }

    /// Notes a phase and sends the report. A report that cannot be sent does not stop a boot.
    pub(super) async fn tell(&mut self, phase: Phase, message: &str) {
        self.note(phase, message);
        let Some(identity) = &self.identity else {
            return;
        };
        let body = Bytes::from(self.log.report(&identity.node, phase, message));
        let sent = self
            .nodes
            .inner
            .network
            .send(Method::PUT, &identity.report_url, body)
            .await;
        match sent {
            Ok((status, _)) if status.is_success() => {}
            Ok((status, _)) => self
                .log
                .say(&format!("the report was refused with {status}")),
            Err(error) => self
                .log
                .say(&format!("the report could not be sent: {error}")),
        }
    }

    /// Runs the boot unit until it succeeds, as systemd does.
    async fn install(&mut self) -> Option<Disk> {
        let mut last = String::new();
        for _ in 0..MAX_RESTARTS {
            match self.install_once().await {
                Ok(disk) => return Some(disk),
                Err(Failure::Final(why)) => {
                    self.tell(Phase::Failed, &why).await;
                    return None;
                }
                Err(Failure::Again(why)) => {
                    if why != last {
                        self.tell(Phase::Failed, &why).await;
                        last = why;
                    }
                    self.clock().sleep(POLL.1).await;
                }
            }
        }
        None
    }

    async fn install_once(&mut self) -> Result<Disk, Failure> {
        let identity = self
            .identity
            .clone()
            .ok_or_else(|| Failure::Final("no identity".to_owned()))?;
        let bytes = self.poll(&identity).await?;
        let mut files = bundle::open(&bytes, &identity, self.droplet.id).map_err(again)?;
        self.log.keep_secret(&files, None);
        let config = read_config(&files, identity.role).map_err(Failure::Again)?;
        self.log.keep_secret(&files, Some(&config));
        self.tell(
            Phase::BundleVerified,
            "the bundle is signed and meant for this node",
        )
        .await;
        self.prepare_datastore(&mut files).await?;
        let version = self.download(&files).await?;
        self.begin_from_snapshot(&mut files, identity.role, &version)
            .await?;
        let disk = Disk {
            role: identity.role,
            files,
            version,
            leaf: None,
            passwords: None,
        };
        let saved = self.nodes.save_disk(self.droplet.id, &disk);
        saved.map_err(again)?;
        // `systemctl daemon-reload`, before the unit is started for the first time.
        self.nodes.load_unit(self.droplet.id, start::unit(&disk));
        Ok(disk)
    }

    /// Asks for the bundle until it is there, or until its URL is over (seven days at most).
    async fn poll(&mut self, identity: &NodeIdentity) -> Result<Bytes, Failure> {
        let (mut pause, longest) = POLL;
        let mut told = false;
        loop {
            let answer = self
                .nodes
                .inner
                .network
                .send(Method::GET, &identity.bundle_url, Bytes::new())
                .await;
            match answer {
                Ok((StatusCode::OK, body)) => return Ok(body),
                Ok((StatusCode::FORBIDDEN, _)) => {
                    let url = shown(&identity.bundle_url);
                    return Err(Failure::Final(format!(
                        "{url} answers 403: its signature is over or was revoked"
                    )));
                }
                Ok((status, _)) => self.log.say(&format!("no bundle yet ({status})")),
                Err(error) => return Err(Failure::Final(error.to_string())),
            }
            if !told {
                self.tell(Phase::WaitingForBundle, "the bundle is not there yet")
                    .await;
                told = true;
            }
            self.clock().sleep(pause).await;
            pause = pause.mul_f64(1.5).min(longest);
        }
    }

    /// Gives K3s's user the right to create tables, where the bundle says who can. The login does
    /// not stay on the disk.
    async fn prepare_datastore(&mut self, files: &mut Files) -> Result<(), Failure> {
        let Some(login) = files.remove(DATASTORE_ADMIN) else {
            return Ok(());
        };
        let grant = Grant::parse(&login.content).map_err(again)?;
        self.tell(Phase::Installing, "giving K3s's user its right")
            .await;
        let ca = files
            .get("etc/rancher/k3s/datastore-ca.pem")
            .map(|file| file.content.as_str());
        let (mut pause, longest) = POLL;
        for left in (0..GRANTS).rev() {
            // Tags decide about trusted sources and can change at any time.
            let droplet = self
                .nodes
                .droplet(self.droplet.id)
                .ok_or_else(|| Failure::Again("the droplet is off".to_owned()))?;
            match grant.give(self.nodes.inner.cloud.as_ref(), &droplet, ca) {
                Ok(()) => break,
                Err(error) if left == 0 => return Err(again(error)),
                Err(error) => self.log.say(&error.to_string()),
            }
            self.clock().sleep(pause).await;
            pause = (pause + POLL.0).min(longest);
        }
        Ok(())
    }

    /// Downloads K3s, checks its digest, and asks it for its version.
    async fn download(&mut self, files: &Files) -> Result<String, Failure> {
        let env = files
            .get("etc/kplan/k3s.env")
            .map(|file| file.content.as_str())
            .unwrap_or_default();
        let get = |key: &str| {
            let line = env
                .lines()
                .find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
            line.map(str::to_owned)
                .ok_or_else(|| Failure::Again(format!("etc/kplan/k3s.env has no {key}")))
        };
        let (version, url, digest) = (
            get("K3S_VERSION")?,
            get("K3S_BINARY_URL")?,
            get("K3S_BINARY_SHA256")?,
        );
        if !files.contains_key("etc/systemd/system/k3s.service") {
            return Err(Failure::Again(
                "the bundle has no etc/systemd/system/k3s.service".to_owned(),
            ));
        }
        self.tell(Phase::Installing, &format!("downloading k3s {version}"))
            .await;
        self.clock().sleep(INSTALL).await;
        let answer = self
            .nodes
            .inner
            .network
            .send(Method::GET, &url, Bytes::new())
            .await;
        let (status, binary) = answer.map_err(again)?;
        if status != StatusCode::OK {
            return Err(Failure::Again(format!("{} answers {status}", shown(&url))));
        }
        let found = to_hex(&Sha256::digest(&binary));
        if !found.eq_ignore_ascii_case(&digest) {
            return Err(Failure::Again(format!(
                "{} has the sha256 {found}, not {digest}",
                shown(&url)
            )));
        }
        let says = crate::mirror::k3s_binary_version(&binary).map_err(again)?;
        if says != version {
            return Err(Failure::Again(format!(
                "the binary is k3s {says}, not {version}"
            )));
        }
        Ok(version)
    }

    /// Starts K3s, again and again until it stays up, as its unit does. The boot script sees a
    /// unit that is not up yet and gives up on it after a while; the unit does not.
    async fn keep_running(&mut self, mut disk: Disk) {
        let mut told = String::new();
        let mut waited = Duration::ZERO;
        for _ in 0..MAX_RESTARTS {
            self.clock().sleep(START).await;
            // What is on it can have changed since the last try.
            disk = self.nodes.disk(self.droplet.id).unwrap_or(disk);
            let why = match self.try_to_start(&mut disk).await {
                Ok(message) => return self.tell(Phase::Started, &message).await,
                Err(why) => why,
            };
            let phase = if waited < PATIENCE {
                Phase::Installing
            } else {
                Phase::Failed
            };
            let news = format!("{phase:?} {why}");
            if news != told {
                self.tell(phase, &why).await;
                told = news;
            }
            self.clock().sleep(RESTART).await;
            waited += START + RESTART;
        }
    }

    /// The serving certificate on the disk, renewed or made where K3s does so.
    fn leaf(&self, disk: &mut Disk, names: &[String]) -> Result<Option<Leaf>, String> {
        if disk.role != Role::Server {
            return Ok(None);
        }
        let now = self.clock().now();
        let leaf = match disk.leaf.clone() {
            Some(leaf) => leaf,
            None => Leaf::new(now).map_err(|error| error.to_string())?,
        };
        let leaf = leaf.at_start(now, names);
        if disk.leaf.as_ref() != Some(&leaf) {
            disk.leaf = Some(leaf.clone());
            self.save(disk)?;
        }
        Ok(Some(leaf))
    }

    /// What the unit does before K3s, K3s itself, and what the unit does after it came up.
    async fn try_to_start(&mut self, disk: &mut Disk) -> Result<String, String> {
        let unit = self.nodes.unit_of(self.droplet.id);
        if start::runs(unit.as_deref(), disk, "before") {
            start::before(disk);
            self.save(disk)?;
        }
        let message = Box::pin(self.start(disk)).await?;
        *disk = self.nodes.disk(self.droplet.id).unwrap_or(disk.clone());
        if start::runs(unit.as_deref(), disk, "after") {
            start::after(disk);
            self.save(disk)?;
        }
        Ok(message)
    }

    fn save(&self, disk: &Disk) -> Result<(), String> {
        let saved = self.nodes.save_disk(self.droplet.id, disk);
        saved.map_err(|error| error.to_string())
    }

    async fn start(&mut self, disk: &mut Disk) -> Result<String, String> {
        let config = read_config(&disk.files, disk.role)?;
        let leaf = self.leaf(disk, &config.tls_san)?;
        self.log.keep_secret(&disk.files, Some(&config));
        // Tags decide about trusted sources and can change at any time.
        self.droplet = self
            .nodes
            .droplet(self.droplet.id)
            .ok_or_else(|| "the droplet is off".to_owned())?;
        let installed = Installed {
            droplet: &self.droplet,
            files: &disk.files,
            config: &config,
            version: &disk.version,
            leaf: leaf.as_ref(),
            passwords: disk.passwords.as_ref(),
        };
        let started = Box::pin(self.nodes.start_k3s(&installed))
            .await
            .map_err(|error| error.to_string())?;
        Ok(self.nodes.keep_started(self.droplet.id, started))
    }
}

/// What K3s reads: its file, then those of the folder beside it.
pub(super) fn read_config(files: &Files, role: Role) -> Result<K3sConfig, String> {
    let main = files.get(CONFIG);
    let main = main.ok_or_else(|| format!("the bundle has no {CONFIG}"))?;
    let more = files.range(format!("{CONFIG}.d/")..);
    let more = more
        .take_while(|(path, _)| path.starts_with(&format!("{CONFIG}.d/")))
        .filter(|(path, _)| is_yaml(path));
    let texts = std::iter::once(main).chain(more.map(|(_, file)| file));
    config::parse(texts.map(|file| file.content.as_str()), role).map_err(|error| error.to_string())
}

fn is_yaml(path: &str) -> bool {
    let ending = std::path::Path::new(path).extension();
    ending.is_some_and(|ending| ending == "yaml" || ending == "yml")
}
