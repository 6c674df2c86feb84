//! Changing a living droplet, by actions. Every step looks first, so that an update that was cut
//! off carries on where it stopped.

use super::remote::DropletRemote;
use super::{DropletArgs, DropletAttrs};
use crate::digitalocean::DigitalOcean;
use crate::digitalocean::action::pauses;
use crate::digitalocean::remote::{Remote, path_of, texts};
use kplan_model::{ErrorKind, FieldSet, Known, Permit, ProviderError};
use serde_json::{Value, json};
use std::time::Duration;

/// How long a droplet may take to shut itself down before its power is cut.
const GRACE: Duration = Duration::from_mins(1);
/// The pause between two looks at a droplet that shuts down.
const LOOK: Duration = Duration::from_secs(5);

/// The fields that are changed by actions, which a droplet takes one at a time.
const ACTIONS: [&str; 5] = ["name", "backups", "ipv6", "size", "power"];

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
    let wanted = texts(&args.tags)?;
    let acts = changed.iter().any(|field| ACTIONS.contains(&field));
    let droplet = if acts {
        changing.idle().await?
    } else {
        changing.look().await?
    };
    if changed.contains("tags") {
        let id = known.id.as_str();
        cloud
            .retag(permit, "droplet", id, &droplet.tags(&wanted), &wanted)
            .await?;
    }
    changing.features(args, changed, &droplet).await?;
    if changed.contains("size") {
        // Ends with the power on.
        changing.resize(args, &droplet).await?;
    } else if changed.contains("power") && args.power.is_some() && droplet.is_off() {
        changing.power_on().await?;
    }
    let droplet = changing.look().await?;
    Ok(DropletAttrs {
        tags: droplet.tags(&wanted),
        ..droplet.attrs(Some(known))
    })
}

impl Changing<'_> {
    async fn look(&self) -> Result<DropletRemote, ProviderError> {
        self.cloud.reread(self.known).await
    }

    /// The droplet once nothing is being done to it. What is may be what is asked for, begun by an
    /// attempt that was cut off: it is waited for as long as if it had been begun here.
    async fn idle(&self) -> Result<DropletRemote, ProviderError> {
        for pause in pauses() {
            let droplet = self.look().await?;
            if !droplet.locked {
                return Ok(droplet);
            }
            self.cloud.http().pause(pause).await;
        }
        let message = "DigitalOcean is doing something else to it, still after 30 minutes";
        Err(ProviderError::new(ErrorKind::Busy, message))
    }

    /// Acts on the droplet, after a look that found something left to do. What became true between
    /// the two (an attempt that was cut off may have begun it) is refused as it cannot be done
    /// twice, and it is done.
    async fn act(
        &self,
        body: &Value,
        is_done: impl Fn(&DropletRemote) -> bool,
    ) -> Result<(), ProviderError> {
        let path = format!(
            "{}/actions",
            path_of::<DropletRemote>(self.known.id.as_str())
        );
        match self.cloud.act(self.permit, &path, body).await {
            Err(refused) if refused.kind == ErrorKind::Invalid => {
                let droplet = self.look().await;
                droplet.map_or(Err(refused.clone()), |droplet| {
                    if is_done(&droplet) {
                        Ok(())
                    } else {
                        Err(refused)
                    }
                })
            }
            other => other,
        }
    }

    /// Its name, backups and addresses.
    async fn features(
        &self,
        args: &DropletArgs,
        changed: &FieldSet,
        droplet: &DropletRemote,
    ) -> Result<(), ProviderError> {
        let named = |droplet: &DropletRemote| droplet.name == args.name;
        if changed.contains("name") && !named(droplet) {
            let rename = json!({ "type": "rename", "name": args.name });
            self.act(&rename, named).await?;
        }
        let backed_up = |droplet: &DropletRemote| droplet.has("backups") == args.backups;
        if changed.contains("backups") && !backed_up(droplet) {
            let what = if args.backups {
                "enable_backups"
            } else {
                "disable_backups"
            };
            self.act(&json!({ "type": what }), backed_up).await?;
        }
        let addressed = |droplet: &DropletRemote| droplet.has("ipv6");
        if changed.contains("ipv6") && args.ipv6 && !addressed(droplet) {
            self.act(&json!({ "type": "enable_ipv6" }), addressed)
                .await?;
        }
        Ok(())
    }

    /// Off, resize, on. A droplet that is off already, or has the size already, was left so by
    /// an earlier attempt.
    async fn resize(
        &self,
        args: &DropletArgs,
        droplet: &DropletRemote,
    ) -> Result<(), ProviderError> {
        let mut off = droplet.is_off();
        let sized = |droplet: &DropletRemote| droplet.size_slug == args.size;
        if !sized(droplet) {
            if !off {
                self.power_off().await?;
                off = true;
            }
            let disk = args.resize_disk.unwrap_or(true);
            let body = json!({ "type": "resize", "size": args.size, "disk": disk });
            if let Err(refused) = self.act(&body, sized).await {
                if refused.kind == ErrorKind::Busy {
                    // It would not be switched on either; the next attempt goes on from here.
                    return Err(refused);
                }
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
        let on = |droplet: &DropletRemote| !droplet.is_off();
        self.act(&json!({ "type": "power_on" }), on).await
    }

    /// Asks the machine to shut down, and cuts its power when it does not within a minute:
    /// DigitalOcean's own advice, and kinder to a database on its disk.
    async fn power_off(&self) -> Result<(), ProviderError> {
        self.act(&json!({ "type": "shutdown" }), DropletRemote::is_off)
            .await?;
        let looks = GRACE.as_secs() / LOOK.as_secs();
        for look in 0..=looks {
            if self.look().await?.is_off() {
                return Ok(());
            }
            if look < looks {
                self.cloud.http().pause(LOOK).await;
            }
        }
        self.act(&json!({ "type": "power_off" }), DropletRemote::is_off)
            .await
    }
}
