//! `preflight::database`: whether a managed database of that engine, version, size and number of nodes
//! is sold in the region.

use super::Finding;
use super::sight::{Sight, is_given, number, text};
use kplan_model::Step;
use kplan_providers::digitalocean::catalogue::EngineOptions;

/// Every database that is made or changed can be had so.
pub(super) fn offered(sight: &Sight<'_>) -> Vec<Finding> {
    let Some(options) = sight.catalogue.databases.value() else {
        return Vec::new();
    };
    let mut found = Vec::new();
    for step in sight.of_kind("database") {
        let Some(engine) = text(step, "engine") else {
            continue;
        };
        match options.get(engine) {
            Some(options) => found.extend(judged(sight, step, options)),
            None => {
                let message = format!("DigitalOcean has no managed `{engine}`");
                let help = format!(
                    "there are {}",
                    options.keys().cloned().collect::<Vec<_>>().join(", ")
                );
                found.push(sight.error("preflight::database", (step, "engine"), message, help));
            }
        }
    }
    found
}

/// What is not offered of one engine. A list that is empty says nothing.
fn judged(sight: &Sight<'_>, step: &Step, options: &EngineOptions) -> Vec<Finding> {
    let code = "preflight::database";
    let mut found = Vec::new();
    for (field, what, all) in [
        ("region", "region", &options.regions),
        ("version", "version", &options.versions),
    ] {
        if let Some(wanted) = text(step, field).filter(|_| is_given(step, field))
            && !all.is_empty()
            && !all.iter().any(|one| one == wanted)
        {
            let message = format!("managed databases of this engine have no {what} `{wanted}`");
            let help = format!("there are {}", all.join(", "));
            found.push(sight.error(code, (step, field), message, help));
        }
    }
    let given = is_given(step, "size") || is_given(step, "node_count");
    if let (Some(size), Some(nodes), true) = (text(step, "size"), number(step, "node_count"), given)
        && !options.layouts.is_empty()
        && !has(options, nodes, size)
    {
        found.push(layout(sight, step, options, (size, nodes)));
    }
    found
}

fn has(options: &EngineOptions, nodes: u64, size: &str) -> bool {
    let layouts = options.layouts.iter();
    let mut fitting = layouts.filter(|layout| layout.num_nodes == nodes);
    fitting.any(|layout| layout.sizes.iter().any(|one| one == size))
}

fn layout(
    sight: &Sight<'_>,
    step: &Step,
    options: &EngineOptions,
    (size, nodes): (&str, u64),
) -> Finding {
    let with: Vec<String> = options
        .layouts
        .iter()
        .filter(|layout| layout.sizes.iter().any(|one| one == size))
        .map(|layout| layout.num_nodes.to_string())
        .collect();
    if with.is_empty() {
        let mut all: Vec<&str> = options
            .layouts
            .iter()
            .flat_map(|layout| &layout.sizes)
            .map(String::as_str)
            .collect();
        all.dedup();
        all.truncate(8);
        let message = format!("managed databases of this engine have no size `{size}`");
        let help = format!("there are {}, among others", all.join(", "));
        return sight.error("preflight::database", (step, "size"), message, help);
    }
    let message = format!("{size} cannot have {nodes} nodes");
    let help = format!("it can have {}", with.join(", "));
    sight.error("preflight::database", (step, "node_count"), message, help)
}

#[cfg(test)]
mod tests {
    use crate::preflight::testing::{Arg, Rig, catalogue, codes};

    fn args(version: &str, size: &str, nodes: i64, region: &str) -> Vec<(&'static str, Arg)> {
        vec![
            ("engine", "pg".into()),
            ("version", version.into()),
            ("size", size.into()),
            ("node_count", nodes.into()),
            ("region", region.into()),
        ]
    }

    fn said(args: &[(&'static str, Arg)]) -> Vec<String> {
        let mut rig = Rig::default();
        rig.create("database.a", args);
        let mut sight = rig.sight();
        assert_eq!(super::offered(&sight), [], "without a catalogue");
        sight.catalogue = catalogue();
        let found = super::offered(&sight);
        assert!(
            codes(&found)
                .iter()
                .all(|code| *code == "preflight::database")
        );
        found.into_iter().map(|one| one.message).collect()
    }

    #[test]
    fn what_is_not_sold_is_named() {
        let none = Vec::<String>::new();
        assert_eq!(said(&args("16", "db-s-1vcpu-2gb", 3, "fra1")), none);
        for (args, word) in [
            (args("9", "db-s-1vcpu-2gb", 1, "fra1"), "version `9`"),
            (args("16", "db-tiny", 1, "fra1"), "size `db-tiny`"),
            (
                args("16", "db-s-1vcpu-1gb", 2, "fra1"),
                "cannot have 2 nodes",
            ),
            (args("16", "db-s-1vcpu-2gb", 1, "atl1"), "region `atl1`"),
        ] {
            let said = said(&args);
            assert_eq!(said.len(), 1, "{said:?}");
            assert!(said[0].contains(word), "{said:?}");
        }
        let mut other = args("16", "db-s-1vcpu-2gb", 1, "fra1");
        other[0].1 = "oracle".into();
        assert!(said(&other)[0].contains("`oracle`"));
    }

    #[test]
    fn a_change_is_judged_by_what_it_changes() {
        // An engine's version that is no longer sold runs on.
        let mut rig = Rig::default();
        let args = args("9", "db-s-1vcpu-2gb", 3, "fra1");
        rig.update("database.a", "1", &args, "node_count");
        let mut sight = rig.sight();
        sight.catalogue = catalogue();
        assert_eq!(super::offered(&sight), []);
    }
}
