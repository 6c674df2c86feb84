//! The file of a copy: the first cluster's, without what can exist only once and without what would
//! take something away from the first.

use kplan_schema::edit::Text;
use kplan_schema::spec::{Backup, BackupStore};
use kplan_schema::value::{Delivery, StateBackend};
use kplan_schema::{Source, Spec};

/// Characters of the copy's name in the name of its bucket.
const IN_BUCKET: usize = 40;

/// What the copy is to be.
pub struct Wanted<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its region; `None` is the first cluster's.
    pub region: Option<&'a str>,
    /// Makes the name of its bucket one that nobody has.
    pub mark: &'a str,
    /// Where the first cluster's state is, with its region, where that is Spaces.
    pub state: Option<String>,
}

/// One difference between the two files, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// What of the file.
    pub what: &'static str,
    /// What became of it, and why.
    pub why: String,
}

/// The copy's file being made.
struct Copying {
    text: Text,
    changes: Vec<Change>,
}

impl Copying {
    fn told(&mut self, what: &'static str, why: impl Into<String>) {
        let why = why.into();
        self.changes.push(Change { what, why });
    }

    /// Puts other entries in the place of one.
    fn exchange(&mut self, what: &'static str, with: &[String], why: &str) {
        let said = format!("Left out of the copy: {why}");
        self.text.exchange(&path(what), with, &said);
        self.told(what, format!("is `{}` instead: {why}", with.join(", ")));
    }

    fn set(&mut self, what: &'static str, value: &str, why: &str) {
        let quoted = format!("\"{value}\"");
        self.text.set(&path(what), &quoted);
        self.told(what, format!("is {quoted}: {why}"));
    }

    /// Takes it out if it is there.
    fn take_out(&mut self, is_there: bool, what: &'static str, why: &str) {
        if is_there {
            let said = format!("Left out of the copy: {why}");
            self.text.take_out(&path(what), &said);
            self.told(what, format!("left out: {why}"));
        }
    }
}

