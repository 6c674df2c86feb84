//! `droplet`: a virtual machine.

mod change;
mod remote;

use super::DigitalOcean;
use super::action::ERRORED;
use super::owner_tag::{self, is_owner_tag};
use super::remote::{Remote, path_of, recorded, text, texts};
use crate::http::List;
use crate::k3s::boot::{self, ADDRESS_VALID, Addresses, BootArgs};
use crate::spaces::{Keys, Spaces};
use kplan_model::{
    Change, Compare, CreateFailed, Disruption, ErrorKind, Field, FieldSet, Found, FoundOrNot,
    Input, Kind, KindInfo, Known, Otherwise, Owner, Permit, ProviderError, Readiness, RemoteId,
    ReplaceOrder, Resource, Typical, Wanted, object,
};
pub(super) use remote::DropletRemote;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// DigitalOcean takes at most 64 KiB of `user_data`.
const MAX_USER_DATA: usize = 64 << 10;

object! {
    /// What is asked of a droplet.
    pub struct DropletArgs {
        /// Its name, which is also its host name: letters, digits, `-` and `.`.
        pub name: String,
        /// The region's slug.
        pub region: String,
        /// The size's slug.
        pub size: String,
        /// The image's slug or id.
        pub image: String,
        /// The VPC it stands in; the region's default when left out.
        pub vpc_uuid: Option<Input<String>>,
        /// SSH keys of the account: public keys, fingerprints or ids. With none, DigitalOcean mails
        /// a root password. By its public key or fingerprint a key is the same when it was taken
        /// out of the account and put back; by its id it is not.
        pub ssh_keys: Vec<Input<String>>,
        /// Tags; the owner's is added.
        pub tags: Vec<Input<String>>,
        /// What cloud-init runs at the first boot; at most 64 KiB. Holds no secret.
        pub user_data: Option<Input<String>>,
        /// What makes it a node: `user_data` is then made from it when the droplet is made,
        /// because the addresses in it are valid for an hour only. Excludes `user_data`.
        pub boot: Option<BootArgs>,
        /// Whether the metrics agent is installed.
        pub monitoring: bool,
        /// Whether it is backed up.
        pub backups: bool,
        /// Whether it has a public IPv6 address.
        pub ipv6: bool,
        /// Whether the console agent is installed; DigitalOcean decides when left out.
        pub droplet_agent: Option<bool>,
        /// Whether a change of size grows the disk too, which cannot be undone; true when left
        /// out.
        pub resize_disk: Option<bool>,
        /// `on`: a droplet that is found off is powered on. Left alone when left out.
        pub power: Option<String>,
    }
}

object! {
    /// What is seen of a droplet. The image is not: its slug moves on to newer images, so it is
    /// only compared with the record.
    pub struct DropletAttrs {
        /// Its name.
        pub name: String,
        /// The region's slug.
        pub region: String,
        /// The size's slug.
        pub size: String,
        /// The VPC it stands in.
        pub vpc_uuid: Option<String>,
        /// Its tags, sorted, without the owner's.
        pub tags: Vec<String>,
        /// Whether the metrics agent is installed.
        pub monitoring: bool,
        /// Whether it is backed up.
        pub backups: bool,
        /// Whether it has a public IPv6 address.
        pub ipv6: bool,
        /// The owner's tag.
        pub owner_tag: Option<String>,
        /// Its public IPv4 address; none until it is active.
        pub ipv4_address: Option<String>,
        /// Its private IPv4 address; none until it is active.
        pub ipv4_address_private: Option<String>,
        /// Its public IPv6 address.
        pub ipv6_address: Option<String>,
        /// `new`, `active`, `off` or `archive`; `errored` when its creation failed, which
        /// DigitalOcean shows in its actions only.
        pub status: String,
        /// `on`, or `off` when somebody powered it off or DigitalOcean archived it.
        pub power: String,
        /// Its uniform resource name, for projects.
        pub urn: String,
        /// Its processors.
        pub vcpus: Option<u32>,
        /// Its memory in MiB.
        pub memory: Option<u32>,
        /// Its disk in GiB.
        pub disk: Option<u32>,
        /// US dollars a month, such as `24` or `4.5`.
        pub price_monthly: Option<String>,
        /// When it was created.
        pub created_at: Option<String>,
    }
}

