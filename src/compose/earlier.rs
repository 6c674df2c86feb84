//! What an earlier kplan made otherwise. It stays so as long as it is on record: what it opens or
//! encrypts cannot be changed by a new release.

use super::{platform, storage};
use kplan_model::{Address, Snapshot, Value};

/// See the module. The default is a cluster that is yet to be made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Earlier {
    /// Volumes are in the bucket under Velero's own password, which everybody knows.
    pub open_backups: bool,
    /// Argo CD made its administrator's password itself.
    pub argocd_password: bool,
}

impl Earlier {
    /// What of it is on record.
    pub fn of(snapshot: &Snapshot) -> Self {
        let known = |address: &Address| snapshot.resources.get(address);
        let none = |address: &Address, argument: &str| {
            known(address).is_some_and(|record| {
                let value = record.args.get(argument);
                matches!(value, None | Some(Value::Null))
            })
        };
        // A bucket comes after its password: one without was made before there were passwords.
        let begun = none(&platform::velero(), "repository_password")
            || known(&storage::backup_bucket()).is_some();
        Self {
            open_backups: begun && known(&storage::backup_password()).is_none(),
            argocd_password: none(&platform::argocd(), "admin_password")
                && known(&platform::argocd_admin()).is_none(),
        }
    }

    /// What a plan says about it.
    pub fn notes(self) -> Vec<String> {
        let mut notes = Vec::new();
        if self.open_backups {
            notes.push(
                "what volumes hold is in the backups under the password that Velero gives every \
                 cluster: whoever reads the bucket reads them. It cannot be changed for what is \
                 there; to begin anew with a password of this cluster's own, take `[backup]` out, \
                 apply, and put it back with another bucket"
                    .to_owned(),
            );
        }
        notes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::artifacts::Artifacts;
    use crate::compose::{Inputs, Members, compose};
    use kplan_model::{Declarations, Object, Owner, Recorded, RemoteId, Secret, Status, Timestamp};
    use kplan_schema::{Source, Spec};
    use std::collections::BTreeSet;

    const EXAMPLE: &str = include_str!("../../examples/single-node/cluster.toml");

    fn spec() -> Spec {
        let parsed = kplan_schema::parse(&Source::new("cluster.toml", EXAMPLE.to_owned()));
        parsed
            .spec
            .unwrap_or_else(|| panic!("{:?}", parsed.diagnostics))
    }

    fn owner() -> Owner {
        Owner {
            cluster: "demo".to_owned(),
            suffix: "00000000".to_owned(),
        }
    }

    fn declared(snapshot: &Snapshot) -> Declarations {
        let spec = spec();
        let inputs = Inputs {
            owner: owner(),
            secrets: spec
                .secret_sources()
                .into_iter()
                .map(|(_, source)| (source.value.clone(), Secret::new("secret")))
                .collect(),
            token: Secret::new("token"),
            members: Members::default(),
            earlier: Earlier::of(snapshot),
            standing: crate::compose::Standing::of(snapshot),
            restoring: crate::compose::Restoring::default(),
            rotating: crate::compose::Rotating::default(),
            artifacts: Artifacts::embedded().unwrap(),
        };
        compose(&spec, &inputs)
    }

    /// Everything on record as it was declared, but for those.
    fn recorded(declarations: &Declarations, without: &[Address]) -> Snapshot {
        let mut snapshot = Snapshot::empty("lineage".to_owned(), owner());
        let kept = declarations.resources.iter();
        for one in kept.filter(|one| !without.contains(&one.address)) {
            let record = Recorded {
                address: one.address.clone(),
                id: RemoteId::new("1"),
                args: one.args.clone(),
                attrs: Object::new(),
                meta: one.meta.clone(),
                depends_on: Vec::new(),
                status: Status::Ready,
                created_at: Timestamp(0),
                operations: BTreeSet::new(),
                version: 1,
            };
            snapshot.resources.insert(one.address.clone(), record);
        }
        snapshot
    }

    fn has(declarations: &Declarations, address: &Address) -> bool {
        declarations
            .resources
            .iter()
            .any(|one| one.address == *address)
    }

    #[test]
    fn what_a_cluster_began_with_stays_and_a_new_one_gets_passwords_of_its_own() {
        let fresh = declared(&Snapshot::empty("lineage".to_owned(), owner()));
        let passwords = [storage::backup_password(), platform::argocd_admin()];
        assert!(passwords.iter().all(|address| has(&fresh, address)));
        // As an earlier kplan recorded it.
        let mut before = recorded(&fresh, &passwords);
        let mut forget = |address: Address, argument: &str| {
            let record = before.resources.get_mut(&address).unwrap();
            record.args.remove(argument);
        };
        forget(platform::velero(), "repository_password");
        forget(platform::argocd(), "admin_password");
        let again = declared(&before);
        assert!(!passwords.iter().any(|address| has(&again, address)));
        assert!(!again.outputs.contains_key("argocd_admin_password"));
        assert_eq!(Earlier::of(&before).notes().len(), 1);
        // Destroyed but for the bucket: what is in it still opens with the old one.
        before.resources.remove(&platform::velero());
        before.resources.remove(&platform::argocd());
        assert!(!has(&declared(&before), &storage::backup_password()));
        assert!(has(&declared(&before), &platform::argocd_admin()));
    }

    #[test]
    fn an_apply_that_was_cut_off_anywhere_is_not_taken_for_an_earlier_kplans() {
        let fresh = declared(&Snapshot::empty("lineage".to_owned(), owner()));
        let bucket = storage::backup_bucket();
        let made = fresh.resources.iter().find(|one| one.address == bucket);
        assert!(
            made.unwrap()
                .meta
                .after
                .contains(&storage::backup_password())
        );
        let now = recorded(&fresh, &[]);
        assert_eq!(Earlier::of(&now), Earlier::default());
    }
}
