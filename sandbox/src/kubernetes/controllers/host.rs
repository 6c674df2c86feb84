//! Containers that run the host's own programs: a folder of the host lies over the image's, and the
//! command is in it.
//!
//! A pod that may do so changes K3s's configuration on its node and has K3s started again. Whose pod
//! it is does not count, nor what its image holds: what is looked at are the mounts, the rights and
//! the command line. Some programs are known, each with the options such a pod needs, and others fail
//! with a word: `install` and `mv` on files of a host path (of the disk only K3s's configuration and
//! unit and kplan's folder are there), and `nsenter` into the first process's mounts with `systemd-run …
//! systemctl restart k3s`, `systemctl daemon-reload`, `k3s certificate rotate`, `k3s etcd-snapshot save`,
//! or kplan's own script for the server token.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::kubelet::Step;
use super::{Pass, etcd_snapshots};
use crate::kubernetes::object::{self, Object, flag, items, map, text};

/// How long such a program takes.
const BRIEF: Duration = Duration::from_secs(1);

/// Where a path of a container leads.
enum Place {
    /// To the node's disk, as this path; whether it can be written there.
    Host(String, bool),
    /// To a file the kubelet wrote for the pod.
    Content(String),
    /// To such a file, of a Secret: its name and key.
    Secret(String, String),
    /// Into the image, of which nothing is simulated.
    Image,
}

fn containers(pod: &Value) -> impl Iterator<Item = &Value> {
    let init = items(pod, &["spec", "initContainers"]).iter();
    init.chain(items(pod, &["spec", "containers"]))
}

/// Whether a container of the pod runs a program of the host.
pub(super) fn uses(pod: &Value) -> bool {
    containers(pod).any(|container| program(pod, container).is_some())
}

/// The command line of a container whose program is the host's.
fn program<'a>(pod: &Value, container: &'a Value) -> Option<Vec<&'a str>> {
    let words = ["command", "args"].into_iter();
    let words = words.flat_map(|field| items(container, &[field]));
    let words: Vec<&str> = words.filter_map(Value::as_str).collect();
    let path = *words.first()?;
    matches!(place(pod, container, path), Place::Host(..)).then_some(words)
}

/// The part of a path that is below a folder.
fn below<'a>(path: &'a str, folder: &str) -> Option<&'a str> {
    let rest = path.strip_prefix(folder.trim_end_matches('/'))?;
    (rest.is_empty() || rest.starts_with('/')).then(|| rest.trim_start_matches('/'))
}

fn place(pod: &Value, container: &Value, path: &str) -> Place {
    let mounts = items(container, &["volumeMounts"]).iter();
    let mounts = mounts.filter_map(|mount| {
        let folder = text(mount, &["mountPath"])?;
        Some((folder.len(), mount, below(path, folder)?))
    });
    let Some((_, mount, rest)) = mounts.max_by_key(|(length, ..)| *length) else {
        return Place::Image;
    };
    let name = text(mount, &["name"]).unwrap_or_default();
    let mut volumes = items(pod, &["spec", "volumes"]).iter();
    let Some(volume) = volumes.find(|volume| volume["name"] == name) else {
        return Place::Image;
    };
    if let Some(folder) = text(volume, &["hostPath", "path"]) {
        let path = format!("{}/{rest}", folder.trim_end_matches('/'));
        return Place::Host(path, !flag(mount, &["readOnly"]));
    }
    if let Some(name) = text(volume, &["secret", "secretName"]) {
        let mut chosen = items(volume, &["secret", "items"]).iter();
        let key = chosen.find(|item| text(item, &["path"]) == Some(rest));
        let key = key.and_then(|item| text(item, &["key"])).unwrap_or(rest);
        return Place::Secret(name.to_owned(), key.to_owned());
    }
    let written = items(volume, &["downwardAPI", "items"]).iter();
    let mut written = written.filter(|item| text(item, &["path"]) == Some(rest));
    let content = written.next().and_then(|item| {
        let field = text(item, &["fieldRef", "fieldPath"])?;
        let key = field
            .strip_prefix("metadata.annotations['")?
            .strip_suffix("']")?;
        map(pod, &["metadata", "annotations"])?.get(key)?.as_str()
    });
    content.map_or(Place::Image, |content| Place::Content(content.to_owned()))
}

