//! What lets K3s's own user create its tables in a managed PostgreSQL.
//!
//! Since version 15, PostgreSQL lets only a database's owner create in its schema `public`, and
//! the owner of a managed database is the administrator. The right itself is the smallest thing
//! that helps: `USAGE` and `CREATE` on that one schema. Making K3s's user the owner would need a
//! right over that user which the administrator may not have, and would let K3s drop the
//! database. Default privileges are of no use: K3s's user owns every table it creates.

use super::bundle::File;
use super::node::Datastore;
use super::pki::exposed;
use kplan_model::{ErrorKind, Input, ProviderError, Secret};
use std::fmt::Write as _;

/// The package that brings `psql`, on Debian and Ubuntu.
pub const CLIENT_PACKAGE: &str = "postgresql-client";

/// The first major version of PostgreSQL in which the right is not everybody's.
const FIRST_VERSION: u32 = 15;

/// The user every managed database comes with; it owns every database.
pub const ADMIN: &str = "doadmin";

/// Where the file lies on the node, until the right is given.
pub(super) const PATH: &str = "etc/kplan/datastore-admin.env";

kplan_model::object! {
    /// Who may give rights in the datastore.
    pub struct DatastoreAdmin {
        /// The administrator's name.
        pub user: Input<String>,
        /// The administrator's password.
        pub password: Input<Secret>,
    }
}

/// Whether a user of its own in that PostgreSQL must be given the right to create tables.
pub fn is_needed(major: u32, user: &str) -> bool {
    major >= FIRST_VERSION && user != ADMIN
}

fn refused(what: &str) -> ProviderError {
    ProviderError::new(
        ErrorKind::Invalid,
        format!("the datastore cannot be prepared for K3s: {what}"),
    )
}

/// The file from which the node gives K3s's user its right: `KEY=value` lines, the values as they
/// are.
///
/// Fails when a value is missing or does not fit on one line.
pub(super) fn file(
    admin: &DatastoreAdmin,
    datastore: Option<&Datastore>,
) -> Result<File, ProviderError> {
    let datastore = datastore
        .filter(|datastore| datastore.kind == "postgres")
        .ok_or_else(|| refused("it is no PostgreSQL"))?;
    let Datastore {
        host: Some(host),
        port: Some(port),
        user: Some(user),
        database: Some(database),
        ..
    } = datastore
    else {
        return Err(refused("its host, port, user or database is not declared"));
    };
    let port = port.known()?.to_string();
    let mut content = String::new();
    for (name, value) in [
        ("HOST", host.known()?.as_str()),
        ("PORT", &port),
        ("DATABASE", database.known()?),
        ("USER", user.known()?),
        ("ADMIN", admin.user.known()?),
        ("PASSWORD", exposed(admin.password.known()?)?),
    ] {
        if value.is_empty() || value.chars().any(char::is_control) {
            return Err(refused(&format!("{name} is empty or not one line of text")));
        }
        let _ = writeln!(content, "{name}={value}");
    }
    Ok(File {
        mode: 0o600,
        content,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn datastore(kind: &str) -> Datastore {
        let text = |text: &str| Some(Input::Known(text.to_owned()));
        Datastore {
            kind: kind.to_owned(),
            host: text("private-db.example"),
            port: Some(Input::Known(25060)),
            user: text("k3s"),
            password: None,
            database: text("k3s_data"),
            ca: None,
        }
    }

    fn admin(password: &str) -> DatastoreAdmin {
        DatastoreAdmin {
            user: ADMIN.to_owned().into(),
            password: Secret::new(password.to_owned()).into(),
        }
    }

    #[test]
    fn the_login_is_in_lines_nobody_else_can_read() {
        let file = file(&admin("a=b \\ 'c'"), Some(&datastore("postgres"))).unwrap();
        assert_eq!(file.mode, 0o600);
        assert_eq!(
            file.content,
            "HOST=private-db.example\nPORT=25060\nDATABASE=k3s_data\nUSER=k3s\nADMIN=doadmin\n\
             PASSWORD=a=b \\ 'c'\n"
        );
    }

    #[test]
    fn what_the_node_could_not_read_is_refused() {
        let refused = |password: &str, datastore: Option<&Datastore>| {
            file(&admin(password), datastore).err().unwrap().message
        };
        let good = datastore("postgres");
        assert!(refused("a\nUSER=root", Some(&good)).contains("PASSWORD is empty or not one line"));
        assert!(refused("", Some(&good)).contains("PASSWORD"));
        assert!(refused("a", Some(&datastore("mysql"))).contains("no PostgreSQL"));
        assert!(refused("a", None).contains("no PostgreSQL"));
        let nowhere = Datastore {
            host: None,
            ..datastore("postgres")
        };
        assert!(refused("a", Some(&nowhere)).contains("not declared"));
    }

    #[test]
    fn only_a_user_of_its_own_in_a_new_postgresql_needs_it() {
        assert!(is_needed(15, "k3s") && is_needed(18, "k3s"));
        assert!(!is_needed(14, "k3s"));
        assert!(!is_needed(16, "doadmin"));
    }
}
