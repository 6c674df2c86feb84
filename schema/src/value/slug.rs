//! DigitalOcean's slugs and the file's closed sets of words.

use super::{FromText, Invalid, text_newtype, unknown_word, word_enum};
use crate::code::Code;
use crate::suggest::shortened;

/// Regions that take new droplets, as DigitalOcean names them. (`ams1`, `ams2` and `sfo1` are
/// still in its API description but closed.)
pub const REGIONS: &[&str] = &[
    "ams3", "atl1", "blr1", "fra1", "lon1", "nyc1", "nyc2", "nyc3", "sfo2", "sfo3", "sgp1", "syd1",
    "tor1",
];

/// Regions that have Spaces, DigitalOcean's object store.
pub const SPACES_REGIONS: &[&str] = &[
    "ams3", "atl1", "blr1", "fra1", "lon1", "nyc3", "sfo2", "sfo3", "sgp1", "syd1", "tor1",
];

text_newtype!(
    /// A DigitalOcean region such as `fra1`; always one of [`REGIONS`].
    RegionSlug
);

impl RegionSlug {
    /// Whether Spaces buckets can be made in this region.
    pub fn has_spaces(&self) -> bool {
        SPACES_REGIONS.contains(&self.as_str())
    }
}

impl FromText for RegionSlug {
    fn from_text(text: &str) -> Result<Self, Invalid> {
        if REGIONS.contains(&text) {
            return Ok(Self(text.to_owned()));
        }
        Err(unknown_word(
            text,
            REGIONS,
            "Everything the cluster needs is created in its region, so the region has to exist.",
        ))
    }

    fn stand_in() -> Self {
        Self("fra1".to_owned())
    }
}

/// A droplet size such as `s-2vcpu-4gb` or `c-4`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SizeSlug {
    text: String,
    vcpus: u32,
    memory_mib: Option<u32>,
}

impl SizeSlug {
    /// The slug as DigitalOcean writes it.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Number of virtual CPUs, read from the slug.
    pub fn vcpus(&self) -> u32 {
        self.vcpus
    }

    /// Memory in MiB, read from the slug; `None` for short slugs such as `c-4` that do not say.
    pub fn memory_mib(&self) -> Option<u32> {
        self.memory_mib
    }
}

impl std::fmt::Display for SizeSlug {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromText for SizeSlug {
    fn from_text(text: &str) -> Result<Self, Invalid> {
        if let Some((vcpus, memory_mib)) = read_size(text) {
            return Ok(Self {
                text: text.to_owned(),
                vcpus,
                memory_mib,
            });
        }
        let replacement = repaired_size(text);
        Err(Invalid::new(
            Code::SizeInvalid,
            format!("`{}` is not a droplet size", shortened(text)),
            "DigitalOcean names sizes by family, CPUs and memory, in lower case: `s-2vcpu-4gb`, \
             `g-4vcpu-16gb`, `c-4`.",
            match &replacement {
                Some(slug) => format!("Did you mean `{slug}`?"),
                None => "Take a slug from the size list in DigitalOcean's API or control panel, \
                         for example `s-2vcpu-4gb`."
                    .to_owned(),
            },
        )
        .with_replacement(replacement))
    }

    fn stand_in() -> Self {
        Self {
            text: "s-2vcpu-4gb".to_owned(),
            vcpus: 2,
            memory_mib: Some(4096),
        }
    }
}

/// CPUs and memory of `<family>-<n>vcpu-<m>gb[-…]` or of the short form `<family>-<n>`.
fn read_size(text: &str) -> Option<(u32, Option<u32>)> {
    let mut parts = text.split('-');
    let family = parts.next()?;
    let family_ok = family.len() <= 8
        && family.starts_with(|c: char| c.is_ascii_lowercase())
        && family
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
    if !family_ok {
        return None;
    }
    let cpus = parts.next()?;
    let Some(count) = cpus.strip_suffix("vcpu") else {
        // The oldest CPU-optimised sizes say only the number of CPUs: `c-2`.
        return (parts.next().is_none() && text.len() <= 32)
            .then(|| positive(cpus).map(|n| (n, None)))
            .flatten();
    };
    let vcpus = positive(count)?;
    let memory = memory_mib(parts.next()?)?;
    let suffix_ok = parts.all(|part| {
        !part.is_empty()
            && part
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
    });
    (suffix_ok && text.len() <= 64).then_some((vcpus, Some(memory)))
}

fn memory_mib(part: &str) -> Option<u32> {
    if let Some(gib) = part.strip_suffix("gb") {
        return positive(gib)?.checked_mul(1024);
    }
    positive(part.strip_suffix("mb")?)
}

fn positive(digits: &str) -> Option<u32> {
    if digits.is_empty() || digits.starts_with('0') || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    digits.parse().ok()
}

/// The usual slips: capitals, spaces or underscores, `cpu` for `vcpu`, `gib` for `gb`, no family.
fn repaired_size(text: &str) -> Option<String> {
    let mut slug = text.trim().to_ascii_lowercase().replace(['_', ' '], "-");
    slug = slug.replace("gib", "gb").replace("vcpus", "vcpu");
    if !slug.contains("vcpu") {
        slug = slug.replace("cpu", "vcpu");
    }
    let candidates = [slug.clone(), format!("s-{slug}"), format!("{slug}gb")];
    candidates
        .into_iter()
        .find(|candidate| candidate != text && read_size(candidate).is_some())
}

/// A managed database plan such as `db-s-1vcpu-2gb`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DatabaseSize {
    text: String,
    memory_gib: u32,
}

