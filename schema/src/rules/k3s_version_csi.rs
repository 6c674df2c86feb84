//! A K3s version the CSI driver does not support.

use crate::code::Code;
use crate::diagnostic::{Finding, Report};
use crate::spec::Spec;
use crate::value::DEFAULT_K3S_VERSION;

pub(super) const SUMMARY: &str = "DigitalOcean's CSI driver supports the Kubernetes version.";

/// Newest Kubernetes minor version in the compatibility table of DigitalOcean's CSI driver
/// v4.16.0, the one kplan installs.
const NEWEST_MINOR: u32 = 35;

pub(super) fn check(spec: &Spec, report: &mut Report) {
    let (version, csi) = (&spec.k3s.version, &spec.storage.csi);
    if !csi.value || version.minor() <= NEWEST_MINOR {
        return;
    }
    report.judge(
        Finding::new(
            Code::K3sVersionCsi,
            format!("DigitalOcean's CSI driver does not support Kubernetes 1.{}", version.minor()),
        )
        .label(version.span, format!("newer than 1.{NEWEST_MINOR}"))
        .label(csi.span.or(spec.storage.span), "the driver is installed")
        .why(
            "A storage driver that fails leaves volumes attached to the wrong node; v4.16.0 lists \
             Kubernetes up to 1.35.",
        )
        .remedy(format!(
            "Use `{DEFAULT_K3S_VERSION}`, or do without volumes: `[storage]` `csi = false`."
        )),
    );
}
