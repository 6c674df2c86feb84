//! Random files and random edits of them. Every file is one that kplan accepts, and every edit
//! one that it carries out: what is refused has tests of its own.

use crate::life::{CLUSTER, DOMAIN, OWN_DOMAIN};
use kplan_sandbox::Rng;
use std::collections::BTreeMap;
use std::fmt::Write as _;

const SIZES: [&str; 4] = ["s-1vcpu-2gb", "s-2vcpu-2gb", "s-2vcpu-4gb", "s-4vcpu-8gb"];
const IMAGES: [&str; 2] = ["ubuntu-24-04-x64", "debian-12-x64"];
const POOLS: [&str; 3] = ["web", "batch", "ingest"];
const NAMES: [&str; 5] = ["bastion", "runner", "mail", "db-tool", "cache"];
const TAGS: [&str; 3] = ["blue", "green", "ops"];
/// Free-standing things of one kind, at most.
const MOST: usize = 4;

/// What holds the cluster's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Datastore {
    Sqlite,
    Etcd,
    Postgres,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Pool {
    name: &'static str,
    count: u64,
    size: usize,
    backups: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Droplet {
    name: &'static str,
    size: usize,
    image: usize,
    tags: Vec<&'static str>,
    backups: bool,
}

impl Droplet {
    /// Where its record is: another image brings it to another domain, which comes and goes with it.
    fn domain(&self) -> &'static str {
        if self.image == 0 { DOMAIN } else { OWN_DOMAIN }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Volume {
    name: &'static str,
    size: u64,
    filesystem: bool,
    tags: Vec<&'static str>,
}

/// One version of `cluster.toml`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    datastore: Datastore,
    servers: u64,
    server_size: usize,
    server_backups: bool,
    /// Whether it is the newer of two; changing it makes every node anew.
    newer_image: bool,
    reserved_ip: bool,
    database_size: usize,
    pools: Vec<Pool>,
    droplets: Vec<Droplet>,
    volumes: Vec<Volume>,
    project: Option<&'static str>,
    vpc: &'static str,
    allow: u64,
    ssh: bool,
    gitops: Option<&'static str>,
    backup: Option<u64>,
    csi: bool,
    largest: Largest,
}

/// By name, the largest that stood in this version or an earlier one. Disks never shrink, and what
/// a later version leaves out may still be there when a name is used again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Largest {
    pools: BTreeMap<&'static str, usize>,
    droplets: BTreeMap<&'static str, usize>,
    volumes: BTreeMap<&'static str, u64>,
}

/// At least as large as the largest of that name before.
fn keep_size<T: Copy + Ord>(
    largest: &mut BTreeMap<&'static str, T>,
    name: &'static str,
    size: &mut T,
) {
    let most = largest.entry(name).or_insert(*size);
    *most = (*most).max(*size);
    *size = *most;
}

/// One of them, by the dice.
fn one<T: Copy>(dice: &Rng, from: &[T]) -> T {
    from[index(dice, from.len())]
}

fn index(dice: &Rng, length: usize) -> usize {
    usize::try_from(dice.below(length as u64)).unwrap_or(0)
}

fn lucky(dice: &Rng, one_in: u64) -> bool {
    dice.below(one_in) == 0
}

