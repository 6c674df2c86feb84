//! Two things that have to be in one region and are not.

use crate::code::Code;
use crate::diagnostic::{Finding, Report};
use crate::span::{Span, Spanned};
use crate::spec::{OWN_VPC, Spec};
use crate::value::{BlockRef, DropletRef, RegionSlug};

pub(super) const SUMMARY: &str = "What is in a VPC, or attached to a droplet, is in its region.";

pub(super) fn check(spec: &Spec, report: &mut Report) {
    for droplet in &spec.droplets {
        in_vpc(spec, "droplet", &droplet.region, droplet.vpc.as_ref(), report);
    }
    for balancer in &spec.load_balancers {
        in_vpc(spec, "load balancer", &balancer.region, balancer.vpc.as_ref(), report);
    }
    for database in &spec.databases {
        in_vpc(spec, "database", &database.region, database.vpc.as_ref(), report);
    }
    for volume in &spec.volumes {
        of_droplet(spec, "volume", &volume.region, volume.droplet.as_ref(), report);
    }
    for ip in &spec.reserved_ips {
        of_droplet(spec, "reserved address", &ip.region, ip.droplet.as_ref(), report);
    }
}

fn in_vpc(
    spec: &Spec,
    what: &str,
    region: &Spanned<RegionSlug>,
    vpc: Option<&Spanned<BlockRef>>,
    report: &mut Report,
) {
    let Some((BlockRef::Label(label), span)) = vpc.map(|vpc| (&vpc.value, vpc.span)) else {
        return;
    };
    let named = spec.vpcs.iter().find(|it| it.label.as_str() == label);
    let own = (label == OWN_VPC && spec.has_own_vpc()).then_some(&spec.cluster.region);
    let other = named.map(|it| &it.region).or(own);
    judge(what, "its VPC", (region, other), span, report);
}

fn of_droplet(
    spec: &Spec,
    what: &str,
    region: &Spanned<RegionSlug>,
    droplet: Option<&Spanned<DropletRef>>,
    report: &mut Report,
) {
    let Some((DropletRef::Address { name, .. }, span)) =
        droplet.map(|droplet| (&droplet.value, droplet.span))
    else {
        return;
    };
    let named = spec.droplets.iter().find(|it| it.label.as_str() == name);
    let node = spec.pools().any(|pool| pool.name() == name);
    let other = named.map(|it| &it.region).or(node.then_some(&spec.cluster.region));
    judge(what, "its droplet", (region, other), span, report);
}

fn judge(
    what: &str,
    of: &str,
    (region, other): (&Spanned<RegionSlug>, Option<&Spanned<RegionSlug>>),
    span: Option<Span>,
    report: &mut Report,
) {
    let Some(other) = other.filter(|other| other.value != region.value) else {
        return;
    };
    let trusted = report.trusts(other.span) && report.trusts(region.span);
    if !trusted {
        return;
    }
    report.judge(
        Finding::new(
            Code::RegionMismatch,
            format!("the {what} is in `{region}`, and {of} in `{other}`"),
        )
        .label(span, format!("in `{other}`"))
        .label(region.span, format!("in `{region}`"))
        .why("DigitalOcean connects nothing across regions.")
        .remedy("Put both into one region."),
    );
}
