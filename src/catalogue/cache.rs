//! Lists kept for a day in the cache folder. Nothing rests on it: what cannot be kept is read again.

use crate::artifacts::cache_root;
use crate::wire::{Cloud, SystemClock};
use kplan_engine::clock::Clock as _;
use kplan_model::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// How long a list is kept: DigitalOcean sells something new a few times a year.
const KEPT_MILLIS: i64 = 24 * 60 * 60 * 1000;
/// Grows when what is kept changes its form.
const FORMAT: u32 = 1;

#[derive(Serialize, Deserialize)]
struct Kept<T> {
    format: u32,
    /// The program that kept it: what the embedded cloud sells is a part of it.
    kplan: String,
    /// The API it was read from.
    api: String,
    read_at: i64,
    list: T,
}

/// The lists of one API.
pub(super) struct Cache {
    folder: PathBuf,
    api: String,
    now: Timestamp,
}

impl Cache {
    /// That of a cloud. The embedded cloud's port is another one each time it is started, and what it
    /// sells is not.
    pub(super) fn of(cloud: &Cloud) -> Self {
        let api = if cloud.embedded {
            "sandbox".to_owned()
        } else {
            cloud.api_url.clone()
        };
        Self {
            folder: cache_root().join("catalogue").join(folder_name(&api)),
            api,
            now: SystemClock.now(),
        }
    }

    /// The list of that name, where it was kept within the last day.
    pub(super) fn get<T: DeserializeOwned>(&self, name: &str) -> Option<T> {
        let bytes = std::fs::read(self.path(name)).ok()?;
        let kept: Kept<T> = serde_json::from_slice(&bytes).ok()?;
        let age = self.now.0.checked_sub(kept.read_at)?;
        let ours = kept.format == FORMAT
            && kept.kplan == env!("CARGO_PKG_VERSION")
            && kept.api == self.api
            && (0..KEPT_MILLIS).contains(&age);
        ours.then_some(kept.list)
    }

    /// Keeps it. A folder that cannot be written to costs nothing but the next plan's calls.
    pub(super) fn put<T: Serialize>(&self, name: &str, list: &T) {
        drop(self.write(name, list));
    }

    fn write<T: Serialize>(&self, name: &str, list: &T) -> io::Result<()> {
        let kept = Kept {
            format: FORMAT,
            kplan: env!("CARGO_PKG_VERSION").to_owned(),
            api: self.api.clone(),
            read_at: self.now.0,
            list,
        };
        let bytes = serde_json::to_vec(&kept)?;
        std::fs::create_dir_all(&self.folder)?;
        // Two plans at once write two files, and the last one's name wins whole.
        let made = self.folder.join(format!("{name}.{}", std::process::id()));
        write_whole(&made, &bytes)
            .and_then(|()| std::fs::rename(&made, self.path(name)))
            .inspect_err(|_| drop(std::fs::remove_file(&made)))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.json"))
    }
}

fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    std::fs::File::create(path)?.write_all(bytes)
}

/// An address as the name of a folder; what is kept says the address itself.
fn folder_name(api: &str) -> String {
    let safe = |c: char| {
        if c.is_ascii_alphanumeric() || c == '.' {
            c
        } else {
            '-'
        }
    };
    api.chars().map(safe).take(100).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cache(folder: &Path, api: &str, now: i64) -> Cache {
        Cache {
            folder: folder.to_owned(),
            api: api.to_owned(),
            now: Timestamp(now),
        }
    }

    fn kept(cache: &Cache) -> Option<Vec<u32>> {
        cache.get("sizes")
    }

    #[test]
    fn a_list_is_kept_for_a_day_and_for_its_own_api() {
        let folder = tempfile::tempdir().unwrap();
        let begin = 1_790_000_000_000;
        let at = |api: &str, later: i64| cache(folder.path(), api, begin + later);
        at("https://a", 0).put("sizes", &[1, 2]);
        assert_eq!(kept(&at("https://a", KEPT_MILLIS - 1)), Some(vec![1, 2]));
        assert_eq!(kept(&at("https://a", KEPT_MILLIS)), None);
        assert_eq!(kept(&at("https://a", -1)), None, "kept in the future");
        assert_eq!(kept(&at("https://b", 0)), None);
        let names: Vec<_> = std::fs::read_dir(folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        assert_eq!(names, ["sizes.json"]);
    }

    #[test]
    fn what_is_damaged_or_cannot_be_written_is_as_if_nothing_was_kept() {
        let folder = tempfile::tempdir().unwrap();
        let whole = cache(folder.path(), "https://a", 1);
        std::fs::write(folder.path().join("sizes.json"), b"{\"format\":1,").unwrap();
        assert_eq!(kept(&whole), None);
        let no_folder = folder.path().join("sizes.json").join("below-a-file");
        let lost = cache(&no_folder, "https://a", 1);
        lost.put("sizes", &[1]);
        assert_eq!(kept(&lost), None);
    }

    #[test]
    fn an_address_makes_a_folder_of_one_name() {
        assert_eq!(
            folder_name("https://api.digitalocean.com/../x"),
            "https---api.digitalocean.com-..-x"
        );
    }
}
