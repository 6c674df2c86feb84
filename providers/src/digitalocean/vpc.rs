//! `vpc`: a private network.

use super::DigitalOcean;
use super::members::held;
use super::remote::{Remote, filled, path_of};
use http::Method;
use kplan_model::{
    Compare, CreateFailed, ErrorKind, Field, FieldSet, Found, Kind, KindInfo, Known, Permit,
    ProviderError, RemoteId, ReplaceOrder, Resource, Typical, Wanted, object,
};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

object! {
    /// What is asked of a VPC.
    pub struct VpcArgs {
        /// Its name: letters, digits, `-` and `.`; unique in the account.
        pub name: String,
        /// The region's slug.
        pub region: String,
        /// A private range, /16 to /28, that overlaps no other of the account; DigitalOcean
        /// chooses one when it is left out.
        pub ip_range: Option<String>,
        /// Up to 255 characters.
        pub description: Option<String>,
    }
}

object! {
    /// What is seen of a VPC.
    pub struct VpcAttrs {
        /// Its name.
        pub name: String,
        /// The region's slug.
        pub region: String,
        /// Its range.
        pub ip_range: Option<String>,
        /// Its description.
        pub description: Option<String>,
        /// Its uniform resource name, for projects.
        pub urn: String,
        /// Whether it is the region's default, which cannot be deleted.
        pub default: bool,
        /// When it was created.
        pub created_at: Option<String>,
    }
}

/// The kind `vpc`.
pub struct Vpc(pub DigitalOcean);

static FIELDS: [Field; 7] = [
    Field::in_place("name", "Unique in the account."),
    Field::replace("region", "The region's slug, such as `fra1`."),
    Field::replace(
        "ip_range",
        "A private range, /16 to /28, that overlaps no other.",
    )
    .by(Compare::Cidr),
    Field::in_place("description", "Up to 255 characters."),
    Field::computed("urn", "Uniform resource name, for projects."),
    Field::computed("default", "Whether it is the region's default."),
    Field::computed("created_at", "When it was created."),
];

static INFO: KindInfo = KindInfo {
    kind: Kind::new("vpc"),
    terraform: "digitalocean_vpc",
    doc: "A private network for droplets, load balancers and databases of one region.",
    fields: &FIELDS,
    // Ranges must not overlap, so two cannot exist at once.
    replace: ReplaceOrder::DeleteFirst,
    identity: &["name", "region"],
    holds: None,
    // Made at once; members of a deleted one linger for some seconds. Estimates.
    typical: Typical {
        create: 2,
        update: 1,
        delete: 20,
    },
    // Two creates in one region race for becoming its default (Terraform holds a lock too).
    max_parallel: 1,
    alike: &["region"],
    import: Some("the VPC's UUID"),
    operations: &[],
};

#[derive(Debug, Deserialize)]
pub(super) struct VpcRemote {
    id: String,
    name: String,
    region: String,
    ip_range: Option<String>,
    description: Option<String>,
    urn: Option<String>,
    #[serde(default)]
    default: bool,
    created_at: Option<String>,
}

impl Remote for VpcRemote {
    type Attrs = VpcAttrs;
    const PATH: &'static str = "/v2/vpcs";
    const ONE: &'static str = "vpc";
    const MANY: &'static str = "vpcs";

    fn id(&self) -> String {
        self.id.clone()
    }

    fn created_at(&self) -> Option<&str> {
        self.created_at.as_deref()
    }

    fn attrs(&self, _known: Option<&Known>) -> VpcAttrs {
        VpcAttrs {
            name: self.name.clone(),
            region: self.region.clone(),
            ip_range: self.ip_range.clone(),
            description: filled(self.description.clone()),
            urn: self
                .urn
                .clone()
                .unwrap_or_else(|| format!("do:vpc:{}", self.id)),
            default: self.default,
            created_at: self.created_at.clone(),
        }
    }
}

