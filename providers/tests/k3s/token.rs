//! The script of a server's unit about the server token, run by a shell in a folder that stands for the
//! server, with a stand-in for `curl` that is asked instead of K3s.

use kplan_conformance::skipped;
use kplan_providers::k3s::server_token::SCRIPT;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::Command;
use std::time::SystemTime;
use tempfile::TempDir;

const OLD: &str = "0123456789abcdef";
const AFTER: &str = "fedcba9876543210";
const CHOSEN: &str = "etc/rancher/k3s/config.yaml.d/60-kplan-token.yaml";
const PASSWORDS: &str = "var/lib/rancher/k3s/server/cred/passwd";

/// K3s that takes the password in `takes`, and keeps what it was told and how it was asked.
const CURL: &str = r#"#!/bin/sh
printf '%s\n' "$*" >>"$KPLAN_ROOT/asked"
user=$(sed -n 's/^user = "server:\(.*\)"$/\1/p' >"$KPLAN_ROOT/user"; cat "$KPLAN_ROOT/user")
[ "$user" = "$(cat "$KPLAN_ROOT/takes")" ] || { echo "curl: (22) 401" >&2; exit 22; }
cat "$KPLAN_ROOT/var/lib/rancher/k3s/server/cred/passwd" >"$KPLAN_ROOT/seen"
[ ! -f "$KPLAN_ROOT/breaks" ] || exit 52
"#;

struct Server(TempDir);

impl Server {
    fn new() -> Option<Self> {
        let has = |tool: &str| {
            let found = Command::new("sh")
                .args(["-c", &format!("command -v {tool}")])
                .output();
            found.is_ok_and(|found| found.status.success())
        };
        if let Some(tool) = ["cmp", "sed"].into_iter().find(|tool| !has(tool)) {
            skipped(tool);
            return None;
        }
        let server = Self(TempDir::new().unwrap());
        server.write("etc/kplan/k3s-token", SCRIPT);
        server.write("tools/curl", CURL);
        let mode = fs::Permissions::from_mode(0o755);
        fs::set_permissions(server.at("tools/curl"), mode).unwrap();
        server.passwords(OLD);
        server.write("takes", OLD);
        Some(server)
    }

    fn at(&self, path: &str) -> PathBuf {
        self.0.path().join(path)
    }

    fn write(&self, path: &str, content: &str) {
        let path = self.at(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    fn read(&self, path: &str) -> Option<String> {
        fs::read_to_string(self.at(path)).ok()
    }

    fn passwords(&self, server: &str) {
        let lines = format!("agent,node,node,k3s:agent\n{server},server,server,k3s:server\n");
        self.write(PASSWORDS, &lines);
    }

    fn tell(&self) {
        self.write("etc/kplan/server-token.old", &file(OLD));
        self.write("etc/kplan/server-token.new", &file(AFTER));
    }

    fn run(&self, what: &str) -> bool {
        let path = format!(
            "{}:{}",
            self.at("tools").display(),
            std::env::var("PATH").unwrap()
        );
        let ran = Command::new("sh")
            .arg(self.at("etc/kplan/k3s-token"))
            .arg(what)
            .env("KPLAN_ROOT", self.0.path())
            .env("PATH", path)
            .output()
            .unwrap();
        let said = String::from_utf8([ran.stdout, ran.stderr].concat()).unwrap();
        assert!(!said.contains(OLD) && !said.contains(AFTER), "{said}");
        ran.status.success()
    }

    /// What K3s reads at a start that comes up with this token alone.
    fn start(&self, opens: &str) -> bool {
        assert!(self.run("before"));
        if let Ok(file) = fs::metadata(self.at(PASSWORDS)) {
            let written = file.modified().unwrap();
            assert_eq!(
                written,
                SystemTime::UNIX_EPOCH,
                "a newer file would end the start"
            );
        }
        let up = self.read(CHOSEN).is_none_or(|chosen| chosen == file(opens));
        self.passwords(opens);
        if up {
            assert!(self.run("after"));
        }
        up
    }

    fn knows_both(&self) -> bool {
        let there = ["old", "new"].map(|it| self.read(&format!("etc/kplan/server-token.{it}")));
        there.iter().all(Option::is_some)
    }
}

fn file(secret: &str) -> String {
    format!("token: \"K10aa::server:{secret}\"\nnode-label+:\n  - \"kplan.io/server-token=1\"\n")
}

#[test]
fn without_two_tokens_only_the_file_of_passwords_is_made_old() {
    let Some(server) = Server::new() else { return };
    assert!(server.start(OLD));
    assert_eq!(server.read(CHOSEN), None);
}

#[test]
fn a_start_that_did_not_come_up_is_followed_by_one_with_the_other_token() {
    let Some(server) = Server::new() else { return };
    server.tell();
    assert!(server.start(OLD) && server.start(OLD), "until the exchange");
    assert!(server.knows_both());
    // Exchanged elsewhere: one start is in vain.
    assert!(!server.start(AFTER));
    assert!(server.start(AFTER));
    assert!(
        !server.knows_both(),
        "with the new one, the old one is of no use"
    );
    assert_eq!(server.read(CHOSEN), Some(file(AFTER)));
    assert!(server.start(AFTER));
    let mode = fs::metadata(server.at(CHOSEN))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn a_start_that_was_cut_off_costs_two_and_never_more() {
    for opens in [OLD, AFTER] {
        let Some(server) = Server::new() else { return };
        server.tell();
        assert!(server.run("before"), "and then the power fails");
        let tries = (0..3).position(|_| server.start(opens));
        assert!(tries.is_some_and(|tries| tries < 2), "{tries:?}");
    }
}

#[test]
fn the_exchange_asks_by_the_token_k3s_takes_and_no_command_line_shows_one() {
    let Some(server) = Server::new() else { return };
    assert!(!server.run("exchange"), "there are no two tokens");
    server.tell();
    assert!(server.run("exchange"));
    assert_eq!(server.read(CHOSEN), Some(file(AFTER)));
    // As K3s was started again with the new one.
    server.write("takes", AFTER);
    assert!(server.run("exchange"));
    let asked = server.read("asked").unwrap();
    assert!(
        asked.contains("https://127.0.0.1:6443/v1-k3s/token"),
        "{asked}"
    );
    assert!(!asked.contains(OLD) && !asked.contains(AFTER), "{asked}");
    // By somebody else's token, it fails, and the old one is started with.
    server.write("takes", "other");
    server.write(CHOSEN, &file(OLD));
    assert!(!server.run("exchange"));
    assert_eq!(server.read(CHOSEN), Some(file(OLD)));
}

/// K3s takes what is in its file for the token that the data is encrypted with.
#[test]
fn an_exchange_that_was_cut_off_begins_with_the_old_token_in_the_file() {
    let Some(server) = Server::new() else { return };
    server.tell();
    server.write("breaks", "");
    assert!(!server.run("exchange"));
    server.passwords(AFTER);
    fs::remove_file(server.at("breaks")).unwrap();
    assert!(server.run("exchange"));
    let seen = server.read("seen").unwrap();
    let wanted = format!("agent,node,node,k3s:agent\n{OLD},server,server,k3s:server\n");
    assert_eq!(seen, wanted);
}
