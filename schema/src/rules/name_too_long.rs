//! A derived name is longer than its place allows.

use crate::code::Code;
use crate::diagnostic::{Finding, Report};
use crate::span::Span;
use crate::spec::{Pool, Spec};

pub(super) const SUMMARY: &str = "Names that start with the cluster's fit where they go.";

/// A DNS label's limit: node names, load balancers, databases and buckets alike.
const MAX_NAME: usize = 63;
/// `kplan-<cluster>-<8 of the state's lineage>-<8 at random>`: the bucket nodes boot from.
const BUNDLE_BUCKET_EXTRA: usize = "kplan--12345678-12345678".len();

pub(super) fn check(spec: &Spec, report: &mut Report) {
    let cluster = &spec.cluster.name;
    for pool in spec.pools() {
        let name = spec.node_name(pool.name(), pool.count().value.saturating_sub(1));
        let pool_span = match pool {
            Pool::Servers(_) => None,
            Pool::Agents(agents) => agents.name.span,
        };
        if let Some(agents_span) = pool_span.filter(|_| name.len() > MAX_NAME) {
            judge(spec, "Kubernetes node", &name, agents_span, report);
        } else if let Some(span) = cluster.span.filter(|_| name.len() > MAX_NAME) {
            judge(spec, "Kubernetes node", &name, span, report);
        }
    }
    let Some(span) = cluster.span.filter(|_| spec.runs_k3s()) else {
        return;
    };
    if cluster.as_str().len() + BUNDLE_BUCKET_EXTRA > MAX_NAME {
        judge(spec, "boot bucket", &format!("kplan-{cluster}-########-########"), span, report);
    }
    let database = spec.k3s.database.iter().map(|database| ("database", &database.name));
    let balancer = spec.api_load_balancer.iter().map(|balancer| ("load balancer", &balancer.name));
    for (what, name) in database.chain(balancer) {
        if name.is_default() && name.as_str().len() > MAX_NAME {
            judge(spec, what, name.as_str(), span, report);
        }
    }
}

fn judge(spec: &Spec, what: &str, name: &str, span: Span, report: &mut Report) {
    let cluster = &spec.cluster.name;
    let over = name.len().saturating_sub(MAX_NAME);
    let mut finding = Finding::new(
        Code::NameTooLong,
        format!("the name of a {what} would have {} characters", name.len()),
    )
    .label(span, format!("becomes `{name}`"));
    if cluster.span != Some(span) {
        finding = finding.label(cluster.span, "its prefix");
    }
    report.judge(
        finding
            .why(format!("At most {MAX_NAME} are allowed there, and kplan does not cut names."))
            .remedy(format!("Shorten it by {over}.")),
    );
}
