//! `preflight::region`: whether there is such a region, and whether droplets can be made in it.

use super::Finding;
use super::sight::{Sight, is_given, text};
use kplan_model::Step;

/// Kinds that stand in a region of droplets.
const IN_REGIONS: [&str; 5] = ["droplet", "load_balancer", "reserved_ip", "volume", "vpc"];

/// Every region that something is to stand in is one.
pub(super) fn offered(sight: &Sight<'_>) -> Vec<Finding> {
    let Some(regions) = sight.catalogue.regions.value() else {
        return Vec::new();
    };
    let error = |step: &Step, message| {
        let all: Vec<&str> = regions
            .iter()
            .filter(|region| region.available)
            .map(|region| region.slug.as_str())
            .collect();
        let help = format!("there are {}", all.join(", "));
        sight.error("preflight::region", (step, "region"), message, help)
    };
    sight
        .steps()
        .filter(|step| IN_REGIONS.contains(&step.address.kind().as_str()))
        .filter(|step| is_given(step, "region"))
        .filter_map(|step| {
            let slug = text(step, "region")?;
            match regions.iter().find(|region| region.slug == slug) {
                None => Some(error(step, format!("DigitalOcean has no region `{slug}`"))),
                Some(region) if !region.available && step.address.kind().as_str() == "droplet" => {
                    let message = format!("no new droplets can be made in {slug}");
                    Some(error(step, message))
                }
                Some(_) => None,
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use crate::preflight::testing::{Rig, catalogue, codes};

    #[test]
    fn a_region_that_is_none_or_is_full_is_an_error() {
        for (kind, region, found) in [
            ("droplet", "fra1", 0),
            ("droplet", "fra9", 1),
            ("vpc", "fra9", 1),
            ("droplet", "nyc2", 1),
            ("vpc", "nyc2", 0),
            ("bucket", "fra9", 0),
        ] {
            let mut rig = Rig::default();
            rig.create(&format!("{kind}.a"), &[("region", region.into())]);
            let mut sight = rig.sight();
            assert_eq!(super::offered(&sight), [], "without a catalogue");
            sight.catalogue = catalogue();
            let codes = codes(&super::offered(&sight));
            assert_eq!(codes, vec!["preflight::region"; found], "{kind} {region}");
        }
    }
}
