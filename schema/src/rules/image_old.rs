//! An image past its end of life.

use crate::code::Code;
use crate::diagnostic::{Finding, Report};
use crate::spec::Spec;

pub(super) const SUMMARY: &str = "Images are still maintained.";

/// Beginnings of image slugs whose standard support has ended, with the successor.
const OLD: &[&str] = &[
    "ubuntu-16-04", "ubuntu-18-04", "ubuntu-20-04", "debian-9", "debian-10", "debian-11", "centos-7",
    "centos-8",
];

pub(super) fn check(spec: &Spec, report: &mut Report) {
    let nodes = spec.pools().map(crate::spec::Pool::image);
    let images = nodes.chain(spec.droplets.iter().map(|droplet| &droplet.image));
    for image in images.filter(|image| !image.is_default()) {
        if !OLD.iter().any(|old| is_or_extends(image.as_str(), old)) {
            continue;
        }
        report.judge(
            Finding::new(Code::ImageOld, format!("`{image}` is past its end of life"))
                .label(image.span, "gets no security fixes")
                .why("DigitalOcean withdraws such images, and then no node can be replaced.")
                .remedy("Use `ubuntu-24-04-x64`."),
        );
    }
}

fn is_or_extends(slug: &str, old: &str) -> bool {
    slug.strip_prefix(old).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
}
