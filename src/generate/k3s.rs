//! Droplets that form a K3s cluster, told by their tags.

use super::read::Machine;
use std::collections::{BTreeMap, BTreeSet};

/// The words of a tag that say what a node is.
const SERVER: [&str; 5] = ["server", "servers", "master", "masters", "control"];
const AGENT: [&str; 4] = ["agent", "agents", "worker", "workers"];

/// What a node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Server,
    Agent,
}

/// A pool of equal droplets, by name.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Pool<'a> {
    /// `servers`, or what the agents' names have in common.
    pub name: String,
    /// They are alike in everything that a pool says.
    pub members: Vec<&'a Machine>,
}

/// The cluster of an account.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Cluster<'a> {
    /// Its servers.
    pub servers: Pool<'a>,
    /// Its agents.
    pub agents: Vec<Pool<'a>>,
}

/// The cluster that these droplets form; nothing where they form none, and why where their tags speak
/// of one and they fit into no file.
pub(super) fn cluster(machines: &[Machine]) -> Result<Option<Cluster<'_>>, String> {
    let of = |wanted: Role| {
        let members = machines
            .iter()
            .filter(move |it| role(&it.tags) == Some(wanted));
        members.collect::<Vec<&Machine>>()
    };
    let servers = of(Role::Server);
    let Some(first) = servers.first() else {
        return Ok(None);
    };
    let places: BTreeSet<_> = servers.iter().map(|it| &it.vpc).collect();
    if places.len() > 1 {
        let names: Vec<&str> = servers.iter().map(|it| it.name.as_str()).collect();
        return Err(format!(
            "servers of K3s stand in {} networks ({}): `--vpc` takes one of them",
            places.len(),
            names.join(", ")
        ));
    }
    if let Some(other) = servers.iter().find(|it| it.traits() != first.traits()) {
        return Err(format!(
            "the servers of K3s are not alike ({} and {} differ), as `[servers]` has to be",
            first.name, other.name
        ));
    }
    let clusters: BTreeSet<String> = servers.iter().filter_map(|it| stem(&it.name)).collect();
    if clusters.len() > 1 {
        let names: Vec<&str> = clusters.iter().map(String::as_str).collect();
        return Err(format!(
            "the names of the servers of K3s speak of several clusters ({}): `--name` or `--tag` takes \
             one of them",
            names.join(", ")
        ));
    }
    if !first.on {
        return Err(format!("the server {} of K3s is off", first.name));
    }
    let agents = of(Role::Agent);
    let beside = agents.into_iter().filter(|it| it.vpc == first.vpc && it.on);
    let mut groups: BTreeMap<_, Vec<&Machine>> = BTreeMap::new();
    for agent in beside {
        groups.entry(agent.traits()).or_default().push(agent);
    }
    let agents = groups.into_values().map(pool).collect();
    Ok(Some(Cluster {
        servers: Pool {
            name: "servers".to_owned(),
            members: servers,
        },
        agents,
    }))
}

/// Whether a tag speaks of K3s.
pub(super) fn speaks_of_k3s(tags: &[String]) -> bool {
    let mut words = tags.iter().flat_map(|tag| words(tag));
    words.any(|word| word == "k3s")
}

fn words(text: &str) -> Vec<String> {
    let lower = text.to_ascii_lowercase();
    let words = lower.split(|c: char| !c.is_ascii_alphanumeric());
    words.map(str::to_owned).collect()
}

/// The cluster that a node's name speaks of: what is left of it without its part and its number.
/// Nothing where it has neither: such a name is its own, and says nothing of a cluster.
fn stem(name: &str) -> Option<String> {
    let all = words(name);
    let counted = |word: &str| word.trim_end_matches(|c: char| c.is_ascii_digit()).len();
    let part = |word: &str| word == "k3s" || SERVER.contains(&word) || AGENT.contains(&word);
    let kept: Vec<String> = all
        .iter()
        .map(|word| word[..counted(word)].to_owned())
        .filter(|word| !word.is_empty() && !part(word))
        .collect();
    (kept != all).then(|| kept.join("-"))
}

/// What the tags of a droplet say: `k3s_server`, `k3s-agent`, or `k3s` and `worker`.
fn role(tags: &[String]) -> Option<Role> {
    let tags: Vec<Vec<String>> = tags.iter().map(|tag| words(tag)).collect();
    let is_k3s = |words: &[String]| words.iter().any(|word| word == "k3s");
    let bare = tags.iter().any(|words| words.len() == 1 && is_k3s(words));
    let says = |role: &[&str]| {
        tags.iter().any(|words| {
            let named = words.iter().any(|word| role.contains(&word.as_str()));
            named && (is_k3s(words) || (bare && words.len() == 1))
        })
    };
    match (says(&SERVER), says(&AGENT)) {
        (true, false) => Some(Role::Server),
        (false, true) => Some(Role::Agent),
        // Neither, or somebody has to say which.
        _ => None,
    }
}

