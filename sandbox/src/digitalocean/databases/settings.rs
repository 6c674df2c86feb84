//! What else can be set of a cluster: storage that grows by itself, and names of its own.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Database, find, online};
use crate::digitalocean::required;
use crate::http::{ApiError, Reply, Request, Response};
use crate::world::World;

/// Most names of a cluster, and the longest; the document's limits.
const MAX_CNAMES: usize = 16;
const MAX_CNAME: usize = 253;

/// How a cluster grows. The sandbox's clusters hold no rows, so none ever does.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Autoscale {
    storage: Option<StorageAutoscale>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct StorageAutoscale {
    enabled: Option<bool>,
    threshold_percent: Option<u32>,
    increment_gib: Option<u32>,
}

/// Settings that are DigitalOcean's, not the engine's.
#[derive(Deserialize)]
pub(super) struct DoSettings {
    service_cnames: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct Body {
    do_settings: Option<DoSettings>,
}

impl From<StorageAutoscale> for Autoscale {
    fn from(storage: StorageAutoscale) -> Autoscale {
        Autoscale {
            storage: Some(storage),
        }
    }
}

impl Autoscale {
    pub(super) fn view(&self) -> Value {
        let Some(storage) = &self.storage else {
            return json!({});
        };
        let mut value = json!({ "enabled": storage.enabled.unwrap_or(false) });
        if let Some(percent) = storage.threshold_percent {
            value["threshold_percent"] = json!(percent);
        }
        if let Some(gib) = storage.increment_gib {
            value["increment_gib"] = json!(gib);
        }
        json!({ "storage": value })
    }

    /// Refuses what the document does not allow.
    pub(super) fn checked(self) -> Result<Autoscale, ApiError> {
        if let Some(storage) = &self.storage {
            required(storage.enabled, "storage.enabled")?;
            let ranges = [
                ("threshold_percent", storage.threshold_percent, 15..=95),
                ("increment_gib", storage.increment_gib, 10..=500),
            ];
            for (name, value, range) in ranges {
                if value.is_some_and(|value| !range.contains(&value)) {
                    let (least, most) = (range.start(), range.end());
                    return Err(ApiError::unprocessable(format!(
                        "storage.{name} must be {least} to {most}"
                    )));
                }
            }
        }
        Ok(self)
    }
}

impl DoSettings {
    /// The names, each of which must be a host's.
    pub(super) fn checked(self) -> Result<Vec<String>, ApiError> {
        let names = self.service_cnames.unwrap_or_default();
        if names.len() > MAX_CNAMES {
            return Err(ApiError::unprocessable(format!(
                "service_cnames can have at most {MAX_CNAMES} names"
            )));
        }
        match names.iter().find(|name| !is_host(name)) {
            Some(name) => Err(ApiError::unprocessable(format!(
                "service_cnames: {name:?} is not a host name"
            ))),
            None => Ok(names),
        }
    }
}

/// Whether a name is one of RFC 1123 with a dot in it.
fn is_host(name: &str) -> bool {
    let label = |label: &str| {
        let ends = label.chars().next().zip(label.chars().last());
        ends.is_some_and(|(first, last)| {
            first.is_ascii_alphanumeric() && last.is_ascii_alphanumeric()
        }) && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
    };
    name.len() <= MAX_CNAME && name.contains('.') && name.split('.').all(label)
}

/// The document puts `storage` into `autoscale`; DigitalOcean's Go client reads it beside it, and
/// doctl was shown to work with the real API that way (digitalocean/doctl#1850). Both are there.
pub(crate) fn autoscale(world: &mut World, request: &Request) -> Reply {
    let shown = match &find(world, request)?.autoscale {
        Some(autoscale) => autoscale.view(),
        None => json!({ "storage": { "enabled": false } }),
    };
    let body = json!({ "storage": shown["storage"], "autoscale": shown });
    Ok(Response::ok(body))
}

/// Replaces what was set before.
pub(crate) fn set_autoscale(world: &mut World, request: &Request) -> Reply {
    find(world, request)?;
    let asked = request.body::<Autoscale>()?.checked()?;
    online(world, request)?.autoscale = Some(asked);
    Ok(Response::no_content())
}

pub(super) fn do_settings_view(database: &Database) -> Value {
    json!({ "service_cnames": database.service_cnames })
}

pub(crate) fn do_settings(world: &mut World, request: &Request) -> Reply {
    let shown = do_settings_view(find(world, request)?);
    Ok(Response::ok(json!({ "do_settings": shown })))
}

/// Replaces the names; an empty list takes all of them away.
pub(crate) fn set_do_settings(world: &mut World, request: &Request) -> Reply {
    find(world, request)?;
    let asked = required(request.body::<Body>()?.do_settings, "do_settings")?;
    let names = asked.checked()?;
    online(world, request)?.service_cnames = names;
    Ok(Response::no_content())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_has_labels_and_dots() {
        for good in ["db.example.com", "a-b.c1"] {
            assert!(is_host(good), "{good}");
        }
        let long = format!("{}.com", "a".repeat(250));
        for bad in [
            "", "db", "-a.com", "a-.com", "a..com", "a_b.com", ".com", &long,
        ] {
            assert!(!is_host(bad), "{bad}");
        }
    }
}
