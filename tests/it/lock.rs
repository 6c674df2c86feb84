//! `kplan lock`: the real upstream manifests from a mirror folder, pinned by what kplan carries;
//! what it does not carry is recorded at first use. Needs the manifests (`KPLAN_TEST_UPSTREAM`).

use crate::support::Folder;
use std::path::{Path, PathBuf};

const FILE: &str = r#"
[cluster]
name   = "demo"
region = "fra1"

[servers]
size = "s-2vcpu-4gb"

[mirror]
folder = "mirror"

[gitops]
repo = "https://github.com/argoproj/argocd-example-apps.git"
path = "apps"

[backup]
bucket    = "demo-backup"
schedules = [{ name = "nightly", cron = "0 2 * * *", keep = "30d" }]
"#;

/// No K3s binary is at hand: these bytes stand for one, and have no digest in the version set.
const K3S: &str = "mirror/k3s/v1.35.6+k3s1/k3s";

fn upstream() -> Option<PathBuf> {
    let folder = std::env::var_os("KPLAN_TEST_UPSTREAM").map(PathBuf::from);
    if folder.is_none() {
        kplan_conformance::skipped("KPLAN_TEST_UPSTREAM");
    }
    folder
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a folder");
    for entry in std::fs::read_dir(from).expect("the manifests") {
        let entry = entry.expect("an entry");
        let target = to.join(entry.file_name());
        if entry.file_type().expect("a type").is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).expect("a copy");
        }
    }
}

#[test]
fn a_lock_pins_what_came_from_the_mirror_and_stops_at_bytes_that_changed() {
    let Some(upstream) = upstream() else { return };
    let folder = Folder::with(FILE);
    copy(&upstream, &folder.path().join("mirror"));
    let k3s = folder.path().join(K3S);
    std::fs::create_dir_all(k3s.parent().expect("a folder")).expect("a folder");
    std::fs::write(&k3s, "k3s").expect("write");
    let document = folder.kplan(&["lock", "--json"]).ok().json();
    assert!(document["artifacts"].as_u64() > Some(10), "{document}");
    let lock = || std::fs::read_to_string(folder.path().join("kplan.lock")).expect("the lock");
    let first = lock();
    for component in [
        "k3s",
        "digitalocean-ccm",
        "csi-digitalocean",
        "velero",
        "argo-cd",
    ] {
        assert!(
            first.contains(component),
            "{component} is missing in:\n{first}"
        );
    }
    folder.kplan(&["lock"]).ok();
    assert_eq!(first, lock(), "a lock changed although nothing did");

    // Another Argo CD under the same version, as an attacker would put on the mirror. The cache
    // holds the right bytes, so another machine is asked.
    let argocd = folder.path().join("mirror/argo-cd/v3.4.7/install.yaml");
    std::fs::write(&argocd, "kind: Attack").expect("write");
    folder.kplan(&["lock"]).ok();
    std::fs::remove_dir_all(folder.home().join(".cache")).expect("the cache");
    let run = folder.kplan(&["lock"]).expect_code(1);
    assert!(run.err.contains("argo-cd"), "{}", run.err);
    assert!(run.err.contains("sha256"), "{}", run.err);
    assert_eq!(first, lock(), "a refused lock was written");
}