/// Those of one sort, called by what their names begin with.
fn pool(members: Vec<&Machine>) -> Pool<'_> {
    let mut names = members.iter().map(|it| it.name.as_str());
    let first = names.next().unwrap_or_default();
    let common = names.fold(first, |common, name| {
        let same = common.bytes().zip(name.bytes()).take_while(|(a, b)| a == b);
        // Both are the same up to there, so it is no middle of a character's bytes of one alone.
        let mut end = same.count();
        while !common.is_char_boundary(end) {
            end -= 1;
        }
        &common[..end]
    });
    let name = common.trim_end_matches(|c: char| !c.is_ascii_alphabetic());
    let name = if name.is_empty() { "agents" } else { name };
    Pool {
        name: name.to_owned(),
        members,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(name: &str, size: &str, tags: &[&str]) -> Machine {
        Machine {
            id: name.to_owned(),
            name: name.to_owned(),
            region: "fra1".to_owned(),
            size: size.to_owned(),
            image: Some("ubuntu-24-04-x64".to_owned()),
            vpc: Some("net".to_owned()),
            tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
            monitoring: true,
            backups: false,
            ipv6: false,
            on: true,
        }
    }

    #[test]
    fn tags_say_what_a_node_is() {
        let role = |tags: &[&str]| {
            let tags: Vec<String> = tags.iter().map(|tag| (*tag).to_owned()).collect();
            role(&tags)
        };
        assert_eq!(role(&["k3s_server"]), Some(Role::Server));
        assert_eq!(role(&["prod-k3s-control-plane"]), Some(Role::Server));
        assert_eq!(role(&["K3s:Agent", "web"]), Some(Role::Agent));
        assert_eq!(role(&["k3s", "worker"]), Some(Role::Agent));
        assert_eq!(role(&["k3s"]), None);
        assert_eq!(role(&["server"]), None);
        assert_eq!(role(&["k3s-server", "k3s-agent"]), None);
        assert_eq!(role(&["k3s", "game-server"]), None);
    }

    #[test]
    fn agents_fall_into_pools_of_equals() {
        let machines = [
            machine("alpha", "m", &["k3s-server"]),
            machine("front-1", "s", &["k3s-agent"]),
            machine("front-2", "s", &["k3s-agent"]),
            machine("batch-1", "l", &["k3s-agent"]),
            machine("mail", "s", &["mail"]),
        ];
        let cluster = cluster(&machines).expect("one").expect("a cluster");
        assert_eq!(cluster.servers.members.len(), 1);
        let mut pools: Vec<(&str, usize)> = Vec::new();
        for pool in &cluster.agents {
            pools.push((&pool.name, pool.members.len()));
        }
        pools.sort_unstable();
        assert_eq!(pools, [("batch", 1), ("front", 2)]);
    }

    #[test]
    fn names_of_several_clusters_are_not_taken_for_one() {
        let of = |names: &[&str]| {
            let machines = names.iter().map(|name| machine(name, "m", &["k3s-server"]));
            let machines: Vec<Machine> = machines.collect();
            cluster(&machines).map(|found| found.map(|it| it.servers.members.len()))
        };
        assert_eq!(of(&["alpha-server-0", "alpha-server-1"]), Ok(Some(2)));
        assert_eq!(of(&["alpha", "beta", "gamma"]), Ok(Some(3)));
        assert_eq!(of(&["server1", "server2", "k3s-master-03"]), Ok(Some(3)));
        let several = of(&["alpha-server-0", "beta-server-0"]).expect_err("two");
        assert!(several.contains("(alpha, beta)"), "{several}");
    }

    #[test]
    fn what_fits_into_no_pool_is_said() {
        let mut machines = vec![
            machine("a", "m", &["k3s-server"]),
            machine("b", "l", &["k3s-server"]),
        ];
        assert!(cluster(&machines).expect_err("no").contains("not alike"));
        machines[1] = machine("b", "m", &["k3s-server"]);
        machines[1].vpc = Some("other".to_owned());
        assert!(cluster(&machines).expect_err("no").contains("2 networks"));
        machines.truncate(1);
        machines[0].on = false;
        assert!(cluster(&machines).expect_err("no").contains("is off"));
        assert_eq!(cluster(&[]), Ok(None));
    }
}
