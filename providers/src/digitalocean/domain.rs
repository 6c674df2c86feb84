//! `domain`: a domain whose records DigitalOcean serves. Its id is its name.
//!
//! Destroying a domain at DigitalOcean destroys every record in it, whoever made it. kplan destroys
//! one only when nothing is left in it but what DigitalOcean put there.

use super::DigitalOcean;
use super::domain_record::{DomainRecordAttrs, path_by_id, records_in};
use super::members::Member;
use super::remote::Remote;
use kplan_model::{
    Compare, CreateFailed, ErrorKind, Field, FieldSet, Found, FoundOrNot, Kind, KindInfo, Known,
    Permit, ProviderError, RemoteId, ReplaceOrder, Resource, Typical, Wanted, object,
};
use serde::Deserialize;
use serde_json::json;
use std::collections::BTreeMap;

object! {
    /// What is asked of a domain.
    pub struct DomainArgs {
        /// Its name, such as `example.com`.
        pub name: String,
    }
}

object! {
    /// What is seen of a domain.
    pub struct DomainAttrs {
        /// Its name.
        pub name: String,
        /// Its uniform resource name, for projects.
        pub urn: String,
        /// Seconds that resolvers may keep the records which DigitalOcean put there.
        pub ttl: Option<u32>,
    }
}

/// The kind `domain`.
pub struct Domain(pub DigitalOcean);

static FIELDS: [Field; 3] = [
    Field::replace("name", "Its name, such as `example.com`.").by(Compare::CaseFold),
    Field::computed("urn", "Uniform resource name, for projects."),
    Field::computed("ttl", "Seconds that DigitalOcean's own records are kept."),
];

static INFO: KindInfo = KindInfo {
    kind: Kind::new("domain"),
    terraform: "digitalocean_domain",
    doc: "A domain whose records DigitalOcean serves.",
    fields: &FIELDS,
    // An account has a name once.
    replace: ReplaceOrder::DeleteFirst,
    identity: &["name"],
    // It goes only when nobody's records are in it.
    holds: None,
    // Answered at once; estimates.
    typical: Typical {
        create: 1,
        update: 1,
        delete: 1,
    },
    max_parallel: 4,
    alike: &[],
    import: Some("the domain's name"),
    operations: &[],
};

#[derive(Debug, Deserialize)]
pub(super) struct DomainRemote {
    pub(super) name: String,
    ttl: Option<u32>,
}

impl Remote for DomainRemote {
    type Attrs = DomainAttrs;
    const PATH: &'static str = "/v2/domains";
    const ONE: &'static str = "domain";
    const MANY: &'static str = "domains";
    const ID: &'static str = "name";

    fn id(&self) -> String {
        self.name.clone()
    }

    fn attrs(&self, _known: Option<&Known>) -> DomainAttrs {
        DomainAttrs {
            name: self.name.clone(),
            urn: format!("do:domain:{}", self.name),
            ttl: self.ttl,
        }
    }
}

/// Whether DigitalOcean put a record there itself, with the domain: by its type, name and value.
pub fn is_digitaloceans(kind: &str, name: &str, value: &str) -> bool {
    let server = value.trim_end_matches('.');
    kind == "NS" && name == "@" && server.ends_with(".digitalocean.com")
}

