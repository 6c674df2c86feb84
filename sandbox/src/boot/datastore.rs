//! An external SQL datastore, met as K3s meets it: name, port, login, certificate, trusted sources.

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;

use super::DropletFacts;
use crate::facts::{CloudFacts, DatabaseFacts};

/// Why a server cannot use its datastore.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(super) enum DatastoreError {
    #[error(
        "datastore-endpoint is not postgres://user:password@host:port/database or mysql://user:password@tcp(host:port)/database"
    )]
    Endpoint,
    #[error("datastore: no such host {0}")]
    Host(String),
    #[error("datastore: {host}:{port} does not answer ({engine} listens on {actual})")]
    Port {
        host: String,
        port: u16,
        engine: String,
        actual: u16,
    },
    #[error("datastore: {host} is a {actual} database, not {asked}")]
    Engine {
        host: String,
        actual: String,
        asked: &'static str,
    },
    #[error(
        "datastore: {host} does not answer; droplet {droplet} is not among the trusted sources of the database"
    )]
    Untrusted { host: String, droplet: u64 },
    #[error(
        "datastore: the endpoint has no sslmode=verify-full, so the connection would not be verified"
    )]
    Unverified,
    #[error(
        "datastore: the server's certificate is signed by an unknown authority (datastore-cafile {0})"
    )]
    Authority(String),
    #[error("datastore: password authentication failed for user {0:?}")]
    Login(String),
    #[error("datastore: the database {0:?} does not exist")]
    Database(String),
    #[error(
        "datastore: creating storage endpoint: permission denied for schema public (SQLSTATE 42501): the user {user:?} cannot create tables in the database {database:?}"
    )]
    Schema { user: String, database: String },
}

/// Why the node could not give K3s's user the right to create tables.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(super) enum GrantError {
    #[error("datastore-admin.env is not HOST, PORT, DATABASE, ADMIN, PASSWORD and USER")]
    File,
    #[error(transparent)]
    Connect(#[from] DatastoreError),
    #[error("datastore: role {0:?} does not exist")]
    Role(String),
    #[error("datastore: no privileges were granted for \"public\": {0:?} does not own it")]
    NotOwner(String),
    #[error("{0}")]
    Store(String),
}

/// What the boot script reads from `datastore-admin.env`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Grant {
    /// The administrator's way in.
    admin: Endpoint,
    /// The user that gets the right.
    user: String,
}

impl Grant {
    /// Reads the file.
    pub(super) fn parse(text: &str) -> Result<Grant, GrantError> {
        let get = |key: &str| {
            let value = text
                .lines()
                .find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
            value
                .filter(|value| !value.is_empty())
                .map(str::to_owned)
                .ok_or(GrantError::File)
        };
        let admin = Endpoint {
            engine: "pg",
            user: get("ADMIN")?,
            password: get("PASSWORD")?,
            host: get("HOST")?,
            port: get("PORT")?.parse().map_err(|_invalid| GrantError::File)?,
            database: get("DATABASE")?,
            // As the script calls psql.
            sslmode: Some("verify-full".to_owned()),
        };
        Ok(Grant {
            admin,
            user: get("USER")?,
        })
    }

    /// The administrator's password, to keep it out of reports.
    pub(super) fn password(&self) -> &str {
        &self.admin.password
    }

    /// Gives the right, as psql would from a droplet.
    pub(super) fn give(
        &self,
        cloud: &dyn CloudFacts,
        droplet: &DropletFacts,
        cafile: Option<&str>,
    ) -> Result<(), GrantError> {
        let database = self.admin.log_in(cloud, droplet, cafile)?;
        if !database.users.contains_key(&self.user) {
            return Err(GrantError::Role(self.user.clone()));
        }
        if database.admin != self.admin.user {
            return Err(GrantError::NotOwner(self.admin.user.clone()));
        }
        cloud
            .let_create(&self.admin.host, &self.admin.database, &self.user)
            .map_err(|error| GrantError::Store(error.to_string()))
    }
}

/// A parsed endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Endpoint {
    engine: &'static str,
    user: String,
    password: String,
    host: String,
    port: u16,
    database: String,
    sslmode: Option<String>,
}

impl Endpoint {
    /// Parses what K3s takes.
    pub(super) fn parse(text: &str) -> Result<Endpoint, DatastoreError> {
        parse(text).ok_or(DatastoreError::Endpoint)
    }

    /// What servers that share this datastore have in common.
    pub(super) fn identity(&self) -> String {
        format!(
            "{}/{}:{}/{}",
            self.engine, self.host, self.port, self.database
        )
    }

    /// The password, to keep it out of reports.
    pub(super) fn password(&self) -> &str {
        &self.password
    }

    /// Connects as K3s on a droplet would, which creates its table first of all.
    pub(super) fn connect(
        &self,
        cloud: &dyn CloudFacts,
        droplet: &DropletFacts,
        cafile: Option<&str>,
    ) -> Result<(), DatastoreError> {
        let database = self.log_in(cloud, droplet, cafile)?;
        if database.may_create(&self.database, &self.user) {
            return Ok(());
        }
        Err(DatastoreError::Schema {
            user: self.user.clone(),
            database: self.database.clone(),
        })
    }

