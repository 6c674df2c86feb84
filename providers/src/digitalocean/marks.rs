//! How what a cluster's controllers made in the account is told from everybody else's.
//!
//! Volumes and snapshots carry the owner's tag and the driver's marks. A load balancer stands in the
//! cluster's own VPC, sends to no droplet but the cluster's, and is named by a Service of the cluster, or
//! carries its mark; where the cluster's API does not answer, it has the name that the cloud controller
//! gives and sends to a droplet of the cluster's.

use super::leavings::{
    Balancers, LeftArgs, LeftAttrs, LeftBalancer, LeftMarks, LeftSnapshot, LeftVolume, Shown as _,
    Snapshots, Sort, Volumes,
};
use super::remote::Remote as _;
use super::{DigitalOcean, Member};
use crate::http::parse_timestamp;
use kplan_model::{Kind, ProviderError, Timestamp};
use std::collections::{BTreeMap, BTreeSet};

/// What DigitalOcean's volume driver says of every volume it makes.
const DESCRIPTION: &str = "Created by DigitalOcean CSI driver";

/// How this cluster's are told from all others.
#[derive(Clone, Debug, Default)]
pub struct Marks {
    /// The owner's tag.
    pub tag: String,
    /// The cluster's own VPC.
    pub vpc: Option<String>,
    /// Its droplets.
    pub droplets: BTreeSet<String>,
    /// Ids of what is on record as kplan's own.
    pub ours: BTreeSet<String>,
    /// By id: what of the cluster something was made for, as the cluster's API tells.
    pub told: BTreeMap<String, String>,
    /// Ids of what the cluster uses and did not make, as its API tells.
    pub foreign: BTreeSet<String>,
    /// Whether the cluster's API answered, so that it named every load balancer of its Services.
    pub answered: bool,
    /// Load balancers that were found to be the cluster's before.
    pub shown: BTreeSet<String>,
    /// The names that the load balancers of the cluster's Services have, as its API tells.
    pub services: BTreeSet<String>,
}

impl From<LeftMarks> for Marks {
    fn from(marks: LeftMarks) -> Self {
        Self {
            tag: marks.tag,
            vpc: marks.vpc_id,
            droplets: marks.droplets.into_iter().collect(),
            ours: marks.ours.into_iter().collect(),
            foreign: marks.foreign.into_iter().collect(),
            ..Self::default()
        }
    }
}

/// One of them.
#[derive(Clone, Debug, PartialEq)]
pub struct Leaving {
    /// Its kind.
    pub kind: Kind,
    /// Whether it holds data.
    pub holds_data: bool,
    /// What it was made for, where that is known.
    pub args: LeftArgs,
    /// What is seen of it.
    pub attrs: LeftAttrs,
    /// When it was created.
    pub created_at: Option<Timestamp>,
}

/// What was found.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Look {
    /// What is this cluster's.
    pub found: Vec<Leaving>,
    /// Load balancers in the cluster's VPC of which nothing proves that the cluster made them.
    pub strangers: Vec<Member>,
}

impl Look {
    /// Names of the strangers, with their ids.
    pub fn strangers(&self) -> String {
        let all = self.strangers.iter();
        let all: Vec<String> = all.map(|it| format!("{} ({})", it.name, it.id)).collect();
        all.join(", ")
    }
}

impl Marks {
    /// For judging them once more, before each goes.
    fn kept(&self) -> LeftMarks {
        let all = |ids: &BTreeSet<String>| ids.iter().cloned().collect();
        LeftMarks {
            tag: self.tag.clone(),
            vpc_id: self.vpc.clone(),
            droplets: all(&self.droplets),
            ours: all(&self.ours),
            foreign: all(&self.foreign),
        }
    }

    fn tagged(&self, tags: Option<&Vec<String>>) -> bool {
        let same = |tag: &String| tag.eq_ignore_ascii_case(&self.tag);
        tags.is_some_and(|tags| tags.iter().any(same))
    }

