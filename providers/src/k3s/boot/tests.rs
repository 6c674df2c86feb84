//! The document cloud-init reads, held against a YAML reader, shells and cloud-init itself.

use super::*;
use kplan_conformance::skipped;
use std::io::Write as _;
use std::process::{Command, Stdio};

pub(crate) fn args(role: &str) -> BootArgs {
    BootArgs {
        cluster: "demo-3f9a1c2e".to_owned(),
        node: "demo-server-0".to_owned(),
        role: role.to_owned(),
        bucket: "kplan-demo-a1b2c3d4".to_owned().into(),
        endpoint: "https://fra1.digitaloceanspaces.com".to_owned().into(),
        region: "fra1".to_owned().into(),
        access_key: "DO00ABC".to_owned().into(),
        secret_key: Secret::new("the-storage-key").into(),
        public_key: "-----BEGIN PUBLIC KEY-----\nMCow\n-----END PUBLIC KEY-----\n"
            .to_owned()
            .into(),
        packages: None,
        datastore_admin: None,
    }
}

fn addresses() -> Addresses {
    Addresses {
        bundle: "https://b.example/boot/x?X-Amz-Signature=1&a=%2F".to_owned(),
        report: "https://b.example/boot/x.report?X-Amz-Signature=2".to_owned(),
    }
}

fn files(text: &str) -> std::collections::BTreeMap<String, (String, String)> {
    let document: serde_norway::Value = serde_norway::from_str(text).unwrap();
    let entries = document["write_files"].as_sequence().unwrap();
    entries
        .iter()
        .map(|entry| {
            let get = |key: &str| entry[key].as_str().unwrap().to_owned();
            (get("path"), (get("permissions"), get("content")))
        })
        .collect()
}

#[test]
fn every_file_arrives_as_it_is_written_here() {
    let text = render(&args("server"), &addresses()).unwrap();
    assert!(text.starts_with("#cloud-config\n"));
    let files = files(&text);
    assert_eq!(
        files["/usr/local/sbin/kplan-boot"],
        ("0755".to_owned(), SCRIPT.to_owned())
    );
    assert!(!text.contains("packages:"), "nothing is installed unasked");
    assert_eq!(
        files["/etc/nftables.d/kplan-metadata.nft"].1,
        METADATA_RULES
    );
    assert_eq!(files["/etc/systemd/system/kplan-boot.service"].1, BOOT_UNIT);
    let updates = &files["/etc/apt/apt.conf.d/90kplan-updates"].1;
    assert!(updates.contains("Automatic-Reboot \"false\""), "{updates}");
    assert_eq!(
        files["/etc/kplan/node.env"].1,
        "FORMAT=1\nCLUSTER=demo-3f9a1c2e\nNODE=demo-server-0\nROLE=server\n\
         BUNDLE_URL=https://b.example/boot/x?X-Amz-Signature=1&a=%2F\n\
         REPORT_URL=https://b.example/boot/x.report?X-Amz-Signature=2\n"
    );
    let document: serde_norway::Value = serde_norway::from_str(&text).unwrap();
    assert_eq!(document["ssh_pwauth"].as_bool(), Some(false));
    let last = document["runcmd"].as_sequence().unwrap().last().unwrap();
    let words: Vec<&str> = last
        .as_sequence()
        .unwrap()
        .iter()
        .map(|w| w.as_str().unwrap())
        .collect();
    assert_eq!(
        words,
        ["systemctl", "start", "--no-block", "kplan-boot.service"]
    );
}

#[test]
fn what_would_break_the_document_is_refused() {
    let broken = |change: &dyn Fn(&mut BootArgs, &mut Addresses)| {
        let (mut args, mut addresses) = (args("server"), addresses());
        change(&mut args, &mut addresses);
        render(&args, &addresses).unwrap_err().message
    };
    assert!(broken(&|args, _| args.role = "boss".to_owned()).contains("`server` or an `agent`"));
    let package = |name: &str| broken(&|args, _| args.packages = Some(vec![name.to_owned()]));
    for bad in ["", "-y", "jq]\nruncmd: [", "jq: x"] {
        assert!(package(bad).contains("not the name of a package"), "{bad}");
    }
    assert!(broken(&|args, _| args.node = "a\nROLE=server".to_owned()).contains("NODE"));
    assert!(broken(&|_, to| to.bundle = "https://x/ y".to_owned()).contains("BUNDLE_URL"));
    assert!(broken(&|_, to| to.report = "x".repeat(MAX_USER_DATA)).contains("more than"));
    assert!(broken(&|args, _| args.public_key = "hello".to_owned().into()).contains("PEM"));
}