/// The records of a domain that DigitalOcean did not put there and that `is_known` says it does not
/// know; nothing where their list is not there.
///
/// # Errors
/// Those of DigitalOcean.
pub async fn strange_records(
    cloud: &DigitalOcean,
    domain: &str,
    is_known: impl Fn(&Member) -> bool,
) -> Result<Option<Vec<Member>>, ProviderError> {
    let Some(records) = records_in(cloud, domain).await? else {
        return Ok(None);
    };
    let records = records.into_iter().filter(|(_, record)| {
        let DomainRecordAttrs {
            r#type,
            name,
            value,
            ..
        } = record;
        !is_digitaloceans(r#type, name, value)
    });
    let members = records.map(|(id, record)| Member {
        what: "DNS record".to_owned(),
        name: format!("{} {}", record.r#type, record.fqdn),
        id: id.to_string(),
    });
    let mut strangers: Vec<Member> = members.filter(|one| !is_known(one)).collect();
    strangers.sort();
    Ok(Some(strangers))
}

/// Why a domain stays.
fn held(known: &Known, strangers: &[Member]) -> ProviderError {
    let named: Vec<String> = strangers.iter().map(ToString::to_string).collect();
    let message = format!(
        "{} ({}) stays, because its records would go with it, and these are still in it: {}",
        known.address,
        known.id,
        named.join(", ")
    );
    ProviderError::new(ErrorKind::Invalid, message).help(
        "nothing was done to them. Delete them where nobody needs them, or keep the domain \
         (`[[removed]]` with `keep = true`); then run this again",
    )
}

impl Domain {
    /// What a list of records that is not there means: that the domain is gone, or nothing.
    async fn unlisted(&self, known: &Known) -> Result<(), ProviderError> {
        if self.read(known).await?.is_none() {
            return Ok(());
        }
        let message = format!(
            "DigitalOcean does not show which records are in {}",
            known.id
        );
        Err(ProviderError::new(ErrorKind::Busy, message))
    }
}

impl Resource for Domain {
    type Args = DomainArgs;
    type Attrs = DomainAttrs;
    const INFO: &'static KindInfo = &INFO;
    const FINDS_ALL: bool = true;

    async fn read(&self, known: &Known) -> Result<Option<DomainAttrs>, ProviderError> {
        self.0.read::<DomainRemote>(known).await
    }

    async fn read_all(
        &self,
        known: &[Known],
    ) -> Result<BTreeMap<RemoteId, DomainAttrs>, ProviderError> {
        self.0
            .read_all::<DomainRemote>(known, &DomainRemote::list())
            .await
    }

    async fn find(&self, wanted: Wanted<'_, DomainArgs>) -> FoundOrNot<DomainAttrs> {
        self.0.named::<DomainRemote>(&wanted.args.name).await
    }

    async fn find_all(&self, wanted: &[Wanted<'_, DomainArgs>]) -> Vec<FoundOrNot<DomainAttrs>> {
        let names: Vec<String> = wanted.iter().map(|one| one.args.name.clone()).collect();
        self.0.all_named::<DomainRemote>(&names).await
    }

    async fn create(
        &self,
        wanted: Wanted<'_, DomainArgs>,
        permit: &Permit,
    ) -> Result<Found<DomainAttrs>, CreateFailed<DomainAttrs>> {
        let body = json!({ "name": wanted.args.name });
        let domain: DomainRemote = self.0.make(permit, &body).await?;
        Ok(domain.found())
    }

    async fn update(
        &self,
        known: &Known,
        _args: &DomainArgs,
        _changed: &FieldSet,
        _permit: &Permit,
    ) -> Result<DomainAttrs, ProviderError> {
        // No field changes in place.
        let domain: DomainRemote = self.0.reread(known).await?;
        Ok(domain.attrs(Some(known)))
    }

    /// Refused while records are in it: DigitalOcean would destroy them with it. Those that this run
    /// destroyed itself may be listed a moment longer. A list that is not there says nothing of what is
    /// in a domain that is.
    async fn delete(&self, known: &Known, permit: &Permit) -> Result<(), ProviderError> {
        let domain = known.id.as_str();
        let strangers = strange_records(&self.0, domain, |one| {
            path_by_id(&one.id).is_some_and(|path| self.0.http.has_deleted(&path))
        });
        let strangers = strangers.await?;
        let Some(strangers) = strangers else {
            return self.unlisted(known).await;
        };
        match strangers.as_slice() {
            [] => self.0.destroy::<DomainRemote>(known, permit).await,
            strangers => Err(held(known, strangers)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::testing::{Script, empty, json, permit};
    use kplan_model::{Address, Object};
    use serde_json::json as value;

    fn known() -> Known {
        Known {
            address: Address::new(Kind::new("domain"), "example-com"),
            id: RemoteId::new("example.com"),
            args: Object::new(),
            attrs: Object::new(),
        }
    }

    fn listed(records: &[(u64, &str, &str, &str)]) -> http::Response<bytes::Bytes> {
        let records: Vec<_> = records
            .iter()
            .map(|(id, kind, name, data)| {
                value!({ "id": id, "type": kind, "name": name, "data": data, "ttl": 1800 })
            })
            .collect();
        let total = records.len();
        json(
            200,
            &value!({ "domain_records": records, "links": {}, "meta": { "total": total } }),
        )
    }

    fn absent() -> http::Response<bytes::Bytes> {
        json(404, &value!({ "id": "not_found", "message": "gone" }))
    }

    async fn delete(
        answers: Vec<http::Response<bytes::Bytes>>,
    ) -> (Result<(), ProviderError>, Vec<String>) {
        let script = Script::answers(answers);
        let domain = Domain(DigitalOcean::new(script.config()));
        let end = domain.delete(&known(), &permit()).await;
        (end, script.calls())
    }

    #[tokio::test(start_paused = true)]
    async fn a_domain_goes_with_nothing_in_it_but_digitaloceans_own() {
        let own = [
            (1, "SOA", "@", "1800"),
            (2, "NS", "@", "ns1.digitalocean.com"),
        ];
        let (end, calls) = delete(vec![listed(&own), empty(204)]).await;
        assert_eq!(end, Ok(()));
        assert_eq!(calls.len(), 2, "{calls:?}");
        for theirs in [
            (3, "A", "www", "203.0.113.7"),
            (3, "CAA", "@", "letsencrypt.org"),
            (3, "NS", "@", "ns1.example.net"),
            (3, "NS", "sub", "ns1.digitalocean.com"),
        ] {
            let (end, calls) = delete(vec![listed(&[own[0], own[1], theirs])]).await;
            let error = end.unwrap_err();
            assert_eq!(error.kind, ErrorKind::Invalid, "{error}");
            assert!(error.message.contains("(example.com/3)"), "{error}");
            assert_eq!(calls.len(), 1, "{calls:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_list_that_is_not_there_is_no_empty_list() {
        let there = json(
            200,
            &value!({ "domain": { "name": "example.com", "ttl": 1800 } }),
        );
        let (end, calls) = delete(vec![absent(), there]).await;
        assert_eq!(end.unwrap_err().kind, ErrorKind::Busy);
        assert!(
            calls.iter().all(|call| call.starts_with("GET")),
            "{calls:?}"
        );
        let (end, _) = delete(vec![absent(), absent()]).await;
        assert_eq!(end, Ok(()));
    }
}
