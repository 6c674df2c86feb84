//! A folder with a `cluster.toml`, a home of its own, and the real `kplan` run in it with a
//! cleared environment.

pub(crate) mod bucket;
pub(crate) mod cluster;
pub(crate) mod hub;
mod served;
pub(crate) mod steady;
pub(crate) mod upstream;

use kplan_model::Snapshot;
use kplan_state::{Identity, LocalReader};
use serde_json::Value;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// The secret a test's `GITHUB_TOKEN` holds.
pub(crate) const GITHUB_TOKEN: &str = "ghp_canary0123456789abcdefghijklmnopqrst";

/// What a run printed and how it ended.
pub(crate) struct Run {
    /// Exit code; `None` when a signal ended it.
    pub(crate) code: Option<i32>,
    /// Standard output.
    pub(crate) out: String,
    /// Standard error.
    pub(crate) err: String,
}

impl Run {
    /// Runs a command to its end.
    pub(crate) fn of(mut command: Command) -> Self {
        Self::ended(command.output().expect("kplan runs"))
    }

    /// Runs a command that asks, gives these answers, and then nothing more.
    #[track_caller]
    pub(crate) fn answering(mut command: Command, answers: &str) -> Self {
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().expect("kplan starts");
        let mut stdin = child.stdin.take().expect("a pipe");
        stdin.write_all(answers.as_bytes()).expect("it listens");
        drop(stdin);
        Self::ended(child.wait_with_output().expect("it ends"))
    }

    /// What a command said that ended.
    pub(crate) fn ended(output: Output) -> Self {
        Self {
            code: output.status.code(),
            out: String::from_utf8(output.stdout).expect("UTF-8 output"),
            err: String::from_utf8(output.stderr).expect("UTF-8 output"),
        }
    }

    /// Fails the test unless the exit code is this one.
    #[track_caller]
    pub(crate) fn expect_code(self, code: i32) -> Self {
        assert_eq!(
            self.code,
            Some(code),
            "stdout:\n{}\nstderr:\n{}",
            self.out,
            self.err
        );
        self
    }

    /// Fails the test unless it ended well.
    #[track_caller]
    pub(crate) fn ok(self) -> Self {
        self.expect_code(0)
    }

    /// Fails the test unless all of this is on standard output.
    #[track_caller]
    pub(crate) fn assert_says(&self, all: &[&str]) {
        for words in all {
            assert!(self.out.contains(words), "no {words}:\n{}", self.out);
        }
    }

    /// Standard output as JSON.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.out)
            .unwrap_or_else(|error| panic!("{error}\nstdout:\n{}\nstderr:\n{}", self.out, self.err))
    }
}

/// Runs a command and kills it in the moment in which something is so.
#[track_caller]
pub(crate) fn cut_off(mut command: Command, when: impl Fn() -> bool) {
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn().expect("kplan starts");
    let deadline = Instant::now() + Duration::from_mins(1);
    while !when() {
        assert!(Instant::now() < deadline, "it never came to that");
        std::thread::sleep(Duration::from_millis(20));
    }
    child.kill().expect("it is killed");
    child.wait().expect("it ends");
}

/// Runs a command and kills it when it says these words on standard output.
#[track_caller]
pub(crate) fn cut_off_at(mut command: Command, words: &str) {
    command.stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().expect("kplan starts");
    let lines = BufReader::new(child.stdout.take().expect("its output")).lines();
    let mut lines = lines.map_while(Result::ok);
    let said = lines.any(|line| line.contains(words));
    child.kill().expect("it is killed");
    child.wait().expect("it ends");
    assert!(said, "it never says `{words}`");
}

