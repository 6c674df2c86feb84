//! The project and what belongs to it.

use super::build::{Builder, address, to};
use kplan_model::Input;
use kplan_providers::digitalocean::ProjectArgs;

/// Kinds that DigitalOcean lets into projects; each has its uniform resource name as `urn`.
const MEMBERS: [&str; 6] = [
    "droplet",
    "load_balancer",
    "reserved_ip",
    "volume",
    "database",
    "domain",
];

/// Declares it; must come last, when every member is declared.
pub fn declare(builder: &mut Builder<'_>) {
    let Some(project) = &builder.spec.project else {
        return;
    };
    let resources: Vec<Input<String>> = builder
        .declared()
        .filter(|address| MEMBERS.contains(&address.kind().as_str()))
        .map(|address| to(address, "urn"))
        .collect();
    let args = ProjectArgs {
        name: project.name.value.clone(),
        description: Some(project.description.value.clone()).filter(|text| !text.is_empty()),
        purpose: Some(project.purpose.value.clone()),
        environment: Some(project.environment.to_string()),
        resources,
    };
    builder.add(address("project", "main"), &args, project.span);
    builder.field_at("name", project.name.span);
    builder.field_at("environment", project.environment.span);
}
