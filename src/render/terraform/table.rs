//! What the fields of each kind are called by the provider that has it. A field that stands in
//! neither list is the provider's by name and shape.

use super::shape::{Attribute, Shape};
use kplan_model::Kind;

/// How one kind is written.
pub(super) struct View {
    /// The kind.
    pub(super) kind: &'static str,
    /// Fields that the provider does not have.
    pub(super) own: &'static [&'static str],
    /// Fields of another name or shape.
    pub(super) attributes: &'static [Attribute],
    /// Fields that somebody else decides where the file does not: known once it is made.
    pub(super) decided: &'static [&'static str],
}

/// How a kind is written; nothing where no provider has it.
pub(super) fn view(kind: &Kind) -> Option<&'static View> {
    VIEWS.iter().find(|view| view.kind == kind.as_str())
}

const INBOUND: &[Attribute] = &[
    Attribute::renamed("addresses", "source_addresses"),
    Attribute::renamed("tags", "source_tags"),
    Attribute::new("droplet_ids", "source_droplet_ids", Shape::Number),
    Attribute::renamed("load_balancer_uids", "source_load_balancer_uids"),
];

const OUTBOUND: &[Attribute] = &[
    Attribute::renamed("addresses", "destination_addresses"),
    Attribute::renamed("tags", "destination_tags"),
    Attribute::new("droplet_ids", "destination_droplet_ids", Shape::Number),
    Attribute::renamed("load_balancer_uids", "destination_load_balancer_uids"),
];

const LIFECYCLE: &[Attribute] = &[
    Attribute::new("expiration_days", "expiration", Shape::Within("days")),
    Attribute::new(
        "noncurrent_version_expiration_days",
        "noncurrent_version_expiration",
        Shape::Within("days"),
    ),
];

/// Every kind that a provider of Terraform's has.
pub(super) static VIEWS: [View; 24] = [
    View {
        kind: "bucket",
        own: &["name_prefix", "access_key", "secret_key"],
        attributes: &[
            Attribute::new("versioning", "versioning", Shape::Within("enabled")),
            Attribute::new("lifecycle_rule", "lifecycle_rule", Shape::Blocks(LIFECYCLE)),
            Attribute::new("endpoint", "endpoint", Shape::Host),
        ],
        decided: &["name"],
    },
    View {
        kind: "cluster_load_balancer",
        own: &["size", "stored", "made_for", "created_at", "marks"],
        attributes: &[],
        decided: &[],
    },
    View {
        kind: "cluster_snapshot",
        own: &["made_for", "ip", "size_unit", "stored", "marks"],
        attributes: &[Attribute::new(
            "region",
            "regions",
            Shape::Only(&Shape::Same),
        )],
        decided: &[],
    },
    View {
        kind: "cluster_volume",
        own: &[
            "made_for",
            "ip",
            "created_at",
            "size_unit",
            "stored",
            "marks",
        ],
        attributes: &[],
        decided: &[],
    },
    View {
        kind: "database",
        // Terraform has the rules in a resource of their own; here they are part of the cluster,
        // which is never open.
        own: &[
            "rules",
            "owner_tag",
            "status",
            "ca_certificate",
            "created_at",
        ],
        attributes: &[Attribute::new(
            "storage_size_mib",
            "storage_size_mib",
            Shape::Text,
        )],
        decided: &["version", "storage_size_mib", "private_network_uuid"],
    },
    View {
        kind: "database_db",
        own: &[],
        attributes: &[],
        decided: &[],
    },
    View {
        kind: "database_user",
        own: &["password_after"],
        attributes: &[],
        decided: &[],
    },
    View {
        kind: "domain",
        own: &[],
        attributes: &[],
        decided: &[],
    },
    View {
        kind: "domain_record",
        own: &[],
        attributes: &[],
        decided: &[],
    },
    View {
        kind: "droplet",
        // The price is text because money is; the provider's is a floating-point number.
        own: &["boot", "power", "owner_tag", "price_monthly"],
        attributes: &[],
        decided: &["vpc_uuid"],
    },
    View {
        kind: "firewall",
        own: &[],
        attributes: &[
            Attribute::new("droplet_ids", "droplet_ids", Shape::Number),
            Attribute::new("inbound_rule", "inbound_rule", Shape::Blocks(INBOUND)),
            Attribute::new("outbound_rule", "outbound_rule", Shape::Blocks(OUTBOUND)),
        ],
        decided: &[],
    },
    View {
        kind: "helm_release",
        own: &[
            "access",
            "objects",
            "artifacts",
            "sources",
            "inventory",
            "waiting",
            "failed",
            "managed_by",
        ],
        attributes: &[Attribute::new(
            "values",
            "values",
            Shape::Only(&Shape::Same),
        )],
        decided: &[],
    },
    View {
        kind: "load_balancer",
        own: &["created_at"],
        attributes: &[
            Attribute::new("healthcheck", "healthcheck", Shape::Block(&[])),
            Attribute::new("firewall", "firewall", Shape::Block(&[])),
            Attribute::new("droplet_ids", "droplet_ids", Shape::Number),
        ],
        decided: &["size_unit", "vpc_uuid", "http_idle_timeout_seconds"],
    },
    View {
        kind: "project",
        own: &[],
        attributes: &[],
        decided: &[],
    },
    View {
        kind: "random_password",
        own: &["purpose"],
        attributes: &[],
        decided: &[],
    },
    View {
        kind: "repository_password",
        own: &["purpose"],
        attributes: &[],
        decided: &[],
    },
    View {
        kind: "reserved_ip",
        own: &["locked"],
        attributes: &[Attribute::new("droplet_id", "droplet_id", Shape::Number)],
        decided: &[],
    },
    View {
        kind: "sealing_key",
        own: &["purpose"],
        attributes: &[
            Attribute::renamed("private_key", "private_key_pem"),
            Attribute::renamed("certificate", "cert_pem"),
        ],
        decided: &[],
    },
    View {
        kind: "signing_key",
        own: &["purpose", "public_key"],
        attributes: &[Attribute::renamed("private_key", "private_key_pem_pkcs8")],
        decided: &[],
    },
    View {
        kind: "spaces_key",
        own: &[],
        attributes: &[],
        decided: &[],
    },
    View {
        kind: "ssh_key",
        own: &[],
        attributes: &[],
        decided: &[],
    },
    View {
        kind: "tag",
        own: &[],
        attributes: &[],
        decided: &[],
    },
    View {
        kind: "volume",
        own: &["owner_tag", "created_at"],
        attributes: &[Attribute::new(
            "droplet_id",
            "droplet_ids",
            Shape::Only(&Shape::Number),
        )],
        decided: &[],
    },
    View {
        kind: "vpc",
        own: &[],
        attributes: &[],
        decided: &["ip_range"],
    },
];
