//! Helm's chart repositories: an index that says where each version's archive is.

use super::fetch::Fetcher;
use kplan_model::{ErrorKind, ProviderError};
use serde::Deserialize;
use std::collections::BTreeMap;

/// Larger than any index: the largest have some 20 MB.
const MAX_INDEX: u64 = 128 << 20;

#[derive(Deserialize)]
struct Index {
    entries: BTreeMap<String, Vec<Entry>>,
}

#[derive(Deserialize)]
struct Entry {
    version: String,
    #[serde(default)]
    urls: Vec<String>,
}

fn refused(message: String, help: &str) -> ProviderError {
    ProviderError::new(ErrorKind::Invalid, message).help(help)
}

impl Fetcher {
    /// The address of a chart's archive, by its repository's index. Where a mirror has everything,
    /// nobody is asked, and it is empty.
    ///
    /// # Errors
    /// `Transient` where the index cannot be fetched, `Invalid` where it has no such chart or no
    /// such version.
    pub async fn chart_archive(
        &self,
        repo: &str,
        chart: &str,
        version: &str,
    ) -> Result<String, ProviderError> {
        if self.mirror.is_some() {
            return Ok(String::new());
        }
        let address = format!("{repo}/index.yaml");
        let bytes = self.text(&address, MAX_INDEX).await?;
        archive_in(&bytes, repo, chart, version)
    }
}

fn archive_in(
    index: &[u8],
    repo: &str,
    chart: &str,
    version: &str,
) -> Result<String, ProviderError> {
    let index: Index = serde_norway::from_slice(index).map_err(|error| {
        refused(
            format!("{repo}/index.yaml is no index of a chart repository: {error}"),
            "check the repository's address",
        )
    })?;
    let Some(entries) = index.entries.get(chart) else {
        let known: Vec<&str> = index.entries.keys().map(String::as_str).take(10).collect();
        return Err(refused(
            format!("{repo} has no chart {chart}"),
            &format!("it has {}", known.join(", ")),
        ));
    };
    // Some repositories write the `v` that others leave out.
    let plain = |text: &str| text.trim_start_matches('v').to_owned();
    let found = entries
        .iter()
        .find(|entry| plain(&entry.version) == plain(version));
    let Some(url) = found.and_then(|entry| entry.urls.first()) else {
        let known = entries.iter().take(5).map(|entry| entry.version.as_str());
        let known: Vec<&str> = known.collect();
        return Err(refused(
            format!("{repo} has no version {version} of {chart}"),
            &format!("its newest are {}", known.join(", ")),
        ));
    };
    match url.split_once("://") {
        None => Ok(format!("{repo}/{}", url.trim_start_matches('/'))),
        Some(("https", _)) => Ok(url.clone()),
        Some((scheme, _)) => Err(refused(
            format!("{repo} keeps {chart} {version} behind {scheme}"),
            "kplan fetches charts over HTTPS; where the project releases a manifest, use that",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INDEX: &[u8] = b"apiVersion: v1\nentries:\n  app:\n  - version: 1.2.3\n    \
        urls: [https://example.org/app-1.2.3.tgz]\n  - version: v1.2.2\n    urls: [charts/app-1.2.2.tgz]\n  - \
        version: 1.2.1\n    urls: ['oci://example.org/app:1.2.1']\n";

    #[test]
    fn an_archive_is_found_by_the_index() {
        let at = |chart, version| archive_in(INDEX, "https://charts.example.org", chart, version);
        assert_eq!(
            at("app", "1.2.3").unwrap(),
            "https://example.org/app-1.2.3.tgz"
        );
        assert_eq!(
            at("app", "v1.2.3").unwrap(),
            "https://example.org/app-1.2.3.tgz"
        );
        let relative = "https://charts.example.org/charts/app-1.2.2.tgz";
        assert_eq!(at("app", "1.2.2").unwrap(), relative);
        for (chart, version, told) in [
            ("app", "9.9.9", "1.2.3, v1.2.2"),
            ("ap", "1.2.3", "it has app"),
            ("app", "1.2.1", "over HTTPS"),
        ] {
            let error = at(chart, version).unwrap_err();
            assert!(error.help.unwrap().contains(told), "{chart} {version}");
        }
        let page = archive_in(b"<html></html>", "https://example.org", "app", "1.2.3");
        assert_eq!(page.unwrap_err().kind, ErrorKind::Invalid);
    }
}