/// Runs a command; does something in the moment in which it says these words on standard output, and
/// gives how it ended.
#[track_caller]
pub(crate) fn meanwhile(mut command: Command, words: &str, then: impl FnOnce()) -> Run {
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("kplan starts");
    let mut errors = child.stderr.take().expect("its errors");
    let errors = std::thread::spawn(move || {
        let mut text = String::new();
        errors.read_to_string(&mut text).map(|_| text)
    });
    let lines = BufReader::new(child.stdout.take().expect("its output")).lines();
    let (mut out, mut then) = (String::new(), Some(then));
    for line in lines {
        let line = line.expect("UTF-8 output");
        out.push_str(&line);
        out.push('\n');
        if line.contains(words)
            && let Some(then) = then.take()
        {
            then();
        }
    }
    let code = child.wait().expect("it ends").code();
    let err = errors.join().expect("a reader").expect("UTF-8 output");
    assert!(then.is_none(), "it never says `{words}`:\n{out}\n{err}");
    Run { code, out, err }
}

/// The smallest file: one server, nothing else.
pub(crate) const SMALL: &str = r#"
[cluster]
name   = "demo"
region = "fra1"

[servers]
size = "s-2vcpu-4gb"
"#;

/// A folder of its own for one cluster; its embedded cloud is stopped when it is dropped.
pub(crate) struct Folder {
    dir: TempDir,
    home: TempDir,
    scale: f64,
    record: bool,
    /// Whether the cloud is another folder's.
    guest: bool,
    kept: bool,
}

impl Folder {
    /// A folder with this `cluster.toml`.
    pub(crate) fn with(text: &str) -> Self {
        let folder = Self {
            dir: TempDir::new().expect("a temporary folder"),
            home: TempDir::new().expect("a temporary home"),
            scale: 2000.0,
            record: true,
            guest: false,
            kept: false,
        };
        folder.write(text);
        folder
    }

    /// A folder with the example of that name.
    pub(crate) fn example(name: &str) -> Self {
        let path = repository()
            .join("examples")
            .join(name)
            .join("cluster.toml");
        Self::with(&std::fs::read_to_string(path).expect("the example"))
    }

    /// The same folder with another time scale of its cloud.
    pub(crate) fn scaled(mut self, scale: f64) -> Self {
        self.scale = scale;
        self
    }

    /// The same folder as a guest of another one's cloud, which goes on when this folder goes.
    pub(crate) fn guest(mut self) -> Self {
        self.guest = true;
        self
    }

    /// The same folder without a record of its cloud's exchanges.
    pub(crate) fn unrecorded(mut self) -> Self {
        self.record = false;
        self
    }

    /// Leaves folder and home on the disk when the test ends, for somebody to look into.
    pub(crate) fn keep(&mut self) -> &Path {
        self.dir.disable_cleanup(true);
        self.home.disable_cleanup(true);
        self.kept = true;
        self.dir.path()
    }

    /// Writes `cluster.toml`.
    pub(crate) fn write(&self, text: &str) {
        std::fs::write(self.dir.path().join("cluster.toml"), text).expect("write cluster.toml");
    }

    /// The folder.
    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    /// The home.
    pub(crate) fn home(&self) -> &Path {
        self.home.path()
    }

    /// Where the embedded cloud records its exchanges.
    pub(crate) fn record_path(&self) -> PathBuf {
        self.dir.path().join("exchanges.jsonl")
    }

