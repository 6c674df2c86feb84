//! A machine that cannot become a node: what it needs does not answer, or its K3s does not come up.
//! Each ends, and says what failed.

use crate::machine::{Machine, files, header};
use std::fs;
use std::net::TcpListener;

/// An address at which nobody listens.
fn nobody() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

impl Machine {
    fn log(&self) -> String {
        fs::read_to_string(self.at("/var/log/kplan-boot.log")).unwrap()
    }

    /// Boots, and expects that it fails, says so last, and will be tried again. What it said, and the
    /// log that went with it.
    fn fails(&self) -> (String, String) {
        assert!(!self.boot(), "{}", self.log());
        assert!(!self.at("/etc/kplan/booted").exists());
        let report = self.site.reports().pop().unwrap();
        let report: serde_json::Value = serde_json::from_slice(&report).unwrap();
        assert_eq!(report["phase"], "failed", "{report}");
        let text = |name: &str| report[name].as_str().unwrap().to_owned();
        (text("message"), text("log"))
    }
}

#[test]
fn without_a_network_the_log_on_the_machine_says_so() {
    let Some(mut machine) = Machine::new() else {
        return;
    };
    let env = machine.at("/etc/kplan/node.env");
    let text = fs::read_to_string(&env).unwrap();
    fs::write(&env, text.replace(machine.site.url(), &nobody())).unwrap();
    machine.told = vec![
        ("KPLAN_METADATA", nobody()),
        ("KPLAN_SILENCES", "1".to_owned()),
    ];
    assert!(!machine.boot());
    let log = machine.log();
    for said in [
        "waiting-for-bundle: polling for the bundle",
        "curl: (7)",
        "the report could not be delivered",
        "failed: the storage of the bundle does not answer as it should (000): no network",
    ] {
        assert!(log.contains(said), "{said}: {log}");
    }
    assert!(machine.site.reports().is_empty());
    assert!(!machine.at("/etc/rancher").exists());
}

#[test]
fn a_storage_that_is_broken_is_reported_where_the_report_can_be_left() {
    let Some(mut machine) = Machine::new() else {
        return;
    };
    machine.told = vec![("KPLAN_SILENCES", "1".to_owned())];
    machine.site.status("/bundle", 503);
    let (message, _) = machine.fails();
    assert!(
        message.starts_with("the storage of the bundle does not answer as it should (503)"),
        "{message}"
    );
}

#[test]
fn a_k3s_that_cannot_be_downloaded_is_reported_with_the_answer() {
    let Some(mut machine) = Machine::new() else {
        return;
    };
    machine.told = vec![("KPLAN_RETRIES", "0".to_owned())];
    for status in [404, 503] {
        machine.offer(&header(), &files(machine.site.url()));
        machine.site.status("/k3s", status);
        let (message, log) = machine.fails();
        assert_eq!(message, "K3s could not be downloaded");
        assert!(log.contains(&format!("error: {status}")), "{log}");
        assert!(!machine.at("/usr/local/bin/k3s").exists());
    }
    // Where nobody listens at all.
    machine.offer(&header(), &files(&nobody()));
    let (message, log) = machine.fails();
    assert_eq!(message, "K3s could not be downloaded");
    assert!(log.contains("curl: (7)"), "{log}");
}

#[test]
fn without_the_metadata_service_no_bundle_is_taken() {
    let Some(mut machine) = Machine::new() else {
        return;
    };
    machine.offer(&header(), &files(machine.site.url()));
    machine.site.status("/metadata/v1/id", 404);
    assert_eq!(machine.fails().0, "the metadata service does not answer");
    machine.told = vec![("KPLAN_METADATA", nobody())];
    assert_eq!(machine.fails().0, "the metadata service does not answer");
    assert!(!machine.at("/etc/rancher").exists());
}

#[test]
fn where_pods_could_reach_the_metadata_service_nothing_begins() {
    let Some(mut machine) = Machine::new() else {
        return;
    };
    machine.offer(&header(), &files(machine.site.url()));
    machine.told = vec![("KPLAN_DEAD_UNIT", "kplan-metadata.service".to_owned())];
    let (message, _) = machine.fails();
    assert!(
        message.contains("kplan-metadata.service is not active"),
        "{message}"
    );
    assert_eq!(machine.phases(), ["failed"]);
}

#[test]
fn a_k3s_that_does_not_come_up_is_reported_with_its_own_words() {
    let Some(mut machine) = Machine::new() else {
        return;
    };
    machine.offer(&header(), &files(machine.site.url()));
    machine.told = vec![
        ("KPLAN_DEAD_UNIT", "k3s.service".to_owned()),
        ("KPLAN_UNIT_WAIT", "63".to_owned()),
        ("KPLAN_READY_PAUSE", "0.01".to_owned()),
    ];
    fs::write(
        machine.at("/journal"),
        "level=fatal msg=\"no default routes found\"\n",
    )
    .unwrap();
    let (message, log) = machine.fails();
    assert_eq!(message, "K3s did not start within 63 seconds");
    assert!(log.contains("no default routes found"), "{log}");
    let reports = machine.reports();
    let waits = (
        "installing".to_owned(),
        "K3s is starting, for 60 seconds now".to_owned(),
    );
    assert!(reports.contains(&waits), "{reports:?}");
    assert!(!reports.iter().any(|(phase, _)| phase == "started"));
}
