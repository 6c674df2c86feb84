//! A VPC range that shares addresses with the cluster's inner networks.

use crate::code::Code;
use crate::diagnostic::{Finding, Report};
use crate::spec::{POD_CIDR, SERVICE_CIDR, Spec};
use crate::value::{Cidr, FromText};

pub(super) const SUMMARY: &str = "The VPC range shares no address with the pod and service networks.";

pub(super) fn check(spec: &Spec, report: &mut Report) {
    let Some(range) = &spec.network.vpc.ip_range else {
        return;
    };
    for (what, inner) in [("pod", POD_CIDR), ("service", SERVICE_CIDR)] {
        if Cidr::from_text(inner).is_ok_and(|inner| range.overlaps(&inner)) {
            report.judge(
                Finding::new(
                    Code::CidrOverlap,
                    format!("`{range}` overlaps the {what} network {inner}"),
                )
                .label(range.span, format!("shares addresses with {inner}"))
                .why(
                    "K3s gives these addresses to pods and services, so packets for machines of \
                     the VPC would end inside the cluster; neither network can be changed later.",
                )
                .remedy("Use a range outside 10.42.0.0/15, for example 10.10.0.0/20."),
            );
        }
    }
}
