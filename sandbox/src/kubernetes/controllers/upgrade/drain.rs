//! `kubectl cordon` and `kubectl drain`, as the init containers of upgrade pods run them.

use serde_json::Value;

use super::{CONTROLLER, NODES, identity, wanted};
use crate::kubernetes::authz;
use crate::kubernetes::controllers::Pass;
use crate::kubernetes::controllers::kubelet::Step;
use crate::kubernetes::controllers::velero::span;
use crate::kubernetes::controllers::workload::PODS;
use crate::kubernetes::object::{self, Object, at, flag, items, map, number, set, text};
use crate::kubernetes::selector::LabelSelector;
use crate::kubernetes::write::DeleteOptions;

/// The arguments of a drain as a plan asks for it.
pub(super) fn arguments(node: &str, drain: &Value) -> Vec<String> {
    let mut selector = vec![format!("!{CONTROLLER}")];
    let wanted = at(drain, &["podSelector"]).unwrap_or(&Value::Null);
    selector.extend(terms(wanted));
    let mut args = ["drain", node, "--pod-selector", &selector.join(",")]
        .map(str::to_owned)
        .to_vec();
    let unset_or = |field: &str| at(drain, &[field]).and_then(Value::as_bool).unwrap_or(true);
    if unset_or("ignoreDaemonSets") {
        args.push("--ignore-daemonsets".to_owned());
    }
    if unset_or("deleteLocalData") && unset_or("deleteEmptydirData") {
        args.push("--delete-emptydir-data".to_owned());
    }
    if flag(drain, &["force"]) {
        args.push("--force".to_owned());
    }
    match at(drain, &["timeout"]) {
        Some(Value::String(timeout)) => args.extend(["--timeout".to_owned(), timeout.clone()]),
        Some(Value::Number(nanoseconds)) => {
            args.extend(["--timeout".to_owned(), format!("{nanoseconds}ns")]);
        }
        _ => {}
    }
    if let Some(seconds) = number(drain, &["gracePeriod"]) {
        args.extend(["--grace-period".to_owned(), seconds.to_string()]);
    }
    if flag(drain, &["disableEviction"]) {
        args.push("--disable-eviction=true".to_owned());
    }
    args
}

/// A selector of a spec, term by term, as a query has it.
fn terms(selector: &Value) -> Vec<String> {
    let equal = map(selector, &["matchLabels"]).into_iter().flatten();
    let mut terms: Vec<String> = equal
        .map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default()))
        .collect();
    for one in items(selector, &["matchExpressions"]) {
        let key = text(one, &["key"]).unwrap_or_default();
        let values: Vec<&str> = items(one, &["values"])
            .iter()
            .filter_map(Value::as_str)
            .collect();
        let values = values.join(",");
        terms.push(match text(one, &["operator"]) {
            Some("In") => format!("{key} in ({values})"),
            Some("NotIn") => format!("{key} notin ({values})"),
            Some("DoesNotExist") => format!("!{key}"),
            _ => key.to_owned(),
        });
    }
    terms
}

/// `cordon`: no new pods on the node.
pub(super) fn cordon(pass: &Pass<'_>, pod: &Value, node: &str) -> Step {
    let mut wanted = wanted("patch", "", "nodes", "", "");
    node.clone_into(&mut wanted.name);
    if let Err(refused) = permit(pass, pod, &wanted) {
        return Step::Failed(refused);
    }
    let Some(node) = pass.get(NODES, "", node) else {
        return Step::Failed(format!("nodes \"{node}\" not found"));
    };
    pass.adjust(NODES, &node, |node| {
        set(node, &["spec", "unschedulable"], true);
    });
    Step::Done(String::new())
}

/// Whether the pod's service account may; the error is the API server's refusal.
fn permit(pass: &Pass<'_>, pod: &Value, wanted: &authz::Attributes) -> Result<(), String> {
    let account = text(pod, &["spec", "serviceAccountName"]).unwrap_or("default");
    let identity = identity(account);
    if authz::allowed(&pass.server.storage, &identity, wanted) {
        return Ok(());
    }
    Err(authz::refusal(&identity, wanted).message)
}

/// What a drain was asked to do.
struct Options {
    selector: LabelSelector,
    force: bool,
    daemon_sets: bool,
    empty_dirs: bool,
    evicts: bool,
    grace: Option<i64>,
}

impl Options {
    fn of(args: &[&str]) -> Result<Options, String> {
        let has = |name: &str| args.contains(&name);
        let grace = value_of(args, "--grace-period").and_then(|seconds| seconds.parse().ok());
        Ok(Options {
            selector: LabelSelector::parse(value_of(args, "--pod-selector").unwrap_or_default())?,
            force: has("--force"),
            daemon_sets: has("--ignore-daemonsets"),
            empty_dirs: has("--delete-emptydir-data"),
            evicts: !has("--disable-eviction=true"),
            // A negative one is the pod's own.
            grace: grace.filter(|seconds| *seconds >= 0),
        })
    }
}