#[test]
fn the_name_of_the_bundle_is_the_same_for_whoever_has_the_key() {
    let one = args("server").bundle_key().unwrap();
    assert_eq!(
        one,
        object_key("demo-3f9a1c2e", "demo-server-0", "the-storage-key")
    );
    assert!(
        one.starts_with("boot/demo-server-0-") && one.len() == "boot/demo-server-0-".len() + 16
    );
    assert_ne!(
        one,
        object_key("demo-3f9a1c2e", "demo-server-0", "another-key")
    );
    assert_ne!(
        one,
        object_key("demo-3f9a1c2f", "demo-server-0", "the-storage-key")
    );
}

/// Runs a program that is fed a script, if the program is there.
fn fed(program: &str, arguments: &[&str], script: &str) -> Option<bool> {
    let mut command = Command::new(program);
    let child = command.args(arguments).stdin(Stdio::piped()).spawn();
    let mut child = child.ok()?;
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(script.as_bytes()).unwrap();
    drop(stdin);
    Some(child.wait().unwrap().success())
}

#[test]
fn the_scripts_are_shell_scripts() {
    for script in [SCRIPT, crate::k3s::server_token::SCRIPT] {
        for shell in ["sh", "dash", "bash"] {
            let read = fed(shell, &["-n"], script);
            assert_ne!(read, Some(false), "{shell} does not read the script");
        }
        match fed(
            "shellcheck",
            &["--shell=sh", "--severity=style", "-"],
            script,
        ) {
            None => return skipped("shellcheck"),
            clean => assert_eq!(clean, Some(true)),
        }
    }
}

/// What nft says of a ruleset without loading it; `None` where nft is missing. It asks the kernel
/// first, for which it has to be root, if only of a network of its own.
fn nft(rules: &str) -> Option<Result<(), String>> {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), rules).unwrap();
    // Debian keeps it off the path of who is not root.
    let nft = ["nft", "/usr/sbin/nft"]
        .into_iter()
        .find(|nft| Command::new(nft).arg("--version").output().is_ok())?;
    let check = |program: &str, before: &[&str]| {
        let ran = Command::new(program)
            .args(before)
            .args(["-c", "-f"])
            .arg(file.path())
            .output();
        ran.map_err(|error| error.to_string()).and_then(|output| {
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            if output.status.success() {
                Ok(())
            } else {
                Err(said)
            }
        })
    };
    let judged = check(nft, &[]);
    if judged
        .as_ref()
        .is_err_and(|said| said.contains("not permitted"))
    {
        return Some(check("unshare", &["--map-root-user", "--net", nft]));
    }
    Some(judged)
}

#[test]
fn nft_takes_the_rules_that_keep_pods_from_the_metadata_service() {
    let Some(judged) = nft(METADATA_RULES) else {
        return skipped("nft");
    };
    assert_eq!(judged, Ok(()));
    for rule in [
        "ip daddr 169.254.169.254 ip saddr 10.42.0.0/16 counter drop",
        "ip daddr 169.254.169.254 iifname \"cni0\" counter drop",
    ] {
        assert!(METADATA_RULES.contains(rule), "{rule}");
        // What nft does not understand it does not take, so its yes means something.
        let broken = METADATA_RULES.replace(rule, &rule.replace("daddr", "dadr"));
        assert!(nft(&broken).unwrap().is_err(), "{rule}");
    }
}

#[test]
fn cloud_init_reads_the_document() {
    let folder = tempfile::TempDir::new().unwrap();
    let file = folder.path().join("user-data");
    let mut server = args("server");
    server.packages = Some(vec!["postgresql-client".to_owned()]);
    for args in [args("agent"), server] {
        std::fs::write(&file, render(&args, &addresses()).unwrap()).unwrap();
        let ran = Command::new("cloud-init")
            .args(["schema", "--config-file"])
            .arg(&file)
            .output();
        let Ok(output) = ran else {
            return skipped("cloud-init");
        };
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{errors}");
    }
}

#[test]
fn packages_are_installed_before_the_boot_script_runs() {
    let mut args = args("server");
    args.packages = Some(vec!["postgresql-client".to_owned(), "jq".to_owned()]);
    let text = render(&args, &addresses()).unwrap();
    let document: serde_norway::Value = serde_norway::from_str(&text).unwrap();
    let packages = document["packages"].as_sequence().unwrap();
    assert_eq!(packages, &["postgresql-client", "jq"]);
    assert_eq!(document["package_update"].as_bool(), Some(true));
}
