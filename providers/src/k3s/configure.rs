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

use super::config::{self, Told};
use super::pki::secret::sha256_hex;
use super::token::{self, Tokens};
use crate::kubernetes::object::Object;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

/// Where the job runs.
const NAMESPACE: &str = "kube-system";
/// What K3s makes sandboxes of (K3s documentation, `pause-image`).
const IMAGE: &str = "rancher/mirrored-pause:3.6";
/// Files here count more than the bundle's, in the order of their names.
const FOLDER: &str = "/etc/rancher/k3s/config.yaml.d";
/// What is kplan's alone.
const OWN: &str = "/etc/kplan";
/// Units of this machine.
const UNITS: &str = "/etc/systemd/system";
/// The folders that the job writes to, by the names of their volumes.
const FOLDERS: [(&str, &str); 3] = [("k3s", FOLDER), ("kplan", OWN), ("units", UNITS)];
/// The file that is kplan's.
const FILE: &str = "/etc/rancher/k3s/config.yaml.d/50-kplan.yaml";
/// K3s's unit.
const UNIT: &str = "/etc/systemd/system/k3s.service";
/// Where the pod finds what it installs.
const MOUNTED: &str = "/content";
/// Seconds within which the job has ended: its programs take one, and as long as an apply waits for a
/// node there is time for a node that is busy. A job that waits longer could tell K3s something that is
/// not so any more.
const DEADLINE: u32 = 1800;
/// Seconds the job and what it writes stay when it ended, for somebody who wants to know what
/// happened.
const KEPT: u32 = 3600;
/// The same where what was seen of the job decides what is done next; it goes earlier, with that.
const KEPT_FOR_NEXT: u32 = 86_400;

/// The annotation of the job that says what it does.
const ORDER: &str = "kplan.io/order";

/// What an order is about: there is one job of each for a node, so that an older order never overwrites
/// what a newer one wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum About {
    /// What K3s reads when it starts.
    Config,
    /// A token that is yet to come.
    Token,
}

/// A node's own name may be as long as a job's can be.
fn name(node: &str, about: About) -> String {
    let mut digest = sha256_hex(node.as_bytes());
    digest.truncate(16);
    match about {
        About::Config => format!("kplan-k3s-config-{digest}"),
        About::Token => format!("kplan-k3s-token-{digest}"),
    }
}

/// The job of a node.
pub(super) fn object(node: &str, about: About) -> Object {
    Object::new("batch/v1", "Job", Some(NAMESPACE), &name(node, about))
}

/// A file that the job installs.
struct Placed {
    path: &'static str,
    mode: &'static str,
    content: String,
}

impl Placed {
    fn new(path: &'static str, mode: &'static str, content: &str) -> Self {
        Self {
            path,
            mode,
            content: content.to_owned(),
        }
    }

    /// Under which key it is in the Secret.
    fn key(&self) -> &'static str {
        self.path.rsplit('/').next().unwrap_or(self.path)
    }
}

