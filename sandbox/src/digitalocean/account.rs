//! The account, and what can be bought: regions, sizes.

use jiff::Timestamp;
use serde_json::json;

use super::reserved_ips;
use crate::http::{Reply, Request, Response, list};
use crate::world::World;
use crate::world::catalogue::{REGIONS, SIZES, Size, region_view, size_view};

pub(crate) fn show(world: &mut World, _: &Request) -> Reply {
    let counters = world.counters();
    Ok(Response::ok(json!({
        "account": {
            "droplet_limit": world.options.droplet_limit,
            "floating_ip_limit": reserved_ips::LIMIT,
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