/// How far a container of such a pod is.
pub(super) fn run(pass: &mut Pass<'_>, pod: &Object, container: &Value) -> Step {
    let Some(words) = program(pod, container) else {
        return Step::Done(String::new());
    };
    let name = text(container, &["name"]).unwrap_or_default();
    if !pass.due(&format!("runs {name}"), pod, BRIEF) {
        return Step::Runs;
    }
    let done = match words.split_first() {
        Some((&"/usr/bin/install", rest)) => install(pass, pod, container, rest),
        Some((&"/usr/bin/mv", rest)) => rename(pass, pod, container, rest),
        Some((&"/usr/bin/nsenter", rest)) => enter(pass, pod, container, rest),
        _ => Err(format!(
            "the sandbox does not simulate {words:?} of the host"
        )),
    };
    match done {
        Ok(()) => Step::Done(String::new()),
        Err(why) => Step::Failed(why),
    }
}

/// The pod's own container; `None` for pods that run nothing of the host's.
pub(super) fn step(pass: &mut Pass<'_>, pod: &Object) -> Option<Step> {
    let container = items(pod, &["spec", "containers"]).first()?;
    program(pod, container)?;
    Some(run(pass, pod, container))
}

/// The options before `--`, and the operands behind it.
fn split<'a>(words: &[&'a str]) -> Result<(Vec<&'a str>, Vec<&'a str>), String> {
    let end = words.iter().position(|word| *word == "--");
    let end = end.ok_or("the sandbox wants `--` between options and operands")?;
    Ok((words[..end].to_vec(), words[end + 1..].to_vec()))
}

fn unknown(program: &str, option: &str) -> String {
    format!("the sandbox does not simulate the option {option} of {program}")
}

/// A path on the disk that the container may write.
fn writable(pod: &Value, container: &Value, path: &str) -> Result<String, String> {
    match place(pod, container, path) {
        Place::Host(host, true) => Ok(host),
        Place::Host(..) | Place::Content(_) | Place::Secret(..) => {
            Err(format!("cannot create '{path}': Read-only file system"))
        }
        Place::Image => Err(format!("the sandbox has no files of images: {path}")),
    }
}

fn node(pod: &Value) -> &str {
    text(pod, &["spec", "nodeName"]).unwrap_or_default()
}

/// `install --mode=… -- source target`.
fn install(pass: &Pass<'_>, pod: &Value, container: &Value, words: &[&str]) -> Result<(), String> {
    let (options, operands) = split(words)?;
    let mut mode = 0o755;
    for option in options {
        let octal = option.strip_prefix("--mode=");
        let octal = octal.ok_or_else(|| unknown("install", option))?;
        mode = u32::from_str_radix(octal, 8).map_err(|_| format!("invalid mode '{octal}'"))?;
    }
    let [source, target] = operands[..] else {
        return Err("install: one source and one target are simulated".to_owned());
    };
    let disks = pass.disks()?;
    let content = match place(pod, container, source) {
        Place::Content(content) => content,
        Place::Secret(name, key) => secret(pass, pod, &name, &key)
            .ok_or_else(|| format!("cannot stat '{source}': No such file or directory"))?,
        Place::Host(path, _) => disks.read(node(pod), &path)?,
        Place::Image => return Err(format!("cannot stat '{source}': No such file or directory")),
    };
    disks.write(
        node(pod),
        &writable(pod, container, target)?,
        mode,
        &content,
    )
}