    /// Logs in from a droplet.
    fn log_in(
        &self,
        cloud: &dyn CloudFacts,
        droplet: &DropletFacts,
        cafile: Option<&str>,
    ) -> Result<DatabaseFacts, DatastoreError> {
        let database = cloud
            .database_by_private_host(&self.host)
            .ok_or_else(|| DatastoreError::Host(self.host.clone()))?;
        let host = || self.host.clone();
        if database.engine != self.engine {
            return Err(DatastoreError::Engine {
                host: host(),
                actual: database.engine,
                asked: self.engine,
            });
        }
        if database.port != self.port {
            let engine = database.engine;
            return Err(DatastoreError::Port {
                host: host(),
                port: self.port,
                engine,
                actual: database.port,
            });
        }
        if !trusts(&database, droplet) {
            return Err(DatastoreError::Untrusted {
                host: host(),
                droplet: droplet.id,
            });
        }
        if self.engine == "pg" && self.sslmode.as_deref() != Some("verify-full") {
            return Err(DatastoreError::Unverified);
        }
        match cafile {
            Some(pem) if pem.trim() == database.ca_pem.trim() => {}
            Some(_) => {
                return Err(DatastoreError::Authority(
                    "has another certificate".to_owned(),
                ));
            }
            None => return Err(DatastoreError::Authority("is not set".to_owned())),
        }
        if database.users.get(&self.user) != Some(&self.password) {
            return Err(DatastoreError::Login(self.user.clone()));
        }
        if !database.databases.contains(&self.database) {
            return Err(DatastoreError::Database(self.database.clone()));
        }
        Ok(database)
    }
}

fn parse(text: &str) -> Option<Endpoint> {
    let (scheme, rest) = text.split_once("://")?;
    let engine = match scheme {
        "postgres" | "postgresql" => "pg",
        "mysql" => "mysql",
        _ => return None,
    };
    let (address, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (login, location) = address.rsplit_once('@')?;
    let (user, password) = login.split_once(':')?;
    let (place, database) = location.rsplit_once('/')?;
    let place = if engine == "mysql" {
        place.strip_prefix("tcp(")?.strip_suffix(')')?
    } else {
        place
    };
    let (host, port) = place.rsplit_once(':')?;
    let sslmode = query
        .split('&')
        .find_map(|pair| pair.strip_prefix("sslmode="))
        .map(str::to_owned);
    // PostgreSQL URLs are percent-encoded; MySQL's data source names are not. K3s lower-cases the
    // name of a PostgreSQL database.
    let decode = |text: &str| {
        if engine == "pg" {
            crate::spaces::percent_decode(text)
        } else {
            text.to_owned()
        }
    };
    let database = if engine == "pg" {
        database.to_lowercase()
    } else {
        database.to_owned()
    };
    let filled = !user.is_empty() && !host.is_empty() && !database.is_empty();
    let (user, password) = (decode(user), decode(password));
    let port = port.parse().ok().filter(|_| filled)?;
    Some(Endpoint {
        engine,
        user,
        password,
        host: host.to_owned(),
        port,
        database,
        sslmode,
    })
}

/// Whether a database's trusted sources let a droplet in; none at all means everybody.
fn trusts(database: &DatabaseFacts, droplet: &DropletFacts) -> bool {
    let has = |ip: Ipv4Addr| ip == droplet.public_ip || Some(ip) == droplet.private_ip;
    let covers = |net: Ipv4Net| {
        net.contains(&droplet.public_ip) || droplet.private_ip.is_some_and(|ip| net.contains(&ip))
    };
    database.rules.is_empty()
        || database
            .rules
            .iter()
            .any(|(kind, value)| match kind.as_str() {
                "droplet" => *value == droplet.id.to_string(),
                "tag" => droplet.tags.contains(value),
                "ip_addr" => value.parse().is_ok_and(has) || value.parse().is_ok_and(covers),
                _ => false,
            })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_of_both_engines_are_read() {
        let pg = Endpoint::parse("postgres://k3s:p%40ss@db.private:25060/K3s?sslmode=verify-full")
            .unwrap();
        assert_eq!(
            (pg.engine, pg.password.as_str(), pg.database.as_str()),
            ("pg", "p@ss", "k3s")
        );
        let mysql = Endpoint::parse("mysql://k3s:p@ss@tcp(db.private:25060)/k3s").unwrap();
        assert_eq!(
            (mysql.engine, mysql.password.as_str(), mysql.port),
            ("mysql", "p@ss", 25060)
        );
        for bad in [
            "",
            "http://a:b@c:1/d",
            "postgres://host:5432/db",
            "mysql://a:b@host:1/d",
            "postgres://a:b@c/d",
        ] {
            assert_eq!(Endpoint::parse(bad), Err(DatastoreError::Endpoint), "{bad}");
        }
    }
}
