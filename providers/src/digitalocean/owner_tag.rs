//! The owner's tag on taggable resources: added by the provider, hidden from `tags`, and told
//! apart from tags people ask for by its form alone, because a reading call knows no owner.

/// Whether this is the tag of an owner: `kplan:`, the cluster's name, a dash, and eight
/// characters of a state's lineage. Tags of roles have another colon and are not.
pub(super) fn is_owner_tag(tag: &str) -> bool {
    let Some(id) = tag.strip_prefix("kplan:") else {
        return false;
    };
    let Some((cluster, suffix)) = id.rsplit_once('-') else {
        return false;
    };
    !cluster.is_empty()
        && !cluster.contains(':')
        && suffix.len() == 8
        && suffix.chars().all(|c| c.is_ascii_alphanumeric())
}

/// The tags people asked for, sorted, and the owner's tag.
pub(super) fn split(tags: &[String]) -> (Vec<String>, Option<String>) {
    let owner = tags.iter().find(|tag| is_owner_tag(tag)).cloned();
    let mut rest: Vec<String> = tags
        .iter()
        .filter(|tag| !is_owner_tag(tag))
        .cloned()
        .collect();
    rest.sort();
    (rest, owner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use kplan_model::Owner;

    #[test]
    fn only_the_owners_own_tag_is_hidden() {
        let owner = Owner {
            cluster: "my-demo".to_owned(),
            suffix: "3f9a1c2e".to_owned(),
        };
        assert!(is_owner_tag(&owner.tag()));
        for tag in [
            "web",
            "kplan:demo",
            "kplan:my-demo-3f9a1c2e:server",
            "kplan:-3f9a1c2e",
            "k8s",
        ] {
            assert!(!is_owner_tag(tag), "{tag}");
        }
        let tags = ["web".to_owned(), owner.tag(), "app".to_owned()];
        assert_eq!(
            split(&tags),
            (vec!["app".to_owned(), "web".to_owned()], Some(owner.tag()))
        );
    }
}
