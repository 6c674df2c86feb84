//! An Argo CD version not tested with this Kubernetes.

use crate::code::Code;
use crate::diagnostic::{Finding, Report};
use crate::spec::Spec;

pub(super) const SUMMARY: &str = "Argo CD is tested with the Kubernetes version.";

/// One line of Argo CD's list of tested Kubernetes versions.
struct Tested {
    argocd: (u32, u32),
    kubernetes_minor: (u32, u32),
}

const TESTED: &[Tested] = &[
    Tested { argocd: (3, 3), kubernetes_minor: (32, 35) },
    Tested { argocd: (3, 4), kubernetes_minor: (32, 35) },
    Tested { argocd: (3, 5), kubernetes_minor: (33, 36) },
];

pub(super) fn check(spec: &Spec, report: &mut Report) {
    let Some(gitops) = &spec.gitops else {
        return;
    };
    let (major, minor, _) = gitops.version.numbers();
    let kubernetes = spec.k3s.version.minor();
    let tested = TESTED.iter().find(|line| line.argocd == (major, minor));
    let range = tested.map(|line| line.kubernetes_minor);
    let message = match range {
        Some((from, to)) if (from..=to).contains(&kubernetes) => return,
        Some((from, to)) => format!(
            "Argo CD {} is tested with Kubernetes 1.{from} to 1.{to}, not with 1.{kubernetes}",
            gitops.version
        ),
        None => format!("kplan does not know which Kubernetes Argo CD {} needs", gitops.version),
    };
    report.judge(
        Finding::new(Code::ArgocdVersionRange, message)
            .label(gitops.version.span.or(gitops.span), "Argo CD")
            .label(spec.k3s.version.span, "Kubernetes")
            .why("It may work, but nobody has shown that it does.")
            .remedy("Take a pair from Argo CD's list of tested Kubernetes versions."),
    );
}