/// Why a region's default VPC stays. Another VPC is not made the default in its place: which one
/// is, decides where everything goes that names none, and that is not ours to change.
fn undeletable(known: &Known, vpc: &VpcRemote, refusal: ProviderError) -> ProviderError {
    let region = &vpc.region;
    let mut error = ProviderError::new(
        ErrorKind::Invalid,
        format!(
            "{} (`{}`, {}) is the default VPC of {region}, which DigitalOcean does not delete",
            known.address, vpc.name, vpc.id
        ),
    )
    .help(format!(
        "the first VPC of a region becomes its default. An empty one costs nothing and can stay. \
         To be rid of it, make another VPC of {region} the default (in the control panel, or \
         PATCH /v2/vpcs/ID with {{\"default\": true}}), then run this again"
    ));
    error.code = refusal.code;
    error.request_id = refusal.request_id;
    error
}

impl Resource for Vpc {
    type Args = VpcArgs;
    type Attrs = VpcAttrs;
    const INFO: &'static KindInfo = &INFO;

    async fn read(&self, known: &Known) -> Result<Option<VpcAttrs>, ProviderError> {
        self.0.read::<VpcRemote>(known).await
    }

    async fn read_all(
        &self,
        known: &[Known],
    ) -> Result<BTreeMap<RemoteId, VpcAttrs>, ProviderError> {
        self.0
            .read_all::<VpcRemote>(known, &VpcRemote::list())
            .await
    }

    async fn find(
        &self,
        wanted: Wanted<'_, VpcArgs>,
    ) -> Result<Vec<Found<VpcAttrs>>, ProviderError> {
        let args = wanted.args;
        let fits = |vpc: &VpcRemote| vpc.name == args.name && vpc.region == args.region;
        self.0.search(&VpcRemote::list(), fits).await
    }

    async fn create(
        &self,
        wanted: Wanted<'_, VpcArgs>,
        permit: &Permit,
    ) -> Result<Found<VpcAttrs>, CreateFailed<VpcAttrs>> {
        let args = wanted.args;
        let mut body = Map::new();
        body.insert("name".to_owned(), json!(args.name));
        body.insert("region".to_owned(), json!(args.region));
        for (name, value) in [
            ("ip_range", &args.ip_range),
            ("description", &args.description),
        ] {
            if let Some(value) = value {
                body.insert(name.to_owned(), json!(value));
            }
        }
        let vpc: VpcRemote = self.0.make(permit, &Value::Object(body)).await?;
        Ok(vpc.found())
    }

    async fn update(
        &self,
        known: &Known,
        args: &VpcArgs,
        _changed: &FieldSet,
        permit: &Permit,
    ) -> Result<VpcAttrs, ProviderError> {
        // Replaces both fields, so the call can be repeated.
        let body = json!({
            "name": args.name,
            "description": args.description.as_deref().unwrap_or_default(),
        });
        let path = path_of::<VpcRemote>(known.id.as_str());
        let vpc: VpcRemote = self.0.change(permit, &Method::PUT, &path, &body).await?;
        Ok(vpc.attrs(Some(known)))
    }

    async fn delete(&self, known: &Known, permit: &Permit) -> Result<(), ProviderError> {
        let Err(refusal) = self.0.destroy::<VpcRemote>(known, permit).await else {
            return Ok(());
        };
        let may_be_final = matches!(
            refusal.kind,
            ErrorKind::Busy | ErrorKind::Denied | ErrorKind::Invalid
        );
        if !may_be_final {
            return Err(refusal);
        }
        // A VPC with members and a default VPC are refused alike, with 403. Waiting helps against
        // members only, so the VPC itself is asked, not the refusal's words.
        let path = path_of::<VpcRemote>(known.id.as_str());
        match self.0.one::<VpcRemote>(&path, VpcRemote::ONE).await {
            Ok(Some(vpc)) if vpc.default => Err(undeletable(known, &vpc, refusal)),
            _ if refusal.kind == ErrorKind::Busy => Err(held(&self.0, known, refusal).await),
            _ => Err(refusal),
        }
    }
}
