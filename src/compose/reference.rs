//! What blocks call each other, as references.

use super::build::{Builder, address, to};
use super::network::{api_load_balancer, owner_tag, vpc};
use super::nodes;
use kplan_model::{Address, Input};
use kplan_schema::Spanned;
use kplan_schema::spec::{API_LOAD_BALANCER, Pool};
use kplan_schema::value::{BlockRef, DropletRef, RegionSlug, Tag};

/// The VPC of a block, as it names it: one of the file's, or one that is in no file. One that names
/// none is in the cluster's own, where that is in its region.
pub fn vpc_of(
    builder: &Builder<'_>,
    region: &RegionSlug,
    named: Option<&Spanned<BlockRef>>,
) -> Option<Input<String>> {
    if builder.spec.is_in_own_vpc(region, named) {
        return Some(to(&vpc(), "id"));
    }
    match &named?.value {
        BlockRef::Id(id) => Some(Input::Known(id.clone())),
        BlockRef::Label(label) => Some(to(&address("vpc", label), "id")),
    }
}

/// A load balancer.
pub fn load_balancer(builder: &Builder<'_>, named: &BlockRef) -> Input<String> {
    match named {
        BlockRef::Id(id) => Input::Known(id.clone()),
        BlockRef::Label(label)
            if label == API_LOAD_BALANCER && builder.spec.api_load_balancer.is_some() =>
        {
            to(&api_load_balancer(), "id")
        }
        BlockRef::Label(label) => to(&address("load_balancer", label), "id"),
    }
}

/// The ids of droplets, and of every droplet of the pools that are named whole.
pub fn droplets(builder: &Builder<'_>, named: &[Spanned<DropletRef>]) -> Vec<Input<String>> {
    let ids = named.iter().flat_map(|one| droplet(builder, one));
    ids.collect()
}

/// The id of a droplet, or those of a pool.
pub fn droplet(builder: &Builder<'_>, named: &DropletRef) -> Vec<Input<String>> {
    let (name, index) = match named {
        DropletRef::Id(id) => return vec![Input::Known(id.to_string())],
        DropletRef::Address { name, index } => (name.as_str(), *index),
    };
    let pool = builder.spec.pools().find(|pool| pool.name() == name);
    match (index, pool) {
        (Some(index), _) => vec![to(&nodes::droplet(name, index), "id")],
        (None, Some(pool)) => (0..pool.count().value)
            .map(|index| to(&nodes::droplet(name, index), "id"))
            .collect(),
        (None, None) => vec![to(&address("droplet", name), "id")],
    }
}

/// The tags the file gives, and the owner's: lost creates are found by it, so it is put back
/// where somebody takes it off.
pub fn tags(builder: &Builder<'_>, at: &Address, given: &[Spanned<Tag>]) -> Vec<Input<String>> {
    let own = (!builder.is_foreign(at)).then(|| to(&owner_tag(), "name"));
    names(given).into_iter().chain(own).collect()
}

/// Tags by their names.
pub fn names<'t>(given: impl IntoIterator<Item = &'t Spanned<Tag>>) -> Vec<Input<String>> {
    let names = given.into_iter().map(|tag| Input::Known(tag.to_string()));
    names.collect()
}

/// For each of these tags a droplet of the file that carries it. A tag is there once something
/// carries it, and DigitalOcean takes none that is not.
pub fn carriers<'t>(
    builder: &Builder<'_>,
    tags: impl IntoIterator<Item = &'t Spanned<Tag>>,
) -> Vec<Address> {
    let mut all: Vec<Address> = tags
        .into_iter()
        .filter_map(|tag| carrier(builder, tag))
        .collect();
    all.sort();
    all.dedup();
    all
}

fn carrier(builder: &Builder<'_>, tag: &Tag) -> Option<Address> {
    // Tags are told apart without regard to case.
    let same = |other: &Spanned<Tag>| other.as_str().eq_ignore_ascii_case(tag.as_str());
    let spec = builder.spec;
    let free = spec.droplets.iter().find(|it| it.tags.iter().any(same));
    if let Some(droplet) = free {
        return Some(address("droplet", droplet.label.as_str()));
    }
    let tagged = |pool: &Pool<'_>| pool.unmanaged().tags.iter().any(same);
    let pool = spec.pools().find(tagged)?;
    Some(nodes::droplet(pool.name(), 0))
}
