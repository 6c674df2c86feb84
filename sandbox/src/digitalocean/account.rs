//! The account, and what can be bought: regions, sizes, images.

use jiff::Timestamp;
use serde_json::json;

use crate::http::{ApiError, Reply, Request, Response, list};
use crate::world::World;
use crate::world::catalogue::{
    IMAGES, Image, REGIONS, SIZES, Size, image_of, image_view, region_view, size_view,
};

pub(crate) fn show(world: &mut World, _: &Request) -> Reply {
    let counters = world.counters();
    Ok(Response::ok(json!({
        "account": {
            "droplet_limit": world.options.droplet_limit,
            "floating_ip_limit": 100,
            "email": "sandbox@example.com",
            "name": "Sandbox",
            "uuid": counters.account_uuid,
            "email_verified": true,
            "status": "active",
            "status_message": "",
            "team": { "uuid": counters.team_uuid, "name": "Sandbox" },
        }
    })))
}

pub(crate) fn regions(_: &mut World, request: &Request) -> Reply {
    let always = |_: &(&str, &str)| Timestamp::UNIX_EPOCH;
    Ok(list(request, "regions", &REGIONS, always, |(slug, _)| {
        region_view(slug)
    }))
}

pub(crate) fn sizes(_: &mut World, request: &Request) -> Reply {
    let always = |_: &Size| Timestamp::UNIX_EPOCH;
    Ok(list(request, "sizes", &SIZES, always, size_view))
}

/// Only public distributions exist, so every other filter finds nothing.
pub(crate) fn images(_: &mut World, request: &Request) -> Reply {
    let none = request.query("private") == Some("true")
        || request.query("tag_name").is_some()
        || request
            .query("type")
            .is_some_and(|kind| kind != "distribution");
    let shown: &[Image] = if none { &[] } else { &IMAGES };
    let always = |_: &Image| Timestamp::UNIX_EPOCH;
    Ok(list(request, "images", shown, always, image_view))
}

pub(crate) fn image(_: &mut World, request: &Request) -> Reply {
    let image = image_of(request.param(0)).ok_or_else(ApiError::not_found)?;
    Ok(Response::ok(json!({ "image": image_view(image) })))
}
