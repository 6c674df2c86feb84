//! Projects, and which project every resource is in.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::reserved_ips::ReservedIp;
use super::{moment, required};
use crate::http::{ApiError, Reply, Request, Response, list};
use crate::world::World;
use crate::world::table::Row;

/// A project.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Project {
    pub(crate) id: String,
    pub(crate) name: String,
    description: String,
    purpose: String,
    environment: Option<String>,
    pub(crate) is_default: bool,
    /// Came with the account.
    pub(crate) builtin: bool,
    created_at: Timestamp,
    updated_at: Timestamp,
}

impl Row for Project {
    fn created_at(&self) -> Timestamp {
        self.created_at
    }
}

/// The project of one resource; the key is its URN.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Assignment {
    urn: String,
    project: String,
    assigned_at: Timestamp,
}

impl Row for Assignment {
    fn created_at(&self) -> Timestamp {
        self.assigned_at
    }
}

#[derive(Deserialize)]
struct Body {
    name: Option<String>,
    description: Option<String>,
    purpose: Option<String>,
    environment: Option<String>,
    is_default: Option<bool>,
}

impl Body {
    fn says_nothing(&self) -> bool {
        let texts = [
            &self.name,
            &self.description,
            &self.purpose,
            &self.environment,
        ];
        texts.iter().all(|text| text.is_none()) && self.is_default.is_none()
    }
}

#[derive(Deserialize)]
struct Resources {
    resources: Option<Vec<String>>,
}

/// Makes the account's default project.
pub(crate) fn found(world: &mut World) {
    let (id, now) = (world.rng.uuid(), world.now());
    let project = Project {
        id: id.clone(),
        name: "first-project".to_owned(),
        description: "Update your project information under Settings".to_owned(),
        purpose: "Just trying out DigitalOcean".to_owned(),
        environment: None,
        is_default: true,
        builtin: true,
        created_at: now,
        updated_at: now,
    };
    world.projects.insert(id, project);
}

/// Puts a new resource into a project (the default one when none is named).
pub(crate) fn adopt(world: &mut World, urn: String, project: Option<&str>) -> Result<(), ApiError> {
    let project = match project.filter(|id| !id.is_empty()) {
        Some(id) if world.projects.contains(id) => id.to_owned(),
        Some(id) => {
            return Err(ApiError::unprocessable(format!(
                "project {id} does not exist"
            )));
        }
        None => default_id(world),
    };
    put(world, urn, project);
    Ok(())
}

/// Refuses a project that does not exist, before anything else is made.
pub(crate) fn check(world: &World, project: Option<&str>) -> Result<(), ApiError> {
    match project.filter(|id| !id.is_empty()) {
        Some(id) if !world.projects.contains(id) => Err(ApiError::unprocessable(format!(
            "project {id} does not exist"
        ))),
        _ => Ok(()),
    }
}

/// Forgets a destroyed resource.
pub(crate) fn forget(world: &mut World, urn: &str) {
    world.project_resources.remove(urn);
}

/// The project a resource is in.
pub(crate) fn project_of(world: &World, urn: &str) -> String {
    world.project_resources.get(urn).map_or_else(
        || default_id(world),
        |assignment| assignment.project.clone(),
    )
}

/// A reserved address is in the project of its droplet.
pub(crate) fn follow(world: &mut World, ip: &str, droplet: &str) {
    let project = project_of(world, droplet);
    if project_of(world, ip) != project {
        put(world, ip.to_owned(), project);
    }
}

fn put(world: &mut World, urn: String, project: String) {
    let assigned_at = world.now();
    if let Some(id) = urn.strip_prefix("do:droplet:") {
        let leads = |ip: &&ReservedIp| ip.droplet.is_some_and(|own| own.to_string() == id);
        let followers: Vec<String> = world
            .reserved_ips
            .values()
            .filter(leads)
            .map(ReservedIp::urn)
            .collect();
        for follower in followers {
            put(world, follower, project.clone());
        }
    }
    world.project_resources.insert(
        urn.clone(),
        Assignment {
            urn,
            project,
            assigned_at,
        },
    );
}

fn default_id(world: &World) -> String {
    world
        .projects
        .values()
        .find(|project| project.is_default)
        .map(|project| project.id.clone())
        .unwrap_or_default()
}

/// The purposes the document lists.
const PURPOSES: &[&str] = &[
    "Just trying out DigitalOcean",
    "Class project / Educational purposes",
    "Website or blog",
    "Web Application",
    "Service or API",
    "Mobile Application",
    "Machine learning / AI / Data processing",
    "IoT",
    "Operational / Developer tooling",
];

/// A purpose as it is kept: one that is not listed says so.
fn stored(purpose: String) -> String {
    const OTHER: &str = "Other: ";
    if PURPOSES.contains(&purpose.as_str()) || purpose.starts_with(OTHER) {
        return purpose;
    }
    format!("{OTHER}{purpose}")
}

