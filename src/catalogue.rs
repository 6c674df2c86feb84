//! What DigitalOcean sells, as far as a plan needs it: read once a plan, kept for a day.

mod cache;

use crate::cmd::session::Session;
use cache::Cache;
use futures_util::join;
use kplan_model::ProviderError;
use kplan_providers::digitalocean::DigitalOcean;
use kplan_providers::digitalocean::catalogue::{
    self, DATABASE_OPTIONS, DatabaseOptions, IMAGES, Image, REGIONS, Region, SIZES, Size,
};
use kplan_providers::http::read_scope;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// One list of the catalogue.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Part<T> {
    /// Nobody needs it.
    #[default]
    NotAsked,
    /// As it was within the last day, or, where nothing was kept, as it is now.
    Read {
        /// The list.
        value: T,
        /// Whether it was kept.
        kept: bool,
    },
    /// It cannot be read, for this reason.
    Unreadable(ProviderError),
}

impl<T> Part<T> {
    /// The list, where it could be read.
    pub fn value(&self) -> Option<&T> {
        match self {
            Self::Read { value, .. } => Some(value),
            Self::NotAsked | Self::Unreadable(_) => None,
        }
    }

    fn is_kept(&self) -> bool {
        matches!(self, Self::Read { kept: true, .. })
    }

    fn error(&self) -> Option<&ProviderError> {
        match self {
            Self::Unreadable(error) => Some(error),
            Self::NotAsked | Self::Read { .. } => None,
        }
    }
}

/// Which lists are needed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// Regions.
    pub regions: bool,
    /// Sizes of droplets, with their prices.
    pub sizes: bool,
    /// Images of distributions.
    pub images: bool,
    /// What managed databases can be.
    pub databases: bool,
}

/// What DigitalOcean sells.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Catalogue {
    /// Regions.
    pub regions: Part<Vec<Region>>,
    /// Sizes of droplets, with their prices.
    pub sizes: Part<Vec<Size>>,
    /// Images of distributions.
    pub images: Part<Vec<Image>>,
    /// What managed databases can be.
    pub databases: Part<DatabaseOptions>,
}

impl Catalogue {
    /// Reads what is needed: kept lists first, unless `fresh`.
    pub async fn read(session: &Session, needs: Needs, fresh: bool) -> Self {
        let cloud = &session.adapters.digitalocean;
        let cache = Cache::of(&session.cloud);
        let keep = (&cache, fresh);
        let (regions, sizes, images, databases) = join!(
            part(needs.regions, keep, "regions", catalogue::regions(cloud)),
            part(needs.sizes, keep, "sizes", catalogue::sizes(cloud)),
            part(needs.images, keep, "images", catalogue::images(cloud)),
            part(needs.databases, keep, "databases", databases(cloud)),
        );
        Self {
            regions,
            sizes,
            images,
            databases,
        }
    }

    /// Whether anything of it was kept from before, and may have changed since.
    pub fn is_kept(&self) -> bool {
        self.regions.is_kept()
            || self.sizes.is_kept()
            || self.images.is_kept()
            || self.databases.is_kept()
    }

    /// The size of a slug, where sizes could be read.
    pub fn size(&self, slug: &str) -> Option<&Size> {
        let sizes = self.sizes.value()?;
        sizes.iter().find(|size| size.slug == slug)
    }

    /// Lists that are needed and cannot be read: the scope it takes, and why.
    pub fn unreadable(&self) -> Vec<(&'static str, String, &ProviderError)> {
        let parts = [
            ("regions", REGIONS, self.regions.error()),
            ("droplet sizes", SIZES, self.sizes.error()),
            ("images", IMAGES, self.images.error()),
            ("database options", DATABASE_OPTIONS, self.databases.error()),
        ];
        let unread = parts.into_iter();
        unread
            .filter_map(|(what, path, error)| {
                Some((what, read_scope(path).unwrap_or_default(), error?))
            })
            .collect()
    }
}

async fn databases(cloud: &DigitalOcean) -> Result<DatabaseOptions, ProviderError> {
    catalogue::database_options(cloud).await
}

/// One list: nothing where nobody needs it, the kept one, or what DigitalOcean says now.
async fn part<T: Serialize + DeserializeOwned>(
    needed: bool,
    (cache, fresh): (&Cache, bool),
    name: &str,
    read: impl Future<Output = Result<T, ProviderError>>,
) -> Part<T> {
    if !needed {
        return Part::NotAsked;
    }
    let kept = if fresh { None } else { cache.get(name) };
    if let Some(value) = kept {
        return Part::Read { value, kept: true };
    }
    match read.await {
        Ok(value) => {
            cache.put(name, &value);
            Part::Read { value, kept: false }
        }
        Err(error) => Part::Unreadable(error),
    }
}
