//! The leaves of the file as types: a value of one of these types is valid by construction.

mod addon;
mod address;
mod block;
mod dns;
mod git;
mod kube;
mod name;
mod net;
mod secret;
mod slug;
mod store;
mod time;
mod version;

pub use addon::{ArtifactUrl, ChartName, ChartRepository, ChartVersion, LocalFile, Sha256};
pub use address::{DriftRule, ResourceAddress};
pub use block::{
    AddressRange, BalancerSource, BlockRef, BucketAcl, CheckProtocol, DatabaseEngine,
    DatabaseRuleType, DropletRef, EntryProtocol, FirewallProtocol, PortRange, Power,
    TargetProtocol, UserData,
};
pub use dns::{Domain, RecordName, RecordType, record_label};
pub use git::{RepoPath, RepoUrl};
pub use kube::{LabelValue, Taint, TaintEffect};
pub use name::{BucketName, DnsLabel, Hostname, ResourceName, SqlName, SshPublicKey, Tag};
pub use net::Cidr;
pub use secret::SecretSource;
pub use slug::{
    DatabaseSize, Datastore, Delivery, Environment, FilesystemType, ImageSlug, REGIONS, RegionSlug,
    SPACES_REGIONS, SizeSlug,
};
pub use store::{AccessKey, S3Place, StateBackend};
pub use time::{CronSchedule, Retention};
pub use version::{
    ArgoCdVersion, DEFAULT_ARGOCD_VERSION, DEFAULT_K3S_VERSION, DEFAULT_VELERO_VERSION,
    DatabaseVersion, K3sVersion, TESTED_K3S_VERSIONS, VeleroVersion,
};

pub(crate) use kube::label_key;
pub(crate) use secret::env_name;

use crate::code::Code;

/// Why a text is not a valid value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Invalid {
    /// The stable code to report.
    pub(crate) code: Code,
    /// What is wrong.
    pub(crate) what: String,
    /// Why it matters.
    pub(crate) why: String,
    /// What to do.
    pub(crate) remedy: String,
    /// The whole text that would be valid, when one is known.
    pub(crate) replacement: Option<String>,
}

impl Invalid {
    pub(crate) fn new(
        code: Code,
        what: impl Into<String>,
        why: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self {
            code,
            what: what.into(),
            why: why.into(),
            remedy: remedy.into(),
            replacement: None,
        }
    }

    pub(crate) fn with_replacement(mut self, replacement: Option<String>) -> Self {
        self.replacement = replacement;
        self
    }
}

/// A leaf that is made from a TOML string.
pub(crate) trait FromText: Sized {
    /// The value, or everything a report needs to say about why not.
    fn from_text(text: &str) -> Result<Self, Invalid>;

    /// A valid value that takes the place of one that could not be read, so that the rest of the
    /// file can still be judged. No finding about it is ever shown.
    fn stand_in() -> Self;
}

impl FromText for String {
    fn from_text(text: &str) -> Result<Self, Invalid> {
        Ok(text.to_owned())
    }

    fn stand_in() -> Self {
        Self::new()
    }
}

/// A newtype over `String` whose only constructor is its [`FromText`].
macro_rules! text_newtype {
    ($(#[$meta:meta])* $name:ident) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub(super) String);

        impl $name {
            /// The text as written.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}
pub(crate) use text_newtype;

/// A closed set of words: the enum, its words, and how a wrong word is reported.
macro_rules! word_enum {
    ($(#[$meta:meta])* $name:ident, $why:literal {
        $($(#[$variant_meta:meta])* $variant:ident = $word:literal),* $(,)?
    }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name {
            $($(#[$variant_meta])* $variant),*
        }

        impl $name {
            /// Every word the file may hold here.
            pub const WORDS: &'static [&'static str] = &[$($word),*];

            /// The word the file and the outside world use.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word),*
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl $crate::value::FromText for $name {
            fn from_text(text: &str) -> Result<Self, $crate::value::Invalid> {
                match text {
                    $($word => Ok(Self::$variant),)*
                    _ => Err($crate::value::unknown_word(text, Self::WORDS, $why)),
                }
            }

            fn stand_in() -> Self {
                [$(Self::$variant),*][0]
            }
        }
    };
}
pub(crate) use word_enum;

/// The report for a word outside a closed set.
pub(crate) fn unknown_word(text: &str, words: &[&str], why: &str) -> Invalid {
    let nearest = crate::suggest::nearest(text, words.iter().copied()).map(str::to_owned);
    let remedy = match &nearest {
        Some(word) => format!("Did you mean `{word}`? Known here: {}.", words.join(", ")),
        None => format!("Use one of: {}.", words.join(", ")),
    };
    Invalid::new(
        Code::UnknownValue,
        format!("unknown value `{}`", crate::suggest::shortened(text)),
        why,
        remedy,
    )
    .with_replacement(nearest)
}

#[cfg(test)]
mod tests;
