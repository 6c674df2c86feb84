//! `[k3s]` and `[k3s.database]`.

use super::{Lowerer, flag, present};
use crate::raw::{RawDatabase, RawK3s};
use crate::span::Spanned;
use crate::spec::{Cluster, Database, K3s};
use crate::value::{DatabaseVersion, Datastore, K3sVersion, ResourceName, SqlName};

impl Lowerer<'_> {
    pub(super) fn k3s(&mut self, raw: &Option<RawK3s>, cluster: &Cluster, servers: u32) -> K3s {
        let default_datastore = if servers <= 1 {
            Datastore::Sqlite
        } else {
            Datastore::Etcd
        };
        let Some(raw) = raw else {
            return K3s {
                managed: Spanned::default_of(true),
                version: Spanned::default_of(K3sVersion::default_version()),
                datastore: Spanned::default_of(default_datastore),
                database: None,
                span: None,
            };
        };
        let datastore = self.text_or(&raw.datastore, || default_datastore);
        K3s {
            managed: flag(&raw.managed, true),
            version: self.text_or(&raw.version, K3sVersion::default_version),
            database: present(&raw.database)
                .map(|table| self.database(&table, cluster, datastore.value)),
            datastore,
            span: Some(raw.span),
        }
    }

    fn database(&mut self, raw: &RawDatabase, cluster: &Cluster, datastore: Datastore) -> Database {
        Database {
            name: self.text_or(&raw.name, || {
                ResourceName::derived(&cluster.name, "datastore")
            }),
            version: self.text_or(&raw.version, || DatabaseVersion::default_for(datastore)),
            size: self.required(&raw.size),
            nodes: self.number(
                &raw.nodes,
                1..=3,
                1,
                "A managed database has one primary and at most two standbys.",
            ),
            user: self.text_or(&raw.user, SqlName::k3s),
            database: self.text_or(&raw.database, SqlName::k3s),
            span: Some(raw.span),
        }
    }
}
