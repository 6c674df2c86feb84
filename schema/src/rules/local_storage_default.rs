//! Two places for volumes, and the one that goes with its droplet is what a claim gets by default.

use crate::code::Code;
use crate::diagnostic::{Finding, Report};
use crate::spec::Spec;

pub(super) const SUMMARY: &str =
    "With volumes of DigitalOcean's, claims do not land on the nodes' own disks by default.";

pub(super) fn check(spec: &Spec, report: &mut Report) {
    if !(spec.storage.csi.value && spec.addons.local_storage.value) {
        return;
    }
    report.judge(
        Finding::new(
            Code::LocalStorageDefault,
            "claims that name no class get the disk of their node",
        )
        .label(spec.addons.local_storage.span, "K3s marks its class as the default")
        .why(
            "K3s does so anew at every start, so `do-block-storage` cannot be the default beside \
             it. A volume on a node's disk is lost with its droplet, and in no volume backup.",
        )
        .remedy(
            "Take `local_storage` out, or name `storageClassName: do-block-storage` in every \
             claim that has to outlive its droplet.",
        ),
    );
}
