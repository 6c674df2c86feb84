//! Whose resources carry a cluster's name: the owner tags of an account.

use super::DigitalOcean;
use super::remote::Remote as _;
use super::tag::TagRemote;
use kplan_model::{Owner, ProviderError};

/// An owner tag that something carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The owner's id, such as `demo-3f9a1c2e`.
    pub owner: String,
    /// How many droplets, volumes, databases and snapshots carry its tag.
    pub resources: u64,
}

/// Owners of that cluster name, other than `owner`, whose tag something carries. One list call.
/// A tag that nothing carries is no claim: a destroy that was cut off may have left it.
pub async fn other_owners(
    cloud: &DigitalOcean,
    owner: &Owner,
) -> Result<Vec<Claim>, ProviderError> {
    let tags: Vec<TagRemote> = cloud.http().list(&TagRemote::list()).await?;
    let mut claims: Vec<Claim> = tags
        .iter()
        .filter(|tag| tag.carried() > 0)
        .filter_map(|tag| claim(&tag.name, tag.carried(), owner))
        .collect();
    claims.sort_by(|a, b| a.owner.cmp(&b.owner));
    Ok(claims)
}

/// `kplan:<cluster>-<8 hexadecimal digits>` of another lineage. The tag of a cluster whose name
/// only begins the same is none.
fn claim(tag: &str, resources: u64, owner: &Owner) -> Option<Claim> {
    let id = tag.strip_prefix("kplan:")?;
    let suffix = id.strip_prefix(owner.cluster.as_str())?.strip_prefix('-')?;
    let lineage =
        suffix.len() == owner.suffix.len() && suffix.bytes().all(|byte| byte.is_ascii_hexdigit());
    (lineage && !suffix.eq_ignore_ascii_case(&owner.suffix)).then(|| Claim {
        owner: id.to_owned(),
        resources,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_other_lineages_of_the_same_name_are_claims() {
        let owner = Owner {
            cluster: "demo".to_owned(),
            suffix: "3f9a1c2e".to_owned(),
        };
        assert_eq!(
            claim("kplan:demo-00ff00ff", 2, &owner),
            Some(Claim {
                owner: "demo-00ff00ff".to_owned(),
                resources: 2
            })
        );
        for other in [
            "kplan:demo-3f9a1c2e",
            "kplan:demo-eu-00ff00ff",
            "kplan:demo2-00ff00ff",
            "kplan:demo-server",
            "demo-00ff00ff",
            "kplan:demo-",
        ] {
            assert_eq!(claim(other, 1, &owner), None, "{other}");
        }
    }
}
