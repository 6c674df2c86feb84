//! Tables and types agree: every argument is in the table, and everything in the table is an
//! argument or an attribute.

use kplan_model::codec::ObjectCodec;
use kplan_model::{Change, Resource};
use kplan_providers::{digitalocean as cloud, spaces};
use std::collections::BTreeSet;

fn agrees<R: Resource>() {
    let info = R::INFO;
    let kind = info.kind.as_str();
    let args: BTreeSet<&str> = R::Args::NAMES.iter().copied().collect();
    let attrs: BTreeSet<&str> = R::Attrs::NAMES.iter().copied().collect();
    let table: BTreeSet<&str> = info.fields.iter().map(|field| field.name).collect();
    assert_eq!(
        table.len(),
        info.fields.len(),
        "{kind}: a field stands twice in the table"
    );
    let known: BTreeSet<&str> = args.union(&attrs).copied().collect();
    assert_eq!(known, table, "{kind}");
    for field in info.fields {
        let computed = matches!(field.change, Change::Computed);
        assert_eq!(
            computed,
            !args.contains(field.name),
            "{kind}.{}",
            field.name
        );
        assert!(
            field.doc.ends_with('.'),
            "{kind}.{}: {}",
            field.name,
            field.doc
        );
    }
    for name in info.identity {
        assert!(args.contains(name), "{kind}: identity {name}");
    }
    assert!(info.max_parallel > 0, "{kind}");
}

#[test]
fn every_table_agrees_with_its_types() {
    agrees::<cloud::Tag>();
    agrees::<cloud::Vpc>();
    agrees::<cloud::Droplet>();
    agrees::<cloud::Firewall>();
    agrees::<cloud::Project>();
    agrees::<cloud::SshKey>();
    agrees::<cloud::LoadBalancer>();
    agrees::<cloud::ReservedIp>();
    agrees::<cloud::Volume>();
    agrees::<cloud::Database>();
    agrees::<cloud::DatabaseUser>();
    agrees::<cloud::DatabaseDb>();
    agrees::<cloud::SpacesKey>();
    agrees::<spaces::Bucket>();
}
