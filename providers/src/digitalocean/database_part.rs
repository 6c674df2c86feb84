//! What users and databases inside a database cluster share: ids that carry the cluster, and
//! lists per cluster.

use super::DigitalOcean;
use crate::http::{List, encode};
use futures_util::future::try_join_all;
use kplan_model::{ErrorKind, Known, ProviderError, RemoteId};
use serde::de::DeserializeOwned;
use std::collections::{BTreeMap, BTreeSet};

/// One part of a cluster: the cluster's uuid and the part's name.
#[derive(Clone, Copy, Debug)]
pub(super) struct Part<'a> {
    pub(super) cluster: &'a str,
    pub(super) name: &'a str,
}

impl<'a> Part<'a> {
    /// From `<cluster uuid>/<name>`.
    pub(super) fn of(known: &'a Known) -> Result<Self, ProviderError> {
        let (cluster, name) = known.id.as_str().split_once('/').ok_or_else(|| {
            ProviderError::new(
                ErrorKind::Bug,
                format!(
                    "{} has the id `{}`, not `CLUSTER/NAME`",
                    known.address, known.id
                ),
            )
        })?;
        Ok(Self { cluster, name })
    }

    pub(super) fn id(self) -> RemoteId {
        RemoteId::new(format!("{}/{}", self.cluster, self.name))
    }

    /// The path of the list of such parts.
    pub(super) fn list_path(self, parts: &str) -> String {
        format!("/v2/databases/{}/{parts}", encode(self.cluster))
    }

    /// The path of this part.
    pub(super) fn path(self, parts: &str) -> String {
        format!("{}/{}", self.list_path(parts), encode(self.name))
    }
}

impl DigitalOcean {
    /// All parts of one cluster; none when the cluster is not there.
    pub(super) async fn parts<T: DeserializeOwned>(
        &self,
        cluster: &str,
        parts: &'static str,
    ) -> Result<Vec<T>, ProviderError> {
        let path = format!("/v2/databases/{}/{parts}", encode(cluster));
        match self
            .http
            .list(&List::new(path, parts, "name").whole())
            .await
        {
            Err(error) if error.kind == ErrorKind::NotFound => Ok(Vec::new()),
            other => other,
        }
    }

    /// Those parts that we know, by one list per cluster.
    pub(super) async fn known_parts<T: DeserializeOwned>(
        &self,
        known: &[Known],
        parts: &'static str,
        name: fn(&T) -> &str,
    ) -> Result<Vec<(Known, T)>, ProviderError> {
        let mut clusters: BTreeSet<&str> = BTreeSet::new();
        for known in known {
            clusters.insert(Part::of(known)?.cluster);
        }
        let ours: BTreeMap<&str, &Known> = known
            .iter()
            .map(|known| (known.id.as_str(), known))
            .collect();
        let lists = clusters.into_iter().map(|cluster| async move {
            Ok::<_, ProviderError>((cluster, self.parts::<T>(cluster, parts).await?))
        });
        let mut found = Vec::new();
        for (cluster, list) in try_join_all(lists).await? {
            for part in list {
                let id = Part {
                    cluster,
                    name: name(&part),
                }
                .id();
                if let Some(known) = ours.get(id.as_str()) {
                    found.push(((*known).clone(), part));
                }
            }
        }
        Ok(found)
    }
}
