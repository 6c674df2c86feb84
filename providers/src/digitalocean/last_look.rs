//! The last look of `destroy`: whether anything is left that the cluster made, before the tag and the VPC
//! go by which it is found.

use super::DigitalOcean;
use super::leavings::{LeftBalancer, info, not_ours};
use super::marks::{Leaving, Marks, leavings};
use super::remote::path_of;
use kplan_model::{
    CreateFailed, ErrorKind, Field, FieldSet, Found, KindInfo, Known, ObjectCodec as _, Permit,
    ProviderError, Resource, Wanted, object,
};
use serde_json::Value;
use std::time::Duration;

object! {
    /// How the last look tells this cluster's.
    pub struct LastLookArgs {
        /// The owner's tag.
        pub tag: String,
        /// The cluster's own VPC.
        pub vpc_id: Option<String>,
        /// Whether what holds data stays.
        pub keeps_data: bool,
        /// The cluster's droplets. They are gone by then, and a list may lag behind and still show a
        /// volume on one.
        pub droplets: Option<Vec<String>>,
        /// Load balancers that kplan made itself.
        pub ours: Vec<String>,
        /// What the cluster used and did not make.
        pub foreign: Vec<String>,
        /// Load balancers of the cluster's that were shown, and went before this.
        pub shown: Option<Vec<String>>,
        /// The names that the load balancers of the cluster's Services have.
        pub services: Option<Vec<String>>,
        /// The last backup that was agreed to; `None` is none.
        pub final_backup: Option<String>,
    }
}

static LAST_LOOK_FIELDS: &[Field] = &[
    Field::ignored("tag", "The owner's tag."),
    Field::ignored("vpc_id", "The cluster's own VPC."),
    Field::ignored(
        "keeps_data",
        "Whether volumes and snapshots stay (`--orphans keep`).",
    ),
    Field::ignored("droplets", "The cluster's droplets."),
    Field::ignored("ours", "Load balancers that kplan made itself."),
    Field::ignored("foreign", "What the cluster used and did not make."),
    Field::ignored("shown", "Load balancers of the cluster's that were shown."),
    Field::ignored(
        "services",
        "The names of the load balancers of the cluster's Services.",
    ),
    Field::ignored("final_backup", "The last backup that was agreed to."),
];

static LAST_LOOK: KindInfo = info(
    ("cluster_leavings", "kplan_cluster_leavings"),
    "The last look of `destroy`: whether anything is left that the cluster made, before the tag and \
     the VPC go by which it is found.",
    (LAST_LOOK_FIELDS, None),
);

/// How long a load balancer that came meanwhile may take to go, of the cloud's time.
const GOING: Duration = Duration::from_mins(2);
/// Between two looks whether it is gone.
const PAUSE: Duration = Duration::from_secs(5);

/// The last look.
pub struct LastLook(pub DigitalOcean);

impl LastLook {
    /// Waits until they are gone: the VPC is next, and cannot go while one of them stands in it.
    async fn gone(&self, late: &[&Leaving]) -> Result<(), ProviderError> {
        let mut waited = Duration::ZERO;
        for one in late {
            let path = path_of::<LeftBalancer>(&one.attrs.id);
            let http = self.0.http();
            while http.get_optional::<Value>(&path).await?.is_some() {
                if waited >= GOING {
                    let message = format!(
                        "the load balancer {} ({}) came after the plan was shown, was deleted, and is \
                         still there",
                        one.attrs.name, one.attrs.id
                    );
                    let error = ProviderError::new(ErrorKind::Failed, message);
                    return Err(error.help("run destroy again: it goes on from here"));
                }
                http.pause(PAUSE).await;
                waited += PAUSE;
            }
        }
        Ok(())
    }
}

impl Resource for LastLook {
    type Args = LastLookArgs;
    type Attrs = LastLookArgs;
    const INFO: &'static KindInfo = &LAST_LOOK;
    const GONE_AT_ONCE: bool = true;

    async fn read(&self, known: &Known) -> Result<Option<LastLookArgs>, ProviderError> {
        Ok(Some(LastLookArgs::from_object(&known.args)?))
    }

    async fn find(
        &self,
        _wanted: Wanted<'_, LastLookArgs>,
    ) -> Result<Vec<Found<LastLookArgs>>, ProviderError> {
        Ok(Vec::new())
    }

    async fn create(
        &self,
        wanted: Wanted<'_, LastLookArgs>,
        _permit: &Permit,
    ) -> Result<Found<LastLookArgs>, CreateFailed<LastLookArgs>> {
        Err(not_ours(wanted.address).into())
    }

    async fn update(
        &self,
        known: &Known,
        _args: &LastLookArgs,
        _changed: &FieldSet,
        _permit: &Permit,
    ) -> Result<LastLookArgs, ProviderError> {
        Err(not_ours(&known.address))
    }

    /// Refuses to be over while data is left that nobody was shown. A load balancer that came meanwhile
    /// goes, as every other, where its mark proves that it is the cluster's: it holds nothing.
    async fn delete(&self, known: &Known, permit: &Permit) -> Result<(), ProviderError> {
        let args = LastLookArgs::from_object(&known.args)?;
        let marks = Marks {
            tag: args.tag,
            vpc: args.vpc_id,
            droplets: args.droplets.into_iter().flatten().collect(),
            ours: args.ours.into_iter().collect(),
            foreign: args.foreign.into_iter().collect(),
            shown: args.shown.into_iter().flatten().collect(),
            services: args.services.into_iter().flatten().collect(),
            ..Marks::default()
        };
        let look = leavings(&self.0, &marks).await?;
        let late = look.found.iter().filter(|one| !one.holds_data);
        let late: Vec<&Leaving> = late.collect();
        for one in &late {
            let path = path_of::<LeftBalancer>(&one.attrs.id);
            self.0.http().delete(permit, &path).await?;
        }
        self.gone(&late).await?;
        let left = look
            .found
            .iter()
            .filter(|one| one.holds_data && !args.keeps_data);
        let left = left.map(|one| format!("{} {} ({})", one.kind, one.attrs.name, one.attrs.id));
        let left: Vec<String> = left.collect();
        if !left.is_empty() {
            let message = format!(
                "the cluster made these after the plan was shown: {}",
                left.join(", ")
            );
            let error = ProviderError::new(ErrorKind::Failed, message);
            return Err(error.help("run destroy again: it shows them and destroys them"));
        }
        if !look.strangers.is_empty() {
            let message = format!(
                "these load balancers stand in the cluster's VPC, and nothing proves that the \
                 cluster made them: {}",
                look.strangers()
            );
            let error = ProviderError::new(ErrorKind::Failed, message);
            return Err(error.help(
                "the VPC cannot go while they are there: delete them or have them deleted, then run \
                 destroy again",
            ));
        }
        Ok(())
    }
}
