//! More configuration for the K3s of a living node: one job in the cluster writes a file beside the
//! bundle's and has K3s started again. Nobody logs in to the droplet.
//!
//! Three containers run one after the other, each one program of the host's without a shell: `install`
//! writes the file under a name that K3s does not read, `mv` gives it its own at once, and `systemd-run`
//! asks systemd for the restart, two seconds later, so that the job has ended well by then. The
//! image is that of K3s's own sandboxes: it is on every node and never collected, so nothing has to
//! be pulled and nothing of it runs; the programs and their libraries are the host's, mounted
//! read-only. The file's content comes as an annotation of the pod, and holds no secret.
//!
//! K3s's unit has `KillMode=process`: pods go on while it is started again, and the API of this
//! server is away for about a minute.

use crate::kubernetes::object::Object;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use std::fmt::Write as _;

/// Where the job runs.
const NAMESPACE: &str = "kube-system";
/// What K3s makes sandboxes of (K3s documentation, `pause-image`).
const IMAGE: &str = "rancher/mirrored-pause:3.6";
/// Files here count more than the bundle's, in the order of their names.
const FOLDER: &str = "/etc/rancher/k3s/config.yaml.d";
/// The file that is kplan's.
const FILE: &str = "50-kplan.yaml";
/// The annotation of the pod that holds the file's content.
const CONTENT: &str = "kplan.io/k3s-config";
/// Where the pod finds it.
const MOUNTED: &str = "/kplan";
/// Seconds within which the job has ended: its programs take one.
const DEADLINE: u32 = 600;
/// Seconds the job stays when it ended, for somebody who wants to know what happened.
const KEPT: u32 = 3600;

/// The job that gives the K3s of a node this configuration.
pub(super) fn job(node: &str, content: &str) -> Value {
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
    // A timer of systemd's is up to a minute late unless it is told otherwise.
    let restart = json!([
        "/usr/bin/nsenter",
        "--target=1",
        "--mount",
        "--",
        "systemd-run",
        "--collect",
        "--on-active=2s",
        "--timer-property=AccuracySec=100ms",
        "systemctl",
        "restart",
        "k3s.service",
    ]);
    let field = json!({ "fieldPath": format!("metadata.annotations['{CONTENT}']") });
    let folder = json!({ "path": FOLDER, "type": "DirectoryOrCreate" });
    let pod = json!({
        "automountServiceAccountToken": false,
        "containers": [container("restart", &restart)],
        "hostNetwork": true,
        "hostPID": true,
        "initContainers": [container("write", &write), container("place", &place)],
        // Not for the scheduler to decide.
        "nodeName": node,
        "priorityClassName": "system-node-critical",
        "restartPolicy": "Never",
        "tolerations": [{ "operator": "Exists" }],
        "volumes": [
            { "name": "usr", "hostPath": { "path": "/usr" } },
            { "name": "lib", "hostPath": { "path": "/lib" } },
            { "name": "lib64", "hostPath": { "path": "/lib64" } },
            { "name": "k3s", "hostPath": folder },
            { "name": "content", "downwardAPI": { "items": [{ "path": FILE, "fieldRef": field }] } },
        ],
    });
    json!({
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": { "name": name(node, content), "namespace": NAMESPACE },
        "spec": {
            "activeDeadlineSeconds": DEADLINE,
            "backoffLimit": 3,
            "template": { "metadata": { "annotations": { CONTENT: content } }, "spec": pod },
            "ttlSecondsAfterFinished": KEPT,
        },
    })
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

/// The same for one node and content, so that asking again finds the job that was asked for. A
/// node's own name may be as long as a job's can be.
fn name(node: &str, content: &str) -> String {
    let digest = Sha256::digest(format!("{node}\n{content}").as_bytes());
    let mut name = String::from("kplan-k3s-config-");
    for byte in digest.iter().take(8) {
        // Writing to a String cannot fail.
        let _ = write!(name, "{byte:02x}");
    }
    name
}

/// The object of such a job.
pub(super) fn object(node: &str, content: &str) -> Object {
    Object::new("batch/v1", "Job", Some(NAMESPACE), &name(node, content))
}

/// Whether a job gave up.
pub(super) fn has_failed(job: &Value) -> bool {
    let conditions = job.pointer("/status/conditions").and_then(Value::as_array);
    let mut conditions = conditions.into_iter().flatten();
    conditions.any(|one| one["type"] == "Failed" && one["status"] == "True")
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

    #[test]
    fn the_programs_write_the_file_and_doing_it_again_changes_nothing() {
        let job = job("n", "cluster-init: true\n");
        let commands = commands(&job);
        let root = tempfile::TempDir::new().unwrap();
        let folder = root.path().join(&FOLDER[1..]);
        let mounted = root.path().join(&MOUNTED[1..]);
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::create_dir_all(&mounted).unwrap();
        let annotation = job.pointer("/spec/template/metadata/annotations").unwrap();
        let content = annotation[CONTENT].as_str().unwrap();
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
        let job = job("n", "");
        let commands = commands(&job);
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
    fn one_node_and_content_is_one_job_and_its_name_fits() {
        let long = "n".repeat(63);
        assert_eq!(name(&long, "a"), name(&long, "a"));
        assert_ne!(name(&long, "a"), name(&long, "b"));
        assert_ne!(name("a", "b"), name("b", "b"));
        assert!(name(&long, "a").len() <= 63);
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
