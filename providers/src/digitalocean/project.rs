//! `project`: a folder of DigitalOcean's console, with its members.

use super::DigitalOcean;
use super::remote::{Remote, applied, filled, path_of, texts};
use crate::http::List;
use futures_util::future::try_join_all;
use http::Method;
use kplan_model::{
    Compare, CreateFailed, ErrorKind, Field, FieldSet, Found, Input, Kind, KindInfo, Known, Permit,
    ProviderError, RemoteId, ReplaceOrder, Resource, Typical, Wanted, object,
};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// What DigitalOcean asks for when nothing is said; Terraform's default too.
const PURPOSE: &str = "Web Application";
/// Members sent in one call.
const CHUNK: usize = 100;

object! {
    /// What is asked of a project.
    pub struct ProjectArgs {
        /// Its name, up to 175 characters; unique in the account.
        pub name: String,
        /// Up to 255 characters.
        pub description: Option<String>,
        /// What it is for; free text becomes `Other: …`. `Web Application` when left out.
        pub purpose: Option<String>,
        /// `Development`, `Staging` or `Production`.
        pub environment: Option<String>,
        /// Uniform resource names of what belongs to it. Others that somebody put there stay.
        pub resources: Vec<Input<String>>,
    }
}

object! {
    /// What is seen of a project.
    pub struct ProjectAttrs {
        /// Its name.
        pub name: String,
        /// Its description.
        pub description: Option<String>,
        /// What it is for.
        pub purpose: Option<String>,
        /// Its environment.
        pub environment: Option<String>,
        /// Which of the members asked for are in it.
        pub resources: Vec<String>,
        /// Whether new resources go there by themselves.
        pub is_default: bool,
        /// When it was created.
        pub created_at: Option<String>,
    }
}

/// The kind `project`.
pub struct Project(pub DigitalOcean);

static FIELDS: [Field; 7] = [
    Field::in_place("name", "Unique in the account."),
    Field::in_place("description", "Up to 255 characters."),
    Field::in_place("purpose", "What it is for."),
    Field::in_place("environment", "`Development`, `Staging` or `Production`.")
        .by(Compare::CaseFold),
    Field::in_place("resources", "Uniform resource names of its members.").by(Compare::Set),
    Field::computed(
        "is_default",
        "Whether new resources go there by themselves.",
    ),
    Field::computed("created_at", "When it was created."),
];

static INFO: KindInfo = KindInfo {
    kind: Kind::new("project"),
    terraform: "digitalocean_project",
    doc: "A folder of the console.",
    fields: &FIELDS,
    // Names are unique, so two cannot exist at once.
    replace: ReplaceOrder::DeleteFirst,
    identity: &["name"],
    holds: None,
    // Answered at once; moves out of a deleted one take a while. Estimates.
    typical: Typical {
        create: 2,
        update: 2,
        delete: 10,
    },
    max_parallel: 4,
    alike: &[],
    import: Some("the project's UUID"),
    operations: &[],
};

#[derive(Debug, Deserialize)]
struct ProjectRemote {
    id: String,
    name: String,
    description: Option<String>,
    purpose: Option<String>,
    environment: Option<String>,
    #[serde(default)]
    is_default: bool,
    created_at: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Member {
    urn: String,
}

impl Remote for ProjectRemote {
    type Attrs = ProjectAttrs;
    const PATH: &'static str = "/v2/projects";
    const ONE: &'static str = "project";
    const MANY: &'static str = "projects";

    fn id(&self) -> String {
        self.id.clone()
    }

    fn created_at(&self) -> Option<&str> {
        self.created_at.as_deref()
    }

