//! A server that begins from a snapshot of etcd, with a stand-in for K3s that writes down what it is
//! told and does with its files what K3s does.

use crate::machine::{Machine, files, header, mode};
use kplan_providers::k3s::bundle::{File, Files};
use kplan_providers::k3s::pki::secret::sha256_hex;
use std::fs;

const SNAPSHOT: &str = "the bytes of a snapshot";
const NAME: &str = "etcd-snapshot-demo-server-1-1790000000";
const ENV: &str = "etc/kplan/etcd-restore.env";

/// What K3s does: a reset reads the file it is given and leaves a member's data and the flag, and
/// fails where `fail-reset` is; a server without an agent answers until it is ended, and takes the flag
/// away; `kubectl` shows and deletes the nodes and Secrets that are files here.
const K3S: &str = r#"#!/bin/sh
[ "$*" != --version ] || exit 0
echo "$*" >>"$KPLAN_ROOT/k3s.log"
db=$KPLAN_ROOT/var/lib/rancher/k3s/server/db
case $* in
*--cluster-reset*)
    [ ! -f "$db/reset-flag" ] || { echo "must manually delete the reset-flag"; exit 1; }
    for word; do
        case $word in --cluster-reset-restore-path=*) cat "${word#*=}" >"$KPLAN_ROOT/restored" ;; esac
    done
    [ ! -f "$KPLAN_ROOT/fail-reset" ] || { echo "token does not match"; exit 1; }
    mkdir -p "$db/etcd" && : >"$db/reset-flag"
    ;;
*--disable-agent*)
    rm -f "$db/reset-flag"
    [ ! -f "$KPLAN_ROOT/fail-server" ] || exit 1
    : >"$KPLAN_ROOT/ready"
    trap 'rm -f "$KPLAN_ROOT/ready"; exit 0' TERM
    while :; do sleep 0.05; done
    ;;
