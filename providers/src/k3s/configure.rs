//! More configuration for the K3s of a living node: one job in the cluster writes a file beside the
//! bundle's and has K3s started again. Nobody logs in to the droplet.
//!
//! Containers run one after the other, each one program of the host's without a shell: `install`
//! writes the file under a name that K3s does not read, `mv` gives it its own at once, `k3s` moves its
//! leaf certificates aside where they are to be made anew, and `systemd-run` asks systemd for the
//! restart, two seconds later, so that the job has ended well by then. The image is that of K3s's own
//! sandboxes: it is on every node and never collected, so nothing has to be pulled and nothing of it
//! runs; the programs and their libraries are the host's, mounted read-only. The file's content comes
//! as a Secret that goes with the job: it holds what the bundle held, which is on the node's disk.
//!
//! K3s's unit has `KillMode=process`: pods go on while it is started again, and the API of this
//! server is away for about a minute.

use super::config::Told;
use super::pki::secret::sha256_hex;
use crate::kubernetes::object::Object;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

/// Where the job runs.
const NAMESPACE: &str = "kube-system";
/// What K3s makes sandboxes of (K3s documentation, `pause-image`).
const IMAGE: &str = "rancher/mirrored-pause:3.6";
/// Files here count more than the bundle's, in the order of their names.
const FOLDER: &str = "/etc/rancher/k3s/config.yaml.d";
/// The file that is kplan's.
const FILE: &str = "50-kplan.yaml";
/// Where the pod finds it.
const MOUNTED: &str = "/kplan";
/// Seconds within which the job has ended: its programs take one, and as long as an apply waits for a
/// node there is time for a node that is busy. A job that waits longer could tell K3s something that is
/// not so any more.
const DEADLINE: u32 = 1800;
/// Seconds the job and what it writes stay when it ended, for somebody who wants to know what
/// happened.
const KEPT: u32 = 3600;

/// The annotation of the job that says what it does.
const ORDER: &str = "kplan.io/order";

/// One for each node, so that an older order never overwrites what a newer one wrote. A node's own name
/// may be as long as a job's can be.
fn name(node: &str) -> String {
    let mut digest = sha256_hex(node.as_bytes());
    digest.truncate(16);
    format!("kplan-k3s-config-{digest}")
}

/// The job of a node.
pub(super) fn object(node: &str) -> Object {
    Object::new("batch/v1", "Job", Some(NAMESPACE), &name(node))
}

/// What one node's K3s is told, and how.
pub(super) struct Order<'a> {
    /// The node.
    pub(super) node: &'a str,
    /// What it is told.
    pub(super) told: &'a Told,
    /// Whether its certificates are made anew.
    pub(super) certificates: bool,
    /// Whether it is started again now; else it reads the file whenever it is.
    pub(super) restart: bool,
}

impl Order<'_> {
    fn name(&self) -> String {
        name(self.node)
    }

    /// Tells it from other orders for the node: what it brings, and what it does.
    fn identity(&self) -> String {
        let Self {
            told,
            certificates,
            restart,
            ..
        } = self;
        format!("{} {certificates} {restart}", told.mark)
    }

    /// Whether a job in the cluster does this.
    pub(super) fn is(&self, job: &Value) -> bool {
        let annotations = job.pointer("/metadata/annotations");
        let order = annotations.and_then(|all| all.get(ORDER));
        order.is_some_and(|order| *order == self.identity())
    }

    /// The job.
    pub(super) fn job(&self) -> Value {
        json!({
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {
                "name": self.name(),
                "namespace": NAMESPACE,
                "annotations": { ORDER: self.identity() },
            },
            "spec": {
                "activeDeadlineSeconds": DEADLINE,
                "backoffLimit": 3,
                "template": { "spec": self.pod() },
                "ttlSecondsAfterFinished": KEPT,
            },
        })
    }

    /// The file, for the job that has this uid, with which it goes. No backup takes it along.
    pub(super) fn secret(&self, uid: &str) -> Value {
        json!({
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {
                "name": self.name(),
                "namespace": NAMESPACE,
                "labels": { "velero.io/exclude-from-backup": "true" },
                "ownerReferences": [
                    { "apiVersion": "batch/v1", "kind": "Job", "name": self.name(), "uid": uid },
                ],
            },
            "type": "Opaque",
            "data": { FILE: STANDARD.encode(&self.told.content) },
        })
    }

    fn pod(&self) -> Value {
        let new = format!("{FOLDER}/{FILE}.new");
        let file = format!("{FOLDER}/{FILE}");
        let source = format!("{MOUNTED}/{FILE}");
        let write = json!(["/usr/bin/install", "--mode=0600", "--", source, new]);
        let place = json!([
            "/usr/bin/mv",
            "--force",
            "--no-target-directory",
            "--",
            new,
            file
        ]);
        let mut first = vec![container("write", &write)];
        let mut last = container("place", &place);
        if self.certificates {
            let rotate = container("certificates", &on_host(&ROTATE));
            first.push(std::mem::replace(&mut last, rotate));
        }
        if self.restart {
            let restart = container("restart", &on_host(&RESTART));
            first.push(std::mem::replace(&mut last, restart));
        }
        let folder = json!({ "path": FOLDER, "type": "DirectoryOrCreate" });
        let content = json!({ "secretName": self.name(), "defaultMode": 0o400 });
        json!({
            "automountServiceAccountToken": false,
            "containers": [last],
            "hostNetwork": true,
            "hostPID": true,
            "initContainers": first,
            // Not for the scheduler to decide.
            "nodeName": self.node,
            "priorityClassName": "system-node-critical",
            "restartPolicy": "Never",
            "tolerations": [{ "operator": "Exists" }],
            "volumes": [
                { "name": "usr", "hostPath": { "path": "/usr" } },
                { "name": "lib", "hostPath": { "path": "/lib" } },
                { "name": "lib64", "hostPath": { "path": "/lib64" } },
                { "name": "k3s", "hostPath": folder },
                { "name": "content", "secret": content },
            ],
        })
    }
}