    fn leaving<S: Sort>(&self, found: &S::Shown) -> Leaving {
        let attrs = found.attrs(None);
        Leaving {
            kind: S::INFO.kind.clone(),
            holds_data: S::INFO.holds.is_some(),
            args: LeftArgs {
                id: attrs.id.clone(),
                name: attrs.name.clone(),
                region: attrs.region.clone(),
                size: attrs.size,
                stored: attrs.stored.clone(),
                size_unit: attrs.size_unit,
                made_for: self.told.get(&attrs.id).cloned(),
                marks: Some(self.kept()),
            },
            created_at: found.created_at().and_then(parse_timestamp),
            attrs,
        }
    }

    pub(super) fn volume(&self, volume: &LeftVolume) -> bool {
        let made = volume.description.as_deref() == Some(DESCRIPTION);
        let named = is_called("pvc-", &volume.name);
        // The driver tags what it attaches, also what another cluster made.
        let tags = volume.tags.as_ref();
        let shared = tags.into_iter().flatten().any(|tag| self.is_others(tag));
        let mut users = volume.droplet_ids.iter().flatten();
        let elsewhere = users.any(|id| !self.droplets.contains(&id.to_string()));
        let theirs = shared || elsewhere || self.is_foreign(&volume.id);
        made && named && self.tagged(tags) && !theirs
    }

    /// Whether a tag says that another cluster has to do with something.
    fn is_others(&self, tag: &str) -> bool {
        let tag = tag.to_ascii_lowercase();
        let owner = tag.starts_with("kplan:") && !tag.eq_ignore_ascii_case(&self.tag);
        let cluster = tag == "k8s" || tag.starts_with("k8s:");
        owner || (cluster && !self.is_own(&tag))
    }

    /// The tag that the cluster's own cloud controller gives: `k8s:demo-3f9a1c2e`.
    fn is_own(&self, tag: &str) -> bool {
        let id = self.tag.strip_prefix("kplan:").unwrap_or_default();
        let given = tag.to_ascii_lowercase();
        let given = given.strip_prefix("k8s:").unwrap_or_default();
        !id.is_empty() && given.eq_ignore_ascii_case(id)
    }

    /// Whether it is kplan's own, or the cluster only uses it.
    fn is_foreign(&self, id: &str) -> bool {
        self.ours.contains(id) || self.foreign.contains(id)
    }

    pub(super) fn snapshot(&self, snapshot: &LeftSnapshot) -> bool {
        let tags = snapshot.tags.as_ref();
        let shared = tags.into_iter().flatten().any(|tag| self.is_others(tag));
        let named = is_called("snapshot-", &snapshot.name);
        named && self.tagged(tags) && !shared && !self.is_foreign(&snapshot.id)
    }

    /// Whether it stands in the cluster's VPC beside what kplan made there.
    pub(super) fn inside(&self, balancer: &LeftBalancer) -> bool {
        let inside = self.vpc.is_some() && balancer.vpc_uuid == self.vpc;
        inside && !self.ours.contains(&balancer.id)
    }

    /// Whether nothing speaks against the cluster having made it.
    pub(super) fn may_be_ours(&self, balancer: &LeftBalancer) -> bool {
        let mut targets = balancer.droplet_ids.iter().flatten();
        let only_ours = targets.all(|id| self.droplets.contains(&id.to_string()));
        // The cloud controller names droplets; by a tag, tomorrow's count, too.
        let by_tag = balancer.tag.as_deref().is_some_and(|tag| {
            let own = tag.eq_ignore_ascii_case(&self.tag);
            !tag.is_empty() && !own
        });
        let mut tags = balancer.tags.iter().flatten();
        let shared = by_tag || tags.any(|tag| self.is_others(tag));
        only_ours && !shared && !self.foreign.contains(&balancer.id)
    }

