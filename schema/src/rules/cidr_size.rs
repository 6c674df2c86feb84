//! A VPC range outside /16 to /28.

use crate::code::Code;
use crate::diagnostic::{Finding, Report};
use crate::span::Spanned;
use crate::spec::Spec;
use crate::value::Cidr;

pub(super) const SUMMARY: &str = "The range of a VPC is between /16 and /28.";

pub(super) fn check(spec: &Spec, report: &mut Report) {
    let ranges = spec.vpc_ranges().filter(|range| range.is_private_v4());
    ranges.for_each(|range| judge(range, report));
}

fn judge(range: &Spanned<Cidr>, report: &mut Report) {
    let size = range.prefix_len();
    let remedy = match size {
        16..=28 => return,
        0..=15 => "Use a smaller network, /16 at most.",
        _ => "Use a larger network, /28 at least; /20 leaves room to grow.",
    };
    report.judge(
        Finding::new(Code::CidrSize, format!("a VPC cannot have the size /{size}"))
            .label(range.span, "has to be between /16 and /28")
            .why("DigitalOcean refuses other sizes, and a VPC cannot be resized later.")
            .remedy(remedy),
    );
}
