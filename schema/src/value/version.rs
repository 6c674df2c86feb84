//! Versions of the components kplan installs.

use super::{Datastore, FromText, Invalid, text_newtype};
use crate::code::Code;
use crate::suggest::{nearest, shortened};

/// K3s versions this kplan is tested with, oldest first.
pub const TESTED_K3S_VERSIONS: &[&str] = &["v1.34.9+k3s1", "v1.35.6+k3s1", "v1.36.2+k3s1"];

/// The newest tested K3s that every default component supports.
pub const DEFAULT_K3S_VERSION: &str = "v1.35.6+k3s1";

/// Argo CD's default version.
pub const DEFAULT_ARGOCD_VERSION: &str = "v3.4.7";

/// Velero's default version.
pub const DEFAULT_VELERO_VERSION: &str = "v1.17.2";

/// A K3s release such as `v1.35.6+k3s1`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct K3sVersion {
    major: u32,
    minor: u32,
    patch: u32,
    release: u32,
}

impl K3sVersion {
    /// Kubernetes' minor version: 35 for `v1.35.6+k3s1`.
    pub fn minor(&self) -> u32 {
        self.minor
    }

    /// The version of Kubernetes inside, such as `v1.35.6`.
    pub fn kubernetes(&self) -> String {
        format!("v{}.{}.{}", self.major, self.minor, self.patch)
    }

    /// Whether it is one of [`TESTED_K3S_VERSIONS`].
    pub fn is_tested(&self) -> bool {
        TESTED_K3S_VERSIONS.contains(&self.to_string().as_str())
    }

    pub(crate) fn default_version() -> Self {
        Self {
            major: 1,
            minor: 35,
            patch: 6,
            release: 1,
        }
    }
}

impl std::fmt::Display for K3sVersion {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "v{}.{}.{}+k3s{}",
            self.major, self.minor, self.patch, self.release
        )
    }
}

impl FromText for K3sVersion {
    fn from_text(text: &str) -> Result<Self, Invalid> {
        let parsed = text.strip_prefix('v').and_then(|rest| {
            let (kubernetes, release) = rest.split_once("+k3s")?;
            let [major, minor, patch] = three_numbers(kubernetes)?;
            Some(Self {
                major,
                minor,
                patch,
                release: number(release)?,
            })
        });
        if let Some(version) = parsed {
            return Ok(version);
        }
        let kubernetes = text.trim().trim_start_matches('v');
        let kubernetes = kubernetes.split(['+', '-']).next().unwrap_or_default();
        let same_minor = |tested: &&&str| {
            let minor = |v: &str| v.split('.').take(2).collect::<Vec<_>>().join(".");
            minor(tested.trim_start_matches('v')) == minor(kubernetes)
        };
        let replacement = TESTED_K3S_VERSIONS
            .iter()
            .find(same_minor)
            .copied()
            .or_else(|| nearest(text, TESTED_K3S_VERSIONS.iter().copied()));
        Err(Invalid::new(
            Code::VersionInvalid,
            format!("`{}` is not a K3s version", shortened(text)),
            "K3s releases are named by Kubernetes' version and K3s's own, with a leading `v`; \
             channels such as `stable` move and would make every apply different.",
            match replacement {
                Some(version) => format!("Did you mean `{version}`?"),
                None => format!("Use one of: {}.", TESTED_K3S_VERSIONS.join(", ")),
            },
        )
        .with_replacement(replacement.map(str::to_owned)))
    }

    fn stand_in() -> Self {
        Self::default_version()
    }
}

fn three_numbers(text: &str) -> Option<[u32; 3]> {
    let mut parts = text.split('.').map(number);
    let numbers = [parts.next()??, parts.next()??, parts.next()??];
    parts.next().is_none().then_some(numbers)
}

fn number(text: &str) -> Option<u32> {
    let plain = !text.is_empty()
        && text.bytes().all(|b| b.is_ascii_digit())
        && (text.len() == 1 || !text.starts_with('0'));
    plain.then(|| text.parse().ok()).flatten()
}

/// A release tag of three numbers behind a `v`.
macro_rules! release_tag {
    ($(#[$meta:meta])* $name:ident, $what:literal, $default:ident) => {
        text_newtype!($(#[$meta])* $name);

        impl $name {
            /// Major, minor and patch number.
            pub fn numbers(&self) -> (u32, u32, u32) {
                match self.0.strip_prefix('v').and_then(three_numbers) {
                    Some([major, minor, patch]) => (major, minor, patch),
                    None => (0, 0, 0),
                }
            }

            pub(crate) fn default_version() -> Self {
                Self($default.to_owned())
            }
        }

        impl FromText for $name {
            fn from_text(text: &str) -> Result<Self, Invalid> {
                if text.strip_prefix('v').and_then(three_numbers).is_some() {
                    return Ok(Self(text.to_owned()));
                }
                let with_v = format!("v{}", text.trim());
                let replacement =
                    with_v.strip_prefix('v').and_then(three_numbers).is_some().then_some(with_v);
                Err(Invalid::new(
                    Code::VersionInvalid,
                    format!(concat!("`{}` is not a version of ", $what), shortened(text)),
                    "A release is pinned by its full tag; a branch or channel moves and would make \
                     every apply different.",
                    format!("Write it like `{}`.", replacement.as_deref().unwrap_or($default)),
                )
                .with_replacement(replacement))
            }

            fn stand_in() -> Self {
                Self::default_version()
            }
        }
    };
}

release_tag!(
    /// An Argo CD release such as `v3.4.7`.
    ArgoCdVersion, "Argo CD", DEFAULT_ARGOCD_VERSION
);

release_tag!(
    /// A Velero release such as `v1.17.2`.
    VeleroVersion, "Velero", DEFAULT_VELERO_VERSION
);

/// A managed database's engine version: a major number such as `16`, or `8.4`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DatabaseVersion {
    text: String,
    major: u32,
}

impl DatabaseVersion {
    /// The version as DigitalOcean writes it.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The number before the first dot.
    pub fn major(&self) -> u32 {
        self.major
    }
}

impl DatabaseVersion {
    pub(crate) fn default_for(datastore: Datastore) -> Self {
        match datastore {
            Datastore::Mysql => Self {
                text: "8".to_owned(),
                major: 8,
            },
            _ => Self {
                text: "16".to_owned(),
                major: 16,
            },
        }
    }
}

impl std::fmt::Display for DatabaseVersion {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromText for DatabaseVersion {
    fn from_text(text: &str) -> Result<Self, Invalid> {
        let (first, rest) = match text.split_once('.') {
            Some((first, rest)) => (first, Some(rest)),
            None => (text, None),
        };
        match (
            number(first),
            rest.is_none_or(|rest| number(rest).is_some()),
        ) {
            (Some(major), true) => Ok(Self {
                text: text.to_owned(),
                major,
            }),
            _ => Err(Invalid::new(
                Code::VersionInvalid,
                format!("`{}` is not a database version", shortened(text)),
                "DigitalOcean names engine versions by number.",
                "Write it like `\"16\"` for PostgreSQL or `\"8\"` for MySQL.",
            )),
        }
    }

    fn stand_in() -> Self {
        Self {
            text: "16".to_owned(),
            major: 16,
        }
    }
}
