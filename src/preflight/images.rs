//! `preflight::image`, `preflight::image_disk`: whether there is such an image, in the region, and it
//! fits on the disk.

use super::Finding;
use super::sight::{Sight, text};
use kplan_model::{Action, Step};
use kplan_providers::digitalocean::catalogue::Image;

/// Every image of a new droplet can be had.
pub(super) fn offered(sight: &Sight<'_>) -> Vec<Finding> {
    let Some(images) = sight.catalogue.images.value() else {
        return Vec::new();
    };
    let made = sight.of_kind("droplet");
    let made = made.filter(|step| step.action == Action::Create);
    made.filter_map(|step| judged(sight, images, step))
        .collect()
}

fn judged(sight: &Sight<'_>, images: &[Image], step: &Step) -> Option<Finding> {
    let slug = text(step, "image")?;
    let at = (step, "image");
    let listed = images
        .iter()
        .find(|image| image.slug.as_deref() == Some(slug));
    let Some(image) = listed else {
        // An application, one of the account's own, or none: asked for one by one.
        let Some(Ok(false)) = sight.images.get(slug) else {
            return None;
        };
        let message = format!("there is no image `{slug}` that the account may use");
        return Some(sight.error("preflight::image", at, message, help(images, slug)));
    };
    let region = text(step, "region")?;
    if is_missing(images, image, region) {
        let message = format!("the image {slug} is not in {region}");
        return Some(sight.error("preflight::image", at, message, help(images, slug)));
    }
    let least = image.min_disk_size?;
    let size = sight.catalogue.size(text(step, "size")?)?;
    (size.disk < least).then(|| {
        let message = format!(
            "the image {slug} needs a disk of {least} GiB, and {} has {} GiB",
            size.slug, size.disk
        );
        let help = "choose a larger size, or a smaller image";
        sight.error("preflight::image_disk", at, message, help)
    })
}

/// Whether an image is not where others are. A region that no image names is one that the lists do not
/// know yet: DigitalOcean's own description of them lags behind its newest regions.
fn is_missing(images: &[Image], image: &Image, region: &str) -> bool {
    let is_in = |image: &Image| image.regions.iter().any(|slug| slug == region);
    !is_in(image) && images.iter().any(is_in)
}

fn help(images: &[Image], wanted: &str) -> String {
    let family = wanted.split('-').next().unwrap_or(wanted);
    let like: Vec<&str> = images
        .iter()
        .filter_map(|image| image.slug.as_deref())
        .filter(|slug| slug.starts_with(family))
        .collect();
    if like.is_empty() {
        "`doctl compute image list-distribution` shows all".to_owned()
    } else {
        format!("there are {}", like.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use crate::preflight::testing::{Rig, catalogue, codes};
    use kplan_model::{ErrorKind, ProviderError};

    fn rig(image: &str, region: &str, size: &str) -> Rig {
        let mut rig = Rig::default();
        rig.create(
            "droplet.a",
            &[
                ("image", image.into()),
                ("region", region.into()),
                ("size", size.into()),
            ],
        );
        rig
    }

    #[test]
    fn an_image_that_cannot_be_had_is_an_error() {
        let found = |image: &str, region: &str, size: &str| {
            let rig = rig(image, region, size);
            let mut sight = rig.sight();
            assert_eq!(super::offered(&sight), [], "without a catalogue");
            sight.catalogue = catalogue();
            codes(&super::offered(&sight))
        };
        let none = Vec::<&str>::new();
        assert_eq!(found("ubuntu-24-04-x64", "fra1", "s-2vcpu-4gb"), none);
        assert_eq!(
            found("ubuntu-24-04-x64", "nyc2", "s-2vcpu-4gb"),
            ["preflight::image"]
        );
        // A region the list of images knows nothing of.
        assert_eq!(found("ubuntu-24-04-x64", "atl1", "s-2vcpu-4gb"), none);
        assert_eq!(
            found("windows-x64", "fra1", "s-1vcpu-1gb"),
            ["preflight::image_disk"]
        );
    }

    #[test]
    fn an_image_that_is_not_listed_is_asked_for_by_itself() {
        let rig = rig("ubuntu-99-04-x64", "fra1", "s-2vcpu-4gb");
        let mut sight = rig.sight();
        sight.catalogue = catalogue();
        let denied = ProviderError::new(ErrorKind::Denied, "no");
        for (answer, found) in [(Ok(true), 0), (Ok(false), 1), (Err(denied), 0)] {
            sight.images.insert("ubuntu-99-04-x64".to_owned(), answer);
            let seen = super::offered(&sight);
            assert_eq!(codes(&seen), vec!["preflight::image"; found]);
            for one in seen {
                assert_eq!(one.help, "there are ubuntu-24-04-x64");
            }
        }
    }
}
