//! The server token: K3s's file of passwords, the data that is encrypted with the token, and what a
//! server's unit does about both, as `docs/internals/node-boot.md`, section 6, says.
//!
//! K3s: `pkg/cluster/bootstrap.go` and `storage.go` for a start, `pkg/server/handlers/token.go` for the
//! exchange.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::bundle::{File, Files};
use super::clusters::{ClusterRecord, Installed, StartError, secret_hash};
use super::config::Datastore;
use super::machine::Disk;
use super::pki::Token;
use super::user_data::Role;
use super::{DropletFacts, Nodes};
use crate::clock::Clock;

const UNIT: &str = "etc/systemd/system/k3s.service";
const SCRIPT: &str = "etc/kplan/k3s-token";
pub(super) const OLD: &str = "etc/kplan/server-token.old";
pub(super) const NEW: &str = "etc/kplan/server-token.new";
const TRIED: &str = "etc/kplan/server-token.tried";
pub(super) const CHOSEN: &str = "etc/rancher/k3s/config.yaml.d/60-kplan-token.yaml";
/// By how much a file has to be newer than its copy in the datastore to count as newer.
const SKEW: Duration = Duration::from_secs(3);

/// Who may join, as digests of the secrets.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Taken {
    pub server: String,
    pub agent: String,
}

impl Taken {
    /// What K3s is told to take.
    pub(super) fn of(installed: &Installed<'_>, token: &Token) -> Taken {
        let server = secret_hash(&token.secret);
        let agent = installed.config.agent_token.as_deref().map(secret_hash);
        let agent = agent.unwrap_or_else(|| server.clone());
        Taken { server, agent }
    }
}

/// The file of passwords, on a disk or as the datastore has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Passwords {
    pub taken: Taken,
    /// When it was written, in milliseconds since 1970.
    pub written: i64,
}

fn different_token() -> StartError {
    StartError::Bootstrap("found already and encrypted with different token")
}

impl ClusterRecord {
    /// What a start makes of the file: it is compared with its copy in the datastore, and holds what
    /// the configuration says after that.
    fn reconciled(
        &self,
        disk: Option<&Passwords>,
        wanted: &Taken,
        clock: &Clock,
    ) -> Result<Passwords, StartError> {
        let skew = i64::try_from(clock.scaled(SKEW).as_millis()).unwrap_or(i64::MAX);
        let mut file = match (disk, &self.passwords) {
            (disk, None) => disk.cloned(),
            (Some(disk), Some(stored)) if disk.taken == stored.taken => Some(disk.clone()),
            (Some(disk), Some(stored)) if disk.written - stored.written >= skew => {
                return Err(StartError::Newer);
            }
            (_, Some(stored)) => Some(stored.clone()),
        };
        if file.as_ref().is_none_or(|file| file.taken != *wanted) {
            file = Some(Passwords {
                taken: wanted.clone(),
                written: clock.now().as_millisecond(),
            });
        }
        file.ok_or_else(different_token)
    }
}

impl Nodes {
    /// Opens what a server needs to start. The datastore gets a copy of the file with the first server
    /// alone.
    pub(super) fn open_bootstrap(
        &self,
        record: &mut ClusterRecord,
        installed: &Installed<'_>,
        token: &Token,
    ) -> Result<(), StartError> {
        let wanted = Taken::of(installed, token);
        let clock = &self.inner.clock;
        let droplet = installed.droplet.id;
        if record.server_secret != wanted.server {
            // One that joins asks the server it joins, which has what it needs as long as it takes the
            // token; only then the datastore refuses.
            if let Datastore::EtcdJoin(url) = &installed.config.datastore
                && self.find_server(installed, url).is_ok()
            {
                let file = record.reconciled(installed.passwords, &wanted, clock)?;
                self.keep_passwords(droplet, file)?;
                record.members.insert(droplet);
                self.save_cluster(record, droplet)?;
            }
            return Err(different_token());
        }
        let file = record.reconciled(installed.passwords, &wanted, clock)?;
        record.passwords.get_or_insert_with(|| file.clone());
        record.taken.insert(droplet, wanted);
        self.keep_passwords(droplet, file)
    }

    fn keep_passwords(&self, droplet: u64, file: Passwords) -> Result<(), StartError> {
        let Some(mut disk) = self.disk(droplet) else {
            return Ok(());
        };
        disk.passwords = Some(file);
        let saved = self.save_disk(droplet, &disk);
        saved.map_err(|error| StartError::Api(error.to_string()))
    }

    /// `PUT /v1-k3s/token` at the server on a droplet, by somebody who has a password: the new one goes
    /// into its file, then the data is encrypted with it where it is encrypted with what was in the
    /// file, and then the file's copy is in the data. Whom it takes changes with its next start.
    fn put_token(
        &self,
        record: &mut ClusterRecord,
        droplet: u64,
        (password, new): (&str, &str),
    ) -> Result<(), String> {
        let taken = record.taken.get(&droplet).cloned().unwrap_or_default();
        if taken.server != *password {
            return Err("401 Unauthorized".to_owned());
        }
        let disk = self.disk(droplet).and_then(|disk| disk.passwords);
        let mut file = disk.ok_or("server token not found")?;
        let old = std::mem::replace(&mut file.taken.server, new.to_owned());
        if old != new {
            file.written = self.inner.clock.now().as_millisecond();
        }
        let failed = |error: StartError| error.to_string();
        self.keep_passwords(droplet, file.clone()).map_err(failed)?;
        if record.server_secret == old {
            new.clone_into(&mut record.server_secret);
        }
        if record.server_secret != new {
            return Err(format!("500: {}", different_token()));
        }
        record.passwords = Some(file);
        self.save_cluster(record, droplet).map_err(failed)
    }