/// `mv --force --no-target-directory -- source target`.
fn rename(pass: &Pass<'_>, pod: &Value, container: &Value, words: &[&str]) -> Result<(), String> {
    let (options, operands) = split(words)?;
    let mut known = ["--force", "--no-target-directory"].iter();
    if let Some(option) = options.iter().find(|option| !known.any(|it| it == *option)) {
        return Err(unknown("mv", option));
    }
    let [source, target] = operands[..] else {
        return Err("mv: one source and one target are simulated".to_owned());
    };
    let (from, to) = (
        writable(pod, container, source)?,
        writable(pod, container, target)?,
    );
    pass.disks()?.rename(node(pod), &from, &to)
}

/// What is under a key of a Secret beside the pod, where that is text.
fn secret(pass: &Pass<'_>, pod: &Value, name: &str, key: &str) -> Option<String> {
    let found = pass.get("/secrets", object::namespace(pod), name)?;
    let data = map(&found, &["data"])?.get(key)?.as_str()?.to_owned();
    String::from_utf8(STANDARD.decode(data).ok()?).ok()
}

/// `nsenter --target=1 --mount -- COMMAND`, of which [`on_host`] knows some.
fn enter(pass: &Pass<'_>, pod: &Value, container: &Value, words: &[&str]) -> Result<(), String> {
    let (options, command) = split(words)?;
    if options != ["--target=1", "--mount"] {
        return Err(format!("the sandbox does not simulate nsenter {options:?}"));
    }
    let sees = flag(pod, &["spec", "hostPID"]);
    if !sees || !flag(container, &["securityContext", "privileged"]) {
        let of = if sees { "the host's" } else { "the pod's own" };
        return Err(format!(
            "nsenter: of {of} process 1: cannot open its namespaces: Permission denied"
        ));
    }
    on_host(pass, pod, &command)
}

/// What the module names.
fn on_host(pass: &Pass<'_>, pod: &Value, command: &[&str]) -> Result<(), String> {
    if let [
        "k3s" | "/usr/local/bin/k3s",
        "etcd-snapshot",
        "save",
        options @ ..,
    ] = command
    {
        return snapshot(pass, node(pod), options);
    }
    match command {
        ["/usr/local/bin/k3s" | "k3s", "certificate", "rotate"] => {
            return pass.disks()?.rotate_certificates(node(pod));
        }
        ["systemctl", "daemon-reload"] => return pass.disks()?.reload_units(node(pod)),
        ["/bin/sh", "/etc/kplan/k3s-token", "exchange"] => {
            return pass.disks()?.exchange_token(node(pod));
        }
        _ => {}
    }
    let Some((&"systemd-run", words)) = command.split_first() else {
        return Err(format!(
            "the sandbox does not simulate {command:?} on the host"
        ));
    };
    let options = words.iter().take_while(|word| word.starts_with("--"));
    let mut after = Duration::ZERO;
    let mut count = 0;
    for option in options {
        count += 1;
        let seconds = option.strip_prefix("--on-active=");
        if let Some(seconds) = seconds.and_then(|text| text.strip_suffix('s')?.parse().ok()) {
            after = Duration::from_secs(seconds);
        } else if *option != "--collect" && !option.starts_with("--timer-property=") {
            return Err(unknown("systemd-run", option));
        }
    }
    match words[count..] {
        ["systemctl", "restart", "k3s" | "k3s.service"] => {
            pass.disks()?.restart_k3s(node(pod), after)
        }
        _ => Err(format!(
            "the sandbox does not simulate {:?} on the host",
            &words[count..]
        )),
    }
}

/// `k3s etcd-snapshot save --name=…`, which has the server that runs there take one.
fn snapshot(pass: &Pass<'_>, node: &str, options: &[&str]) -> Result<(), String> {
    let mut base = etcd_snapshots::ON_DEMAND;
    for option in options {
        let name = option.strip_prefix("--name=");
        base = name.ok_or_else(|| unknown("k3s etcd-snapshot save", option))?;
    }
    let runs = pass.nodes.get(node).filter(|record| !record.lost);
    if !runs.is_some_and(|record| record.facts.etcd) {
        return Err("etcd datastore disabled".to_owned());
    }
    etcd_snapshots::save(pass, node, base)
}
