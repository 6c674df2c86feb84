//! `domain_record`: a DNS record in a domain that DigitalOcean serves. Its id is
//! `<domain>/<number>`.
//!
//! DigitalOcean gives it neither a tag nor a creation time. What a record *is* are its domain,
//! type, name and value, so a create whose answer was lost is looked for by all four; other
//! records of the name are other records, and left alone.

use super::DigitalOcean;
use super::domain::DomainRemote;
use super::remote::{Remote as _, applied, path_of, vanished};
use crate::http::{List, encode};
use futures_util::future::{join_all, try_join_all};
use http::Method;
use kplan_model::{
    Compare, CreateFailed, ErrorKind, Field, FieldSet, Found, FoundAs, FoundOrNot, Input, Kind,
    KindInfo, Known, Permit, ProviderError, RemoteId, ReplaceOrder, Resource, ShapeError, Typical,
    Wanted, object,
};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

object! {
    /// What is asked of a record.
    pub struct DomainRecordArgs {
        /// The domain; it must exist by then.
        pub domain: String,
        /// `A`, `AAAA`, `CNAME`, `MX`, `NS`, `SRV` or `TXT`.
        pub r#type: String,
        /// Its name within the domain; `@` for the domain itself.
        pub name: String,
        /// What it says: an address, text, or the full name of a host without a dot at the end
        /// (`@` for the domain itself).
        pub value: Input<String>,
        /// Seconds resolvers may keep it; at least 30.
        pub ttl: u32,
        /// `MX` and `SRV`: which is asked first, the lowest.
        pub priority: Option<u32>,
        /// `SRV`: where the service listens.
        pub port: Option<u32>,
        /// `SRV`: the share among those of one priority.
        pub weight: Option<u32>,
    }
}

object! {
    /// What is seen of a record.
    pub struct DomainRecordAttrs {
        /// The domain.
        pub domain: String,
        /// What it is about.
        pub r#type: String,
        /// Its name within the domain.
        pub name: String,
        /// What it says.
        pub value: String,
        /// Seconds resolvers may keep it.
        pub ttl: u32,
        /// `MX` and `SRV`: which is asked first, the lowest.
        pub priority: Option<u32>,
        /// `SRV`: where the service listens.
        pub port: Option<u32>,
        /// `SRV`: the share among those of one priority.
        pub weight: Option<u32>,
        /// Its full name.
        pub fqdn: String,
    }
}

/// The kind `domain_record`.
pub struct DomainRecord(pub DigitalOcean);

static FIELDS: [Field; 9] = [
    Field::replace("domain", "The domain; it must exist by then.").by(Compare::CaseFold),
    Field::replace("type", "What it is about."),
    Field::in_place(
        "name",
        "Its name within the domain; `@` for the domain itself.",
    )
    .by(Compare::CaseFold),
    Field::in_place("value", "What it says: an address, text, or a host."),
    Field::in_place("ttl", "Seconds resolvers may keep it."),
    Field::in_place(
        "priority",
        "`MX` and `SRV`: which is asked first, the lowest.",
    ),
    Field::in_place("port", "`SRV`: where the service listens."),
    Field::in_place("weight", "`SRV`: the share among those of one priority."),
    Field::computed("fqdn", "Its full name."),
];

static INFO: KindInfo = KindInfo {
    kind: Kind::new("domain_record"),
    terraform: "digitalocean_record",
    doc: "A DNS record in a domain that DigitalOcean serves.",
    fields: &FIELDS,
    // A CNAME record stands beside no other record of its name.
    replace: ReplaceOrder::DeleteFirst,
    identity: &["domain", "type", "name", "value"],
    holds: None,
    // Answered at once; estimates.
    typical: Typical {
        create: 1,
        update: 1,
        delete: 1,
    },
    max_parallel: 8,
    alike: &[],
    import: Some("the domain, a slash, and the record's number"),
    operations: &[],
};

/// The key of one in an answer.
const ONE: &str = "domain_record";