/// The keys of a name as messages have it.
fn path(what: &'static str) -> Vec<&'static str> {
    what.split('.').collect()
}

/// The smallest valid file of that name in that region.
fn smallest(name: &str, region: &str) -> Option<Spec> {
    let plain = |text: &str| {
        text.bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    if !plain(name) || !plain(region) {
        return None;
    }
    let text = format!(
        "[cluster]\nname = \"{name}\"\nregion = \"{region}\"\n[servers]\nsize = \"s-2vcpu-4gb\"\n"
    );
    kplan_schema::parse(&Source::new("copy", text)).spec
}

/// Whether a cluster may be called so.
pub fn is_name(name: &str) -> bool {
    smallest(name, "fra1").is_some()
}

/// Whether there is such a region.
pub fn is_region(region: &str) -> bool {
    smallest("copy", region).is_some()
}

fn has_spaces(region: &str) -> bool {
    let small = smallest("copy", region);
    small.is_some_and(|spec| spec.cluster.region.has_spaces())
}

/// The text of the copy's file, and what is different in it.
pub fn of(spec: &Spec, text: &str, wanted: &Wanted<'_>) -> (String, Vec<Change>) {
    let headed = format!(
        "# A copy of {}, begun by `kplan restore --name {}`.\n\n{text}",
        spec.name(),
        wanted.name
    );
    let mut copying = Copying {
        text: Text::new(headed),
        changes: Vec::new(),
    };
    copying.set("cluster.name", wanted.name, "the copy's own");
    if let Some(region) = wanted.region.filter(|region| *region != spec.region()) {
        copying.set("cluster.region", region, "where the copy is to be");
    }
    named_once(&mut copying, spec);
    names_in_dns(&mut copying, spec);
    delivery(&mut copying, spec);
    if let Some(backup) = &spec.backup {
        store(&mut copying, spec, backup, wanted);
    }
    state(&mut copying, spec, wanted);
    (copying.text.into_string(), copying.changes)
}

/// What an account has once.
fn named_once(copying: &mut Copying, spec: &Spec) {
    let project = spec.project.as_ref();
    copying.take_out(
        project.is_some_and(|project| project.name.span.is_some()),
        "project.name",
        "an account has one project of a name; the copy's is called like the copy",
    );
    let vpc = &spec.network.vpc;
    copying.take_out(
        vpc.name.span.is_some(),
        "network.vpc.name",
        "an account has one VPC of a name; the copy's is called like the copy",
    );
    copying.take_out(
        vpc.ip_range.is_some(),
        "network.vpc.ip_range",
        "the networks of an account may not overlap; DigitalOcean chooses a free one",
    );
    let database = spec.k3s.database.as_ref();
    copying.take_out(
        database.is_some_and(|database| database.name.span.is_some()),
        "k3s.database.name",
        "an account has one database of a name; the copy's begins with the copy's name",
    );
    let balancer = spec.api_load_balancer.as_ref();
    copying.take_out(
        balancer.is_some_and(|balancer| balancer.name.span.is_some()),
        "load_balancer.api.name",
        "the load balancer of that name is the first cluster's",
    );
    copying.take_out(
        !spec.ssh_keys.is_empty(),
        "ssh_key",
        "an account has each public key once, and these are the first cluster's",
    );
    beside(copying, spec);
}

/// What stands beside the first cluster.
fn beside(copying: &mut Copying, spec: &Spec) {
    let why = "it stands beside the first cluster, and nothing of it is in the backup";
    let blocks = [
        ("droplet", spec.droplets.is_empty()),
        ("volume", spec.volumes.is_empty()),
        ("vpc", spec.vpcs.is_empty()),
        ("firewall", spec.firewalls.is_empty()),
        ("database", spec.databases.is_empty()),
        ("bucket", spec.buckets.is_empty()),
        ("reserved_ip", spec.reserved_ips.is_empty()),
    ];
    for (what, none) in blocks {
        copying.take_out(!none, what, why);
    }
    if spec.load_balancers.is_empty() {
        return;
    }
    if spec.api_load_balancer.is_none() {
        return copying.take_out(true, "load_balancer", why);
    }
    for balancer in &spec.load_balancers {
        let said = format!("Left out of the copy: {why}");
        let path = ["load_balancer", balancer.label.as_str()];
        copying.text.take_out(&path, &said);
        copying.told(
            "load_balancer",
            format!("{} is left out: {why}", balancer.label),
        );
    }
}

/// Names that lead to the first cluster.
fn names_in_dns(copying: &mut Copying, spec: &Spec) {
    copying.take_out(
        !spec.domains.is_empty(),
        "domain",
        "the domain is the first cluster's",
    );
    copying.take_out(
        !spec.domain_records.is_empty(),
        "domain_record",
        "these names are the first cluster's",
    );
    let endpoint = spec.endpoint.as_ref();
    let hostname = endpoint.is_some_and(|endpoint| endpoint.hostname.is_some());
    let domain = endpoint.is_some_and(|endpoint| endpoint.domain.is_some());
    let kept = endpoint.is_some_and(|endpoint| endpoint.reserved_ip.span.is_some());
    let why = "the name leads to the first cluster";
    if kept {
        copying.take_out(hostname, "endpoint.hostname", why);
        copying.take_out(domain, "endpoint.domain", why);
    } else {
        copying.take_out(hostname || domain, "endpoint", why);
    }
    if hostname && spec.server_count() > 1 && spec.api_load_balancer.is_none() {
        copying.text.append("[load_balancer.api]\n");
        copying.told(
            "load_balancer.api",
            "added: several servers without a hostname need one address",
        );
    }
}

/// What Argo CD does.
fn delivery(copying: &mut Copying, spec: &Spec) {
    let Some(gitops) = &spec.gitops else {
        return;
    };
    if gitops.delivery.value == Delivery::Git {
        copying.take_out(
            true,
            "gitops",
            "what `kplan render gitops` wrote there is the first cluster's, with its bucket; kplan \
             brings storage and backups into the copy",
        );
        return;
    }
    copying.take_out(
        gitops.ingress.is_some(),
        "gitops.ingress",
        "the host leads to the first cluster",
    );
}

/// A bucket of the copy's own.
fn store(copying: &mut Copying, spec: &Spec, backup: &Backup, wanted: &Wanted<'_>) {
    let begin: String = wanted.name.chars().take(IN_BUCKET).collect();
    let bucket = format!("{begin}-backup-{}", wanted.mark);
    let region = wanted.region.unwrap_or(spec.region());
    match &backup.store {
        BackupStore::Own { region: before, .. } => {
            let why = "the copy backs up into a bucket of its own";
            match (before.span.is_some(), has_spaces(region)) {
                (true, true) if wanted.region.is_some() => {
                    copying.set("backup.bucket", &bucket, why);
                    copying.set("backup.region", region, "beside the copy");
                }
                (false, false) => {
                    // The default would be a region without Spaces.
                    let with = [
                        format!("bucket = \"{bucket}\""),
                        format!("region = \"{}\"", before.as_str()),
                    ];
                    copying.exchange("backup.bucket", &with, why);
                }
                _ => copying.set("backup.bucket", &bucket, why),
            }
        }
        BackupStore::Existing { .. } => {
            let why = "the copy backs up into a bucket of its own, which kplan makes";
            copying.take_out(true, "backup.credentials", why);
            let mut with = vec![format!("bucket = \"{bucket}\"")];
            if !has_spaces(region) {
                with.push("region = \"nyc3\"".to_owned());
            }
            copying.text.exchange(&["backup", "store"], &with, why);
            copying.told(
                "backup.store",
                format!("is `{}` instead: {why}", with.join(", ")),
            );
        }
    }
}

/// A state in Spaces whose region was the cluster's stays where it is.
fn state(copying: &mut Copying, spec: &Spec, wanted: &Wanted<'_>) {
    let (StateBackend::S3(_), Some(address)) = (&spec.state.value, &wanted.state) else {
        return;
    };
    let moves = wanted.region.is_some_and(|region| region != spec.region());
    if moves {
        copying.set("state.backend", address, "the bucket stays in its region");
    }
}

/// The bucket in which both would put backups.
pub fn shared_bucket(first: &Spec, copy: &Spec) -> Option<String> {
    let bucket = |spec: &Spec| match spec.backup.as_ref().map(|backup| &backup.store)? {
        BackupStore::Own { bucket, .. } => Some(bucket.to_string()),
        BackupStore::Existing { place, .. } => Some(place.bucket.clone()),
    };
    bucket(first).filter(|one| bucket(copy).as_ref() == Some(one))
}

#[cfg(test)]
mod tests;
