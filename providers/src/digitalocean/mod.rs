//! DigitalOcean: one file per kind of resource, and what they share: reading one, reading all by
//! list, waiting for an action.

mod account;
mod action;
pub mod catalogue;
mod database;
mod database_db;
mod database_part;
mod database_user;
mod discover;
mod domain;
mod domain_record;
mod droplet;
mod firewall;
mod last_look;
mod leavings;
mod load_balancer;
mod marks;
mod members;
mod names;
mod owner_tag;
mod owners;
mod project;
mod remainder;
mod remote;
mod reserved_ip;
mod spaces_key;
mod ssh_key;
mod tag;
mod tagging;
#[cfg(test)]
mod tests;
mod traces;
mod volume;
mod vpc;

pub use account::{Account, LIMITED, account, count, list_of};
pub use database::{Database, DatabaseArgs, DatabaseAttrs, DatabaseRule};
pub use database_db::{DatabaseDb, DatabaseDbArgs, DatabaseDbAttrs};
pub use database_user::{DatabaseUser, DatabaseUserArgs, DatabaseUserAttrs};
pub use discover::{Discovered, Discovery, KINDS, UNKEPT};
pub use domain::{Domain, DomainArgs, DomainAttrs, is_digitaloceans, strange_records};
pub use domain_record::{DomainRecord, DomainRecordArgs, DomainRecordAttrs};
pub use droplet::{Droplet, DropletArgs, DropletAttrs, droplets_of};
pub use firewall::{Firewall, FirewallArgs, FirewallAttrs, FirewallRule, all_ports};
pub use last_look::{LastLook, LastLookArgs};
pub use leavings::{Balancers, Left, LeftArgs, LeftAttrs, LeftMarks, Snapshots, Volumes};
pub use load_balancer::{
    ForwardingRule, HealthCheck, LoadBalancer, LoadBalancerArgs, LoadBalancerAttrs,
    LoadBalancerFirewall,
};
pub use marks::{Leaving, Look, Marks, leavings, name_for};
pub use members::{Member, strangers_in};
pub use names::{Taken, is_unique, taken};
pub use owner_tag::owning_cluster;
pub use owners::{Claim, other_owners};
pub use project::{Project, ProjectArgs, ProjectAttrs};
pub use remainder::{Remnant, Seen, Traces, remainder};
pub use reserved_ip::{ReservedIp, ReservedIpArgs, ReservedIpAttrs};
pub use spaces_key::{SpacesGrant, SpacesKey, SpacesKeyArgs, SpacesKeyAttrs};
pub use ssh_key::{SshKey, SshKeyArgs, SshKeyAttrs, without_comment};
pub use tag::{Tag, TagArgs, TagAttrs};
pub use traces::{CloudTraces, Traced, TracedKept, TracesArgs};
pub use volume::{Volume, VolumeArgs, VolumeAttrs};
pub use vpc::{Vpc, VpcArgs, VpcAttrs};

pub(crate) use remote::applied;

use crate::http::{Client, ClientConfig};

/// What a connection to DigitalOcean is made of; nothing is read from the environment.
pub type DigitalOceanConfig = ClientConfig;

/// Where DigitalOcean's API is.
pub const API_URL: &str = "https://api.digitalocean.com";

/// A connection to DigitalOcean with one token. Clones share its limiter and its lists.
#[derive(Clone)]
pub struct DigitalOcean {
    http: Client,
}

impl DigitalOcean {
    /// A connection.
    pub fn new(config: DigitalOceanConfig) -> Self {
        Self {
            http: Client::new(config),
        }
    }

    /// Its HTTP client, for calls that are no resource (account, catalogues).
    pub fn http(&self) -> &Client {
        &self.http
    }
}
