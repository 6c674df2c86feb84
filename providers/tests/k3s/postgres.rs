//! A real PostgreSQL with TLS, laid out like a managed one: an administrator that is no superuser
//! and owns the database, and a user of its own.

use kplan_conformance::skipped;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use tempfile::TempDir;

/// Names and passwords with everything that shells, SQL and connection strings care about.
pub(crate) const USER: &str = "k3s \"own\" $user's";
pub(crate) const USER_PASSWORD: &str = "user-password";
pub(crate) const ADMIN: &str = "doadmin";
pub(crate) const ADMIN_PASSWORD: &str = "p@ss:w\\ord'\"$(id)`id` %41;&|*#= \\\\n ünï";
pub(crate) const DATABASE: &str = "k3s";
/// A second one, to see that a right in one database is none in another.
pub(crate) const OTHER_DATABASE: &str = "defaultdb";

/// PostgreSQL refuses to run as root: then it runs as `nobody`.
const NOBODY: u32 = 65534;

/// A running server; it stops when this is dropped.
pub(crate) struct Postgres {
    folder: TempDir,
    programs: PathBuf,
    pub(crate) port: u16,
    pub(crate) ca: String,
}

/// Where Debian and others keep the server's programs: the newest version.
fn programs() -> Option<PathBuf> {
    let mut found: Vec<(u32, PathBuf)> = fs::read_dir("/usr/lib/postgresql")
        .ok()?
        .filter_map(|entry| {
            let path = entry.ok()?.path();
            let version = path.file_name()?.to_str()?.parse().ok()?;
            Some((version, path.join("bin")))
        })
        .filter(|(version, path)| *version >= 15 && path.join("initdb").exists())
        .collect();
    found.sort();
    found.pop().map(|(_, path)| path)
}

fn is_root() -> bool {
    let output = Command::new("id").arg("-u").output().unwrap();
    output.stdout.trim_ascii() == b"0"
}

fn succeeds(mut command: Command) {
    let output = command.output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(
        output.status.success(),
        "{command:?}\n{}{}",
        text(&output.stdout),
        text(&output.stderr)
    );
}

/// A certificate authority and a server's certificate and key, PEM.
fn certificates() -> (String, String, String) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    // Two certificates of one name would look like one that signed itself.
    params
        .distinguished_name
        .push(DnType::CommonName, "the database's authority");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca = params.self_signed(&key).unwrap();
    let issuer = Issuer::new(params, key);
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let certificate = params.signed_by(&key, &issuer).unwrap();
    (ca.pem(), certificate.pem(), key.serialize_pem())
}

impl Postgres {
    /// `None` where no PostgreSQL is installed.
    pub(crate) fn start() -> Option<Self> {
        let Some(programs) = programs() else {
            skipped("PostgreSQL");
            return None;
        };
        let folder = TempDir::new().unwrap();
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        let (ca, certificate, key) = certificates();
        let server = Self {
            folder,
            programs,
            port,
            ca,
        };
        server.lay_out(&certificate, &key);
        let log = server.at("log").display().to_string();
        server.run("pg_ctl", &["--wait", "--log", &log, "start"]);
        server.people();
        Some(server)
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A file that the server may read.
    fn write(&self, name: &str, text: &str) {
        let path = self.at(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        Self::give(&path);
    }

    fn give(path: &Path) {
        if is_root() {
            chown(path, Some(NOBODY), Some(NOBODY)).unwrap();
        }
    }

    /// Runs one of the server's programs on its data.
    fn run(&self, program: &str, args: &[&str]) {
        let program = self.programs.join(program);
        let mut command = if is_root() {
            let mut command = Command::new("setpriv");
            command
                .args(["--reuid", "65534", "--regid", "65534", "--clear-groups"])
                .arg(program);
            command
        } else {
            Command::new(program)
        };
        command
            .arg("--pgdata")
            .arg(self.at("data"))
            .args(args)
            .current_dir(self.folder.path());
        succeeds(command);
    }

    fn lay_out(&self, certificate: &str, key: &str) {
        Self::give(self.folder.path());
        self.write("password", USER_PASSWORD);
        let password = self.at("password").display().to_string();
        self.run(
            "initdb",
            &[
                "--username=postgres",
                "--auth=scram-sha-256",
                "--pwfile",
                &password,
                "--encoding=UTF8",
                "--locale=C",
                "--no-sync",
            ],
        );
        self.write("data/server.crt", certificate);
        self.write("data/server.key", key);
        self.write("data/pg_hba.conf", "hostssl all all all scram-sha-256\n");
        let conf = fs::read_to_string(self.at("data/postgresql.conf")).unwrap();
        let port = self.port;
        self.write(
            "data/postgresql.conf",
            &format!(
                "{conf}\nlisten_addresses = 'localhost'\nport = {port}\nssl = on\nfsync = off\n\
                 unix_socket_directories = ''\n"
            ),
        );
        fs::write(self.at("ca.pem"), &self.ca).unwrap();
    }

    /// The administrator, the user, and the databases the administrator owns.
    fn people(&self) {
        let text = "CREATE ROLE :\"admin\" LOGIN CREATEROLE CREATEDB PASSWORD :'secret';\n\
                    CREATE ROLE :\"user\" LOGIN PASSWORD :'password';\n\
                    CREATE DATABASE :\"one\" OWNER :\"admin\";\n\
                    CREATE DATABASE :\"two\" OWNER :\"admin\";\n";
        let file = self.at("people.sql");
        fs::write(&file, text).unwrap();
        let mut command = self.psql("postgres", USER_PASSWORD, "postgres");
        for (name, value) in [
            ("admin", ADMIN),
            ("secret", ADMIN_PASSWORD),
            ("user", USER),
            ("password", USER_PASSWORD),
            ("one", DATABASE),
            ("two", OTHER_DATABASE),
        ] {
            command.args(["--set", &format!("{name}={value}")]);
        }
        command.arg("--file").arg(file);
        succeeds(command);
    }

    fn psql(&self, user: &str, password: &str, database: &str) -> Command {
        let mut command = Command::new(self.programs.join("psql"));
        command
            .args([
                "--no-psqlrc",
                "--no-password",
                "--quiet",
                "--set",
                "ON_ERROR_STOP=1",
            ])
            .env("PGHOST", "localhost")
            .env("PGPORT", self.port.to_string())
            .env("PGUSER", user)
            .env("PGPASSWORD", password)
            .env("PGDATABASE", database)
            .env("PGSSLMODE", "verify-full")
            .env("PGSSLROOTCERT", self.at("ca.pem"));
        command
    }

    /// What K3s does first: whether its user can create a table, and what PostgreSQL said.
    pub(crate) fn creates_a_table(&self, database: &str, table: &str) -> (bool, String) {
        let statement = format!("CREATE TABLE IF NOT EXISTS {table} (id SERIAL PRIMARY KEY)");
        let mut command = self.psql(USER, USER_PASSWORD, database);
        let Output { status, stderr, .. } =
            command.args(["--command", &statement]).output().unwrap();
        (status.success(), String::from_utf8(stderr).unwrap())
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.run("pg_ctl", &["--mode=immediate", "stop"]);
    }
}