/// What one node's K3s is told, and how.
pub(super) struct Order<'a> {
    node: &'a str,
    about: About,
    files: Vec<Placed>,
    /// Programs of the host's, in their order, after the files are there.
    steps: Vec<(&'static str, &'static [&'static str])>,
}

/// The file that says what can change while a node lives.
fn told_file(told: &Told) -> Placed {
    Placed::new(FILE, "0600", &told.content)
}

impl<'a> Order<'a> {
    /// Told something that it reads whenever it is started.
    pub(super) fn note(node: &'a str, told: &Told) -> Self {
        Self {
            node,
            about: About::Config,
            files: vec![told_file(told)],
            steps: Vec::new(),
        }
    }

    /// Told something, and started again.
    pub(super) fn restart(node: &'a str, told: &Told) -> Self {
        Self {
            steps: vec![("restart", &RESTART)],
            ..Self::note(node, told)
        }
    }

    /// A server's: both tokens, for the time when they are exchanged.
    pub(super) fn tokens(node: &'a str, tokens: &Tokens) -> Self {
        let order = Self {
            node,
            about: About::Token,
            files: Vec::new(),
            steps: Vec::new(),
        };
        order.of_server().with(tokens)
    }

    /// With the script of a server's unit, and the unit, as bundles have them now.
    pub(super) fn of_server(mut self) -> Self {
        let unit = Placed::new(UNIT, "0644", &config::unit("server"));
        let script = Placed::new(token::SCRIPT_PATH, "0755", token::SCRIPT);
        self.files.extend([script, unit]);
        self.steps.insert(0, ("reload", &RELOAD));
        self
    }

    /// With both tokens.
    fn with(mut self, tokens: &Tokens) -> Self {
        let old = Placed::new(token::OLD, "0600", &tokens.old);
        let new = Placed::new(token::NEW, "0600", &tokens.new);
        self.files.extend([old, new]);
        self
    }

    /// Has K3s exchange the tokens before it is started again.
    pub(super) fn exchanging(self, tokens: &Tokens) -> Self {
        self.with(tokens).before_restart("exchange", &EXCHANGE)
    }

    /// Has K3s started with the new token, which another server exchanged already.
    pub(super) fn taking(self, tokens: &Tokens) -> Self {
        let mut order = self.with(tokens);
        let chosen = Placed::new(token::CHOSEN, "0600", &tokens.new);
        order.files.push(chosen);
        order
    }

    /// Has K3s make its certificates anew at that start.
    pub(super) fn renewing(self) -> Self {
        self.before_restart("certificates", &ROTATE)
    }

    fn before_restart(mut self, name: &'static str, step: &'static [&'static str]) -> Self {
        let last = self.steps.len().saturating_sub(1);
        self.steps.insert(last, (name, step));
        self
    }

    /// Its job.
    pub(super) fn object(&self) -> Object {
        object(self.node, self.about)
    }

    fn name(&self) -> String {
        name(self.node, self.about)
    }

    /// Tells it from other orders for the node: what it brings, and what it does.
    fn identity(&self) -> String {
        let files = self.files.iter();
        let files: Vec<String> = files
            .map(|file| format!("{} {} {}", file.path, file.mode, file.content))
            .collect();
        let mut identity = sha256_hex(format!("{files:?} {:?}", self.steps).as_bytes());
        identity.truncate(32);
        identity
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
                "ttlSecondsAfterFinished": match self.about {
                    About::Config => KEPT,
                    About::Token => KEPT_FOR_NEXT,
                },
            },
        })
    }

    /// The files, for the job that has this uid, with which they go. No backup takes them along.
    pub(super) fn secret(&self, uid: &str) -> Value {
        let data = self.files.iter();
        let data: Map<String, Value> = data
            .map(|file| (file.key().to_owned(), STANDARD.encode(&file.content).into()))
            .collect();
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
            "data": data,
        })
    }

    fn pod(&self) -> Value {
        let mut programs = Vec::new();
        for (at, file) in self.files.iter().enumerate() {
            let new = format!("{}.new", file.path);
            let source = format!("{MOUNTED}/{}", file.key());
            let mode = format!("--mode={}", file.mode);
            let write = json!(["/usr/bin/install", mode, "--", source, new]);
            let whole = "--no-target-directory";
            let place = json!(["/usr/bin/mv", "--force", whole, "--", new, file.path]);
            programs.push(container(&format!("write-{at}"), &write));
            programs.push(container(&format!("place-{at}"), &place));
        }
        for (name, step) in &self.steps {
            programs.push(container(name, &on_host(step)));
        }
        // There is at least one file.
        let last = programs.pop();
        let content = json!({ "secretName": self.name(), "defaultMode": 0o400 });
        let host = |name: &str, path: &str| json!({ "name": name, "hostPath": { "path": path } });
        let mut volumes = vec![
            host("usr", "/usr"),
            host("lib", "/lib"),
            host("lib64", "/lib64"),
            json!({ "name": "content", "secret": content }),
        ];
        volumes.extend(FOLDERS.iter().map(|(name, path)| {
            json!({ "name": name, "hostPath": { "path": path, "type": "DirectoryOrCreate" } })
        }));
        json!({
            "automountServiceAccountToken": false,
            "containers": [last],
            "hostNetwork": true,
            "hostPID": true,
            "initContainers": programs,
            // Not for the scheduler to decide.
            "nodeName": self.node,
            "priorityClassName": "system-node-critical",
            "restartPolicy": "Never",
            "tolerations": [{ "operator": "Exists" }],
            "volumes": volumes,
        })
    }
}

