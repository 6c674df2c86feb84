//! `database_user`: a user of a database cluster. Its id is `<cluster uuid>/<name>`.

use super::DigitalOcean;
use super::database_part::Part;
use super::remote::{filled, recorded, vanished};
use http::Method;
use kplan_model::{
    Change, CreateFailed, Disruption, Field, FieldSet, Found, Input, Kind, KindInfo, Known, Permit,
    ProviderError, RemoteId, ReplaceOrder, Resource, Secret, Typical, Wanted, object,
};
use serde::Deserialize;
use serde_json::json;
use std::collections::BTreeMap;

object! {
    /// What is asked of a user.
    pub struct DatabaseUserArgs {
        /// The cluster's id.
        pub cluster_id: Input<String>,
        /// The user's name.
        pub name: String,
        /// MySQL only: `caching_sha2_password` or `mysql_native_password`.
        pub mysql_auth_plugin: Option<String>,
        /// The user gets another password when this changes: since when it has to be new, in
        /// milliseconds since 1970.
        pub password_after: Option<i64>,
    }
}

object! {
    /// What is seen of a user.
    pub struct DatabaseUserAttrs {
        /// The cluster's id.
        pub cluster_id: String,
        /// The user's name.
        pub name: String,
        /// MySQL only: how it logs in.
        pub mysql_auth_plugin: Option<String>,
        /// `primary` or `normal`.
        pub role: Option<String>,
        /// The password DigitalOcean made.
        pub password: Option<Secret>,
    }
}

/// The kind `database_user`.
pub struct DatabaseUser(pub DigitalOcean);

static FIELDS: [Field; 6] = [
    Field::replace("cluster_id", "The cluster's id."),
    Field::replace("name", "The user's name."),
    Field::new(
        "mysql_auth_plugin",
        Change::InPlace {
            disruption: Disruption::Restart,
        },
        "MySQL only: how it logs in; a change gives it a new password.",
    )
    .renews(&["password"]),
    Field::in_place(
        "password_after",
        "Since when the password has to be new, in milliseconds since 1970.",
    )
    .renews(&["password"]),
    Field::computed("role", "`primary` or `normal`."),
    Field::computed("password", "The password DigitalOcean made.").secret(),
];

static INFO: KindInfo = KindInfo {
    kind: Kind::new("database_user"),
    terraform: "digitalocean_database_user",
    doc: "A user of a managed database cluster.",
    fields: &FIELDS,
    replace: ReplaceOrder::DeleteFirst,
    identity: &["cluster_id", "name"],
    holds: None,
    // Estimates.
    typical: Typical {
        create: 5,
        update: 5,
        delete: 5,
    },
    // A cluster takes one change of its users at a time (Terraform holds a lock too).
    max_parallel: 1,
    alike: &[],
    import: Some("the database cluster's UUID, a slash, and the user's name"),
    operations: &[],
};

#[derive(Deserialize)]
struct MySql {
    auth_plugin: Option<String>,
}

/// A user as DigitalOcean shows it. It has no `Debug`: it holds a password.
#[derive(Deserialize)]
struct UserRemote {
    name: String,
    role: Option<String>,
    password: Option<String>,
    mysql_settings: Option<MySql>,
}

impl UserRemote {
    fn name(&self) -> &str {
        &self.name
    }

    fn attrs(&self, cluster: &str, known: Option<&Known>) -> DatabaseUserAttrs {
        let password = filled(self.password.clone()).map(Secret::new);
        DatabaseUserAttrs {
            cluster_id: cluster.to_owned(),
            name: self.name.clone(),
            mysql_auth_plugin: self
                .mysql_settings
                .as_ref()
                .and_then(|my| my.auth_plugin.clone()),
            role: self.role.clone(),
            // Left out for tokens that may not see it.
            password: password.or_else(|| recorded(known, "password")),
        }
    }

    fn found(&self, cluster: &str) -> Found<DatabaseUserAttrs> {
        Found {
            id: Part {
                cluster,
                name: &self.name,
            }
            .id(),
            created_at: None,
            attrs: self.attrs(cluster, None),
            role: kplan_model::FoundAs::Asked,
        }
    }
}

