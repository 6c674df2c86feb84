//! What the blocks are called, and how they call each other: by address where something has one, by
//! id where it has none.

use super::block::Key;
use kplan_schema::value::DnsLabel;
use std::collections::{BTreeMap, BTreeSet};

/// The longest label.
const LONGEST: usize = 63;

/// Labels that are never given: what kplan makes for its cluster has them, or the file's own tables.
const RESERVED: [(&str, &str); 5] = [
    ("vpc", "main"),
    ("load_balancer", "api"),
    ("reserved_ip", "api"),
    ("domain_record", "api"),
    ("droplet", "servers"),
];

/// Addresses, given and taken.
#[derive(Clone, Debug, Default)]
pub(super) struct Names {
    taken: BTreeSet<(String, String)>,
    given: BTreeMap<Key, String>,
    /// Of each pool, how many there are.
    pools: BTreeMap<String, usize>,
}

impl Names {
    /// None of these is given again.
    pub(super) fn beside(taken: impl IntoIterator<Item = (String, String)>) -> Self {
        let reserved = RESERVED.map(|(kind, name)| (kind.to_owned(), name.to_owned()));
        Self {
            taken: taken.into_iter().chain(reserved).collect(),
            ..Self::default()
        }
    }

    /// The label of something that would be called so: with a number where that is taken.
    pub(super) fn label(&mut self, key: &Key, wanted: &DnsLabel) -> String {
        let label = self.free(key.0, wanted.as_str());
        self.give(key, format!("{}.{label}", key.0));
        label
    }

    /// A name of this kind that nothing has, as near as can be to what is wanted.
    pub(super) fn free(&mut self, kind: &str, wanted: &str) -> String {
        let tries = std::iter::once(wanted.to_owned()).chain((2_u32..).map(|number| {
            let tail = format!("-{number}");
            let head: String = wanted.chars().take(LONGEST - tail.len()).collect();
            format!("{}{tail}", head.trim_end_matches('-'))
        }));
        for label in tries {
            if self.taken.insert((kind.to_owned(), label.clone())) {
                return label;
            }
        }
        // There are more numbers than there is memory for labels.
        wanted.to_owned()
    }

    /// Gives something an address.
    pub(super) fn give(&mut self, key: &Key, address: String) {
        self.given.insert(key.clone(), address);
    }

    /// Notes how many droplets a pool has.
    pub(super) fn pool(&mut self, name: &str, count: usize) {
        self.pools.insert(name.to_owned(), count);
    }

    /// The address of something that has one.
    pub(super) fn address(&self, kind: &'static str, id: &str) -> Option<&str> {
        self.given.get(&(kind, id.to_owned())).map(String::as_str)
    }

    /// What a block is called by others: its label, or its id where it is in no file.
    pub(super) fn block(&self, kind: &'static str, id: &str) -> String {
        let label = self.address(kind, id).and_then(|it| it.split_once('.'));
        label.map_or(id, |(_, label)| label).to_owned()
    }

    /// One droplet.
    pub(super) fn droplet(&self, id: &str) -> String {
        self.address("droplet", id).unwrap_or(id).to_owned()
    }

    /// Droplets; a pool of which all are meant by its name alone, so that those who join it are too.
    pub(super) fn droplets<T: AsRef<str>>(&self, ids: &[T]) -> Vec<String> {
        let all: BTreeSet<String> = ids.iter().map(|id| self.droplet(id.as_ref())).collect();
        let of_pool = |address: &str| {
            let (pool, _) = address.strip_prefix("droplet.")?.split_once('[')?;
            Some(pool.to_owned())
        };
        let mut counted: BTreeMap<String, usize> = BTreeMap::new();
        for pool in all.iter().filter_map(|address| of_pool(address)) {
            *counted.entry(pool).or_default() += 1;
        }
        let whole = |pool: &String| self.pools.get(pool) == counted.get(pool);
        let named = all.into_iter().map(|address| match of_pool(&address) {
            Some(pool) if whole(&pool) => format!("droplet.{pool}"),
            _ => address,
        });
        named.collect::<BTreeSet<String>>().into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(kind: &'static str, id: &str) -> Key {
        (kind, id.to_owned())
    }

    #[test]
    fn two_of_one_name_get_two_labels_and_none_that_is_taken() {
        let mut names = Names::beside([("droplet".to_owned(), "web-2".to_owned())]);
        let web = DnsLabel::of("Web");
        assert_eq!(names.label(&key("droplet", "1"), &web), "web");
        assert_eq!(names.label(&key("droplet", "2"), &web), "web-3");
        assert_eq!(
            names.label(&key("vpc", "3"), &DnsLabel::of("main")),
            "main-2"
        );
        let long = DnsLabel::of(&"a".repeat(63));
        names.label(&key("volume", "4"), &long);
        assert_eq!(names.label(&key("volume", "5"), &long).len(), 63);
        assert_eq!(names.droplet("2"), "droplet.web-3");
        assert_eq!(names.droplet("99"), "99");
        assert_eq!(names.block("vpc", "3"), "main-2");
    }

    #[test]
    fn a_whole_pool_is_called_by_its_name() {
        let mut names = Names::default();
        for (index, id) in ["7", "8"].iter().enumerate() {
            names.give(&key("droplet", id), format!("droplet.workers[{index}]"));
        }
        names.pool("workers", 2);
        assert_eq!(names.droplets(&["8", "7", "9"]), ["9", "droplet.workers"]);
        assert_eq!(names.droplets(&["8"]), ["droplet.workers[1]"]);
    }
}
