//! Recovery kits: what a cluster is made again from on an empty machine. Encrypted to those who can
//! read the state, signed by a key whose public half is in `kplan.lock`, in the backup bucket and
//! beside the state.

pub mod frame;
mod keeper;

pub use keeper::{Keeper, LOCAL_COPY, objects_at, trusted_in};

/// Before the names of files that `cluster.toml` names beside it, in a kit.
pub const BESIDE: &str = "beside/";

/// Kits that stay in the bucket: one for each of the last applies.
pub const KEPT: usize = 10;

/// What a kit's key in a bucket says: of which state, made when. Keys of one state sort by time.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Name {
    /// When it was made, in milliseconds since 1970.
    pub at: i64,
    /// The state's serial then.
    pub serial: u64,
    /// The beginning of the state's lineage.
    pub lineage: String,
    /// The beginning of its SHA-256.
    pub digest: String,
}

impl Name {
    /// The name of a kit.
    pub fn of(frame: &frame::Frame) -> Self {
        let header = &frame.header;
        Self {
            at: header.at,
            serial: header.serial,
            lineage: header.lineage.chars().take(8).collect(),
            digest: frame.digest.chars().take(16).collect(),
        }
    }

    /// Reads one; nothing for what is no kit's.
    pub fn parse(key: &str) -> Option<Self> {
        let mut parts = key.strip_suffix(".kit")?.split('-');
        let name = Self {
            at: parts.next()?.parse().ok()?,
            serial: parts.next()?.parse().ok()?,
            lineage: parts.next()?.to_owned(),
            digest: parts.next()?.to_owned(),
        };
        (parts.next().is_none() && name.to_string() == key).then_some(name)
    }
}

impl std::fmt::Display for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            at,
            serial,
            lineage,
            digest,
        } = self;
        write!(f, "{at:015}-{serial:010}-{lineage}-{digest}.kit")
    }
}

/// Those of a state that are more than [`KEPT`], the oldest first. Nothing of another state's, and
/// nothing that is no kit.
pub fn too_many(keys: &[String], lineage: &str) -> Vec<String> {
    let lineage: String = lineage.chars().take(8).collect();
    let own = keys.iter().filter_map(|key| Name::parse(key));
    let mut own: Vec<Name> = own.filter(|name| name.lineage == lineage).collect();
    own.sort();
    own.truncate(own.len().saturating_sub(KEPT));
    own.iter().map(ToString::to_string).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(at: i64, serial: u64, lineage: &str) -> String {
        format!("{at:015}-{serial:010}-{lineage}-0123456789abcdef.kit")
    }

    #[test]
    fn only_the_oldest_of_ones_own_state_go_whatever_their_serials() {
        let mut keys: Vec<String> = (0..12)
            .map(|at| key(at, 100 - at.unsigned_abs(), "aaaaaaaa"))
            .collect();
        keys.extend((0..12).map(|at| key(900 + at, 1, "bbbbbbbb")));
        keys.extend((0..12).map(|junk| format!("zzz{junk}.kit")));
        assert_eq!(too_many(&keys, "aaaaaaaa-1"), keys[..2]);
        assert_eq!(Name::parse("zzz0.kit"), None);
        assert_eq!(Name::parse("999999999999-0.kit"), None);
        assert_eq!(Name::parse(&keys[0]).unwrap().to_string(), keys[0]);
    }
}