impl Resource for DatabaseUser {
    type Args = DatabaseUserArgs;
    type Attrs = DatabaseUserAttrs;
    const INFO: &'static KindInfo = &INFO;

    async fn read(&self, known: &Known) -> Result<Option<DatabaseUserAttrs>, ProviderError> {
        let part = Part::of(known)?;
        let user: Option<UserRemote> = self.0.one(&part.path("users"), "user").await?;
        Ok(user.map(|user| user.attrs(part.cluster, Some(known))))
    }

    async fn read_all(
        &self,
        known: &[Known],
    ) -> Result<BTreeMap<RemoteId, DatabaseUserAttrs>, ProviderError> {
        let found = self.0.known_parts(known, "users", UserRemote::name).await?;
        found
            .into_iter()
            .map(|(known, user)| {
                let attrs = user.attrs(Part::of(&known)?.cluster, Some(&known));
                Ok((known.id, attrs))
            })
            .collect()
    }

    async fn find(
        &self,
        wanted: Wanted<'_, DatabaseUserArgs>,
    ) -> Result<Vec<Found<DatabaseUserAttrs>>, ProviderError> {
        let cluster = wanted.args.cluster_id.known()?;
        let users: Vec<UserRemote> = self.0.parts(cluster, "users").await?;
        Ok(users
            .iter()
            .filter(|user| user.name == wanted.args.name)
            .map(|user| user.found(cluster))
            .collect())
    }

    async fn create(
        &self,
        wanted: Wanted<'_, DatabaseUserArgs>,
        permit: &Permit,
    ) -> Result<Found<DatabaseUserAttrs>, CreateFailed<DatabaseUserAttrs>> {
        #[derive(Deserialize)]
        struct Answer {
            user: UserRemote,
        }
        let cluster = wanted
            .args
            .cluster_id
            .known()
            .map_err(ProviderError::from)?;
        let mut body = json!({ "name": wanted.args.name });
        if let (Some(plugin), Some(body)) = (&wanted.args.mysql_auth_plugin, body.as_object_mut()) {
            body.insert(
                "mysql_settings".to_owned(),
                json!({ "auth_plugin": plugin }),
            );
        }
        let part = Part {
            cluster,
            name: &wanted.args.name,
        };
        let Answer { user } = self
            .0
            .http()
            .change(permit, &Method::POST, &part.list_path("users"), &body)
            .await?;
        Ok(user.found(cluster))
    }

    async fn update(
        &self,
        known: &Known,
        args: &DatabaseUserArgs,
        changed: &FieldSet,
        permit: &Permit,
    ) -> Result<DatabaseUserAttrs, ProviderError> {
        let part = Part::of(known)?;
        let path = part.path("users");
        let user: UserRemote = self
            .0
            .one(&path, "user")
            .await?
            .ok_or_else(|| vanished(known))?;
        let now = user.attrs(part.cluster, Some(known));
        // Another way to log in comes with another password.
        let plugin = args.mysql_auth_plugin.as_ref();
        let other_way =
            changed.contains("mysql_auth_plugin") && now.mysql_auth_plugin.as_ref() != plugin;
        let body = match plugin {
            Some(plugin) if other_way => json!({ "mysql_settings": { "auth_plugin": plugin } }),
            // One that is not asked for any more stays as it is.
            _ if changed.contains("password_after") && args.password_after.is_some() => json!({}),
            _ => return Ok(now),
        };
        let path = format!("{path}/reset_auth");
        self.0
            .http()
            .change_only(permit, &Method::POST, &path, &body)
            .await?;
        Resource::read(self, known)
            .await?
            .ok_or_else(|| vanished(known))
    }

    async fn delete(&self, known: &Known, permit: &Permit) -> Result<(), ProviderError> {
        self.0
            .http()
            .delete(permit, &Part::of(known)?.path("users"))
            .await
    }
}