    /// Whether something proves that the cluster made it: a Service that names it, its own mark, an
    /// earlier look, or, where the API did not answer, its name with a droplet of the cluster's behind
    /// it. A name alone is no proof: every cluster's look alike.
    pub(super) fn proven(&self, balancer: &LeftBalancer) -> bool {
        let id = &balancer.id;
        let known = self.told.contains_key(id)
            || self.shown.contains(id)
            || self.services.contains(&balancer.name);
        let mut tags = balancer.tags.iter().flatten();
        let marked = tags.any(|tag| self.is_own(tag) || tag.eq_ignore_ascii_case(&self.tag));
        let sends = balancer
            .droplet_ids
            .as_ref()
            .is_some_and(|ids| !ids.is_empty());
        let named = is_a_services_name(&balancer.name);
        let proof = known || (named && (marked || (sends && !self.answered)));
        proof && self.may_be_ours(balancer)
    }
}

/// Whether a name is this and a uid, as the driver gives them.
pub(super) fn is_called(before: &str, name: &str) -> bool {
    let uid = name.strip_prefix(before).unwrap_or_default();
    let parts: Vec<usize> = uid.split('-').map(str::len).collect();
    let plain = |c: char| c.is_ascii_hexdigit() || c == '-';
    parts == [8, 4, 4, 4, 12] && uid.chars().all(plain)
}

/// The name Kubernetes gives to the load balancer of a Service: `a` and its uid, 32 characters.
pub(super) fn is_a_services_name(name: &str) -> bool {
    let uid = name.strip_prefix('a').unwrap_or_default();
    let hexadecimal = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
    uid.len() == 31 && uid.chars().all(hexadecimal)
}

/// The name Kubernetes gives to the load balancer of the Service with this uid.
pub fn name_for(uid: &str) -> String {
    let uid = uid.chars().filter(|c| *c != '-').take(31);
    std::iter::once('a').chain(uid).collect()
}

