//! Changing a living droplet, by actions. Every step looks first, so that an update that was cut
//! off carries on where it stopped.

use super::remote::DropletRemote;
use super::{DropletArgs, DropletAttrs};
use crate::digitalocean::DigitalOcean;
use crate::digitalocean::remote::{Remote, path_of, texts};
use kplan_model::{ErrorKind, FieldSet, Known, Permit, ProviderError};
use serde_json::{Value, json};
use std::time::Duration;

/// How long a droplet may take to shut itself down before its power is cut.
const GRACE: Duration = Duration::from_mins(1);
/// The pause between two looks at a droplet that shuts down.
const LOOK: Duration = Duration::from_secs(5);

/// The one state of its power a droplet is kept in.
pub(super) const ON: &str = "on";

/// One droplet being changed.
struct Changing<'a> {
    cloud: &'a DigitalOcean,
    known: &'a Known,
    permit: &'a Permit,
}

/// Refuses every state of the power but [`ON`]: a droplet that is off is billed all the same, and
/// nothing here would ever call it ready.
pub(super) fn check_power(args: &DropletArgs) -> Result<(), ProviderError> {
    match args.power.as_deref() {
        None | Some(ON) => Ok(()),
        Some(other) => Err(ProviderError::new(
            ErrorKind::Invalid,
            format!("a droplet's power can be kept `on` or left alone, not `{other}`"),
        )),
    }
}

/// Makes the changed fields of the droplet as `args` wants them.
pub(super) async fn update(
    cloud: &DigitalOcean,
    known: &Known,
    args: &DropletArgs,
    changed: &FieldSet,
    permit: &Permit,
) -> Result<DropletAttrs, ProviderError> {
    check_power(args)?;
    let changing = Changing {
        cloud,
        known,
        permit,
    };
    let droplet: DropletRemote = cloud.reread(known).await?;
    if changed.contains("name") && droplet.name != args.name {
        changing
            .act(&json!({ "type": "rename", "name": args.name }))
            .await?;
    }
    let wanted = texts(&args.tags)?;
    if changed.contains("tags") {
        let id = known.id.as_str();
        cloud
            .retag(permit, "droplet", id, &droplet.tags(&wanted), &wanted)
            .await?;
    }
    if changed.contains("backups") && droplet.has("backups") != args.backups {
        let what = if args.backups {
            "enable_backups"
        } else {
            "disable_backups"
        };
        changing.act(&json!({ "type": what })).await?;
    }
    if changed.contains("ipv6") && args.ipv6 && !droplet.has("ipv6") {
        changing.act(&json!({ "type": "enable_ipv6" })).await?;
    }
    if changed.contains("size") {
        // Ends with the power on.
        changing.resize(args, &droplet).await?;
    } else if changed.contains("power") && args.power.is_some() && droplet.is_off() {
        changing.power_on().await?;
    }
    let droplet: DropletRemote = cloud.reread(known).await?;
    Ok(DropletAttrs {
        tags: droplet.tags(&wanted),
        ..droplet.attrs(Some(known))
    })
}

impl Changing<'_> {
    async fn act(&self, body: &Value) -> Result<(), ProviderError> {
        let path = format!(
            "{}/actions",
            path_of::<DropletRemote>(self.known.id.as_str())
        );
        self.cloud.act(self.permit, &path, body).await
    }

    /// Off, resize, on. A droplet that is off already, or has the size already, was left so by
    /// an earlier attempt.
    async fn resize(
        &self,
        args: &DropletArgs,
        droplet: &DropletRemote,
    ) -> Result<(), ProviderError> {
        let mut off = droplet.is_off();
        if droplet.size_slug != args.size {
            if !off {
                self.power_off().await?;
                off = true;
            }
            let disk = args.resize_disk.unwrap_or(true);
            let body = json!({ "type": "resize", "size": args.size, "disk": disk });
            if let Err(refused) = self.act(&body).await {
                // A machine that was running is not left off because the change was refused.
                let on = self.power_on().await;
                return Err(on.err().map_or(refused.clone(), |error| ProviderError {
                    message: format!("{}; and it is off: {}", refused.message, error.message),
                    ..refused
                }));
            }
        }
        if off {
            self.power_on().await?;
        }
        Ok(())
    }

    async fn power_on(&self) -> Result<(), ProviderError> {
        self.act(&json!({ "type": "power_on" })).await
    }

    /// Asks the machine to shut down, and cuts its power when it does not within a minute:
    /// DigitalOcean's own advice, and kinder to a database on its disk.
    async fn power_off(&self) -> Result<(), ProviderError> {
        self.act(&json!({ "type": "shutdown" })).await?;
        let looks = GRACE.as_secs() / LOOK.as_secs();
        for look in 0..=looks {
            let droplet: DropletRemote = self.cloud.reread(self.known).await?;
            if droplet.is_off() {
                return Ok(());
            }
            if look < looks {
                self.cloud.http().pause(LOOK).await;
            }
        }
        self.act(&json!({ "type": "power_off" })).await
    }
}
