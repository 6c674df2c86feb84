//! `preflight::name_taken`: names and keys that an account has once, and somebody else has.

use super::Finding;
use super::sight::{Sight, is_given, text};
use kplan_model::{Action, Step};
use kplan_providers::digitalocean::{Taken, without_comment};

/// Kinds of which an account has a name once; a volume's in its region.
const NAMED: [&str; 7] = [
    "database",
    "domain",
    "firewall",
    "load_balancer",
    "project",
    "volume",
    "vpc",
];

/// Nobody else has the name of something that is made or renamed. What is on record is nobody else's.
pub(super) fn free(sight: &Sight<'_>) -> Vec<Finding> {
    let ours = sight.recorded();
    let stranger = |other: &&Taken| !ours.contains(other.id.as_str());
    let others = |step: &Step| {
        let read = sight.taken.get(step.address.kind().as_str());
        let all: &[Taken] = read
            .and_then(|read| read.as_ref().ok())
            .map_or(&[], Vec::as_slice);
        all
    };
    let mut found = Vec::new();
    for step in sight.steps() {
        let kind = step.address.kind().as_str();
        let (field, holder) = match kind {
            "ssh_key" if step.action == Action::Create => {
                let key = text(step, "public_key").map(without_comment);
                let same = |other: &&Taken| key.is_some() && other.public_key == key;
                (
                    "public_key",
                    others(step).iter().filter(stranger).find(same),
                )
            }
            _ if NAMED.contains(&kind) && is_given(step, "name") => {
                let same = |other: &&Taken| is_same(step, other);
                ("name", others(step).iter().filter(stranger).find(same))
            }
            _ => continue,
        };
        let Some(holder) = holder else { continue };
        found.push(sight.error(
            "preflight::name_taken",
            (step, field),
            said(kind, holder),
            help(step, holder),
        ));
    }
    found
}

fn is_same(step: &Step, other: &Taken) -> bool {
    let here = || other.region.as_deref() == text(step, "region");
    let is_volume = step.address.kind().as_str() == "volume";
    text(step, "name") == Some(other.name.as_str()) && (!is_volume || here())
}

fn said(kind: &str, holder: &Taken) -> String {
    if kind == "ssh_key" {
        format!(
            "the account has this SSH key already, as `{}` ({})",
            holder.name, holder.id
        )
    } else {
        format!(
            "the account has a {} named {} already ({}), which is not on record here",
            kind.replace('_', " "),
            holder.name,
            holder.id
        )
    }
}

fn help(step: &Step, holder: &Taken) -> String {
    let otherwise = if step.address.kind().as_str() == "ssh_key" {
        "an account has a key once: take it out of the account, or leave the `[[ssh_key]]` out, or use \
         another key"
    } else {
        "give it another name in the file, or rename or destroy the other one where nobody needs it"
    };
    // The new half of something that is on record cannot be taken over.
    if step.action != Action::Create || step.pair.is_some() {
        return otherwise.to_owned();
    }
    format!(
        "where it is the one that the file means, `kplan import {} {}` takes it over; else {otherwise}",
        step.address, holder.id
    )
}

#[cfg(test)]
mod tests {
    use crate::preflight::testing::{Arg, Rig, codes};
    use kplan_providers::digitalocean::Taken;

    fn there(id: &str, name: &str, region: Option<&str>) -> Taken {
        Taken {
            id: id.to_owned(),
            name: name.to_owned(),
            region: region.map(str::to_owned),
            ..Taken::default()
        }
    }

    fn found(rig: &Rig, kind: &str, there: Taken) -> Vec<&'static str> {
        let mut sight = rig.sight();
        sight.taken.insert(kind.to_owned(), Ok(vec![there]));
        codes(&super::free(&sight))
    }

    fn made(kind: &str, args: &[(&'static str, Arg)]) -> Rig {
        let mut rig = Rig::default();
        rig.create(&format!("{kind}.a"), args);
        rig
    }

    #[test]
    fn a_name_that_a_stranger_has_is_taken() {
        for kind in super::NAMED {
            let args = [("name", "x".into()), ("region", "fra1".into())];
            let rig = made(kind, &args);
            let mine = there("7", "x", Some("fra1"));
            assert_eq!(found(&rig, kind, mine), ["preflight::name_taken"], "{kind}");
            let other = there("7", "y", Some("fra1"));
            assert_eq!(found(&rig, kind, other), Vec::<&str>::new());
        }
        let args = [("name", "x".into()), ("region", "fra1".into())];
        let elsewhere = there("7", "x", Some("ams3"));
        assert_eq!(
            found(&made("volume", &args), "volume", elsewhere),
            Vec::<&str>::new()
        );
    }

    #[test]
    fn a_name_of_ones_own_is_not_taken() {
        let mut rig = Rig::default();
        rig.replace("firewall.a", "7", &[("name", "x".into())]);
        assert_eq!(
            found(&rig, "firewall", there("7", "x", None)),
            Vec::<&str>::new()
        );
        // Renamed to what a stranger has.
        let mut rig = Rig::default();
        rig.update("firewall.a", "7", &[("name", "x".into())], "name");
        assert_eq!(
            found(&rig, "firewall", there("8", "x", None)),
            ["preflight::name_taken"]
        );
        // Changed otherwise.
        let mut rig = Rig::default();
        rig.update("firewall.a", "7", &[("name", "x".into())], "tags");
        assert_eq!(
            found(&rig, "firewall", there("8", "x", None)),
            Vec::<&str>::new()
        );
    }

    #[test]
    fn a_key_is_the_same_whatever_it_is_called() {
        let rig = made(
            "ssh_key",
            &[
                ("name", "me".into()),
                ("public_key", "ssh-ed25519 AAAA me@here".into()),
            ],
        );
        let mut there = there("7", "other", None);
        there.public_key = Some("ssh-ed25519 AAAA".to_owned());
        assert_eq!(
            found(&rig, "ssh_key", there.clone()),
            ["preflight::name_taken"]
        );
        there.public_key = Some("ssh-ed25519 BBBB".to_owned());
        assert_eq!(found(&rig, "ssh_key", there), Vec::<&str>::new());
    }
}
