//! A VPC range outside RFC 1918.

use crate::code::Code;
use crate::diagnostic::{Finding, Report};
use crate::spec::Spec;

pub(super) const SUMMARY: &str = "The range of a VPC is private IPv4 space.";

pub(super) fn check(spec: &Spec, report: &mut Report) {
    for range in spec.vpc_ranges().filter(|range| !range.is_private_v4()) {
        report.judge(
            Finding::new(Code::CidrNotPrivate, format!("`{range}` is not a private IPv4 network"))
                .label(range.span, "outside RFC 1918")
                .why(
                    "DigitalOcean refuses it; and addresses of the internet used inside a network \
                     become unreachable from it.",
                )
                .remedy("Use a part of 10.0.0.0/8, 172.16.0.0/12 or 192.168.0.0/16."),
        );
    }
}
