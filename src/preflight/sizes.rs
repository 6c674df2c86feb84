//! `preflight::size`, `preflight::size_disk`: whether the size of a droplet is sold in its region, and
//! its disk is no smaller than the one a living droplet has.

use super::Finding;
use super::sight::{Sight, is_given, text};
use kplan_model::{Action, Step};
use kplan_providers::digitalocean::catalogue::Size;

/// Every size that is asked for anew can be had.
pub(super) fn offered(sight: &Sight<'_>) -> Vec<Finding> {
    let Some(sizes) = sight.catalogue.sizes.value() else {
        return Vec::new();
    };
    let given = sight
        .of_kind("droplet")
        .filter(|step| is_given(step, "size"));
    given
        .filter_map(|step| judged(sight, sizes, step))
        .collect()
}

fn judged(sight: &Sight<'_>, sizes: &[Size], step: &Step) -> Option<Finding> {
    let slug = text(step, "size")?;
    let region = text(step, "region")?;
    let is_sold = |size: &&Size| size.available && size.regions.iter().any(|slug| slug == region);
    let error = |message: String| {
        let mut sold: Vec<&Size> = sizes.iter().filter(is_sold).collect();
        sold.sort_by_key(|size| distance(&size.slug, slug));
        let near: Vec<&str> = sold.iter().take(3).map(|size| size.slug.as_str()).collect();
        let help = format!(
            "{} sizes are sold in {region}, such as {}; `doctl compute size list` shows all",
            sold.len(),
            near.join(", ")
        );
        Some(sight.error("preflight::size", (step, "size"), message, help))
    };
    let Some(size) = sizes.iter().find(|size| size.slug == slug) else {
        return error(format!("DigitalOcean has no size `{slug}`"));
    };
    if !size.available {
        return error(format!("no new droplets of {slug} can be had"));
    }
    if !is_sold(&size) {
        return error(format!("{slug} is not sold in {region}"));
    }
    smaller(sight, step, size)
}

/// A disk never shrinks: DigitalOcean would refuse it when the node is drained and its droplet off.
fn smaller(sight: &Sight<'_>, step: &Step, size: &Size) -> Option<Finding> {
    let before = step
        .before
        .as_ref()
        .filter(|_| step.action == Action::Update)?;
    let has = before.attrs.get("disk")?.as_int()?;
    let has = u64::try_from(has).ok()?;
    (size.disk < has).then(|| {
        let message = format!(
            "{} has a disk of {} GiB, and the droplet has one of {has} GiB, which cannot shrink",
            size.slug, size.disk
        );
        let help = format!(
            "choose a size with {has} GiB or more. To go smaller, make the droplet anew: add \
             --replace {}, which loses what is on its disk",
            step.address
        );
        sight.error("preflight::size_disk", (step, "size"), message, help)
    })
}

/// How unlike two slugs are: by what they do not begin with in common, then by length.
fn distance(one: &str, other: &str) -> (usize, usize) {
    let common = one
        .bytes()
        .zip(other.bytes())
        .take_while(|(a, b)| a == b)
        .count();
    (
        other.len().saturating_sub(common),
        one.len().abs_diff(other.len()),
    )
}

#[cfg(test)]
mod tests {
    use crate::preflight::testing::{Rig, catalogue, codes};
    use kplan_model::Value;

    #[test]
    fn a_size_that_cannot_be_had_is_an_error() {
        for (size, region, found) in [
            ("s-2vcpu-4gb", "fra1", 0),
            ("s-2vcpu-5gb", "fra1", 1),
            ("s-2vcpu-4gb", "nyc2", 1),
            ("s-gone", "fra1", 1),
        ] {
            let mut rig = Rig::default();
            let args = [("size", size.into()), ("region", region.into())];
            rig.create("droplet.a", &args);
            let mut sight = rig.sight();
            assert_eq!(super::offered(&sight), [], "without a catalogue");
            sight.catalogue = catalogue();
            let found_now = super::offered(&sight);
            assert_eq!(codes(&found_now), vec!["preflight::size"; found], "{size}");
            if size == "s-2vcpu-5gb" {
                assert!(found_now[0].help.contains("such as s-2vcpu-4gb"));
            }
        }
    }

    #[test]
    fn a_living_droplet_takes_no_smaller_disk_and_a_new_one_does() {
        let args = [("size", "s-1vcpu-1gb".into()), ("region", "fra1".into())];
        let mut rig = Rig::default();
        rig.update("droplet.a", "1", &args, "size")
            .seen("droplet.a", "disk", Value::Int(80));
        let mut sight = rig.sight();
        sight.catalogue = catalogue();
        let found = super::offered(&sight);
        assert_eq!(codes(&found), ["preflight::size_disk"]);
        assert!(found[0].help.contains("--replace droplet.a"));
        let mut rig = Rig::default();
        rig.replace("droplet.a", "1", &args);
        let mut sight = rig.sight();
        sight.catalogue = catalogue();
        assert_eq!(super::offered(&sight), []);
    }
}