    /// What the script does with `exchange`.
    pub(super) fn exchange_token(&self, cluster: &str, droplet: u64) -> Result<(), String> {
        let no_record = || format!("there is no cluster {cluster}");
        let mut record = self.cluster_record(cluster).ok_or_else(no_record)?;
        let disk = self.disk(droplet).ok_or("K3s is not installed")?;
        let secret = |path: &str| {
            let no_token = || format!("there are no two tokens: no /{path}");
            let file = disk.files.get(path).ok_or_else(no_token)?;
            let token = token_of(&file.content).ok_or_else(no_token)?;
            Ok::<_, String>(secret_hash(&token.secret))
        };
        let (old, new) = (secret(OLD)?, secret(NEW)?);
        if let Some(mut file) = disk.passwords.clone() {
            old.clone_into(&mut file.taken.server);
            file.written = self.inner.clock.now().as_millisecond();
            let kept = self.keep_passwords(droplet, file);
            kept.map_err(|error| error.to_string())?;
        }
        let asked = self.put_token(&mut record, droplet, (&old, &new));
        asked.or_else(|_| self.put_token(&mut record, droplet, (&new, &new)))?;
        let mut disk = self.disk(droplet).ok_or("K3s is not installed")?;
        choose(&mut disk, NEW);
        disk.files.remove(TRIED);
        let saved = self.save_disk(droplet, &disk);
        saved.map_err(|error| error.to_string())
    }

    /// The same while a server begins from a snapshot, where its files bring two tokens.
    pub(super) fn exchange_in_data(
        &self,
        cluster: &str,
        droplet: &DropletFacts,
        files: &Files,
    ) -> Result<(), StartError> {
        let new = files.get(NEW).and_then(|file| token_of(&file.content));
        let (Some(new), Some(mut record)) = (new, self.cluster_record(cluster)) else {
            return Ok(());
        };
        record.server_secret = secret_hash(&new.secret);
        self.save_cluster(&record, droplet.id)
    }

    /// K3s's unit as systemd runs it on a droplet.
    pub(super) fn unit_of(&self, droplet: u64) -> Option<String> {
        self.lock().machines.get(&droplet)?.unit.clone()
    }

    pub(super) fn load_unit(&self, droplet: u64, unit: Option<String>) {
        if let Some(running) = self.lock().machines.get_mut(&droplet) {
            running.unit = unit;
        }
    }
}

fn token_of(configuration: &str) -> Option<Token> {
    let line = configuration.lines().next()?.strip_prefix("token: ")?;
    Token::parse(line.trim_matches('"')).ok()
}

/// K3s's unit on a disk.
pub(super) fn unit(disk: &Disk) -> Option<String> {
    disk.files.get(UNIT).map(|file| file.content.clone())
}

/// Whether a unit runs the script with this word, and the script is there.
pub(super) fn runs(unit: Option<&str>, disk: &Disk, word: &str) -> bool {
    let line = format!("=-/bin/sh /{SCRIPT} {word}");
    let mut lines = unit.into_iter().flat_map(str::lines);
    disk.role == Role::Server
        && disk.files.contains_key(SCRIPT)
        && lines.any(|it| it.starts_with("ExecStartP") && it.ends_with(&line))
}

fn choose(disk: &mut Disk, which: &str) {
    if let Some(file) = disk.files.get(which).cloned() {
        disk.files.insert(CHOSEN.to_owned(), file);
    }
}

/// The files of a server that brings two tokens, with the old one chosen.
pub(super) fn with_old(files: &Files) -> Option<Files> {
    let mut files = files.clone();
    let old = files.get(OLD).cloned()?;
    files.insert(CHOSEN.to_owned(), old);
    Some(files)
}

fn has_new(disk: &Disk) -> bool {
    let content = |path: &str| disk.files.get(path).map(|file| &file.content);
    content(NEW).is_some() && content(NEW) == content(CHOSEN)
}

/// What the script does before a start.
pub(super) fn before(disk: &mut Disk) {
    if let Some(file) = &mut disk.passwords {
        file.written = 0;
    }
    if !disk.files.contains_key(OLD) || !disk.files.contains_key(NEW) {
        disk.files.remove(TRIED);
        return;
    }
    let new = has_new(disk) != disk.files.contains_key(TRIED);
    choose(disk, if new { NEW } else { OLD });
    let mark = File {
        mode: 0o600,
        content: String::new(),
    };
    disk.files.insert(TRIED.to_owned(), mark);
}

/// What the script does once K3s runs.
pub(super) fn after(disk: &mut Disk) {
    disk.files.remove(TRIED);
    if has_new(disk) {
        disk.files.remove(OLD);
        disk.files.remove(NEW);
    }
}