/// The kind `droplet`.
pub struct Droplet {
    /// Where it is.
    pub cloud: DigitalOcean,
    /// Where nodes find their bundles.
    pub spaces: Spaces,
}

const KEYS: &str = "a droplet takes SSH keys at its first boot only: make it anew (--replace and its \
                    address), or change ~/.ssh/authorized_keys on it and leave the file as it was";

static FIELDS: [Field; 26] = [
    Field::in_place("name", "Its name and host name."),
    Field::replace("region", "The region's slug, such as `fra1`."),
    Field::new(
        "size",
        Change::InPlace {
            disruption: Disruption::PowerOff,
        },
        "The size's slug, such as `s-2vcpu-4gb`; a change powers the droplet off and on, and with \
         `resize_disk` grows its disk for good: no size with a smaller disk is possible afterwards.",
    ),
    Field::replace(
        "image",
        "The image's slug or id. Compared with the record only: a slug moves on to newer images.",
    ),
    Field::replace("vpc_uuid", "The VPC it stands in."),
    Field::new(
        "ssh_keys",
        Change::Refuse(KEYS),
        "SSH keys of the account that are put on the droplet at its first boot: public keys, \
         fingerprints or ids.",
    )
    .by(Compare::Set),
    Field::in_place(
        "tags",
        "Tags; the owner's is added by itself, and put back where it is asked for by name.",
    )
    .by(Compare::Set),
    Field::ignored(
        "user_data",
        "What cloud-init runs at the first boot. DigitalOcean neither shows nor changes it, and a \
         living machine never reads it again, so a change only concerns machines made later.",
    ),
    Field::ignored(
        "boot",
        "What makes it a node, read at the first boot; a change only concerns machines made later.",
    ),
    Field::replace("monitoring", "Whether the metrics agent is installed."),
    Field::in_place("backups", "Whether it is backed up."),
    Field::new(
        "ipv6",
        Change::OneWay {
            from: "false",
            to: "true",
            otherwise: Otherwise::Replace,
        },
        "Whether it has a public IPv6 address; can be switched on, not off.",
    ),
    Field::replace("droplet_agent", "Whether the console agent is installed."),
    Field::ignored(
        "resize_disk",
        "Whether a change of size grows the disk too, for good.",
    ),
    // Who finds it off has lost what ran there; who powers it on waits for that to come back.
    Field::new(
        "power",
        Change::InPlace {
            disruption: Disruption::Restart,
        },
        "`on`: a droplet that is found off is powered on. Left alone when left out.",
    ),
    Field::computed("owner_tag", "The tag of the cluster it belongs to."),
    Field::computed("ipv4_address", "Public IPv4 address."),
    Field::computed("ipv4_address_private", "Private IPv4 address."),
    Field::computed("ipv6_address", "Public IPv6 address."),
    Field::computed(
        "status",
        "`new`, `active`, `off` or `archive`; `errored` when its creation failed.",
    ),
    Field::computed("urn", "Uniform resource name, for projects."),
    Field::computed("vcpus", "Processors."),
    Field::computed("memory", "Memory in MiB."),
    Field::computed("disk", "Disk in GiB."),
    Field::computed("price_monthly", "US dollars a month."),
    Field::computed("created_at", "When it was created."),
];

static INFO: KindInfo = KindInfo {
    kind: Kind::new("droplet"),
    terraform: "digitalocean_droplet",
    doc: "A virtual machine. Its disk is lost when it is replaced or destroyed.",
    fields: &FIELDS,
    // Two machines of one host name would be two nodes of one name.
    replace: ReplaceOrder::DeleteFirst,
    identity: &["name", "region"],
    holds: None,
    // Until `active`, and a resize with its disk: estimates, none is documented.
    typical: Typical {
        create: 45,
        update: 90,
        delete: 10,
    },
    max_parallel: 64,
    alike: &["region", "size", "image", "vpc_uuid"],
    import: Some("the droplet's number"),
    operations: &[],
};