fn value_of<'a>(args: &[&'a str], name: &str) -> Option<&'a str> {
    let at = args.iter().position(|one| *one == name)?;
    args.get(at + 1).copied()
}

/// `drain`: cordons the node and evicts its pods. One that may not go fails it before any goes;
/// one that a budget holds back is asked again.
pub(super) fn drain(pass: &mut Pass<'_>, pod: &Object, node: &str, args: &[&str]) -> Step {
    if let Step::Failed(why) = cordon(pass, pod, node) {
        return Step::Failed(why);
    }
    for (verb, resource, subresource) in [("list", "pods", ""), ("create", "pods", "eviction")] {
        if let Err(refused) = permit(pass, pod, &wanted(verb, "", resource, subresource, "")) {
            return Step::Failed(refused);
        }
    }
    let options = match Options::of(args) {
        Ok(options) => options,
        Err(why) => return Step::Failed(why),
    };
    let leaving = match leaving(pass, node, &options) {
        Ok(leaving) => leaving,
        Err(why) => return Step::Failed(why),
    };
    if leaving.is_empty() {
        return Step::Done(String::new());
    }
    if let Some(timeout) = value_of(args, "--timeout").and_then(duration)
        && pass.due("drain-timeout", pod, timeout)
    {
        let timeout = value_of(args, "--timeout").unwrap_or_default();
        return Step::Failed(format!("drain did not complete within {timeout}"));
    }
    for pod in leaving.iter().filter(|pod| !object::terminating(pod)) {
        let how = DeleteOptions {
            evicts: options.evicts,
            grace_seconds: options.grace,
            ..DeleteOptions::default()
        };
        match pass.delete_with(PODS, pod, how) {
            // Too many requests: the budget allows none now. Not found or another one by now: gone.
            Ok(()) => {}
            Err(error) if matches!(error.code, 404 | 409 | 429) => {}
            Err(error) => {
                let (namespace, name) = (object::namespace(pod), object::name(pod));
                let why = format!(
                    "error when evicting pods/\"{name}\" -n \"{namespace}\": {}",
                    error.message
                );
                return Step::Failed(why);
            }
        }
    }
    Step::Runs
}

/// A span as Go writes it; zero means for ever.
fn duration(text: &str) -> Option<std::time::Duration> {
    let nanoseconds = text.strip_suffix("ns").and_then(|count| count.parse().ok());
    let lag = nanoseconds.map(std::time::Duration::from_nanos);
    lag.or_else(|| span(text)).filter(|lag| !lag.is_zero())
}

/// The pods that have to go. The error names those that may not, as kubectl does.
fn leaving(pass: &Pass<'_>, node: &str, options: &Options) -> Result<Vec<Object>, String> {
    let mut pods = pass.all(PODS);
    pods.retain(|pod| {
        text(pod, &["spec", "nodeName"]) == Some(node)
            && options.selector.matches(map(pod, &["metadata", "labels"]))
    });
    let (mut leaving, mut errors) = (Vec::new(), Vec::new());
    for pod in pods {
        match judge(pass, &pod, options) {
            Ok(true) => leaving.push(pod),
            Ok(false) => {}
            Err(why) => {
                let place = format!("{}/{}", object::namespace(&pod), object::name(&pod));
                errors.push(format!("cannot delete {why}: {place}"));
            }
        }
    }
    if errors.is_empty() {
        Ok(leaving)
    } else {
        Err(errors.join(", "))
    }
}

/// Whether a drain deletes a pod. The messages are kubectl's.
fn judge(pass: &Pass<'_>, pod: &Value, options: &Options) -> Result<bool, String> {
    if object::annotation(pod, "kubernetes.io/config.mirror").is_some() {
        return Ok(false);
    }
    // What has ended may always go.
    if object::ended(pod) {
        return Ok(true);
    }
    let owners = items(pod, &["metadata", "ownerReferences"]);
    let controller = owners.iter().find(|owner| flag(owner, &["controller"]));
    if let Some(owner) = controller.filter(|owner| owner["kind"] == "DaemonSet") {
        let name = text(owner, &["name"]).unwrap_or_default();
        let namespace = object::namespace(pod);
        if pass.get("apps/daemonsets", namespace, name).is_none() {
            let why = format!("daemonsets.apps \"{name}\" not found");
            return if options.force { Ok(true) } else { Err(why) };
        }
        if !options.daemon_sets {
            let why = "DaemonSet-managed Pods (use --ignore-daemonsets to ignore)";
            return Err(why.to_owned());
        }
        return Ok(false);
    }
    let volumes = items(pod, &["spec", "volumes"]);
    if !options.empty_dirs && volumes.iter().any(|one| one.get("emptyDir").is_some()) {
        let why = "Pods with local storage (use --delete-emptydir-data to override)";
        return Err(why.to_owned());
    }
    if controller.is_none() && !options.force {
        let why = "Pods that declare no controller (use --force to override)";
        return Err(why.to_owned());
    }
    Ok(true)
}
