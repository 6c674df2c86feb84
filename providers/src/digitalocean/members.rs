//! What stands in a VPC: DigitalOcean deletes none that has members, whoever they belong to.

use super::DigitalOcean;
use super::remote::Remote as _;
use super::vpc::VpcRemote;
use crate::http::{List, encode};
use kplan_model::{ErrorKind, Known, ProviderError};
use serde::Deserialize;
use serde_json::Value;
use std::fmt;
use std::time::Duration;

/// How many members are asked for by their id after a refusal, and named.
const ASKED: usize = 8;
/// How many that nobody knows are asked for by their id before they are named.
const CHECKED: usize = 20;
/// What was deleted a moment ago may still be shown by its id. So long is waited before a member
/// counts as one that stays, of the cloud's time.
const SETTLES: Duration = Duration::from_secs(10);

/// The kinds of members that can be asked for: the word of their uniform resource name, what they are
/// called, and the path of their list.
const KINDS: [(&str, &str, &str); 4] = [
    ("droplet", "droplet", "/v2/droplets"),
    ("loadbalancer", "load balancer", "/v2/load_balancers"),
    ("dbaas", "database", "/v2/databases"),
    (
        "kubernetes",
        "Kubernetes cluster",
        "/v2/kubernetes/clusters",
    ),
];

/// Something that stands in a VPC.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Member {
    /// What it is: `load balancer`.
    pub what: String,
    /// Its name.
    pub name: String,
    /// Its id.
    pub id: String,
}

/// As people read it: `droplet web-1 (123)`.
impl fmt::Display for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} ({})", self.what, self.name, self.id)
    }
}

#[derive(Deserialize)]
struct Shown {
    urn: String,
    name: Option<String>,
}

impl From<Shown> for Member {
    fn from(shown: Shown) -> Self {
        let urn = shown.urn.strip_prefix("do:").unwrap_or(&shown.urn);
        let (word, id) = urn.split_once(':').unwrap_or(("resource", urn));
        let known = KINDS.iter().find(|(kind, ..)| *kind == word);
        Self {
            what: known.map_or(word, |(_, what, _)| what).to_owned(),
            name: shown.name.unwrap_or_default(),
            id: id.to_owned(),
        }
    }
}

/// What stands in a VPC, is there, and is none of those that `is_known` says it knows; nothing where there
/// is no such VPC. Only what the token may see is listed.
///
/// # Errors
/// Those of DigitalOcean.
pub async fn strangers_in(
    cloud: &DigitalOcean,
    vpc: &str,
    is_known: impl Fn(&Member) -> bool,
) -> Result<Vec<Member>, ProviderError> {
    let mut strangers = Vec::new();
    let listed = members(cloud, vpc).await?;
    let unknown = listed.into_iter().filter(|member| !is_known(member));
    for (at, member) in unknown.enumerate() {
        // What was destroyed a moment ago is listed for a while. Of so many it makes no difference.
        let is_gone = at < CHECKED && is_there(cloud, &member).await == Some(false);
        if !is_gone {
            strangers.push(member);
        }
    }
    Ok(strangers)
}

