//! What in the account carries an owner's tag. Looks, and changes nothing.

use super::DigitalOcean;
use crate::http::List;
use kplan_model::{Owner, ProviderError};
use serde::Deserialize;
use serde_json::Value;

/// One thing that carries the tag.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Tagged {
    /// The kind of the resource it would be, such as `droplet`; `snapshot` is none of kplan's.
    pub kind: &'static str,
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
}

#[derive(Debug, Clone, Deserialize)]
struct Listed {
    id: Value,
    name: String,
    tags: Option<Vec<String>>,
}

/// Everything taggable that DigitalOcean tells the tags of: droplets, volumes, databases, snapshots.
/// Four list calls.
///
/// # Errors
/// Where one of the lists cannot be read.
pub async fn tagged(cloud: &DigitalOcean, owner: &Owner) -> Result<Vec<Tagged>, ProviderError> {
    let tag = owner.tag();
    let (droplets, volumes, databases, snapshots) = tokio::try_join!(
        listed(cloud, "droplet", ("/v2/droplets", "droplets")),
        listed(cloud, "volume", ("/v2/volumes", "volumes")),
        listed(cloud, "database", ("/v2/databases", "databases")),
        listed(cloud, "snapshot", ("/v2/snapshots", "snapshots")),
    )?;
    let all = [droplets, volumes, databases, snapshots]
        .into_iter()
        .flatten();
    let same = |one: &String| one.eq_ignore_ascii_case(&tag);
    let mut found: Vec<Tagged> = all
        .filter(|(_, it)| it.tags.iter().flatten().any(same))
        .map(|(kind, it)| Tagged {
            kind,
            id: match it.id {
                Value::String(id) => id,
                other => other.to_string(),
            },
            name: it.name,
        })
        .collect();
    found.sort();
    Ok(found)
}

async fn listed(
    cloud: &DigitalOcean,
    kind: &'static str,
    (path, key): (&'static str, &'static str),
) -> Result<Vec<(&'static str, Listed)>, ProviderError> {
    let all: Vec<Listed> = cloud.http().list(&List::new(path, key, "id")).await?;
    Ok(all.into_iter().map(|one| (kind, one)).collect())
}