    /// `kplan` with these arguments, not started yet.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        // Another build of the program, such as the release one, can be tested by its path.
        let program = std::env::var_os("KPLAN_TEST_BIN");
        let mut command =
            Command::new(program.unwrap_or_else(|| env!("CARGO_BIN_EXE_kplan").into()));
        command
            .args(arguments)
            .current_dir(self.dir.path())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.home.path())
            .env("COLUMNS", "100")
            .env("KPLAN_SANDBOX_TIME_SCALE", self.scale.to_string())
            .env("GITHUB_TOKEN", GITHUB_TOKEN)
            .stdin(Stdio::null());
        if self.record {
            command.env("KPLAN_SANDBOX_RECORD", self.record_path());
        }
        command
    }

    /// Runs `kplan` to its end.
    pub(crate) fn kplan(&self, arguments: &[&str]) -> Run {
        Run::of(self.command(arguments))
    }

    /// Runs `kplan` and kills it after so many milliseconds.
    #[track_caller]
    pub(crate) fn kill_after(&self, arguments: &[&str], millis: u64) {
        let moment = Instant::now() + Duration::from_millis(millis);
        cut_off(self.command(arguments), || Instant::now() >= moment);
    }

    /// Runs `kplan` with these answers to what it asks.
    #[track_caller]
    pub(crate) fn kplan_answering(&self, arguments: &[&str], answers: &str) -> Run {
        Run::answering(self.command(arguments), answers)
    }

    /// `apply --sandbox --auto-approve`.
    #[track_caller]
    pub(crate) fn apply(&self) -> Run {
        self.kplan(&["apply", "--sandbox", "--auto-approve"]).ok()
    }

    /// `destroy --sandbox --auto-approve --confirm NAME`.
    pub(crate) fn destroy(&self, name: &str) -> Run {
        let sure = ["--auto-approve", "--confirm", name, "--orphans", "delete"];
        self.kplan(&[&["destroy", "--sandbox"], &sure[..]].concat())
    }

    /// Fails the test unless a plan finds nothing to do.
    #[track_caller]
    pub(crate) fn assert_no_changes(&self) {
        self.kplan(&["plan", "--sandbox", "--detailed-exitcode"])
            .ok();
    }

    /// Where the cloud's API has the droplets of these names.
    #[track_caller]
    fn droplets(&self, which: impl Fn(&str) -> bool) -> Vec<String> {
        let droplets = self.inspect()["resources"]["droplets"].clone();
        let droplets = droplets.as_array().expect("droplets").iter();
        let named = droplets.filter(|one| which(one["name"].as_str().expect("a name")));
        named
            .map(|one| format!("/v2/droplets/{}", one["id"].as_str().expect("an id")))
            .collect()
    }

    /// Destroys droplets behind kplan's back; there are some of these names.
    #[track_caller]
    pub(crate) fn lose_droplets(&self, which: impl Fn(&str) -> bool) {
        let paths = self.droplets(which);
        assert!(!paths.is_empty(), "there are no such droplets");
        for path in paths {
            self.cloud("DELETE", &path, None);
        }
    }

    /// Switches droplets off behind kplan's back, and gives where they are when they are off.
    #[track_caller]
    pub(crate) fn switch_off(&self, which: impl Fn(&str) -> bool) -> Vec<String> {
        let paths = self.droplets(which);
        let off = serde_json::json!({ "type": "power_off" });
        for path in &paths {
            self.cloud("POST", &format!("{path}/actions"), Some(&off));
        }
        let deadline = Instant::now() + Duration::from_mins(1);
        for path in &paths {
            while !self.cloud("GET", path, None).contains("\"status\":\"off\"") {
                assert!(Instant::now() < deadline, "{path} stays on");
                std::thread::sleep(Duration::from_millis(20));
            }
        }
        paths
    }

    /// Destroys every droplet behind kplan's back, and what it knows of them: what somebody is left
    /// with who has nothing but the bucket, Git and the identity.
    #[track_caller]
    pub(crate) fn lose_everything(&self) {
        self.lose_droplets(|_| true);
        let state = self.path().join(".kplan/.sandbox/state");
        std::fs::remove_dir_all(state).expect("the state was there");
    }

    /// The state, opened with the identity that the runs made.
    #[track_caller]
    pub(crate) fn snapshot(&self, cluster: &str) -> Snapshot {
        let identity = Identity::load(&self.home().join(".config/kplan/identity"))
            .expect("readable identity")
            .expect("an identity was made");
        let dir = self.path().join(".kplan/.sandbox/state").join(cluster);
        let loaded = LocalReader::open(&dir, cluster, Some(&identity))
            .read()
            .expect("readable state");
        loaded.snapshot.expect("a state")
    }

    /// What exists in the embedded cloud.
    #[track_caller]
    pub(crate) fn inspect(&self) -> Value {
        self.kplan(&["sandbox", "inspect", "--json"]).ok().json()
    }

    /// How many of a kind exist in the embedded cloud.
    #[track_caller]
    pub(crate) fn count(&self, kind: &str) -> usize {
        self.inspect()["resources"][kind]
            .as_array()
            .map_or(0, Vec::len)
    }

    /// The path of the only one of a kind in the embedded cloud.
    #[track_caller]
    pub(crate) fn first_path(&self, kind: &str, path: &str) -> String {
        let seen = self.inspect();
        let id = &seen["resources"][kind][0]["id"];
        format!("{path}/{}", id.as_str().expect("an id"))
    }

    /// One of the addresses at which the embedded cloud listens, or its token.
    #[track_caller]
    pub(crate) fn endpoint(&self, name: &str) -> String {
        let file = self.path().join(".kplan/.sandbox/cloud/endpoint.json");
        let text = std::fs::read_to_string(file).expect("the cloud's addresses");
        let note: Value = serde_json::from_str(&text).expect("the cloud's addresses");
        let address = note["endpoints"][name].as_str();
        address.expect("an address").to_owned()
    }

    /// What the cloud answers to a request made by hand, past kplan.
    #[track_caller]
    pub(crate) fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> Value {
        let answer = self.cloud(method, path, body);
        let (_, body) = answer.split_once("\r\n\r\n").expect("a body");
        serde_json::from_str(body).expect("JSON")
    }

    /// Waits until what the cloud answers at a path is so.
    #[track_caller]
    pub(crate) fn until(&self, path: &str, done: impl Fn(&Value) -> bool) {
        let deadline = Instant::now() + Duration::from_mins(1);
        while !done(&self.ask("GET", path, None)) {
            assert!(Instant::now() < deadline, "{path} never came to be");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// A change that somebody makes by hand, past kplan.
    #[track_caller]
    pub(crate) fn cloud(&self, method: &str, path: &str, body: Option<&Value>) -> String {
        let (url, token) = (self.endpoint("api_url"), self.endpoint("token"));
        let host = url.strip_prefix("http://").expect("an address");
        let body = body.map(Value::to_string).unwrap_or_default();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n\
             {body}",
            body.len()
        );
        let mut stream = TcpStream::connect(host).expect("the cloud answers");
        stream.write_all(request.as_bytes()).expect("a request");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        assert!(
            answer.starts_with("HTTP/1.1 2"),
            "{method} {path}: {answer}"
        );
        answer
    }

    /// Fails the test unless nothing but what is kept by design exists in the cloud.
    #[track_caller]
    pub(crate) fn assert_cloud_empty(&self) {
        let seen = self.inspect();
        let resources = seen["resources"].as_object().expect("resources");
        let left: Vec<_> = resources
            .iter()
            .filter(|(_, list)| list.as_array().is_none_or(|list| !list.is_empty()))
            .collect();
        assert!(left.is_empty(), "left behind: {left:#?}");
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if self.guest {
            return;
        }
        if self.kept {
            println!("its home: {}", self.home.path().display());
        }
        // The cloud's process must not outlive the test; when it is gone already, fine.
        drop(self.command(&["sandbox", "stop"]).output());
    }
}

/// The repository's root.
pub(crate) fn repository() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// A seeded stream of numbers for choosing moments; the seed is printed by the caller.
pub(crate) struct Dice(u64);

impl Dice {
    /// From a seed.
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15).wrapping_add(1))
    }

    /// A place in something that is `length` long.
    pub(crate) fn index(&mut self, length: usize) -> usize {
        usize::try_from(self.below(length as u64)).expect("below a usize")
    }

    /// The next number below `limit` (xorshift64*).
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) % limit
    }
}
