//! Images: public distributions, and the account's own snapshots and backups of droplets.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::snapshots::{self, Snapshot};
use super::tags;
use crate::http::{ApiError, Reply, Request, Response, list};
use crate::world::World;
use crate::world::catalogue::{IMAGES, image_of, image_view};
use crate::world::table::Row as _;

/// The public images are all distributions.
pub(crate) fn index(world: &mut World, request: &Request) -> Reply {
    let tag = request.query("tag_name");
    let own = match request.query("private") {
        None | Some("" | "false") => false,
        Some("true") => true,
        Some(other) => {
            let message = format!("private must be true or false, not {other:?}");
            return Err(ApiError::unprocessable(message));
        }
    };
    let kind = request.query("type");
    if let Some(kind) = kind.filter(|kind| !matches!(*kind, "application" | "distribution")) {
        return Err(ApiError::unprocessable(format!(
            "type must be application or distribution, not {kind:?}"
        )));
    }
    let mut shown: Vec<(Timestamp, Value)> = Vec::new();
    if !own && tag.is_none() && kind.is_none_or(|kind| kind == "distribution") {
        let public = IMAGES.iter().map(image_view);
        shown.extend(public.map(|image| (Timestamp::UNIX_EPOCH, image)));
    }
    if kind.is_none() {
        let tagged = |image: &&Snapshot| {
            tag.is_none_or(|tag| image.tags.iter().any(|own| tags::same(own, tag)))
        };
        let private = snapshots::images(world).into_iter().filter(tagged);
        shown.extend(private.map(|image| (image.created_at(), snapshots::image_view(image))));
    }
    Ok(list(
        request,
        "images",
        &shown,
        |(at, _)| *at,
        |(_, image)| image.clone(),
    ))
}

/// An image by id, or a public one by slug.
pub(crate) fn show(world: &mut World, request: &Request) -> Reply {
    let (shown, created_at) = find(world, request.param(0))?;
    Ok(Response::ok(json!({ "image": shown })).created_at(created_at))
}

fn find(world: &World, id: &str) -> Result<(Value, Timestamp), ApiError> {
    let public = image_of(id).map(|image| (image_view(image), Timestamp::UNIX_EPOCH));
    let own = || {
        let image = snapshots::image_of(world, id)?;
        Some((snapshots::image_view(image), image.created_at()))
    };
    public.or_else(own).ok_or_else(ApiError::not_found)
}

/// What was done to an image: nothing ever is, as none is transferred or converted here.
pub(crate) fn actions(world: &mut World, request: &Request) -> Reply {
    find(world, &request.id(0)?.to_string())?;
    let none: [Value; 0] = [];
    let never = |_: &Value| Timestamp::UNIX_EPOCH;
    Ok(list(request, "actions", &none, never, Value::clone))
}

pub(crate) fn action(_: &mut World, _: &Request) -> Reply {
    Err(ApiError::not_found())
}
