//! Resources in the words of Terraform's providers: what kplan calls a field, as the attribute of
//! the name and the shape that tools for Terraform's plans know.
//!
//! What kplan keeps about a resource and the provider does not know stands below one attribute of
//! its own, [`OWN`], so that nothing is lost and nothing looks like the provider's. Kinds that no
//! provider of Terraform's has keep kplan's names.

mod shape;
mod table;
#[cfg(test)]
mod tests;

use crate::review::Kinds;
use kplan_model::{Address, Change, Kind, KindInfo, Object, Value};
use serde_json::{Value as Json, json};
use shape::Attribute;
use table::View;

/// The attribute that holds what only kplan knows of a resource.
pub const OWN: &str = "kplan";

/// The version of Terraform whose plans the document is written like. Tools ask for one before
/// they read anything else; `kplan_version` says who wrote it.
pub const VERSION: &str = "1.9.0";

/// Terraform's type name of a kind, such as `digitalocean_droplet`.
pub fn type_name(kind: &Kind, kinds: &Kinds) -> String {
    kinds
        .get(kind)
        .map_or_else(|| kind.to_string(), |info| info.terraform.to_owned())
}

/// The provider that has a type, as Terraform addresses it; `kplan` where none does.
pub fn provider_name(type_name: &str) -> &'static str {
    const PROVIDERS: [(&str, &str); 4] = [
        (
            "digitalocean_",
            "registry.terraform.io/digitalocean/digitalocean",
        ),
        ("random_", "registry.terraform.io/hashicorp/random"),
        ("tls_", "registry.terraform.io/hashicorp/tls"),
        ("helm_", "registry.terraform.io/hashicorp/helm"),
    ];
    PROVIDERS
        .iter()
        .find(|(prefix, _)| type_name.starts_with(prefix))
        .map_or("kplan", |(_, provider)| provider)
}

/// What every entry of a document says of a resource, whatever else it says.
pub fn named(address: &Address, kinds: &Kinds) -> serde_json::Map<String, Json> {
    let type_name = type_name(address.kind(), kinds);
    let mut entry = serde_json::Map::new();
    entry.insert("address".to_owned(), json!(address.to_string()));
    entry.insert("mode".to_owned(), json!("managed"));
    entry.insert("name".to_owned(), json!(address.name()));
    if let Some(index) = address.index() {
        entry.insert("index".to_owned(), json!(index));
    }
    entry.insert("provider_name".to_owned(), json!(provider_name(&type_name)));
    entry.insert("type".to_owned(), json!(type_name));
    entry
}

/// The fields of a resource as the attributes its provider has for them.
pub fn attributes(kind: &Kind, fields: &Object) -> Object {
    let Some(view) = table::view(kind) else {
        return fields.clone();
    };
    let (mut own, mut all) = (Vec::new(), Vec::new());
    for (field, value) in fields {
        match view.place(field) {
            Place::Own if value.is_null() => {}
            Place::Own => own.push((field.clone(), value.clone())),
            Place::Same => all.push((field.to_string(), value.clone())),
            Place::As(attribute) => {
                all.push((attribute.name.to_owned(), attribute.shape.of(value)));
            }
        }
    }
    if !own.is_empty() {
        all.push((OWN.to_owned(), Value::Map(own.into_iter().collect())));
    }
    all.into_iter().collect()
}

/// Where a field stands among the attributes, as `replace_paths` writes it.
pub fn path(kind: &Kind, field: &str) -> Json {
    let Some(view) = table::view(kind) else {
        return json!([field]);
    };
    match view.place(field) {
        Place::Own => json!([OWN, field]),
        Place::Same => json!([field]),
        Place::As(attribute) => json!([attribute.name]),
    }
}

/// The arguments of a resource that is to be made, with everything that is known only when it is
/// there.
pub fn created(info: Option<&KindInfo>, args: &Object) -> Object {
    let Some(info) = info else {
        return args.clone();
    };
    let mut fields = args.clone();
    let computed = info
        .fields
        .iter()
        .filter(|it| it.change == Change::Computed);
    let decided = table::view(&info.kind).map_or(&[] as &[&str], |view| view.decided);
    for name in computed
        .map(|field| field.name)
        .chain(decided.iter().copied())
    {
        if fields.get(name).is_none_or(Value::is_null) {
            fields.insert(name, Value::Unknown);
        }
    }
    fields
}

/// Where a field stands.
enum Place<'a> {
    /// Among what only kplan knows.
    Own,
    /// Under its own name, as it is.
    Same,
    /// As another attribute.
    As(&'a Attribute),
}

impl View {
    fn place(&self, field: &str) -> Place<'_> {
        if self.own.contains(&field) {
            return Place::Own;
        }
        let attribute = self.attributes.iter().find(|it| it.field == field);
        attribute.map_or(Place::Same, Place::As)
    }
}
