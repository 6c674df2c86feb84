//! What DigitalOcean's API does not price. Each number stands beside the page it is from and the day on
//! which that page, or a record of it, said so; what no page was found for is not in here.

use super::money::Cents;

/// The newest day on which a price of this table was seen.
pub const DATED: &str = "2026-10-08";

/// A node of a load balancer. digitalocean.com, docs, products/networking/load-balancers/details/
/// pricing, seen 2026-10-07: a regional load balancer costs $12 a node.
pub const BALANCER_NODE: Cents = Cents(1200);

/// A GiB of a volume. products/volumes/details/pricing, seen 2026-05: $0.10 a GiB.
pub const VOLUME_GIB: Cents = Cents(10);

/// A GB of a snapshot. products/snapshots/details/pricing: $0.06 for Droplets and volumes.
pub const SNAPSHOT_GB: Cents = Cents(6);

/// Percent of a Droplet's price for its backups. products/backups/details/pricing, of 2026-03-09: 30
/// for daily ones, 20 for weekly ones. kplan asks for no policy, and the API's description says that
/// the plan is daily then.
pub const BACKUPS_PERCENT: i64 = 30;

/// A reserved address that leads nowhere; free as long as it leads to a Droplet.
/// products/networking/reserved-ips/details/pricing: $0.01 an hour, up to $5 a month.
pub const ADDRESS_UNASSIGNED: Cents = Cents(500);

/// Spaces, for all buckets of an account together. products/spaces/details/pricing: $5 with 250 GiB
/// stored and 1 TiB sent.
pub const SPACES: Cents = Cents(500);

/// A plan of managed PostgreSQL or MySQL.
pub struct DatabasePlan {
    /// Its slug.
    pub slug: &'static str,
    /// What a node costs, with the smallest disk it comes with.
    pub node: Cents,
    /// That disk in GiB.
    pub gib: i64,
}

const fn plan(slug: &'static str, node: i64, gib: i64) -> DatabasePlan {
    DatabasePlan {
        slug,
        node: Cents(node),
        gib,
    }
}

/// Plans of the Basic kind, shared processors. digitalocean.com/pricing/managed-databases, seen
/// 2026-10-08 ($15.15, $30.45, $60.90, $122.10, $244.35 for one node; a standby costs the same again).
/// Larger plans were not found.
pub const DATABASES: [DatabasePlan; 5] = [
    plan("db-s-1vcpu-1gb", 1515, 10),
    plan("db-s-1vcpu-2gb", 3045, 30),
    plan("db-s-2vcpu-4gb", 6090, 60),
    plan("db-s-4vcpu-8gb", 12210, 140),
    plan("db-s-6vcpu-16gb", 24435, 290),
];

/// Ten GiB of disk beyond a plan's own, which is how they are sold. The same page: $0.215 a GiB. It
/// does not say what they cost where there are standbys.
pub const DATABASE_TEN_GIB: Cents = Cents(215);

/// The plan of a slug.
pub fn database(slug: &str) -> Option<&'static DatabasePlan> {
    DATABASES.iter().find(|plan| plan.slug == slug)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_costs_its_processors_and_its_disk() {
        // Every number of the page fits the page's own price of a GiB: a misprint here would not.
        let processors: Vec<i64> = DATABASES
            .iter()
            .map(|plan| plan.node.0 - plan.gib / 10 * DATABASE_TEN_GIB.0)
            .collect();
        assert_eq!(processors, [1300, 2400, 4800, 9200, 18200]);
    }
}
