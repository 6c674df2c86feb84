//! Changing a living database cluster. Every step looks first and waits until the cluster is
//! online again, because DigitalOcean refuses the next one until then.

use super::remote::DatabaseRemote;
use super::{DatabaseArgs, rules_body, trusted_tags};
use crate::digitalocean::DigitalOcean;
use crate::digitalocean::remote::{path_of, texts};
use http::Method;
use kplan_model::{ErrorKind, FieldSet, Known, Permit, ProviderError};
use serde_json::{Value, json};
use std::time::Duration;

/// The pause between two looks at a cluster that changes; Terraform's too.
const LOOK: Duration = Duration::from_secs(15);
/// How often it is looked at: 60 minutes altogether, for moving a large one.
const LOOKS: u32 = 240;

struct Changing<'a> {
    cloud: &'a DigitalOcean,
    known: &'a Known,
    permit: &'a Permit,
}

/// Makes the changed fields of the cluster as `args` wants them.
pub(super) async fn update(
    cloud: &DigitalOcean,
    known: &Known,
    args: &DatabaseArgs,
    changed: &FieldSet,
    permit: &Permit,
) -> Result<(), ProviderError> {
    let changing = Changing {
        cloud,
        known,
        permit,
    };
    let mut now = changing.online().await?;
    if changed.contains("rules") {
        let body = json!({ "rules": rules_body(&args.rules)? });
        if let Err(refusal) = changing.put("firewall", &body).await {
            let tags = trusted_tags(&args.rules)?;
            cloud.make_tags(permit, &tags, refusal).await?;
            changing.put("firewall", &body).await?;
        }
    }
    if changed.contains("tags") {
        let id = known.id.as_str();
        let wanted = texts(&args.tags)?;
        cloud
            .retag(permit, "database", id, &now.seen(&wanted).0, &wanted)
            .await?;
    }
    if changed.contains("region") && now.region != args.region {
        changing
            .put("migrate", &json!({ "region": args.region }))
            .await?;
        now = changing.online().await?;
    }
    let larger = args
        .storage_size_mib
        .filter(|&mib| Some(mib) != now.storage_size_mib);
    if changed.any(&["size", "node_count", "storage_size_mib"])
        && (now.size != args.size || now.num_nodes != args.node_count || larger.is_some())
    {
        let mut body = json!({ "size": args.size, "num_nodes": args.node_count });
        if let (Some(mib), Some(body)) = (larger, body.as_object_mut()) {
            body.insert("storage_size_mib".to_owned(), json!(mib));
        }
        changing.put("resize", &body).await?;
        now = changing.online().await?;
    }
    if changed.contains("version") && now.version != args.version && args.version.is_some() {
        changing
            .put("upgrade", &json!({ "version": args.version }))
            .await?;
        changing.online().await?;
    }
    Ok(())
}

impl Changing<'_> {
    async fn put(&self, what: &str, body: &Value) -> Result<(), ProviderError> {
        let path = format!(
            "{}/{what}",
            path_of::<DatabaseRemote>(self.known.id.as_str())
        );
        let answer = self
            .cloud
            .http()
            .change_only(self.permit, &Method::PUT, &path, body)
            .await;
        answer.map(drop)
    }

    /// Waits until the cluster is online.
    async fn online(&self) -> Result<DatabaseRemote, ProviderError> {
        for _ in 0..LOOKS {
            let now: DatabaseRemote = self.cloud.reread(self.known).await?;
            if now.online() {
                return Ok(now);
            }
            self.cloud.http().pause(LOOK).await;
        }
        Err(ProviderError::new(
            ErrorKind::Busy,
            format!("{} is not online after 60 minutes", self.known.address),
        ))
    }
}
