//! Something that only a cluster of kplan's has, in a file without one.

use crate::code::Code;
use crate::diagnostic::{Finding, Report};
use crate::span::Span;
use crate::spec::{Mirror, Pool, Spec};

pub(super) const SUMMARY: &str = "What needs a K3s cluster of kplan's stands only in files that have one.";

pub(super) fn check(spec: &Spec, report: &mut Report) {
    if spec.runs_k3s() {
        return;
    }
    let tables = tables(spec).into_iter().chain(network(spec));
    let mut named: Vec<(&str, Span)> =
        tables.filter_map(|(what, span)| Some((what, span?))).collect();
    let addons = spec.own_addons.iter().filter_map(|addon| addon.span);
    named.extend(addons.map(|span| ("[[addon]]", span)));
    if spec.has_servers() {
        named.extend(spec.pools().flat_map(of_kubernetes));
    } else {
        let pools = spec.agents.iter().filter_map(|pool| pool.span);
        named.extend(pools.map(|span| ("[[agents]]", span)));
    }
    named.retain(|(_, span)| report.trusts(*span));
    named.sort_by_key(|(_, span)| span.start);
    judge(spec, &named, report);
}

fn tables(spec: &Spec) -> Vec<(&'static str, Option<Span>)> {
    let mirror = spec.mirror.as_ref().and_then(|mirror| match mirror {
        Mirror::Url(text) | Mirror::Folder(text) => text.span,
    });
    vec![
        ("[k3s] version", spec.k3s.version.span),
        ("[k3s] datastore", spec.k3s.datastore.span),
        ("[k3s.database]", spec.k3s.database.as_ref().and_then(|it| it.span)),
        ("[load_balancer.api]", spec.api_load_balancer.as_ref().and_then(|it| it.span)),
        ("[endpoint]", spec.endpoint.as_ref().and_then(|it| it.span)),
        ("[gitops]", spec.gitops.as_ref().and_then(|it| it.span)),
        ("[backup]", spec.backup.as_ref().and_then(|it| it.span)),
        ("[storage]", spec.storage.span),
        ("[cloud_controller]", spec.cloud_controller.span),
        ("[addons]", spec.addons.span),
        ("[mirror]", mirror),
    ]
}

fn network(spec: &Spec) -> [(&'static str, Option<Span>); 2] {
    let network = &spec.network;
    [
        ("[network] api_allow", network.api_allow.as_ref().and_then(|list| list.span)),
        ("[network] ssh_allow", network.ssh_allow.span),
    ]
}

/// What Kubernetes would be told of a pool.
fn of_kubernetes(pool: Pool<'_>) -> Vec<(&'static str, Span)> {
    let labels = pool.labels().values().filter_map(|label| label.span);
    let taints = pool.taints().iter().filter_map(|taint| taint.span);
    let mut all: Vec<_> = labels.map(|span| ("labels", span)).collect();
    all.extend(taints.map(|span| ("taints", span)));
    if let Pool::Servers(servers) = pool {
        all.extend(servers.schedulable.span.map(|span| ("schedulable", span)));
    }
    all
}

/// All of them are one finding: they have one cause.
fn judge(spec: &Spec, named: &[(&str, Span)], report: &mut Report) {
    let message = match named {
        [] => return,
        [(what, _)] => format!("`{what}` needs a K3s cluster of kplan's"),
        [(what, _), rest @ ..] => {
            format!("`{what}` and {} more need a K3s cluster of kplan's", rest.len())
        }
    };
    let mut finding = Finding::new(Code::NeedsCluster, message);
    for (_, span) in named {
        finding = finding.label(*span, "would do nothing");
    }
    report.judge(if spec.has_servers() {
        finding
            .label(spec.k3s.managed.span, "K3s is somebody else's")
            .why(
                "With `managed = false` kplan manages the droplets, and nothing of the K3s that \
                 somebody else installed on them.",
            )
            .remedy("Take it out, or let kplan make a cluster: `managed = true` on new droplets.")
    } else {
        finding
            .why(
                "Without `[servers]` the file describes no cluster, and kplan makes only what the \
                 file names.",
            )
            .remedy("Add `[servers]` with at least `size`, or take this out.")
    });
}