/// The path of a domain's records.
fn records_of(domain: &str) -> String {
    format!("/v2/domains/{}/records", encode(domain))
}

fn list_of(domain: &str) -> List {
    List::new(records_of(domain), "domain_records", "id")
}

fn full_name(name: &str, domain: &str) -> String {
    match name {
        "@" => domain.to_owned(),
        name => format!("{name}.{domain}"),
    }
}

/// Whether records of this type say a host's name.
fn says_host(kind: &str) -> bool {
    matches!(kind, "CNAME" | "MX" | "NS" | "SRV")
}

/// What makes two spellings of a value one value: DigitalOcean takes a host with a dot at its end
/// and shows it without.
fn meaning(kind: &str, value: &str) -> String {
    if says_host(kind) {
        return value.strip_suffix('.').unwrap_or(value).to_lowercase();
    }
    match value.parse::<IpAddr>() {
        Ok(address) if kind != "TXT" => address.to_string(),
        _ => value.to_owned(),
    }
}

/// A value as DigitalOcean takes it.
fn data(kind: &str, value: &str) -> String {
    match value {
        host if says_host(kind) && host != "@" && !host.ends_with('.') => format!("{host}."),
        other => other.to_owned(),
    }
}

#[derive(Debug, Deserialize)]
struct RecordRemote {
    id: u64,
    r#type: String,
    name: String,
    data: String,
    ttl: u32,
    priority: Option<u32>,
    port: Option<u32>,
    weight: Option<u32>,
}

impl RecordRemote {
    fn id(&self, domain: &str) -> RemoteId {
        RemoteId::new(format!("{domain}/{}", self.id))
    }