/// Has systemd read units anew.
const RELOAD: [&str; 2] = ["systemctl", "daemon-reload"];
/// Has the K3s that runs there exchange the tokens.
const EXCHANGE: [&str; 3] = ["/bin/sh", token::SCRIPT_PATH, "exchange"];
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
    let read =
        |name: &str| json!({ "name": name, "mountPath": format!("/{name}"), "readOnly": true });
    let mut mounts: Vec<Value> = ["usr", "lib", "lib64", "content"].map(read).to_vec();
    let written = FOLDERS.iter();
    mounts.extend(written.map(|(name, path)| json!({ "name": name, "mountPath": path })));
    json!({
        "name": name,
        "image": IMAGE,
        "imagePullPolicy": "IfNotPresent",
        "command": command,
        "securityContext": { "privileged": true },
        "volumeMounts": mounts,
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

/// Whether a job did what it was to do.
pub(super) fn is_done(job: &Value) -> bool {
    has(job, "Complete")
}

/// Whether a job ended, so or otherwise: asked for again, it has to be made again.
pub(super) fn is_over(job: &Value) -> bool {
    has_failed(job) || is_done(job)
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
        "the job {NAMESPACE}/{name} that tells K3s so failed in {pods}; {end}; `kubectl -n \
         {NAMESPACE} logs job/{name} --all-containers` says why"
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

    fn tokens() -> Tokens {
        Tokens {
            old: "token: old-hush\n".to_owned(),
            new: "token: new-hush\n".to_owned(),
        }
    }

    /// What the programs on the host are, without the way into it.
    fn steps(order: &Order<'_>) -> Vec<Vec<String>> {
        let inside = ["/usr/bin/nsenter", "--target=1", "--mount", "--"];
        let all = commands(&order.job()).into_iter();
        let steps = all.filter(|words| words[0] == inside[0]);
        steps
            .map(|words| {
                assert_eq!(words[..4], inside);
                words[4..].to_vec()
            })
            .collect()
    }

    #[test]
    fn the_programs_write_the_file_and_doing_it_again_changes_nothing() {
        let told = told("cluster-init: true\n");
        let order = Order::restart("n", &told);
        let commands = commands(&order.job());
        let root = tempfile::TempDir::new().unwrap();
        let folder = root.path().join(&FOLDER[1..]);
        let mounted = root.path().join(&MOUNTED[1..]);
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::create_dir_all(&mounted).unwrap();
        let name = "50-kplan.yaml";
        let secret = order.secret("uid");
        let content = STANDARD.decode(secret["data"][name].as_str().unwrap());
        let content = content.unwrap();
        std::fs::write(mounted.join(name), content).unwrap();
        for _ in 0..2 {
            run(&commands[0], root.path());
            run(&commands[1], root.path());
            let names = std::fs::read_dir(&folder).unwrap();
            let names: Vec<_> = names.map(|entry| entry.unwrap().file_name()).collect();
            assert_eq!(names, [name]);
            let file = folder.join(name);
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
        let steps = steps(&Order::restart("n", &told));
        let root = tempfile::TempDir::new().unwrap();
        let program = root.path().join("systemd-run");
        std::fs::write(
            &program,
            "#!/bin/sh\nprintf '%s\\n' \"$*\" > \"$0.asked\"\n",
        )
        .unwrap();
        std::fs::set_permissions(&program, PermissionsExt::from_mode(0o755)).unwrap();
        assert_eq!(steps[0][0], "systemd-run");
        let ran = Command::new(&program).args(&steps[0][1..]).status();
        assert!(ran.unwrap().success());
        let asked = std::fs::read_to_string(root.path().join("systemd-run.asked")).unwrap();
        let ending =
            "--on-active=2s --timer-property=AccuracySec=100ms systemctl restart k3s.service\n";
        assert_eq!(asked, format!("--collect {ending}"));
    }

    #[test]
    fn a_node_has_one_job_of_each_whose_name_fits_and_which_says_what_it_does() {
        let long = "n".repeat(63);
        let config = |node: &str| name(node, About::Config);
        assert_ne!(config("a"), config("b"));
        assert_ne!(config("a"), name("a", About::Token));
        assert!(config(&long).len() <= 63);
        let (one, other) = (told("a"), told("b"));
        let job = Order::restart("n", &one).job();
        assert!(Order::restart("n", &one).is(&job));
        assert!(!Order::restart("n", &other).is(&job));
        assert!(!Order::note("n", &one).is(&job));
        assert!(!Order::restart("n", &one).of_server().is(&job));
    }

    #[test]
    fn what_is_done_before_the_restart_is_done_only_where_asked_for() {
        let told = told("");
        let order = || Order::restart("n", &told).of_server();
        let [reload, restart] = [&RELOAD[..], &RESTART[..]];
        assert_eq!(steps(&order()), [reload, restart]);
        assert_eq!(steps(&order().renewing()), [reload, &ROTATE[..], restart]);
        let exchanging = order().exchanging(&tokens());
        assert_eq!(steps(&exchanging), [reload, &EXCHANGE[..], restart]);
        let taking = order().taking(&tokens());
        assert_eq!(steps(&taking), [reload, restart]);
        assert_eq!(taking.files.last().unwrap().path, token::CHOSEN);
        assert_eq!(steps(&Order::tokens("n", &tokens())), [reload]);
        assert!(steps(&Order::note("n", &told)).is_empty());
    }

    /// A server's unit and the script that it runs are there before systemd reads the unit.
    #[test]
    fn a_server_gets_its_unit_and_both_tokens() {
        let order = Order::tokens("n", &tokens());
        let secret = order.secret("uid");
        let text = |key: &str| {
            let text = STANDARD.decode(secret["data"][key].as_str().unwrap());
            String::from_utf8(text.unwrap()).unwrap()
        };
        assert_eq!(text("server-token.new"), tokens().new);
        assert_eq!(text("k3s-token"), token::SCRIPT);
        assert!(text("k3s.service").contains(" /etc/kplan/k3s-token before\n"));
        let commands = commands(&order.job());
        let places = commands.iter().filter(|words| words[0] == "/usr/bin/mv");
        let places: Vec<&str> = places.map(|words| words.last().unwrap().as_str()).collect();
        assert_eq!(places, [token::SCRIPT_PATH, UNIT, token::OLD, token::NEW]);
    }

    #[test]
    fn what_the_node_is_told_is_in_no_object_but_the_secret() {
        let told = told("token: hush\n");
        let order = Order::restart("n", &told).of_server().exchanging(&tokens());
        let job = order.job().to_string();
        assert!(!job.contains("hush"), "{job}");
        assert!(!job.contains(&STANDARD.encode(&told.content)), "{job}");
    }

    #[test]
    fn job_and_secret_are_known_to_kubernetes_field_by_field() {
        let told = told("token: hush\n");
        let orders = [
            Order::note("n", &told),
            Order::restart("n", &told).of_server().renewing(),
            Order::restart("n", &told).of_server().exchanging(&tokens()),
            Order::tokens("n", &tokens()),
        ];
        for order in orders {
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