/// What the first boot runs: as given, or made for a node, with addresses signed here and now.
async fn user_data(spaces: &Spaces, args: &DropletArgs) -> Result<Option<String>, ProviderError> {
    let given = text(args.user_data.as_ref())?;
    let Some(node) = &args.boot else {
        return Ok(given);
    };
    if given.is_some() {
        return Err(ProviderError::new(
            ErrorKind::Invalid,
            "a droplet takes user_data or is a node, not both",
        ));
    }
    let keys = Keys {
        access_key: node.access_key.known()?.clone(),
        secret_key: node.secret_key.known()?.clone(),
    };
    let (region, bucket) = (node.region.known()?, node.bucket.known()?);
    let objects = spaces.objects(region, bucket, Some(&keys))?;
    let bundle = node.bundle_key()?;
    let report = boot::report_key(&bundle);
    let addresses = Addresses {
        bundle: objects.presign_get(&bundle, ADDRESS_VALID).await?,
        report: objects.presign_put(&report, ADDRESS_VALID).await?,
    };
    boot::render(node, &addresses).map(Some)
}

/// An SSH key as DigitalOcean takes it: its id or its fingerprint.
fn named(key: String) -> Result<String, ProviderError> {
    if !key.contains(' ') {
        return Ok(key);
    }
    super::ssh_key::fingerprint(&key).ok_or_else(|| {
        ProviderError::new(
            ErrorKind::Invalid,
            format!("`{key}` is not a public key in OpenSSH's form"),
        )
        .help("it looks like `ssh-ed25519 AAAA… comment`")
    })
}

fn create_body(
    wanted: Wanted<'_, DropletArgs>,
    user_data: Option<String>,
) -> Result<Value, ProviderError> {
    let args = wanted.args;
    change::check_power(args)?;
    let id_or = |text: String| {
        text.parse::<i64>()
            .map_or_else(|_| json!(text), |id| json!(id))
    };
    let tags = owner_tag::with_owner(texts(&args.tags)?, wanted.owner);
    let mut body = Map::new();
    let mut put = |name: &str, value: Value| {
        body.insert(name.to_owned(), value);
    };
    put("name", json!(args.name));
    put("region", json!(args.region));
    put("size", json!(args.size));
    put("image", id_or(args.image.clone()));
    put("tags", json!(tags));
    put("monitoring", json!(args.monitoring));
    put("backups", json!(args.backups));
    put("ipv6", json!(args.ipv6));
    if let Some(vpc) = text(args.vpc_uuid.as_ref())? {
        put("vpc_uuid", json!(vpc));
    }
    // An empty list would not be the same as none.
    if !args.ssh_keys.is_empty() {
        put(
            "ssh_keys",
            texts(&args.ssh_keys)?
                .into_iter()
                .map(|key| named(key).map(id_or))
                .collect::<Result<_, _>>()?,
        );
    }
    if let Some(agent) = args.droplet_agent {
        put("with_droplet_agent", json!(agent));
    }
    if let Some(user_data) = user_data {
        if user_data.len() > MAX_USER_DATA {
            return Err(ProviderError::new(
                ErrorKind::Invalid,
                format!(
                    "user_data is {} bytes; DigitalOcean takes 64 KiB",
                    user_data.len()
                ),
            ));
        }
        put("user_data", json!(user_data));
    }
    Ok(Value::Object(body))
}

/// The list that holds all of them: the owner's droplets where our records agree on an owner,
/// else all of the account.
fn list_for(known: &[Known]) -> List {
    let mut owners = known
        .iter()
        .map(|known| recorded::<String>(Some(known), "owner_tag"));
    match owners.next() {
        Some(Some(tag))
            if is_owner_tag(&tag) && owners.all(|other| other.as_ref() == Some(&tag)) =>
        {
            DropletRemote::list().with("tag_name", tag)
        }
        _ => DropletRemote::list(),
    }
}

impl Resource for Droplet {
    type Args = DropletArgs;
    type Attrs = DropletAttrs;
    const INFO: &'static KindInfo = &INFO;
    const IS_MARKED: bool = true;
    const FINDS_ALL: bool = true;

    async fn read(&self, known: &Known) -> Result<Option<DropletAttrs>, ProviderError> {
        let path = path_of::<DropletRemote>(known.id.as_str());
        let droplet: Option<DropletRemote> = self.cloud.one(&path, DropletRemote::ONE).await?;
        match droplet {
            Some(droplet) => {
                let mut seen = remote::seen(&self.cloud, vec![(known, droplet)]).await;
                Ok(seen.remove(&known.id))
            }
            None => Ok(None),
        }
    }