    fn attrs(&self, known: Option<&Known>) -> ProjectAttrs {
        let asked: Option<String> = applied(known, "purpose");
        let purpose = filled(self.purpose.clone()).map(|purpose| {
            // `Other: ` is DigitalOcean's mark for free text.
            match (purpose.strip_prefix("Other: "), asked) {
                (Some(free), Some(asked)) if free == asked => asked,
                _ => purpose,
            }
        });
        ProjectAttrs {
            name: self.name.clone(),
            description: filled(self.description.clone()),
            purpose,
            environment: filled(self.environment.clone()),
            resources: Vec::new(),
            is_default: self.is_default,
            created_at: self.created_at.clone(),
        }
    }
}

/// DigitalOcean stores the names capitalised.
fn environment(text: &str) -> String {
    let mut chars = text.chars();
    chars
        .next()
        .map(|first| first.to_ascii_uppercase().to_string() + &chars.as_str().to_ascii_lowercase())
        .unwrap_or_default()
}

fn body(args: &ProjectArgs) -> Value {
    let mut body = Map::new();
    body.insert("name".to_owned(), json!(args.name));
    let purpose = args.purpose.as_deref().unwrap_or(PURPOSE);
    body.insert("purpose".to_owned(), json!(purpose));
    let description = args.description.as_deref().unwrap_or_default();
    body.insert("description".to_owned(), json!(description));
    if let Some(name) = &args.environment {
        body.insert("environment".to_owned(), json!(environment(name)));
    }
    Value::Object(body)
}

fn members_path(id: &str) -> String {
    format!("{}/resources", path_of::<ProjectRemote>(id))
}

impl Project {
    async fn members(&self, id: &str) -> Result<BTreeSet<String>, ProviderError> {
        let list = List::new(members_path(id), "resources", "urn");
        let members: Vec<Member> = self.0.http().list(&list).await?;
        Ok(members.into_iter().map(|member| member.urn).collect())
    }

    /// Moves things into a project; there is no way to move them out but into another one.
    async fn assign(
        &self,
        permit: &Permit,
        project: &str,
        urns: &[String],
    ) -> Result<(), ProviderError> {
        #[derive(Deserialize)]
        struct Outcome {
            urn: String,
            status: Option<String>,
        }
        #[derive(Deserialize)]
        struct Answer {
            resources: Vec<Outcome>,
        }
        for chunk in urns.chunks(CHUNK) {
            let body = json!({ "resources": chunk });
            let answer: Answer = self
                .0
                .http()
                .change(permit, &Method::POST, &members_path(project), &body)
                .await?;
            let refused = |outcome: &&Outcome| {
                matches!(
                    outcome.status.as_deref(),
                    Some("not_found" | "service_down")
                )
            };
            if let Some(outcome) = answer.resources.iter().find(refused) {
                // A new resource may not be known everywhere yet.
                return Err(ProviderError::new(
                    ErrorKind::Busy,
                    format!(
                        "{} could not be put into the project: {}",
                        outcome.urn,
                        outcome.status.as_deref().unwrap_or_default()
                    ),
                ));
            }
        }
        Ok(())
    }

    /// The attributes with those members that we asked for (all, where we asked for none yet).
    async fn with_members(
        &self,
        remote: &ProjectRemote,
        known: &Known,
        asked: Option<Vec<String>>,
    ) -> Result<ProjectAttrs, ProviderError> {
        let members = self.members(&remote.id).await?;
        let mut attrs = remote.attrs(Some(known));
        attrs.resources = match asked {
            Some(asked) => asked
                .into_iter()
                .filter(|urn| members.contains(urn))
                .collect(),
            None => members.into_iter().collect(),
        };
        Ok(attrs)
    }
}

/// What was asked to be in it, when it was last applied.
fn asked(known: &Known) -> Option<Vec<String>> {
    applied(Some(known), "resources")
}

impl Resource for Project {
    type Args = ProjectArgs;
    type Attrs = ProjectAttrs;
    const INFO: &'static KindInfo = &INFO;

    async fn read(&self, known: &Known) -> Result<Option<ProjectAttrs>, ProviderError> {
        let path = path_of::<ProjectRemote>(known.id.as_str());
        let remote: Option<ProjectRemote> = self.0.one(&path, ProjectRemote::ONE).await?;
        match remote {
            None => Ok(None),
            Some(remote) => self
                .with_members(&remote, known, asked(known))
                .await
                .map(Some),
        }
    }