*kubectl*)
    [ -f "$KPLAN_ROOT/ready" ] || exit 1
    case $* in
    *"delete nodes --all"*)
        [ ! -f "$KPLAN_ROOT/fail-delete" ] || { echo "denied by a webhook"; exit 1; }
        rm -f "$KPLAN_ROOT"/nodes/*
        ;;
    *"get secrets"*) (cd "$KPLAN_ROOT/secrets" && for one in *; do echo "secret/$one"; done) ;;
    *"delete secret/"*) rm -f "$KPLAN_ROOT/secrets/${5#secret/}" ;;
    esac
    ;;
esac
"#;

fn restoring(machine: &Machine) -> Files {
    let url = machine.site.url();
    let mut files = files(url);
    let env = format!(
        "K3S_VERSION=v1.35.6+k3s1\nK3S_BINARY_URL={url}/k3s\nK3S_BINARY_SHA256={}\n",
        sha256_hex(K3S.as_bytes())
    );
    let mode = 0o644;
    files.insert("etc/kplan/k3s.env".to_owned(), File { mode, content: env });
    let env = format!(
        "NAME={NAME}\nURL={url}/snapshot?X-Amz-Signature=of-the-snapshot&x=1\nSIZE={}\nSHA256={}\n",
        SNAPSHOT.len(),
        sha256_hex(SNAPSHOT.as_bytes())
    );
    let mode = 0o600;
    files.insert(ENV.to_owned(), File { mode, content: env });
    files
}

/// A machine whose bundle says so, and a cluster of before in the snapshot.
fn machine() -> Option<Machine> {
    let machine = Machine::new()?;
    machine.site.put("/k3s", K3S);
    machine.site.put("/snapshot", SNAPSHOT);
    for (folder, names) in [
        ("/nodes", ["demo-server-0", "demo-agent-0"]),
        ("/secrets", ["demo-server-0.node-password.k3s", "mine"]),
    ] {
        fs::create_dir_all(machine.at(folder)).unwrap();
        for name in names {
            fs::write(machine.at(folder).join(name), "").unwrap();
        }
    }
    machine.offer(&header(), &restoring(&machine));
    Some(machine)
}

fn names(machine: &Machine, folder: &str) -> Vec<String> {
    let entries = fs::read_dir(machine.at(folder)).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.collect()
}

fn told(machine: &Machine) -> Vec<String> {
    let log = fs::read_to_string(machine.at("/k3s.log")).unwrap_or_default();
    let lines = log.lines().filter(|line| !line.contains("/readyz"));
    lines.map(str::to_owned).collect()
}

fn log(machine: &Machine) -> String {
    fs::read_to_string(machine.at("/var/log/kplan-boot.log")).unwrap()
}

fn failed(machine: &Machine) -> String {
    assert!(!machine.boot(), "{}", log(machine));
    let (phase, message) = machine.reports().pop().unwrap();
    assert_eq!(phase, "failed");
    let started = fs::read_to_string(machine.at("/systemctl")).unwrap();
    assert!(!started.contains("start --no-block k3s"), "{started}");
    assert!(!machine.at(&format!("/{ENV}")).exists());
    message
}

#[test]
fn k3s_begins_from_the_snapshot_and_forgets_the_nodes_of_before() {
    let Some(machine) = machine() else {
        return;
    };
    assert!(machine.boot(), "{}", log(&machine));
    let snapshot = machine.at(&format!("/var/lib/kplan/{NAME}"));
    let reset = format!(
        "server --cluster-reset --cluster-reset-restore-path={} --etcd-s3=false",
        snapshot.display()
    );
    assert_eq!(
        told(&machine),
        [
            reset.as_str(),
            "server --disable-agent --node-name=kplan-restore --etcd-s3=false",
            "kubectl delete nodes --all --timeout=120s",
            "kubectl -n kube-system get secrets -o name",
            "kubectl -n kube-system delete secret/demo-server-0.node-password.k3s --ignore-not-found",
        ]
    );
    let restored = fs::read_to_string(machine.at("/restored")).unwrap();
    assert_eq!(restored, SNAPSHOT);
    assert!(names(&machine, "/nodes").is_empty());
    assert_eq!(names(&machine, "/secrets"), ["mine"]);
    assert!(!machine.at("/ready").exists(), "the server goes on");
    for left in [&format!("/{ENV}"), "/etc/kplan/etcd-restoring"] {
        assert!(!machine.at(left).exists(), "{left}");
    }
    assert!(!snapshot.exists());
    assert_eq!(machine.phases().last().unwrap(), "started");
    let messages: Vec<String> = machine.reports().into_iter().map(|(_, it)| it).collect();
    assert!(messages.contains(&format!("resetting etcd to the snapshot {NAME}")));
    let commands = fs::read_to_string(machine.at("/systemctl")).unwrap();
    assert!(commands.contains("start --no-block k3s.service"));
}

#[test]
fn what_is_not_the_chosen_snapshot_is_not_begun_from() {
    let Some(machine) = machine() else {
        return;
    };
    let site = &machine.site;
    site.put("/snapshot", "the bytes of a Snapshot");
    assert!(failed(&machine).contains("the digest of the downloaded snapshot is not"));
    site.put("/snapshot", "less");
    assert!(failed(&machine).contains("has another size"));
    site.status("/snapshot", 403);
    assert_eq!(
        failed(&machine),
        "the address of the snapshot is refused (403): it has expired, or its key is gone"
    );
    site.status("/snapshot", 404);
    assert!(failed(&machine).contains("not in its bucket any more"));
    assert!(told(&machine).is_empty(), "{:?}", told(&machine));
    let report = machine.site.reports().pop().unwrap();
    let report = String::from_utf8(report).unwrap();
    assert!(!report.contains("of-the-snapshot"), "{report}");
    let mut files = restoring(&machine);
    let file = files.get_mut(ENV).unwrap();
    file.content = file.content.replace(NAME, "../../etc/passwd");
    machine.offer(&header(), &files);
    assert!(failed(&machine).contains("a name that is no file's"));
    // Right at last, the same machine goes on.
    machine.site.put("/snapshot", SNAPSHOT);
    machine.offer(&header(), &restoring(&machine));
    assert!(machine.boot(), "{}", log(&machine));
}

#[test]
fn cut_off_anywhere_it_is_done_again_and_done_once_it_is_not() {
    let Some(machine) = machine() else {
        return;
    };
    let resets = |machine: &Machine| {
        let told = told(machine);
        told.iter().filter(|it| it.contains("-reset ")).count()
    };
    let mut count = 0;
    for (flag, message) in [
        ("fail-reset", "K3s could not restore the snapshot"),
        ("fail-server", "K3s does not run on the snapshot"),
        ("fail-delete", "the nodes of the cluster that was could not"),
    ] {
        let flag = machine.at(flag);
        fs::write(&flag, "").unwrap();
        let said = failed(&machine);
        assert!(said.starts_with(message), "{said}");
        count += 1;
        assert_eq!(resets(&machine), count, "{:?}", told(&machine));
        assert_eq!(names(&machine, "/nodes").len(), 2);
        fs::remove_file(&flag).unwrap();
    }
    // The power was lost between the reset and the rest: its flag is there.
    let db = machine.at("/var/lib/rancher/k3s/server/db");
    fs::write(db.join("reset-flag"), "").unwrap();
    assert!(machine.boot(), "{}", log(&machine));
    assert_eq!(resets(&machine), count + 1);
    assert!(names(&machine, "/nodes").is_empty());
    // And between the start of K3s and the end of the script: nothing is restored over what runs.
    fs::remove_file(machine.at("/etc/kplan/booted")).unwrap();
    assert!(machine.boot(), "{}", log(&machine));
    assert_eq!(resets(&machine), count + 1);
    assert_eq!(mode(&machine.at("/etc/kplan/etcd-restored")), 0o600);
}

#[test]
fn data_of_etcd_that_is_not_its_own_is_never_restored_over() {
    let Some(machine) = machine() else {
        return;
    };
    let db = machine.at("/var/lib/rancher/k3s/server/db/etcd");
    fs::create_dir_all(&db).unwrap();
    assert_eq!(
        failed(&machine),
        "there is a member of etcd on this disk already; no snapshot is restored over it"
    );
    assert!(told(&machine).is_empty());
}