/// Looks for what the cluster made, by three lists.
///
/// # Errors
/// Those of DigitalOcean.
pub async fn leavings(cloud: &DigitalOcean, marks: &Marks) -> Result<Look, ProviderError> {
    let volumes: Vec<LeftVolume> = cloud.http().list(&LeftVolume::all()).await?;
    let snapshots: Vec<LeftSnapshot> = cloud.http().list(&LeftSnapshot::all()).await?;
    let mut balancers: Vec<LeftBalancer> = cloud.http().list(&LeftBalancer::all()).await?;
    balancers.retain(|balancer| marks.inside(balancer));
    let (proven, others): (Vec<_>, Vec<_>) = balancers
        .iter()
        .partition(|balancer| marks.proven(balancer));
    let volumes = volumes.iter().filter(|volume| marks.volume(volume));
    let snapshots = snapshots.iter().filter(|snapshot| marks.snapshot(snapshot));
    let mut found: Vec<Leaving> = volumes.map(|it| marks.leaving::<Volumes>(it)).collect();
    found.extend(snapshots.map(|it| marks.leaving::<Snapshots>(it)));
    found.extend(proven.into_iter().map(|it| marks.leaving::<Balancers>(it)));
    let strangers = others.into_iter().map(|it| Member {
        what: "load balancer".to_owned(),
        name: it.name.clone(),
        id: it.id.clone(),
    });
    Ok(Look {
        found,
        strangers: strangers.collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn marks() -> Marks {
        Marks {
            tag: "kplan:demo-3f9a1c2e".to_owned(),
            vpc: Some("vpc".to_owned()),
            droplets: BTreeSet::from(["7".to_owned()]),
            ours: BTreeSet::from(["ours".to_owned()]),
            told: BTreeMap::from([("told".to_owned(), "Service shop/web".to_owned())]),
            foreign: BTreeSet::from(["foreign".to_owned()]),
            answered: false,
            shown: BTreeSet::from(["shown".to_owned()]),
            services: BTreeSet::from([name_for("0b1c2d3e-0000-4000-8000-0123456789ab")]),
        }
    }

    #[test]
    fn a_volume_needs_the_tag_and_the_drivers_marks() {
        const NAME: &str = "pvc-0b1c2d3e-0000-4000-8000-0123456789ab";
        let volume = |id: &str, name: &str, description: &str, tag: &str| LeftVolume {
            id: id.to_owned(),
            name: name.to_owned(),
            size_gigabytes: 1,
            region: None,
            description: Some(description.to_owned()),
            droplet_ids: Some(vec![7]),
            tags: Some(vec![tag.to_owned(), "backup".to_owned()]),
            created_at: None,
        };
        let tag = &marks().tag;
        let own = || volume("a", NAME, DESCRIPTION, tag);
        let tagged = |other: &str| LeftVolume {
            tags: Some(vec![tag.to_owned(), other.to_owned()]),
            ..own()
        };
        assert!(marks().volume(&own()));
        for other in [
            volume("ours", NAME, DESCRIPTION, tag),
            volume("foreign", NAME, DESCRIPTION, tag),
            volume("a", "data", DESCRIPTION, tag),
            volume("a", "pvc-before-the-upgrade", DESCRIPTION, tag),
            volume("a", NAME, "mine", tag),
            volume("a", NAME, DESCRIPTION, "kplan:demo-00000000"),
            // Another cluster made it, and this one attached it.
            tagged("kplan:other-3f9a1c2e"),
            tagged("k8s:0b1c2d3e"),
            // Somebody copies what it holds.
            LeftVolume {
                droplet_ids: Some(vec![8]),
                ..own()
            },
        ] {
            assert!(!marks().volume(&other), "{other:?}");
        }
    }

    #[test]
    fn a_load_balancer_needs_the_vpc_the_droplets_and_a_name() {
        let name = format!("a{}", "0".repeat(31));
        let balancer = |id: &str, name: &str, vpc: &str, droplets: &[u64]| LeftBalancer {
            id: id.to_owned(),
            name: name.to_owned(),
            ip: None,
            region: None,
            vpc_uuid: Some(vpc.to_owned()),
            droplet_ids: Some(droplets.to_vec()),
            tag: Some(String::new()),
            tags: None,
            size_unit: Some(1),
            created_at: None,
        };
        let made = |it: &LeftBalancer| marks().inside(it) && marks().proven(it);
        assert!(made(&balancer("a", &name, "vpc", &[7])));
        assert!(made(&balancer("told", "front", "vpc", &[7])));
        assert!(made(&balancer("told", "front", "vpc", &[])));
        // Its targets go with the droplets; what was found before is known.
        assert!(made(&balancer("shown", &name, "vpc", &[])));
        let tagged = |id: &str, tag: &str| LeftBalancer {
            tags: Some(vec![tag.to_owned()]),
            ..balancer(id, &name, "vpc", &[])
        };
        assert!(made(&tagged("a", "k8s:Demo-3f9a1c2e")));
        for other in [
            balancer("ours", &name, "vpc", &[7]),
            balancer("foreign", &name, "vpc", &[7]),
            balancer("a", "front", "vpc", &[7]),
            balancer("a", &name, "other", &[7]),
            balancer("told", "front", "other", &[7]),
            balancer("a", &name, "vpc", &[7, 8]),
            balancer("a", &name[..31], "vpc", &[7]),
            // A name alone: another cluster in this network gives the same.
            balancer("a", &name, "vpc", &[]),
            tagged("a", "k8s:other-00000000"),
            tagged("told", "k8s:other-00000000"),
            tagged("told", "kplan:other-00000000"),
            LeftBalancer {
                tag: Some("web".to_owned()),
                ..balancer("told", &name, "vpc", &[7])
            },
        ] {
            assert!(!made(&other), "{other:?}");
        }
        // Where the API answered, it named those of its Services.
        let answered = Marks {
            answered: true,
            ..marks()
        };
        assert!(!answered.proven(&balancer("a", &name, "vpc", &[7])));
        assert!(answered.proven(&balancer("told", &name, "vpc", &[7])));
        assert!(answered.proven(&tagged("a", "k8s:demo-3f9a1c2e")));
        // The Service may not say its id yet; its uid is in the name.
        let own = "a0b1c2d3e0000400080000123456789a";
        assert!(is_a_services_name(own));
        assert!(answered.proven(&balancer("a", own, "vpc", &[])));
        assert!(!answered.proven(&balancer("a", own, "vpc", &[8])));
    }
}