    async fn read_all(
        &self,
        known: &[Known],
    ) -> Result<BTreeMap<RemoteId, ProjectAttrs>, ProviderError> {
        if known.is_empty() {
            return Ok(BTreeMap::new());
        }
        let remotes: Vec<ProjectRemote> = self.0.http().list(&ProjectRemote::list()).await?;
        let ours = known.iter().filter_map(|known| {
            let remote = remotes
                .iter()
                .find(|remote| remote.id == known.id.as_str())?;
            Some(async move {
                let attrs = self.with_members(remote, known, asked(known)).await?;
                Ok::<_, ProviderError>((known.id.clone(), attrs))
            })
        });
        Ok(try_join_all(ours).await?.into_iter().collect())
    }

    async fn find(
        &self,
        wanted: Wanted<'_, ProjectArgs>,
    ) -> Result<Vec<Found<ProjectAttrs>>, ProviderError> {
        let name = &wanted.args.name;
        self.0
            .search(&ProjectRemote::list(), |project: &ProjectRemote| {
                project.name == *name
            })
            .await
    }

    async fn create(
        &self,
        wanted: Wanted<'_, ProjectArgs>,
        permit: &Permit,
    ) -> Result<Found<ProjectAttrs>, CreateFailed<ProjectAttrs>> {
        let urns = texts(&wanted.args.resources).map_err(ProviderError::from)?;
        let project: ProjectRemote = self.0.make(permit, &body(wanted.args)).await?;
        let mut found = project.found();
        if let Some(purpose) = &wanted.args.purpose {
            found.attrs.purpose = Some(purpose.clone());
        }
        if let Err(error) = self.assign(permit, &project.id, &urns).await {
            return Err(CreateFailed {
                error,
                partial: Some(found),
            });
        }
        found.attrs.resources = urns;
        Ok(found)
    }

    async fn update(
        &self,
        known: &Known,
        args: &ProjectArgs,
        changed: &FieldSet,
        permit: &Permit,
    ) -> Result<ProjectAttrs, ProviderError> {
        let id = known.id.as_str();
        if changed.any(&["name", "description", "purpose", "environment"]) {
            let path = path_of::<ProjectRemote>(id);
            let _changed: ProjectRemote = self
                .0
                .change(permit, &Method::PATCH, &path, &body(args))
                .await?;
        }
        let wanted = texts(&args.resources)?;
        if changed.contains("resources") {
            let members = self.members(id).await?;
            let missing: Vec<String> = wanted
                .iter()
                .filter(|urn| !members.contains(*urn))
                .cloned()
                .collect();
            self.assign(permit, id, &missing).await?;
            let dropped: Vec<String> = asked(known)
                .unwrap_or_default()
                .into_iter()
                .filter(|urn| !wanted.contains(urn) && members.contains(urn))
                .collect();
            self.assign(permit, "default", &dropped).await?;
        }
        let remote: ProjectRemote = self.0.reread(known).await?;
        let mut attrs = self.with_members(&remote, known, Some(wanted)).await?;
        if changed.contains("purpose") && args.purpose.is_some() {
            attrs.purpose.clone_from(&args.purpose);
        }
        Ok(attrs)
    }

    async fn delete(&self, known: &Known, permit: &Permit) -> Result<(), ProviderError> {
        let id = known.id.as_str();
        // A project with members is refused; they go where DigitalOcean keeps what has no
        // project. The moves may lag: 412 (`Busy`) until they are done.
        match self.members(id).await {
            Ok(members) => {
                let members: Vec<String> = members.into_iter().collect();
                self.assign(permit, "default", &members).await?;
            }
            Err(error) if error.kind == ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        self.0.destroy::<ProjectRemote>(known, permit).await
    }
}
