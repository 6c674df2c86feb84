//! The owner's tag on taggable resources: added by the provider, hidden from `tags`, and told
//! apart from tags people ask for by its form alone, because a reading call knows no owner. It is
//! not hidden where it is asked for by name.

use super::remote::applied;
use kplan_model::{Known, Owner};

/// The cluster in the tag of an owner: `kplan:`, the cluster's name, a dash, and eight characters of a
/// state's lineage. Nothing in any other; tags of roles have another colon.
pub fn owning_cluster(tag: &str) -> Option<&str> {
    let (cluster, suffix) = tag.strip_prefix("kplan:")?.rsplit_once('-')?;
    let named = !cluster.is_empty() && !cluster.contains(':');
    let marked = suffix.len() == 8 && suffix.chars().all(|c| c.is_ascii_alphanumeric());
    (named && marked).then_some(cluster)
}

/// Whether this is the tag of an owner.
pub(super) fn is_owner_tag(tag: &str) -> bool {
    owning_cluster(tag).is_some()
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

/// The tags people asked for, sorted, and the owner's tag. Where that is asked for by name, in
/// `asked`, it stands among the first as well: then it is missed when somebody takes it off.
pub(super) fn seen(tags: &[String], asked: &[String]) -> (Vec<String>, Option<String>) {
    let (mut shown, owner) = split(tags);
    show(&mut shown, owner.as_ref(), asked);
    (shown, owner)
}

/// Puts the owner's tag among the others where it is asked for by name.
pub(super) fn show(tags: &mut Vec<String>, owner: Option<&String>, asked: &[String]) {
    let by_name = |owner: &&String| asked.iter().any(|tag| tag == *owner);
    if let Some(owner) = owner.filter(by_name) {
        tags.push(owner.clone());
        tags.sort();
    }
}

/// The tags last applied.
pub(super) fn asked(known: Option<&Known>) -> Vec<String> {
    applied(known, "tags").unwrap_or_default()
}

/// The tags of a create: those asked for, and the owner's, once.
pub(super) fn with_owner(mut tags: Vec<String>, owner: &Owner) -> Vec<String> {
    let tag = owner.tag();
    if !tags.contains(&tag) {
        tags.push(tag);
    }
    tags
}

#[cfg(test)]
mod tests {
    use super::*;

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
        assert_eq!(seen(&tags, &[]), split(&tags));
        let all = vec!["app".to_owned(), owner.tag(), "web".to_owned()];
        let asked = [owner.tag()];
        assert_eq!(seen(&tags, &asked), (all, Some(owner.tag())));
        // Taken off, it is missed.
        assert_eq!(seen(&tags[..1], &asked), (vec!["web".to_owned()], None));
        assert_eq!(with_owner(asked.to_vec(), &owner), asked);
        assert_eq!(with_owner(vec![], &owner), asked);
        assert_eq!(
            split(&tags),
            (vec!["app".to_owned(), "web".to_owned()], Some(owner.tag()))
        );
    }
}
