//! `database_db`: a database inside a database cluster. Its id is `<cluster uuid>/<name>`.

use super::DigitalOcean;
use super::database_part::Part;
use super::remote::vanished;
use http::Method;
use kplan_model::{
    CreateFailed, Field, FieldSet, Found, Input, Kind, KindInfo, Known, Permit, ProviderError,
    RemoteId, ReplaceOrder, Resource, Typical, Wanted, object,
};
use serde::Deserialize;
use serde_json::json;
use std::collections::BTreeMap;

object! {
    /// What is asked of a database.
    pub struct DatabaseDbArgs {
        /// The cluster's id.
        pub cluster_id: Input<String>,
        /// The database's name.
        pub name: String,
    }
}

object! {
    /// What is seen of a database.
    pub struct DatabaseDbAttrs {
        /// The cluster's id.
        pub cluster_id: String,
        /// The database's name.
        pub name: String,
    }
}

/// The kind `database_db`.
pub struct DatabaseDb(pub DigitalOcean);

static FIELDS: [Field; 2] = [
    Field::replace("cluster_id", "The cluster's id."),
    Field::replace("name", "The database's name."),
];

static INFO: KindInfo = KindInfo {
    kind: Kind::new("database_db"),
    terraform: "digitalocean_database_db",
    doc: "A database inside a managed database cluster.",
    fields: &FIELDS,
    replace: ReplaceOrder::DeleteFirst,
    identity: &["cluster_id", "name"],
    holds: Some("the data in it"),
    // Estimates.
    typical: Typical {
        create: 5,
        update: 1,
        delete: 5,
    },
    // A cluster takes one change at a time.
    max_parallel: 1,
    alike: &[],
    import: Some("the database cluster's UUID, a slash, and the database's name"),
    operations: &[],
};

#[derive(Deserialize)]
struct DbRemote {
    name: String,
}

impl DbRemote {
    fn name(&self) -> &str {
        &self.name
    }
}

fn attrs(part: Part<'_>) -> DatabaseDbAttrs {
    DatabaseDbAttrs {
        cluster_id: part.cluster.to_owned(),
        name: part.name.to_owned(),
    }
}

fn found(part: Part<'_>) -> Found<DatabaseDbAttrs> {
    Found {
        id: part.id(),
        created_at: None,
        attrs: attrs(part),
        role: kplan_model::FoundAs::Asked,
    }
}

impl Resource for DatabaseDb {
    type Args = DatabaseDbArgs;
    type Attrs = DatabaseDbAttrs;
    const INFO: &'static KindInfo = &INFO;

    async fn read(&self, known: &Known) -> Result<Option<DatabaseDbAttrs>, ProviderError> {
        let part = Part::of(known)?;
        let db: Option<DbRemote> = self.0.one(&part.path("dbs"), "db").await?;
        Ok(db.map(|_| attrs(part)))
    }

    async fn read_all(
        &self,
        known: &[Known],
    ) -> Result<BTreeMap<RemoteId, DatabaseDbAttrs>, ProviderError> {
        let found = self.0.known_parts(known, "dbs", DbRemote::name).await?;
        found
            .into_iter()
            .map(|(known, _)| {
                let attrs = attrs(Part::of(&known)?);
                Ok((known.id, attrs))
            })
            .collect()
    }

    async fn find(
        &self,
        wanted: Wanted<'_, DatabaseDbArgs>,
    ) -> Result<Vec<Found<DatabaseDbAttrs>>, ProviderError> {
        let cluster = wanted.args.cluster_id.known()?;
        let dbs: Vec<DbRemote> = self.0.parts(cluster, "dbs").await?;
        Ok(dbs
            .iter()
            .filter(|db| db.name == wanted.args.name)
            .map(|db| {
                found(Part {
                    cluster,
                    name: &db.name,
                })
            })
            .collect())
    }

    async fn create(
        &self,
        wanted: Wanted<'_, DatabaseDbArgs>,
        permit: &Permit,
    ) -> Result<Found<DatabaseDbAttrs>, CreateFailed<DatabaseDbAttrs>> {
        let cluster = wanted
            .args
            .cluster_id
            .known()
            .map_err(ProviderError::from)?;
        let part = Part {
            cluster,
            name: &wanted.args.name,
        };
        let body = json!({ "name": wanted.args.name });
        self.0
            .http()
            .change_only(permit, &Method::POST, &part.list_path("dbs"), &body)
            .await?;
        Ok(found(part))
    }

    async fn update(
        &self,
        known: &Known,
        _args: &DatabaseDbArgs,
        _changed: &FieldSet,
        _permit: &Permit,
    ) -> Result<DatabaseDbAttrs, ProviderError> {
        // No field changes in place.
        Resource::read(self, known)
            .await?
            .ok_or_else(|| vanished(known))
    }

    async fn delete(&self, known: &Known, permit: &Permit) -> Result<(), ProviderError> {
        self.0
            .http()
            .delete(permit, &Part::of(known)?.path("dbs"))
            .await
    }
}