pub(crate) fn create(world: &mut World, request: &Request) -> Reply {
    let body: Body = request.body()?;
    let name = required(body.name.clone(), "name")?;
    let purpose = stored(required(body.purpose.clone(), "purpose")?);
    valid(world, &body, None)?;
    let (id, now) = (world.rng.uuid(), world.now());
    let project = Project {
        id: id.clone(),
        name,
        description: body.description.unwrap_or_default(),
        purpose,
        environment: body.environment,
        is_default: false,
        builtin: false,
        created_at: now,
        updated_at: now,
    };
    let shown = view(world, &project);
    world.projects.insert(id, project);
    Ok(Response::new(201, json!({ "project": shown })))
}

pub(crate) fn index(world: &mut World, request: &Request) -> Reply {
    let projects = world.projects.sorted();
    Ok(list(
        request,
        "projects",
        projects,
        |p| p.created_at,
        |p| view(world, p),
    ))
}

pub(crate) fn show(world: &mut World, request: &Request) -> Reply {
    let project = world
        .projects
        .get(&id_of(world, request))
        .ok_or_else(ApiError::not_found)?;
    let body = json!({ "project": view(world, project) });
    Ok(Response::ok(body).created_at(project.created_at))
}

/// PUT needs every attribute, PATCH changes what it is given.
pub(crate) fn update(world: &mut World, request: &Request) -> Reply {
    let id = id_of(world, request);
    if !world.projects.contains(&id) {
        return Err(ApiError::not_found());
    }
    let body: Body = request.body()?;
    if request.method == http::Method::PUT {
        required(body.name.as_ref(), "name")?;
        required(body.description.as_ref(), "description")?;
        required(body.purpose.as_ref(), "purpose")?;
        required(body.environment.as_ref(), "environment")?;
        required(body.is_default, "is_default")?;
    } else if body.says_nothing() {
        return Err(ApiError::unprocessable("no attribute to change was given"));
    }
    valid(world, &body, Some(&id))?;
    if body.is_default == Some(true) {
        for other in world.projects.keys_where(|project| project.is_default) {
            if let Some(other) = world.projects.get_mut(&other) {
                other.is_default = false;
            }
        }
    }
    let now = world.now();
    let project = world
        .projects
        .get_mut(&id)
        .ok_or_else(ApiError::not_found)?;
    if body.is_default == Some(false) && project.is_default {
        return Err(ApiError::unprocessable(
            "There must be a default project; choose another one",
        ));
    }
    project.is_default |= body.is_default == Some(true);
    project.name = body.name.unwrap_or_else(|| project.name.clone());
    project.description = body
        .description
        .unwrap_or_else(|| project.description.clone());
    project.purpose = body.purpose.map_or_else(|| project.purpose.clone(), stored);
    project.environment = body.environment.or_else(|| project.environment.clone());
    project.updated_at = now;
    let project = project.clone();
    Ok(Response::ok(json!({ "project": view(world, &project) })))
}

pub(crate) fn delete(world: &mut World, request: &Request) -> Reply {
    prune(world, request);
    let id = request.param(0);
    let project = world.projects.get(id).ok_or_else(ApiError::not_found)?;
    if project.is_default {
        return Err(ApiError::precondition(
            "the default project can not be deleted",
        ));
    }
    if world
        .project_resources
        .values()
        .any(|assignment| assignment.project == id)
    {
        return Err(ApiError::precondition(
            "cannot delete a project with resources. Please remove or reassign the resources first",
        ));
    }
    world.projects.remove(id);
    Ok(Response::no_content())
}

pub(crate) fn resources(world: &mut World, request: &Request) -> Reply {
    prune(world, request);
    let id = id_of(world, request);
    if !world.projects.contains(&id) {
        return Err(ApiError::not_found());
    }
    let rows = world
        .project_resources
        .filtered(|assignment| assignment.project == id);
    Ok(list(
        request,
        "resources",
        rows,
        |a| a.assigned_at,
        |a| assignment_view(a, "ok"),
    ))
}

/// Moves resources here from wherever they are.
pub(crate) fn assign(world: &mut World, request: &Request) -> Reply {
    let id = id_of(world, request);
    if !world.projects.contains(&id) {
        return Err(ApiError::not_found());
    }
    let urns = required(request.body::<Resources>()?.resources, "resources")?;
    for urn in &urns {
        if !well_formed(urn) {
            return Err(ApiError::unprocessable(format!(
                "{urn:?} is not a resource's URN"
            )));
        }
        if let Some(droplet) = droplet_of(world, urn)
            && !urns.contains(&droplet)
            && project_of(world, &droplet) != id
        {
            return Err(ApiError::precondition(
                "Cannot move a Reserved IP with an associated Droplet. Move the Droplet instead",
            ));
        }
    }
    let assigned_at = world.now();
    let before: Vec<Option<String>> = urns
        .iter()
        .map(|urn| Some(world.project_resources.get(urn)?.project.clone()))
        .collect();
    let mut shown = Vec::with_capacity(urns.len());
    for (urn, before) in urns.into_iter().zip(before) {
        let status = match before {
            _ if !exists(world, request, &urn) => "not_found",
            Some(before) if before == id => "already_assigned",
            _ => {
                put(world, urn.clone(), id.clone());
                "assigned"
            }
        };
        let project = id.clone();
        let moved = Assignment {
            urn,
            project,
            assigned_at,
        };
        shown.push(assignment_view(&moved, status));
    }
    Ok(Response::ok(json!({ "resources": shown })))
}

