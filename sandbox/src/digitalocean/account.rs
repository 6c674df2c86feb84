//! The account, and what can be bought: regions, sizes, images.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::snapshots::{self, Snapshot};
use super::tags;
use crate::http::{ApiError, Reply, Request, Response, list};
use crate::world::World;
use crate::world::catalogue::{
    IMAGES, REGIONS, SIZES, Size, image_of, image_view, region_view, size_view,
};
use crate::world::table::Row as _;

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

/// The public images, which are all distributions, and the account's own snapshots of droplets.
pub(crate) fn images(world: &mut World, request: &Request) -> Reply {
    let tag = request.query("tag_name");
    let own = request.query("private") == Some("true");
    let kind = request.query("type");
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

pub(crate) fn image(world: &mut World, request: &Request) -> Reply {
    let id = request.param(0);
    let shown = image_of(id)
        .map(image_view)
        .or_else(|| snapshots::image_of(world, id).map(snapshots::image_view))
        .ok_or_else(ApiError::not_found)?;
    Ok(Response::ok(json!({ "image": shown })))
}