/// Moves the leaf certificates and their keys aside, so that K3s makes others when it is started (K3s
/// documentation, `k3s certificate`). What runs holds its own in memory, and the restart follows
/// within seconds.
const ROTATE: [&str; 3] = ["/usr/local/bin/k3s", "certificate", "rotate"];
/// A timer of systemd's is up to a minute late unless it is told otherwise.
const RESTART: [&str; 7] = [
    "systemd-run",
    "--collect",
    "--on-active=2s",
    "--timer-property=AccuracySec=100ms",
    "systemctl",
    "restart",
    "k3s.service",
];

/// A program in the host's mounts.
fn on_host(command: &[&str]) -> Value {
    let enter = ["/usr/bin/nsenter", "--target=1", "--mount", "--"];
    json!([&enter, command].concat())
}

fn container(name: &str, command: &Value) -> Value {
    let mount =
        |name: &str| json!({ "name": name, "mountPath": format!("/{name}"), "readOnly": true });
    json!({
        "name": name,
        "image": IMAGE,
        "imagePullPolicy": "IfNotPresent",
        "command": command,
        "securityContext": { "privileged": true },
        "volumeMounts": [
            mount("usr"),
            mount("lib"),
            mount("lib64"),
            { "name": "k3s", "mountPath": FOLDER },
            { "name": "content", "mountPath": MOUNTED, "readOnly": true },
        ],
    })
}

fn has(job: &Value, condition: &str) -> bool {
    let conditions = job.pointer("/status/conditions").and_then(Value::as_array);
    let mut conditions = conditions.into_iter().flatten();
    conditions.any(|one| one["type"] == condition && one["status"] == "True")
}

/// Whether a job gave up.
fn has_failed(job: &Value) -> bool {
    has(job, "Failed")
}

/// Whether a job ended, so or otherwise: asked for again, it has to be made again.
pub(super) fn is_over(job: &Value) -> bool {
    has_failed(job) || has(job, "Complete")
}