/// The URN of the droplet that the reserved address with this URN leads to.
fn droplet_of(world: &World, urn: &str) -> Option<String> {
    let ip = urn.strip_prefix("do:floatingip:")?;
    let droplet = world.reserved_ips.get(ip)?.droplet?;
    Some(format!("do:droplet:{droplet}"))
}

/// Whether a resource is there. Buckets live outside the account's tables, and VPCs are in no
/// project until somebody sends them to one.
fn exists(world: &World, request: &Request, urn: &str) -> bool {
    if let Some(bucket) = urn.strip_prefix("do:space:") {
        return request.buckets.iter().any(|name| name == bucket);
    }
    if let Some(vpc) = urn.strip_prefix("do:vpc:") {
        return world.vpcs.contains(vpc);
    }
    world.project_resources.contains(urn)
}

/// Forgets assignments of buckets that are gone: nobody tells projects of their end.
fn prune(world: &mut World, request: &Request) {
    let bucket = |assignment: &Assignment| assignment.urn.starts_with("do:space:");
    for urn in world.project_resources.keys_where(bucket) {
        if !exists(world, request, &urn) {
            world.project_resources.remove(&urn);
        }
    }
}

fn well_formed(urn: &str) -> bool {
    const KINDS: [&str; 9] = [
        "dbaas",
        "domain",
        "droplet",
        "floatingip",
        "loadbalancer",
        "space",
        "volume",
        "kubernetes",
        "vpc",
    ];
    let mut parts = urn.splitn(3, ':');
    parts.next() == Some("do")
        && parts.next().is_some_and(|kind| KINDS.contains(&kind))
        && parts.next().is_some_and(|id| !id.is_empty())
}

/// The id in the path; `default` stands for the default project's.
fn id_of(world: &World, request: &Request) -> String {
    if request.param(0).is_empty() {
        default_id(world)
    } else {
        request.param(0).to_owned()
    }
}

fn valid(world: &World, body: &Body, own: Option<&str>) -> Result<(), ApiError> {
    if let Some(name) = &body.name {
        if name.is_empty() || name.chars().count() > 175 {
            return Err(ApiError::unprocessable("name must be 1 to 175 characters"));
        }
        let taken = |project: &Project| project.name == *name && Some(project.id.as_str()) != own;
        if world.projects.values().any(taken) {
            return Err(ApiError::conflict(format!(
                "name {name:?} is already in use"
            )));
        }
    }
    for (field, text) in [
        ("description", &body.description),
        ("purpose", &body.purpose),
    ] {
        if text.as_ref().is_some_and(|text| text.chars().count() > 255) {
            return Err(ApiError::unprocessable(format!(
                "{field} is longer than 255 characters"
            )));
        }
    }
    match body.environment.as_deref() {
        None | Some("Development" | "Staging" | "Production") => Ok(()),
        Some(other) => Err(ApiError::unprocessable(format!(
            "environment {other:?} must be Development, Staging or Production"
        ))),
    }
}

fn view(world: &World, project: &Project) -> Value {
    let mut value = json!({
        "id": project.id,
        "owner_uuid": world.counters().team_uuid,
        "owner_id": 258_992,
        "name": project.name,
        "description": project.description,
        "purpose": project.purpose,
        "is_default": project.is_default,
        "created_at": moment(project.created_at),
        "updated_at": moment(project.updated_at),
    });
    if let Some(environment) = &project.environment {
        value["environment"] = json!(environment);
    }
    value
}

fn assignment_view(assignment: &Assignment, status: &str) -> Value {
    let mut parts = assignment.urn.splitn(3, ':').skip(1);
    let (kind, id) = (
        parts.next().unwrap_or_default(),
        parts.next().unwrap_or_default(),
    );
    let path = match kind {
        "dbaas" => "databases",
        "domain" => "domains",
        "floatingip" => "floating_ips",
        "loadbalancer" => "load_balancers",
        "volume" => "volumes",
        "kubernetes" => "kubernetes/clusters",
        "vpc" => "vpcs",
        "space" => "spaces",
        _ => "droplets",
    };
    json!({
        "urn": assignment.urn,
        "assigned_at": moment(assignment.assigned_at),
        "links": { "self": format!("https://api.digitalocean.com/v2/{path}/{id}") },
        "status": status,
    })
}