fn some(dice: &Rng, from: &[&'static str]) -> Vec<&'static str> {
    let chosen = from.iter().filter(|_| lucky(dice, 3));
    chosen.copied().collect()
}

impl File {
    /// A file.
    pub fn random(dice: &Rng) -> Self {
        let datastore = match dice.below(8) {
            0 => Datastore::Etcd,
            1 | 2 => Datastore::Postgres,
            _ => Datastore::Sqlite,
        };
        let servers = match datastore {
            Datastore::Sqlite => 1,
            Datastore::Etcd => 3,
            Datastore::Postgres => 1 + dice.below(2),
        };
        let mut file = Self {
            datastore,
            servers,
            server_size: 1 + index(dice, 2),
            server_backups: lucky(dice, 5),
            newer_image: false,
            reserved_ip: servers == 1 && lucky(dice, 3),
            database_size: 0,
            pools: Vec::new(),
            droplets: Vec::new(),
            volumes: Vec::new(),
            project: lucky(dice, 2).then_some("one"),
            vpc: "vpc-a",
            allow: dice.below(3),
            ssh: lucky(dice, 3),
            gitops: lucky(dice, 4).then_some("main"),
            backup: lucky(dice, 4).then_some(7),
            csi: !lucky(dice, 3),
            largest: Largest::default(),
        };
        for _ in 0..dice.below(6) {
            file.grow(dice);
        }
        file.keep_sizes();
        file
    }

    /// Another version of it: one to three edits.
    #[must_use]
    pub fn edited(&self, dice: &Rng) -> Self {
        let mut file = self.clone();
        for _ in 0..=dice.below(3) {
            file.edit(dice);
        }
        file.keep_sizes();
        file
    }

    fn keep_sizes(&mut self) {
        for pool in &mut self.pools {
            keep_size(&mut self.largest.pools, pool.name, &mut pool.size);
        }
        for droplet in &mut self.droplets {
            keep_size(&mut self.largest.droplets, droplet.name, &mut droplet.size);
        }
        for volume in &mut self.volumes {
            keep_size(&mut self.largest.volumes, volume.name, &mut volume.size);
        }
    }

    fn grow(&mut self, dice: &Rng) {
        match dice.below(3) {
            0 => self.add_pool(dice),
            1 => self.add_droplet(dice),
            _ => self.add_volume(dice),
        }
    }

    fn add_pool(&mut self, dice: &Rng) {
        let name = one(dice, &POOLS);
        if self.pools.iter().all(|pool| pool.name != name) {
            self.pools.push(Pool {
                name,
                count: 1 + dice.below(3),
                size: index(dice, 3),
                backups: lucky(dice, 4),
            });
        }
    }

    fn add_droplet(&mut self, dice: &Rng) {
        let name = one(dice, &NAMES);
        let fits = self.droplets.len() < MOST;
        if fits && self.droplets.iter().all(|droplet| droplet.name != name) {
            self.droplets.push(Droplet {
                name,
                size: index(dice, 3),
                image: index(dice, IMAGES.len()),
                tags: some(dice, &TAGS),
                backups: lucky(dice, 4),
            });
        }
    }

    fn add_volume(&mut self, dice: &Rng) {
        let name = one(dice, &NAMES);
        let fits = self.volumes.len() < MOST;
        if fits && self.volumes.iter().all(|volume| volume.name != name) {
            self.volumes.push(Volume {
                name,
                size: 1 + dice.below(20),
                filesystem: lucky(dice, 2),
                tags: some(dice, &TAGS),
            });
        }
    }

    fn edit(&mut self, dice: &Rng) {
        match dice.below(14) {
            0..3 => self.grow(dice),
            3 => self.edit_pool(dice),
            4 => shrink(dice, &mut self.pools),
            5 | 6 => self.edit_droplet(dice),
            7 => shrink(dice, &mut self.droplets),
            8 => self.edit_volume(dice),
            9 => shrink(dice, &mut self.volumes),
            10 => self.project = one(dice, &[None, Some("one"), Some("two")]),
            11 => self.edit_network(dice),
            12 => self.edit_servers(dice),
            _ => self.edit_platform(dice),
        }
    }

    fn edit_pool(&mut self, dice: &Rng) {
        if self.pools.is_empty() {
            return self.add_pool(dice);
        }
        let at = index(dice, self.pools.len());
        let pool = &mut self.pools[at];
        match dice.below(3) {
            0 => pool.count = 1 + dice.below(4),
            1 => pool.size = (pool.size + 1).min(SIZES.len() - 1),
            _ => pool.backups = !pool.backups,
        }
    }

    fn edit_droplet(&mut self, dice: &Rng) {
        if self.droplets.is_empty() {
            return self.add_droplet(dice);
        }
        let at = index(dice, self.droplets.len());
        let free = one(dice, &NAMES);
        let taken = self.droplets.iter().any(|droplet| droplet.name == free);
        let droplet = &mut self.droplets[at];
        match dice.below(5) {
            // A bigger disk stays: sizes only grow.
            0 => droplet.size = (droplet.size + 1).min(SIZES.len() - 1),
            1 => droplet.image = 1 - droplet.image,
            2 => droplet.tags = some(dice, &TAGS),
            3 if !taken => droplet.name = free,
            _ => droplet.backups = !droplet.backups,
        }
    }

    fn edit_volume(&mut self, dice: &Rng) {
        if self.volumes.is_empty() {
            return self.add_volume(dice);
        }
        let at = index(dice, self.volumes.len());
        let volume = &mut self.volumes[at];
        match dice.below(3) {
            0 => volume.size += 1 + dice.below(10),
            1 => volume.tags = some(dice, &TAGS),
            _ => volume.filesystem = !volume.filesystem,
        }
    }

    fn edit_network(&mut self, dice: &Rng) {
        match dice.below(3) {
            0 => self.vpc = one(dice, &["vpc-a", "vpc-b"]),
            1 => self.allow = dice.below(3),
            _ => self.ssh = !self.ssh,
        }
    }

    fn edit_servers(&mut self, dice: &Rng) {
        match dice.below(3) {
            // Another draw here alone: what the seeds of other files mean stays as it is.
            _ if self.datastore == Datastore::Etcd && lucky(dice, 2) => {
                self.newer_image = !self.newer_image;
            }
            0 => self.server_size = (self.server_size + 1).min(SIZES.len() - 1),
            1 if self.datastore == Datastore::Postgres => {
                self.database_size = (self.database_size + 1).min(DATABASES.len() - 1);
            }
            _ => self.server_backups = !self.server_backups,
        }
    }

    fn edit_platform(&mut self, dice: &Rng) {
        match dice.below(4) {
            0 => self.gitops = one(dice, &[None, Some("main"), Some("next")]),
            1 => self.backup = self.backup.map(|days| days + 1),
            2 => self.backup = one(dice, &[None, Some(7), Some(14)]),
            _ => self.csi = !self.csi,
        }
    }

    /// Its text.
    pub fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a String cannot fail.
        self.write(&mut text).unwrap_or_default();
        text
    }

    fn write(&self, out: &mut String) -> std::fmt::Result {
        writeln!(out, "[cluster]\nname = \"{CLUSTER}\"\nregion = \"fra1\"\n")?;
        let size = SIZES[self.server_size];
        writeln!(
            out,
            "[servers]\ncount = {}\nsize = \"{size}\"\nimage = \"{}\"\nbackups = {}\n",
            self.servers,
            if self.newer_image {
                "ubuntu-25-04-x64"
            } else {
                "ubuntu-24-04-x64"
            },
            self.server_backups
        )?;
        self.write_network(out)?;
        self.write_k3s(out)?;
        for pool in &self.pools {
            writeln!(
                out,
                "[[agents]]\nname = \"{}\"\ncount = {}\nsize = \"{}\"\nbackups = {}\n",
                pool.name, pool.count, SIZES[pool.size], pool.backups
            )?;
        }
        if self.droplets.iter().any(|it| it.domain() == OWN_DOMAIN) {
            writeln!(out, "[[domain]]\nname = \"{OWN_DOMAIN}\"\n")?;
        }
        for droplet in &self.droplets {
            writeln!(
                out,
                "[[droplet]]\nname = \"{}\"\nsize = \"{}\"\nimage = \"{}\"\ntags = {:?}\nbackups = {}\n",
                droplet.name,
                SIZES[droplet.size],
                IMAGES[droplet.image],
                droplet.tags,
                droplet.backups
            )?;
            // Its record comes, changes and goes with it, without a draw of its own: what seeds
            // mean stays as it is.
            writeln!(
                out,
                "[[domain_record]]\ndomain = \"{}\"\ntype = \"A\"\nname = \"{}\"\nvalue = \"203.0.113.{}\"\nttl = {}\n",
                droplet.domain(),
                droplet.name,
                droplet.size,
                if droplet.backups { 300 } else { 1800 }
            )?;
        }
        for volume in &self.volumes {
            writeln!(
                out,
                "[[volume]]\nname = \"{}\"\nsize = {}\ntags = {:?}",
                volume.name, volume.size, volume.tags
            )?;
            writeln!(
                out,
                "{}",
                if volume.filesystem {
                    "filesystem = \"ext4\"\n"
                } else {
                    ""
                }
            )?;
        }
        self.write_platform(out)
    }

    fn write_network(&self, out: &mut String) -> std::fmt::Result {
        if let Some(project) = self.project {
            writeln!(out, "[project]\nname = \"{CLUSTER}-{project}\"\n")?;
        }
        writeln!(
            out,
            "[network]\nvpc = {{ name = \"{CLUSTER}-{}\", ip_range = \"10.20.0.0/20\" }}",
            self.vpc
        )?;
        writeln!(out, "api_allow = [\"203.0.113.{}/32\"]", self.allow)?;
        if self.ssh {
            writeln!(out, "ssh_allow = [\"198.51.100.7/32\"]")?;
        }
        writeln!(out)?;
        if self.servers > 1 {
            writeln!(out, "[load_balancer.api]\n")?;
        }
        if self.reserved_ip {
            writeln!(
                out,
                "[endpoint]\nreserved_ip = true\nhostname = \"k8s.{DOMAIN}\"\ndomain = \"{DOMAIN}\"\n"
            )?;
        }
        Ok(())
    }

    fn write_k3s(&self, out: &mut String) -> std::fmt::Result {
        match self.datastore {
            Datastore::Sqlite => Ok(()),
            Datastore::Etcd => writeln!(out, "[k3s]\ndatastore = \"etcd\"\n"),
            Datastore::Postgres => writeln!(
                out,
                "[k3s]\ndatastore = \"postgres\"\n\n[k3s.database]\nsize = \"{}\"\n",
                DATABASES[self.database_size]
            ),
        }
    }

    fn write_platform(&self, out: &mut String) -> std::fmt::Result {
        writeln!(out, "[storage]\ncsi = {}\n", self.csi)?;
        // Without the driver, K3s's own local storage is the default: the switch follows it only
        // at a node's birth, so it is always said.
        writeln!(out, "[addons]\nlocal_storage = true\n")?;
        if let Some(revision) = self.gitops {
            writeln!(
                out,
                "[gitops]\nrepo = \"https://github.com/acme/infra.git\"\nrevision = \"{revision}\"\n"
            )?;
        }
        if let Some(days) = self.backup {
            writeln!(
                out,
                "[backup]\nbucket = \"{CLUSTER}-backup-5a1\"\nnoncurrent_days = {days}\nschedules = [{{ name = \"nightly\", cron = \"0 2 * * *\" }}]\n"
            )?;
        }
        Ok(())
    }
}

const DATABASES: [&str; 3] = ["db-s-1vcpu-2gb", "db-s-2vcpu-4gb", "db-s-4vcpu-8gb"];

fn shrink<T>(dice: &Rng, list: &mut Vec<T>) {
    if !list.is_empty() {
        list.remove(index(dice, list.len()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_is_valid() {
        for seed in 0..500 {
            let dice = Rng::seeded(seed);
            let mut file = File::random(&dice);
            for _ in 0..5 {
                let text = file.text();
                let source = kplan_schema::Source::new("cluster.toml", text.clone());
                let parsed = kplan_schema::parse(&source);
                assert!(parsed.spec.is_some(), "{:#?}\n{text}", parsed.diagnostics);
                file = file.edited(&dice);
            }
        }
    }
}