    async fn read_all(
        &self,
        known: &[Known],
    ) -> Result<BTreeMap<RemoteId, DropletAttrs>, ProviderError> {
        let droplets = self.cloud.known(known, &list_for(known)).await?;
        Ok(remote::seen(&self.cloud, droplets).await)
    }

    async fn find(
        &self,
        wanted: Wanted<'_, DropletArgs>,
    ) -> Result<Vec<Found<DropletAttrs>>, ProviderError> {
        let found = self.find_all(&[wanted]).await.pop();
        found.unwrap_or_else(|| Ok(Vec::new()))
    }

    /// One list of the owner's droplets answers for all of them.
    async fn find_all(&self, wanted: &[Wanted<'_, DropletArgs>]) -> Vec<FoundOrNot<DropletAttrs>> {
        let Some(owner) = wanted.first().map(|one| one.owner) else {
            return Vec::new();
        };
        let list = DropletRemote::list().with("tag_name", owner.tag());
        let names: Vec<String> = wanted.iter().map(|one| one.args.name.clone()).collect();
        let found = self
            .cloud
            .search_all(&list, &names, |droplet: &DropletRemote| {
                Some(droplet.name.clone())
            })
            .await;
        let shown = |(found, one): (FoundOrNot<DropletAttrs>, &Wanted<'_, DropletArgs>)| {
            let (mut found, asked) = (found?, texts(&one.args.tags)?);
            for DropletAttrs {
                tags, owner_tag, ..
            } in found.iter_mut().map(|found| &mut found.attrs)
            {
                owner_tag::show(tags, owner_tag.as_ref(), &asked);
            }
            Ok(found)
        };
        found.into_iter().zip(wanted).map(shown).collect()
    }

    async fn create(
        &self,
        wanted: Wanted<'_, DropletArgs>,
        permit: &Permit,
    ) -> Result<Found<DropletAttrs>, CreateFailed<DropletAttrs>> {
        let user_data = user_data(&self.spaces, wanted.args).await?;
        let asked = texts(&wanted.args.tags).map_err(ProviderError::from)?;
        let body = create_body(wanted, user_data)?;
        let droplet: DropletRemote = self.cloud.make(permit, &body).await?;
        let mut found = droplet.found();
        found.attrs.tags = droplet.tags(&asked);
        Ok(found)
    }

    async fn update(
        &self,
        known: &Known,
        args: &DropletArgs,
        changed: &FieldSet,
        permit: &Permit,
    ) -> Result<DropletAttrs, ProviderError> {
        change::update(&self.cloud, known, args, changed, permit).await
    }

    async fn release(&self, known: &Known, permit: &Permit) -> Result<(), ProviderError> {
        self.cloud.disown(permit, "droplet", known).await
    }

    async fn delete(&self, known: &Known, permit: &Permit) -> Result<(), ProviderError> {
        self.cloud.destroy::<DropletRemote>(known, permit).await
    }

    fn readiness(&self, attrs: &DropletAttrs) -> Readiness {
        match attrs.status.as_str() {
            "active" if attrs.ipv4_address.is_none() => {
                Readiness::Waiting("it has no public address yet".into())
            }
            "active" if attrs.ipv4_address_private.is_none() => {
                Readiness::Waiting("it has no private address yet".into())
            }
            "active" => Readiness::Ready,
            "archive" => Readiness::Failed("DigitalOcean archived it".into()),
            ERRORED => Readiness::Failed("DigitalOcean reports that its creation failed".into()),
            status => Readiness::Waiting(format!("status is \"{status}\"")),
        }
    }
}

/// The droplets that carry an owner's tag, by id, with their names. One list.
///
/// # Errors
/// Those of the list.
pub async fn droplets_of(
    cloud: &DigitalOcean,
    owner: &Owner,
) -> Result<BTreeMap<String, String>, ProviderError> {
    let list = DropletRemote::list().with("tag_name", owner.tag());
    let droplets: Vec<DropletRemote> = cloud.http().list(&list).await?;
    let named = droplets.into_iter();
    Ok(named.map(|droplet| (droplet.id(), droplet.name)).collect())
}
