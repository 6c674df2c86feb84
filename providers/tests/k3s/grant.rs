//! What a server does to its datastore before K3s starts, against a real PostgreSQL.

use crate::machine::{Machine, PKI, boot_args, files, header, mode};
use crate::postgres::{
    ADMIN, ADMIN_PASSWORD, DATABASE, OTHER_DATABASE, Postgres, USER, USER_PASSWORD,
};
use kplan_model::{Input, Secret};
use kplan_providers::artifacts::ArtifactRef;
use kplan_providers::k3s::bundle::Files;
use kplan_providers::k3s::{BootArgs, Datastore, DatastoreAdmin, NodeArgs, config};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::PathBuf;

const LOGIN: &str = "/etc/kplan/datastore-admin.env";
const REFUSED: &str = "the datastore did not let K3s's user create its tables";

/// An administrator's login to a datastore.
#[derive(Clone, Copy)]
struct Login<'a> {
    port: u16,
    user: &'a str,
    admin: &'a str,
    password: &'a str,
    ca: &'a str,
}

impl Login<'_> {
    fn node(&self, role: &str) -> NodeArgs {
        let text = |text: &str| Some(Input::Known(text.to_owned()));
        let datastore = Datastore {
            kind: "postgres".to_owned(),
            host: text("localhost"),
            port: Some(Input::Known(self.port)),
            user: text(self.user),
            password: Some(Secret::new("of-the-user").into()),
            database: text(DATABASE),
            ca: text(self.ca),
        };
        NodeArgs {
            boot: BootArgs {
                datastore_admin: Some(DatastoreAdmin {
                    user: self.admin.to_owned().into(),
                    password: Secret::new(self.password.to_owned()).into(),
                }),
                ..boot_args(role)
            },
            droplet_id: "4711".to_owned().into(),
            droplet_created_at: None,
            private_ip: "10.10.10.2".to_owned().into(),
            public_ip: None,
            certificates: Some(PKI.certificates.clone().into()),
            server_keys: Some(PKI.server_keys.clone().into()),
            token_hash: PKI.token_hash.clone().into(),
            server_token: Some(PKI.server_token.clone().into()),
            server_token_before: None,
            server_token_after: None,
            agent_token: PKI.agent_token.clone().into(),
            bundle_key: PKI.bundle_key.clone().into(),
            datastore: Some(datastore),
            init: false,
            join: text("10.10.10.3"),
            begun: None,
            etcd_snapshots: None,
            restore: None,
            tls_sans: Vec::new(),
            disable: Vec::new(),
            labels: BTreeMap::new(),
            taints: Vec::new(),
            version: "v1.35.6+k3s1".to_owned(),
            binary: ArtifactRef {
                component: "k3s".to_owned(),
                version: "v1.35.6+k3s1".to_owned(),
                file: "k3s".to_owned(),
                url: "https://example.org/k3s".to_owned(),
                sha256: None,
            },
            api: None,
            certificates_after: None,
        }
    }

    /// The files of a server that is to prepare this datastore, with a K3s it can download.
    fn files(&self, machine: &Machine) -> Files {
        let mut all = config::files(&self.node("server"), "digest").unwrap();
        all.extend(files(machine.site.url()));
        all
    }
}

impl Postgres {
    fn login(&self) -> Login<'_> {
        Login {
            port: self.port,
            user: USER,
            admin: ADMIN,
            password: ADMIN_PASSWORD,
            ca: &self.ca,
        }
    }
}

/// Everything that leaves the machine or stays on it.
fn told(machine: &Machine) -> String {
    let log = fs::read_to_string(machine.at("/var/log/kplan-boot.log")).unwrap();
    let reports = machine.site.reports();
    let reports = reports.iter().map(|report| String::from_utf8_lossy(report));
    reports.fold(log, |all, report| all + &report)
}

#[test]
fn k3ss_user_can_create_its_tables_after_the_boot_and_not_before() {
    let (Some(machine), Some(postgres)) = (Machine::new(), Postgres::start()) else {
        return;
    };
    let (can, why) = postgres.creates_a_table(DATABASE, "kine");
    assert!(
        !can && why.contains("permission denied for schema public"),
        "{why}"
    );
    machine.offer(&header(), &postgres.login().files(&machine));
    assert!(machine.boot(), "{}", told(&machine));
    assert_eq!(
        machine.phases(),
        [
            "waiting-for-bundle",
            "bundle-verified",
            "installing",
            "installing",
            "started"
        ]
    );
    let (can, why) = postgres.creates_a_table(DATABASE, "kine");
    assert!(can, "{why}");
    // That and no more.
    assert!(!postgres.creates_a_table(OTHER_DATABASE, "kine").0);
    assert!(!machine.at(LOGIN).exists(), "the login stays");
    let told = told(&machine);
    assert!(!told.contains("p@ss:w"), "{told}");

    // The next server does the same again.
    let next = Machine::new().unwrap();
    next.offer(&header(), &postgres.login().files(&next));
    assert!(next.boot());
    assert!(postgres.creates_a_table(DATABASE, "second").0);
}