/// Everything in a VPC that the token may see, what was destroyed a moment ago included.
async fn members(cloud: &DigitalOcean, vpc: &str) -> Result<Vec<Member>, ProviderError> {
    let path = format!("{}/{}/members", VpcRemote::PATH, encode(vpc));
    let listed: Result<Vec<Shown>, ProviderError> =
        cloud.http().list(&List::new(path, "members", "urn")).await;
    match listed {
        Ok(listed) => {
            let mut members: Vec<Member> = listed.into_iter().map(Member::from).collect();
            members.sort();
            Ok(members)
        }
        Err(error) if error.kind == ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// What a refusal to delete a VPC for its members comes to: members that are there keep it for good,
/// and are named; those that are gone and only still listed are waited for, and so are those that this
/// run deleted itself and that take a while to go.
pub(super) async fn held(
    cloud: &DigitalOcean,
    known: &Known,
    refusal: ProviderError,
) -> ProviderError {
    if staying(cloud, known).await.is_empty() {
        return refusal;
    }
    cloud.http().pause(SETTLES).await;
    let staying = staying(cloud, known).await;
    if staying.is_empty() {
        return refusal;
    }
    let named: Vec<String> = staying.iter().map(ToString::to_string).collect();
    let message = format!(
        "{} ({}) stays, because DigitalOcean deletes no VPC with members, and these stand in it: {}",
        known.address,
        known.id,
        named.join(", ")
    );
    let mut error = ProviderError::new(ErrorKind::Invalid, message).help(
        "nothing was done to them. Delete them where nobody needs them, or ask whoever made them to; \
         then run this again: it goes on with the VPC",
    );
    error.code = refusal.code;
    error.request_id = refusal.request_id;
    error
}

/// The members that are there, as far as they were asked for. Of one that could not be read nobody knows
/// whether it stays.
async fn staying(cloud: &DigitalOcean, known: &Known) -> Vec<Member> {
    let listed = members(cloud, known.id.as_str()).await.unwrap_or_default();
    let mut staying = Vec::new();
    let others = listed.into_iter();
    let others = others.filter(|it| !path(it).is_some_and(|path| cloud.http().has_deleted(&path)));
    for member in others.take(ASKED) {
        if is_there(cloud, &member).await == Some(true) {
            staying.push(member);
        }
    }
    staying
}

/// Where a member is read; nothing of a kind that cannot be asked for.
fn path(member: &Member) -> Option<String> {
    let (.., path) = KINDS.iter().find(|(_, what, _)| *what == member.what)?;
    Some(format!("{path}/{}", encode(&member.id)))
}

/// Whether a member is there; nothing where that could not be read. What cannot be asked for is none of
/// kplan's kinds, so nothing of kplan's that would only linger.
async fn is_there(cloud: &DigitalOcean, member: &Member) -> Option<bool> {
    let Some(path) = path(member) else {
        return Some(true);
    };
    let seen = cloud.http().get_optional::<Value>(&path).await.ok()?;
    Some(seen.is_some())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::testing::{Script, empty, json, permit};
    use kplan_model::{Address, Kind, Object, RemoteId, Resource as _};
    use serde_json::json as value;

    fn known() -> Known {
        Known {
            address: Address::new(Kind::new("vpc"), "main"),
            id: RemoteId::new("net"),
            args: Object::new(),
            attrs: Object::new(),
        }
    }

    fn refused() -> http::Response<bytes::Bytes> {
        json(
            403,
            &value!({"id": "forbidden", "message": "Can not delete VPC with members"}),
        )
    }

    fn listed(urns: &[&str]) -> http::Response<bytes::Bytes> {
        let members: Vec<Value> = urns
            .iter()
            .map(|urn| value!({"urn": urn, "name": "x", "created_at": "2020-03-13T19:30:48Z"}))
            .collect();
        json(
            200,
            &value!({"members": members, "links": {}, "meta": {"total": urns.len()}}),
        )
    }

    #[tokio::test]
    async fn a_list_of_members_is_read_to_its_last_page() {
        let page = |ids: std::ops::Range<u32>, links: Value| {
            let members: Vec<Value> = ids
                .map(|id| value!({"urn": format!("do:droplet:{id}"), "name": "x"}))
                .collect();
            json(
                200,
                &value!({"members": members, "links": links, "meta": {"total": 201}}),
            )
        };
        let more = value!({"pages": {"next": "https://elsewhere.example/?page=2"}});
        let script = Script::answers([page(0..200, more), page(200..201, value!({}))]);
        let cloud = DigitalOcean::new(script.config());
        let members = members(&cloud, "net").await.unwrap();
        assert_eq!(members.len(), 201);
        assert_eq!(script.calls().len(), 2, "{:?}", script.calls());
        assert!(script.calls()[1].contains("/v2/vpcs/net/members?"));
    }

    #[tokio::test]
    async fn strangers_are_those_that_nobody_knows_and_that_are_there() {
        let script = Script::answers([
            listed(&[
                "do:droplet:7",
                "do:droplet:8",
                "do:droplet:9",
                "do:nfs:share",
            ]),
            json(200, &value!({"droplet": {"id": 8}})),
            json(404, &value!({"id": "not_found", "message": "gone"})),
        ]);
        let cloud = DigitalOcean::new(script.config());
        let found = strangers_in(&cloud, "net", |one| one.id == "7").await;
        let found: Vec<String> = found.unwrap().iter().map(ToString::to_string).collect();
        assert_eq!(found, ["droplet x (8)", "nfs x (share)"]);
        assert_eq!(script.calls().len(), 3, "{:?}", script.calls());
        // A VPC that is gone has none.
        let gone = json(404, &value!({"id": "not_found", "message": "gone"}));
        let cloud = DigitalOcean::new(Script::answers([gone]).config());
        assert_eq!(strangers_in(&cloud, "net", |_| false).await, Ok(Vec::new()));
    }

    #[tokio::test(start_paused = true)]
    async fn members_that_are_there_are_named_and_not_waited_for() {
        let database = "do:dbaas:13f7a2f6";
        let there = || json(200, &value!({"database": {"id": "13f7a2f6"}}));
        let script = Script::answers([
            refused(),
            json(
                200,
                &value!({"vpc": {"id": "net", "name": "demo", "region": "fra1"}}),
            ),
            listed(&[database, "do:nfs:share", "do:droplet:7"]),
            there(),
            json(404, &value!({"id": "not_found", "message": "gone"})),
            listed(&[database, "do:nfs:share"]),
            there(),
        ]);
        let vpc = super::super::Vpc(DigitalOcean::new(script.config()));
        let error = vpc.delete(&known(), &permit()).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Invalid);
        let said = error.to_string();
        assert!(
            said.contains("database x (13f7a2f6), nfs x (share)"),
            "{said}"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn members_that_this_run_deleted_are_waited_for_however_long_they_are_shown() {
        let script = Script::answers([
            empty(204),
            refused(),
            json(
                200,
                &value!({"vpc": {"id": "net", "name": "demo", "region": "fra1"}}),
            ),
            listed(&["do:loadbalancer:late"]),
        ]);
        let cloud = DigitalOcean::new(script.config());
        let http = cloud.http();
        http.delete(&permit(), "/v2/load_balancers/late")
            .await
            .unwrap();
        let error = super::super::Vpc(cloud)
            .delete(&known(), &permit())
            .await
            .unwrap_err();
        assert_eq!(error.kind, ErrorKind::Busy, "{error}");
        assert_eq!(script.calls().len(), 4, "{:?}", script.calls());
    }

    #[tokio::test(start_paused = true)]
    async fn members_that_only_linger_are_waited_for() {
        let script = Script::answers([
            refused(),
            json(
                200,
                &value!({"vpc": {"id": "net", "name": "demo", "region": "fra1"}}),
            ),
            listed(&["do:droplet:7"]),
            json(404, &value!({"id": "not_found", "message": "gone"})),
            empty(204),
        ]);
        let vpc = super::super::Vpc(DigitalOcean::new(script.config()));
        let error = vpc.delete(&known(), &permit()).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Busy);
        vpc.delete(&known(), &permit()).await.unwrap();
    }
}
