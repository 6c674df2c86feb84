//! `preflight::range`, `preflight::range_reserved`: whether the addresses of a VPC are free.

use super::Finding;
use super::sight::{Sight, is_given, text};
use kplan_model::Step;
use kplan_schema::value::Cidr;

/// What DigitalOcean keeps for itself everywhere (docs.digitalocean.com, products/networking/vpc/
/// details/limits).
const RESERVED: [&str; 4] = [
    "10.229.0.0/16",
    "10.244.0.0/16",
    "10.245.0.0/16",
    "10.246.0.0/24",
];

/// What it keeps for itself in a region (the same page).
const RESERVED_IN: [(&str, &str); 12] = [
    ("ams2", "10.14.0.0/16"),
    ("ams3", "10.18.0.0/16"),
    ("blr1", "10.47.0.0/16"),
    ("fra1", "10.19.0.0/16"),
    ("lon1", "10.16.0.0/16"),
    ("nyc1", "10.10.0.0/16"),
    ("nyc2", "10.13.0.0/16"),
    ("nyc3", "10.17.0.0/16"),
    ("sfo1", "10.12.0.0/16"),
    ("sgp1", "10.15.0.0/16"),
    ("syd1", "10.49.0.0/16"),
    ("tor1", "10.20.0.0/16"),
];

/// No other VPC of the account, in whatever region, and not DigitalOcean itself has these addresses.
pub(super) fn free(sight: &Sight<'_>) -> Vec<Finding> {
    let given = sight
        .of_kind("vpc")
        .filter(|step| is_given(step, "ip_range"));
    let ranges = given.filter_map(|step| {
        let range = Cidr::parse(text(step, "ip_range")?)?;
        Some((step, range))
    });
    ranges
        .filter_map(|(step, range)| {
            let taken = taken(sight, step, range);
            taken.or_else(|| reserved(sight, step, range))
        })
        .collect()
}

fn reserved(sight: &Sight<'_>, step: &Step, range: Cidr) -> Option<Finding> {
    let region = text(step, "region").unwrap_or_default();
    let own = RESERVED_IN.iter().filter(|(slug, _)| *slug == region);
    let mut all = RESERVED.into_iter().chain(own.map(|(_, range)| *range));
    let kept = all.find(|kept| overlap(kept, range))?;
    let message =
        format!("{range} shares addresses with {kept}, which DigitalOcean keeps for itself");
    let help = "choose another private range; without `ip_range` DigitalOcean chooses one";
    Some(sight.error(
        "preflight::range_reserved",
        (step, "ip_range"),
        message,
        help,
    ))
}

fn taken(sight: &Sight<'_>, step: &Step, range: Cidr) -> Option<Finding> {
    let others = sight.taken.get("vpc")?.as_ref().ok()?;
    let goes = sight.destroyed();
    let own = step.remote().map(kplan_model::RemoteId::as_str);
    let other = others
        .iter()
        .filter(|vpc| !goes.contains(vpc.id.as_str()) && Some(vpc.id.as_str()) != own)
        .find(|vpc| {
            let theirs = vpc.ip_range.as_deref();
            theirs.is_some_and(|theirs| overlap(theirs, range))
        })?;
    let message = format!(
        "{range} shares addresses with {}, the range of the VPC {}{}",
        other.ip_range.as_deref().unwrap_or_default(),
        other.name,
        other
            .region
            .as_deref()
            .map_or_else(String::new, |region| format!(" in {region}"))
    );
    let help = "VPCs of an account have no address in common: choose another range, or leave `ip_range` \
                out, and DigitalOcean chooses one";
    Some(sight.error("preflight::range", (step, "ip_range"), message, help))
}

fn overlap(text: &str, range: Cidr) -> bool {
    Cidr::parse(text).is_some_and(|other| other.overlaps(&range))
}

#[cfg(test)]
mod tests {
    use crate::preflight::testing::{Rig, codes};
    use kplan_providers::digitalocean::Taken;

    fn found(rig: &Rig) -> Vec<&'static str> {
        let mut sight = rig.sight();
        let there = Taken {
            id: "7".to_owned(),
            name: "theirs".to_owned(),
            region: Some("ams3".to_owned()),
            ip_range: Some("10.20.0.0/20".to_owned()),
            public_key: None,
        };
        sight.taken.insert("vpc".to_owned(), Ok(vec![there]));
        codes(&super::free(&sight))
    }

    fn vpc(range: &str, region: &str) -> Rig {
        let mut rig = Rig::default();
        let args = [("ip_range", range.into()), ("region", region.into())];
        rig.create("vpc.main", &args);
        rig
    }

    #[test]
    fn addresses_of_others_and_of_digitalocean_are_taken() {
        let none = Vec::<&str>::new();
        assert_eq!(found(&vpc("10.10.10.0/24", "fra1")), none);
        assert_eq!(found(&vpc("10.20.8.0/24", "fra1")), ["preflight::range"]);
        assert_eq!(found(&vpc("10.20.0.0/16", "fra1")), ["preflight::range"]);
        assert_eq!(
            found(&vpc("10.19.4.0/24", "fra1")),
            ["preflight::range_reserved"]
        );
        assert_eq!(found(&vpc("10.19.4.0/24", "ams3")), none);
        assert_eq!(
            found(&vpc("10.244.0.0/20", "ams3")),
            ["preflight::range_reserved"]
        );
    }

    #[test]
    fn addresses_of_a_vpc_that_goes_are_free() {
        let mut rig = Rig::default();
        let args = [
            ("ip_range", "10.20.0.0/16".into()),
            ("region", "fra1".into()),
        ];
        rig.replace("vpc.main", "7", &args);
        assert_eq!(found(&rig), Vec::<&str>::new());
    }
}