#[test]
fn what_is_wrong_with_the_datastore_is_told_without_the_password() {
    let (Some(machine), Some(postgres)) = (Machine::new(), Postgres::start()) else {
        return;
    };
    let other = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let other = other.cert.pem();
    let login = postgres.login();
    let cases = [
        (
            Login {
                password: "wrong-password",
                ..login
            },
            "password authentication failed",
        ),
        (
            Login {
                ca: &other,
                ..login
            },
            "certificate verify failed",
        ),
        // Who owns nothing gives nothing; PostgreSQL itself only warns about it.
        (
            Login {
                admin: USER,
                password: USER_PASSWORD,
                ..login
            },
            "no privileges were granted",
        ),
        (
            Login {
                user: "nobody",
                ..login
            },
            "role \\\"nobody\\\" does not exist",
        ),
    ];
    for (login, why) in cases {
        machine.offer(&header(), &login.files(&machine));
        assert!(!machine.boot(), "{why}");
        let last = machine.reports().pop().unwrap();
        assert_eq!(last, ("failed".to_owned(), REFUSED.to_owned()));
        let report = String::from_utf8(machine.site.reports().pop().unwrap()).unwrap();
        assert!(report.contains(why), "{why}: {report}");
        for secret in ["p@ss:w", "wrong-password", USER_PASSWORD] {
            assert!(!told(&machine).contains(secret), "{secret}");
        }
        assert!(!machine.at(LOGIN).exists(), "the login stays");
        assert!(!machine.at("/usr/local/bin/k3s").exists());
    }
    assert!(!postgres.creates_a_table(DATABASE, "kine").0);
}

impl Machine {
    /// A program of the machine.
    fn program(&self, name: &str, text: &str) {
        let path = self.at(name);
        fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// A folder with every program of this machine but `psql` and `apt-get`.
    fn programs_without_psql(&self) -> PathBuf {
        let folder = self.at("/programs");
        fs::create_dir_all(&folder).unwrap();
        let path = std::env::var("PATH").unwrap();
        for entry in path
            .split(':')
            .filter_map(|from| fs::read_dir(from).ok())
            .flatten()
        {
            let entry = entry.unwrap();
            let name = entry.file_name();
            if name != "psql" && name != "apt-get" {
                // The first of a name counts, as in PATH.
                drop(symlink(entry.path(), folder.join(name)));
            }
        }
        folder
    }
}

#[test]
fn psql_is_installed_where_cloud_init_could_not_and_gets_no_secret_in_its_arguments() {
    let Some(machine) = Machine::new() else {
        return;
    };
    let programs = machine.programs_without_psql();
    let path = programs.display().to_string();
    let login = Login {
        port: 25060,
        user: USER,
        admin: ADMIN,
        password: ADMIN_PASSWORD,
        ca: "CA",
    };
    machine.offer(&header(), &login.files(&machine));
    machine.program("/programs/apt-get", "echo \"apt-get $*\"; exit 100");
    assert!(!machine.boot_with(&path));
    assert_eq!(
        machine.reports().pop().unwrap().1,
        "psql is missing and could not be installed"
    );
    let psql = "{ echo \"$@\"; env | grep ^PG; cat; } >\"$KPLAN_ROOT/psql\"; echo t";
    machine.program("/new-psql", psql);
    machine.program(
        "/programs/apt-get",
        "case $* in *postgresql-client) cp \"$KPLAN_ROOT/new-psql\" \"$KPLAN_ROOT/programs/psql\" ;; esac",
    );
    assert!(machine.boot_with(&path), "{}", told(&machine));
    let called = fs::read_to_string(machine.at("/psql")).unwrap();
    let (arguments, rest) = called.split_once('\n').unwrap();
    assert!(
        arguments.contains(&format!("k3s_user={USER}")),
        "{arguments}"
    );
    assert!(!arguments.contains("p@ss:w"), "{arguments}");
    for line in [
        format!("PGPASSWORD={ADMIN_PASSWORD}\n"),
        "PGSSLMODE=verify-full\n".to_owned(),
        "PGHOST=localhost\n".to_owned(),
        format!("PGDATABASE={DATABASE}\n"),
        "GRANT USAGE, CREATE ON SCHEMA public TO :\"k3s_user\";\n".to_owned(),
    ] {
        assert!(rest.contains(&line), "{line}: {rest}");
    }
    assert_eq!(mode(&machine.at("/run/kplan")) & 0o077, 0);
}

#[test]
fn agents_never_get_the_login() {
    let login = Login {
        port: 25060,
        user: USER,
        admin: ADMIN,
        password: ADMIN_PASSWORD,
        ca: "CA",
    };
    let files = config::files(&login.node("agent"), "digest").unwrap();
    assert!(!files.contains_key(LOGIN.trim_start_matches('/')));
    assert!(files.values().all(|file| !file.content.contains("p@ss:w")));
}
