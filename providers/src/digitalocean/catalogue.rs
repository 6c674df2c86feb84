//! What DigitalOcean sells: regions, droplet sizes with prices, images, databases. Read whole and kept
//! by whoever asks; nothing here is cached.

use super::DigitalOcean;
use crate::http::{List, encode};
use kplan_model::ProviderError;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A region.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Region {
    /// Its slug, such as `fra1`.
    pub slug: String,
    /// Whether new droplets can be made in it.
    #[serde(default = "yes")]
    pub available: bool,
}

/// A size of droplets.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Size {
    /// Its slug, such as `s-2vcpu-4gb`.
    pub slug: String,
    /// Its disk in GiB.
    #[serde(default)]
    pub disk: u64,
    /// US dollars a month, as DigitalOcean writes the number.
    #[serde(default)]
    pub price_monthly: Option<serde_json::Number>,
    /// Slugs of the regions that have it.
    #[serde(default)]
    pub regions: Vec<String>,
    /// Whether new droplets can be made of it.
    #[serde(default = "yes")]
    pub available: bool,
}

/// A public image of a distribution.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Image {
    /// Its slug, such as `ubuntu-24-04-x64`; nothing for one that can be named by its id only.
    #[serde(default)]
    pub slug: Option<String>,
    /// Its id.
    pub id: u64,
    /// Slugs of the regions that have it.
    #[serde(default)]
    pub regions: Vec<String>,
    /// The smallest disk it fits on, in GiB.
    #[serde(default)]
    pub min_disk_size: Option<u64>,
}

/// What a managed database of one engine can be.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct EngineOptions {
    /// Slugs of the regions that have it.
    pub regions: Vec<String>,
    /// Its major versions.
    pub versions: Vec<String>,
    /// Sizes by number of nodes.
    pub layouts: Vec<Layout>,
}

/// Sizes that can have a number of nodes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Layout {
    /// The number.
    pub num_nodes: u64,
    /// Slugs of the sizes.
    pub sizes: Vec<String>,
}

/// By engine, such as `pg`.
pub type DatabaseOptions = BTreeMap<String, EngineOptions>;

/// Where regions are listed.
pub const REGIONS: &str = "/v2/regions";
/// Where sizes are listed.
pub const SIZES: &str = "/v2/sizes";
/// Where images are listed.
pub const IMAGES: &str = "/v2/images";
/// Where databases are told.
pub const DATABASE_OPTIONS: &str = "/v2/databases/options";

fn yes() -> bool {
    true
}

/// All regions.
pub async fn regions(cloud: &DigitalOcean) -> Result<Vec<Region>, ProviderError> {
    all(cloud, List::new(REGIONS, "regions", "slug")).await
}

/// All sizes of droplets.
pub async fn sizes(cloud: &DigitalOcean) -> Result<Vec<Size>, ProviderError> {
    all(cloud, List::new(SIZES, "sizes", "slug")).await
}

/// All images of distributions.
pub async fn images(cloud: &DigitalOcean) -> Result<Vec<Image>, ProviderError> {
    let list = List::new(IMAGES, "images", "id").with("type", "distribution");
    all(cloud, list).await
}

/// What managed databases can be.
pub async fn database_options(cloud: &DigitalOcean) -> Result<DatabaseOptions, ProviderError> {
    #[derive(Deserialize)]
    struct Answer {
        #[serde(default)]
        options: DatabaseOptions,
    }
    let answer: Answer = cloud.http().get(DATABASE_OPTIONS).await?;
    Ok(answer.options)
}

/// Whether there is an image of that slug or id, of a distribution or not, that the account may use.
pub async fn has_image(cloud: &DigitalOcean, slug: &str) -> Result<bool, ProviderError> {
    let path = format!("{IMAGES}/{}", encode(slug));
    let found: Option<serde_json::Value> = cloud.http().get_optional(&path).await?;
    Ok(found.is_some())
}

async fn all<T: DeserializeOwned>(
    cloud: &DigitalOcean,
    list: List,
) -> Result<Vec<T>, ProviderError> {
    cloud.http().list(&list).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::testing::{Script, json};
    use serde_json::json as value;

    #[tokio::test]
    async fn catalogues_are_read_to_their_last_page() {
        let page = |slug: &str, more: bool| {
            let links = if more {
                value!({"pages": {"next": "https://elsewhere.example/?page=2"}})
            } else {
                value!({})
            };
            json(
                200,
                &value!({"sizes": [{"slug": slug, "disk": 25, "price_monthly": 4.5,
                    "regions": ["fra1"], "available": true}], "links": links, "meta": {"total": 2}}),
            )
        };
        let script = Script::answers([page("a", true), page("b", false)]);
        let cloud = DigitalOcean::new(script.config());
        let all = sizes(&cloud).await.unwrap();
        let slugs: Vec<&str> = all.iter().map(|size| size.slug.as_str()).collect();
        assert_eq!(slugs, ["a", "b"]);
        assert_eq!(
            script.calls(),
            [
                "GET /v2/sizes?page=1&per_page=200",
                "GET /v2/sizes?page=2&per_page=200"
            ]
        );
    }

    #[tokio::test]
    async fn what_an_answer_leaves_out_is_not_taken_for_refused() {
        let script = Script::answers([
            json(200, &value!({"regions": [{"slug": "fra1"}]})),
            json(
                200,
                &value!({"options": {"pg": {"versions": ["16"]}, "kafka": {}}}),
            ),
            json(404, &value!({"id": "not_found", "message": "no"})),
        ]);
        let cloud = DigitalOcean::new(script.config());
        assert!(regions(&cloud).await.unwrap()[0].available);
        let options = database_options(&cloud).await.unwrap();
        assert_eq!(options["pg"].versions, ["16"]);
        assert!(options["pg"].layouts.is_empty() && options.contains_key("kafka"));
        assert_eq!(has_image(&cloud, "docker/24").await, Ok(false));
        assert_eq!(script.calls()[2], "GET /v2/images/docker%2F24");
    }
}
