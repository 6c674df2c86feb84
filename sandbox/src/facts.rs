//! What the parts of the sandbox that are not DigitalOcean's API may know about the account.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use crate::store::StoreError;

/// What a booting node, the proxy and the object store ask of the account.
pub trait CloudFacts: Send + Sync {
    /// The database cluster whose private (or public) host name this is, once it is online.
    fn database_by_private_host(&self, host: &str) -> Option<DatabaseFacts>;
    /// Somebody with the right to do so lets a user create in the schema `public` of a database.
    fn let_create(&self, host: &str, database: &str, user: &str) -> Result<(), StoreError>;
    /// The public addresses of the droplets behind the load balancer with this address; `None`
    /// when no load balancer has it.
    fn load_balancer_targets(&self, ip: Ipv4Addr) -> Option<Vec<Ipv4Addr>>;
    /// The droplet that has this public, private or reserved address.
    fn droplet_by_ip(&self, ip: Ipv4Addr) -> Option<u64>;
    /// The addresses that the account's own domains give for a host's name.
    fn addresses_of(&self, name: &str) -> Vec<Ipv4Addr>;
    /// Every Spaces key of the account with its secret.
    fn spaces_keys(&self) -> Vec<SpacesKeyFacts>;
}

/// What a client of a managed database meets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DatabaseFacts {
    /// `pg` or `mysql`.
    pub engine: String,
    /// The major version, such as `16`.
    pub version: String,
    /// The user that came with the cluster and owns its databases.
    pub admin: String,
    /// Public host name.
    pub host: String,
    /// Host name inside the VPC.
    pub private_host: String,
    /// TCP port (25060 for a cluster, as on DigitalOcean).
    pub port: u16,
    /// User name to password.
    pub users: BTreeMap<String, String>,
    /// Names of the databases.
    pub databases: Vec<String>,
    /// (database, user): who was let create in the schema `public` of which database.
    pub creators: BTreeSet<(String, String)>,
    /// Trusted sources as (type, value); empty means open to everybody.
    pub rules: Vec<(String, String)>,
    /// Certificate of the authority that signs the server's certificate.
    pub ca_pem: String,
}

impl DatabaseFacts {
    /// Whether a user may create tables in a database, in the schema every client creates in.
    /// From PostgreSQL 15 on that is its owner's right; before, everybody's.
    pub fn may_create(&self, database: &str, user: &str) -> bool {
        let everybody = self.engine != "pg" || self.version.parse().is_ok_and(|v: u32| v < 15);
        everybody
            || user == self.admin
            || self
                .creators
                .contains(&(database.to_owned(), user.to_owned()))
    }
}

/// A Spaces key as the object store needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpacesKeyFacts {
    /// Public half.
    pub access_key: String,
    /// Secret half.
    pub secret_key: String,
    /// (bucket, permission); an empty bucket with `fullaccess` means all buckets.
    pub grants: Vec<(String, String)>,
}