/// Connections DigitalOcean grants per GiB of a database plan's memory…
const CONNECTIONS_PER_GIB: u32 = 25;
/// …less those it keeps for its own maintenance.
const RESERVED_CONNECTIONS: u32 = 3;

impl DatabaseSize {
    /// The slug as DigitalOcean writes it.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Memory of one node in GiB.
    pub fn memory_gib(&self) -> u32 {
        self.memory_gib
    }

    /// Connections left to clients: 25 for each GiB of memory less 3, as DigitalOcean documents
    /// for its connection pools.
    pub fn connections(&self) -> u32 {
        self.memory_gib
            .saturating_mul(CONNECTIONS_PER_GIB)
            .saturating_sub(RESERVED_CONNECTIONS)
    }
}

impl std::fmt::Display for DatabaseSize {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromText for DatabaseSize {
    fn from_text(text: &str) -> Result<Self, Invalid> {
        // `db-s-1vcpu-2gb`, `db-intel-2vcpu-8gb`, but also plain `gd-2vcpu-8gb`, `m-2vcpu-16gb`.
        let plan = text.strip_prefix("db-").unwrap_or(text);
        if let Some((_, Some(mib))) = read_size(plan).filter(|_| !text.starts_with("s-"))
            && mib >= 1024
        {
            return Ok(Self {
                text: text.to_owned(),
                memory_gib: mib / 1024,
            });
        }
        let lower = text.trim().to_ascii_lowercase();
        let droplet = lower.strip_prefix("db-").unwrap_or(&lower);
        let replacement = read_size(droplet)
            .map(|_| droplet.to_owned())
            .or_else(|| repaired_size(droplet))
            .map(|slug| format!("db-{slug}"))
            .filter(|slug| slug != text);
        Err(Invalid::new(
            Code::SizeInvalid,
            format!("`{}` is not a database plan", shortened(text)),
            "Managed databases have plans of their own, named like `db-s-1vcpu-2gb`.",
            match &replacement {
                Some(slug) => format!("Did you mean `{slug}`?"),
                None => "Use for example `db-s-1vcpu-2gb` or `db-s-2vcpu-4gb`.".to_owned(),
            },
        )
        .with_replacement(replacement))
    }

    fn stand_in() -> Self {
        Self {
            text: "db-s-1vcpu-2gb".to_owned(),
            memory_gib: 2,
        }
    }
}

text_newtype!(
    /// A droplet image: a slug such as `ubuntu-24-04-x64`, or the number of a snapshot.
    ImageSlug
);

impl ImageSlug {
    pub(crate) fn default_image() -> Self {
        Self("ubuntu-24-04-x64".to_owned())
    }
}

impl FromText for ImageSlug {
    fn from_text(text: &str) -> Result<Self, Invalid> {
        let shape = !text.is_empty()
            && text.len() <= 64
            && text
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
            && !text.starts_with('-')
            && !text.ends_with('-');
        if shape {
            return Ok(Self(text.to_owned()));
        }
        let repaired = text
            .trim()
            .to_ascii_lowercase()
            .replace(['.', '_', ' '], "-");
        let replacement = (repaired == "ubuntu-24-04" || repaired == "ubuntu-24-04-x64")
            .then(|| "ubuntu-24-04-x64".to_owned());
        Err(Invalid::new(
            Code::ImageInvalid,
            format!("`{}` is not an image slug", shortened(text)),
            "DigitalOcean names images in lower-case letters, digits and hyphens.",
            "Use for example `ubuntu-24-04-x64`.",
        )
        .with_replacement(replacement))
    }

    fn stand_in() -> Self {
        Self("ubuntu-24-04-x64".to_owned())
    }
}

word_enum!(
    /// What a project is for; DigitalOcean stores these exact words.
    Environment, "DigitalOcean knows three environments, spelt with a capital." {
        /// Trying things out.
        Development = "Development",
        /// The last stop before production.
        Staging = "Staging",
        /// What users depend on.
        Production = "Production",
    }
);

word_enum!(
    /// Who brings storage, backups and add-ons into the cluster.
    Delivery, "What runs on the cluster is applied by kplan, or by Argo CD from Git." {
        /// kplan applies them.
        Apply = "apply",
        /// Argo CD does, from the repository.
        Git = "git",
    }
);

word_enum!(
    /// What holds the cluster's state.
    Datastore, "K3s keeps the cluster's state in one of these datastores." {
        /// A file on the only server.
        Sqlite = "sqlite",
        /// etcd on the servers themselves; an odd number of them.
        Etcd = "etcd",
        /// A managed PostgreSQL.
        Postgres = "postgres",
        /// A managed `MySQL`.
        Mysql = "mysql",
    }
);

impl Datastore {
    /// Whether it is a managed database.
    pub const fn is_managed(self) -> bool {
        matches!(self, Self::Postgres | Self::Mysql)
    }

    /// The managed database's engine as DigitalOcean's API names it.
    pub const fn engine(self) -> Option<&'static str> {
        match self {
            Self::Postgres => Some("pg"),
            Self::Mysql => Some("mysql"),
            Self::Sqlite | Self::Etcd => None,
        }
    }
}

word_enum!(
    /// File systems DigitalOcean makes on new volumes.
    FilesystemType, "DigitalOcean can format a new volume with one of two file systems." {
        /// ext4
        Ext4 = "ext4",
        /// XFS
        Xfs = "xfs",
    }
);