    /// Its attributes, its value in the spelling asked for where that means the same. A number
    /// that nobody asked for on a type that has none is nobody's business: DigitalOcean shows some
    /// as zero.
    fn attrs(&self, domain: &str, asked: Option<String>) -> DomainRecordAttrs {
        let same =
            asked.filter(|asked| meaning(&self.r#type, asked) == meaning(&self.r#type, &self.data));
        let ranked = matches!(self.r#type.as_str(), "MX" | "SRV");
        let service = self.r#type == "SRV";
        DomainRecordAttrs {
            domain: domain.to_owned(),
            r#type: self.r#type.clone(),
            name: self.name.clone(),
            value: same.unwrap_or_else(|| meaning(&self.r#type, &self.data)),
            ttl: self.ttl,
            priority: self.priority.filter(|_| ranked),
            port: self.port.filter(|_| service),
            weight: self.weight.filter(|_| service),
            fqdn: full_name(&self.name, domain),
        }
    }

    fn known(&self, at: Place<'_>, known: &Known) -> DomainRecordAttrs {
        self.attrs(at.domain, applied(Some(known), "value"))
    }

    fn found(&self, args: &DomainRecordArgs) -> Result<Found<DomainRecordAttrs>, ShapeError> {
        Ok(Found {
            id: self.id(&args.domain),
            created_at: None,
            attrs: self.attrs(&args.domain, Some(args.value.known()?.clone())),
            role: FoundAs::Asked,
        })
    }

    fn key(&self) -> Key {
        key(&self.r#type, &self.name, &self.data)
    }
}

/// What tells the records of a domain apart: type, name, value.
type Key = (String, String, String);

fn key(kind: &str, name: &str, value: &str) -> Key {
    (kind.to_owned(), name.to_lowercase(), meaning(kind, value))
}

/// Where a record is: its domain and its number there.
#[derive(Clone, Copy)]
struct Place<'a> {
    domain: &'a str,
    number: &'a str,
}

impl<'a> Place<'a> {
    /// From `<domain>/<number>`.
    fn of(known: &'a Known) -> Result<Self, ProviderError> {
        Self::parse(known.id.as_str()).ok_or_else(|| {
            ProviderError::new(
                ErrorKind::Bug,
                format!(
                    "{} has the id `{}`, not `DOMAIN/NUMBER`",
                    known.address, known.id
                ),
            )
        })
    }

    fn parse(id: &'a str) -> Option<Self> {
        let (domain, number) = id.split_once('/')?;
        Some(Self { domain, number })
    }

    fn path(self) -> String {
        format!("{}/{}", records_of(self.domain), encode(self.number))
    }
}

/// Where a record is read and destroyed, by its id.
pub(super) fn path_by_id(id: &str) -> Option<String> {
    Place::parse(id).map(Place::path)
}

/// The whole record: both the create and the update send all of it.
fn body(args: &DomainRecordArgs) -> Result<Value, ShapeError> {
    Ok(json!({
        "type": args.r#type,
        "name": args.name,
        "data": data(&args.r#type, args.value.known()?),
        "ttl": args.ttl,
        "priority": args.priority,
        "port": args.port,
        "weight": args.weight,
    }))
}

/// A refusal because the domain is not there.
fn no_domain(domain: &str, refusal: ProviderError) -> ProviderError {
    let mut error = ProviderError::new(
        ErrorKind::Invalid,
        format!("the DigitalOcean account has no domain `{domain}`"),
    )
    .help(format!(
        "add it (a `[[domain]]` of that name, `doctl compute domain create {domain}`, or Networking in \
         the control panel), and let its registrar name ns1.digitalocean.com, ns2.digitalocean.com and \
         ns3.digitalocean.com as its name servers; then run this again"
    ));
    error.code = refusal.code;
    error.request_id = refusal.request_id;
    error
}

/// A refusal of a second record beside a CNAME. It may be one that is being removed just now.
fn beside_cname(refusal: ProviderError) -> ProviderError {
    if refusal.kind != ErrorKind::Invalid || !refusal.message.contains("CNAME") {
        return refusal;
    }
    ProviderError {
        kind: ErrorKind::Busy,
        ..refusal
    }
    .help("a name with a CNAME record has no other: remove the other one, then run this again")
}

/// All records of a domain but the one that DigitalOcean keeps itself; nothing where their list is
/// not there.
pub(super) async fn records_in(
    cloud: &DigitalOcean,
    domain: &str,
) -> Result<Option<Vec<(RemoteId, DomainRecordAttrs)>>, ProviderError> {
    let Some(records) = DomainRecord(cloud.clone()).records(domain).await? else {
        return Ok(None);
    };
    let records = records.iter().filter(|record| record.r#type != "SOA");
    let shown = records.map(|record| (record.id(domain), record.attrs(domain, None)));
    Ok(Some(shown.collect()))
}

impl DomainRecord {
    /// All records of a domain; nothing where their list is not there.
    async fn records(&self, domain: &str) -> Result<Option<Vec<RecordRemote>>, ProviderError> {
        match self.0.http.list(&list_of(domain)).await {
            Err(error) if error.kind == ErrorKind::NotFound => Ok(None),
            other => other.map(Some),
        }
    }

    /// A refusal because the domain is not there; or not yet, where it was made a moment ago.
    async fn without_domain(&self, domain: &str, refusal: ProviderError) -> ProviderError {
        if refusal.kind != ErrorKind::NotFound {
            return refusal;
        }
        let path = path_of::<DomainRemote>(domain);
        match self.0.one::<DomainRemote>(&path, DomainRemote::ONE).await {
            Ok(Some(_)) => ProviderError {
                kind: ErrorKind::Busy,
                ..refusal
            },
            _ => no_domain(domain, refusal),
        }
    }

    /// Those of a list that are what is wanted.
    async fn look(
        &self,
        wanted: Wanted<'_, DomainRecordArgs>,
        list: List,
    ) -> FoundOrNot<DomainRecordAttrs> {
        let args = wanted.args;
        let asked = key(&args.r#type, &args.name, args.value.known()?);
        let records: Vec<RecordRemote> = match self.0.http.list(&list).await {
            Ok(records) => records,
            Err(error) => return Err(self.without_domain(&args.domain, error).await),
        };
        let fitting = records.iter().filter(|record| record.key() == asked);
        Ok(fitting
            .map(|record| record.found(args))
            .collect::<Result<_, _>>()?)
    }
}

impl Resource for DomainRecord {
    type Args = DomainRecordArgs;
    type Attrs = DomainRecordAttrs;
    const INFO: &'static KindInfo = &INFO;
    const FINDS_ALL: bool = true;

    async fn read(&self, known: &Known) -> Result<Option<DomainRecordAttrs>, ProviderError> {
        let at = Place::of(known)?;
        let record: Option<RecordRemote> = self.0.one(&at.path(), ONE).await?;
        Ok(record.map(|record| record.known(at, known)))
    }

    /// One list for each domain.
    async fn read_all(
        &self,
        known: &[Known],
    ) -> Result<BTreeMap<RemoteId, DomainRecordAttrs>, ProviderError> {
        let mut ours = BTreeMap::new();
        for known in known {
            ours.insert(known.id.clone(), (Place::of(known)?, known));
        }
        let domains: BTreeSet<&str> = ours.values().map(|(at, _)| at.domain).collect();
        let lists = domains.into_iter().map(|domain| async move {
            let records = self.records(domain).await?.unwrap_or_default();
            Ok::<_, ProviderError>(records.into_iter().map(move |record| (domain, record)))
        });
        let all = try_join_all(lists).await?.into_iter().flatten();
        let seen = all.filter_map(|(domain, record)| {
            let (id, (at, known)) = ours.get_key_value(&record.id(domain))?;
            Some((id.clone(), record.known(*at, known)))
        });
        Ok(seen.collect())
    }

    async fn find(&self, wanted: Wanted<'_, DomainRecordArgs>) -> FoundOrNot<DomainRecordAttrs> {
        let args = wanted.args;
        let list = list_of(&args.domain)
            .with("name", full_name(&args.name, &args.domain))
            .with("type", args.r#type.as_str());
        self.look(wanted, list).await
    }

    /// One by type and name; many by the lists of their domains, which equal looks share.
    async fn find_all(
        &self,
        wanted: &[Wanted<'_, DomainRecordArgs>],
    ) -> Vec<FoundOrNot<DomainRecordAttrs>> {
        if let [one] = wanted {
            return vec![self.find(*one).await];
        }
        let looks = wanted
            .iter()
            .map(|one| self.look(*one, list_of(&one.args.domain)));
        join_all(looks).await
    }

    async fn create(
        &self,
        wanted: Wanted<'_, DomainRecordArgs>,
        permit: &Permit,
    ) -> Result<Found<DomainRecordAttrs>, CreateFailed<DomainRecordAttrs>> {
        let args = wanted.args;
        let body = body(args).map_err(ProviderError::from)?;
        let path = records_of(&args.domain);
        let made = self
            .0
            .changed(permit, &Method::POST, &path, ONE, &body)
            .await;
        let record: RecordRemote = match made {
            Ok(record) => record,
            Err(error) => {
                let error = self.without_domain(&args.domain, error).await;
                return Err(beside_cname(error).into());
            }
        };
        Ok(record.found(args).map_err(ProviderError::from)?)
    }

    async fn update(
        &self,
        known: &Known,
        args: &DomainRecordArgs,
        _changed: &FieldSet,
        permit: &Permit,
    ) -> Result<DomainRecordAttrs, ProviderError> {
        let at = Place::of(known)?;
        let changed = self
            .0
            .changed(permit, &Method::PUT, &at.path(), ONE, &body(args)?)
            .await;
        let record: RecordRemote = match changed {
            Err(error) if error.kind == ErrorKind::NotFound => return Err(vanished(known)),
            other => other.map_err(beside_cname)?,
        };
        Ok(record.attrs(at.domain, Some(args.value.known()?.clone())))
    }

    async fn delete(&self, known: &Known, permit: &Permit) -> Result<(), ProviderError> {
        self.0.http.delete(permit, &Place::of(known)?.path()).await
    }
}