/// What is wrong with a job, if something is.
pub(super) fn trouble(job: &Value) -> Option<String> {
    let failed = job.pointer("/status/failed").and_then(Value::as_i64);
    let name = job.pointer("/metadata/name").and_then(Value::as_str);
    let (failed, name) = (failed.filter(|count| *count > 0)?, name?);
    let pods = if failed == 1 {
        "1 pod".to_owned()
    } else {
        format!("{failed} pods")
    };
    let end = if has_failed(job) {
        "it gave up, and the next apply begins again"
    } else {
        "it tries again"
    };
    Some(format!(
        "the job {NAMESPACE}/{name} that tells K3s so failed in {pods}; {end}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kubernetes::known::survives;
    use std::os::unix::fs::PermissionsExt;
    use std::path::Path;
    use std::process::Command;

    fn commands(job: &Value) -> Vec<Vec<String>> {
        let pod = &job["spec"]["template"]["spec"];
        let all = ["initContainers", "containers"].iter();
        let all = all.flat_map(|list| pod[list].as_array().unwrap());
        let words = |container: &Value| {
            let words = container["command"].as_array().unwrap().iter();
            words
                .map(|word| word.as_str().unwrap().to_owned())
                .collect()
        };
        all.map(words).collect()
    }

    /// Runs one of the job's programs, with the paths that the pod mounts in a scratch folder.
    fn run(command: &[String], root: &Path) {
        let moved = |word: &String| {
            let mounted = [FOLDER, MOUNTED]
                .iter()
                .any(|folder| word.starts_with(folder));
            if mounted {
                format!("{}{word}", root.display())
            } else {
                word.clone()
            }
        };
        let program = command.first().unwrap();
        let ran = Command::new(program)
            .args(command[1..].iter().map(moved))
            .status();
        assert!(ran.unwrap().success(), "{command:?}");
    }

    fn told(content: &str) -> Told {
        Told {
            content: content.to_owned(),
            mark: sha256_hex(content.as_bytes()),
        }
    }

    fn order<'a>(node: &'a str, told: &'a Told) -> Order<'a> {
        Order {
            node,
            told,
            certificates: false,
            restart: true,
        }
    }

    #[test]
    fn the_programs_write_the_file_and_doing_it_again_changes_nothing() {
        let told = told("cluster-init: true\n");
        let order = order("n", &told);
        let commands = commands(&order.job());
        let root = tempfile::TempDir::new().unwrap();
        let folder = root.path().join(&FOLDER[1..]);
        let mounted = root.path().join(&MOUNTED[1..]);
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::create_dir_all(&mounted).unwrap();
        let secret = order.secret("uid");
        let content = STANDARD.decode(secret["data"][FILE].as_str().unwrap());
        let content = content.unwrap();
        std::fs::write(mounted.join(FILE), content).unwrap();
        for _ in 0..2 {
            run(&commands[0], root.path());
            run(&commands[1], root.path());
            let names = std::fs::read_dir(&folder).unwrap();
            let names: Vec<_> = names.map(|entry| entry.unwrap().file_name()).collect();
            assert_eq!(names, [FILE]);
            let file = folder.join(FILE);
            assert_eq!(
                std::fs::read_to_string(&file).unwrap(),
                "cluster-init: true\n"
            );
            let mode = std::fs::metadata(&file).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
        // Cut off between the two, K3s does not read what was written.
        assert!(commands[0].last().unwrap().ends_with(".yaml.new"));
    }

    /// The restart through a stand-in for systemd, which only says what it was asked for.
    #[test]
    fn the_restart_is_systemds_and_comes_after_the_job() {
        let told = told("");
        let commands = commands(&order("n", &told).job());
        let at = commands[2]
            .iter()
            .position(|word| word == "systemd-run")
            .unwrap();
        assert_eq!(
            commands[2][..at],
            ["/usr/bin/nsenter", "--target=1", "--mount", "--"]
        );
        let root = tempfile::TempDir::new().unwrap();
        let program = root.path().join("systemd-run");
        std::fs::write(
            &program,
            "#!/bin/sh\nprintf '%s\\n' \"$*\" > \"$0.asked\"\n",
        )
        .unwrap();
        std::fs::set_permissions(&program, PermissionsExt::from_mode(0o755)).unwrap();
        let ran = Command::new(&program).args(&commands[2][at + 1..]).status();
        assert!(ran.unwrap().success());
        let asked = std::fs::read_to_string(root.path().join("systemd-run.asked")).unwrap();
        let ending =
            "--on-active=2s --timer-property=AccuracySec=100ms systemctl restart k3s.service\n";
        assert_eq!(asked, format!("--collect {ending}"));
    }

    #[test]
    fn one_node_has_one_job_whose_name_fits_and_which_says_what_it_does() {
        let long = "n".repeat(63);
        assert_ne!(name("a"), name("b"));
        assert!(name(&long).len() <= 63);
        let (one, other) = (told("a"), told("b"));
        let job = order("n", &one).job();
        assert!(order("n", &one).is(&job));
        assert!(!order("n", &other).is(&job));
        let quiet = Order {
            restart: false,
            ..order("n", &one)
        };
        assert!(!quiet.is(&job));
    }

    #[test]
    fn certificates_are_moved_aside_before_the_restart_and_only_where_asked_for() {
        let told = told("");
        let rotating = Order {
            certificates: true,
            ..order("n", &told)
        };
        let with = commands(&rotating.job());
        let without = commands(&order("n", &told).job());
        assert_eq!(with.len(), 4);
        assert_eq!(with[2][4..], ROTATE);
        assert_eq!([&with[..2], &with[3..]].concat(), without);
    }

    #[test]
    fn without_a_restart_the_file_is_only_placed() {
        let told = told("");
        let quiet = Order {
            restart: false,
            ..order("n", &told)
        };
        let quiet = commands(&quiet.job());
        assert_eq!(quiet, commands(&order("n", &told).job())[..2]);
    }

    #[test]
    fn what_the_node_is_told_is_in_no_object_but_the_secret() {
        let told = told("token: hush\n");
        let job = order("n", &told).job().to_string();
        assert!(!job.contains("hush"), "{job}");
        assert!(!job.contains(&STANDARD.encode(&told.content)), "{job}");
    }

    #[test]
    fn job_and_secret_are_known_to_kubernetes_field_by_field() {
        let told = told("token: hush\n");
        for (certificates, restart) in [(false, false), (true, true)] {
            let order = Order {
                certificates,
                restart,
                ..order("n", &told)
            };
            survives(&order.job());
            survives(&order.secret("uid"));
        }
    }

    #[test]
    fn a_job_that_fails_is_told() {
        let job = |failed: i64, given_up: bool| {
            let status = if given_up { "True" } else { "False" };
            json!({
                "metadata": { "name": "j" },
                "status": { "failed": failed, "conditions": [{ "type": "Failed", "status": status }] },
            })
        };
        assert_eq!(trouble(&job(0, false)), None);
        assert!(
            trouble(&job(1, false))
                .unwrap()
                .contains("in 1 pod; it tries again")
        );
        assert!(
            trouble(&job(4, true))
                .unwrap()
                .contains("in 4 pods; it gave up")
        );
    }
}
