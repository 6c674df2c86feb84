//! The contract every kind of DigitalOcean and Spaces keeps, against the sandbox: what is made
//! reads back as it was asked for, every field that can change does, a create whose answer is
//! lost is found again, deleting twice is fine, and every field is in its table.

#[cfg(test)]
mod budget;
#[cfg(test)]
mod cases;
#[cfg(test)]
mod compare;
#[cfg(test)]
mod discover;
#[cfg(test)]
mod dns;
#[cfg(test)]
mod drive;
#[cfg(test)]
mod lists;
#[cfg(test)]
mod marks;
#[cfg(test)]
mod names;
#[cfg(test)]
mod new_account;
#[cfg(test)]
mod power;
#[cfg(test)]
mod tables;
#[cfg(test)]
mod world;

use world::World;

/// One test per kind, so that a failure names it.
macro_rules! kinds {
    ($($kind:ident),* $(,)?) => {
        $(
            #[tokio::test(start_paused = true)]
            async fn $kind() {
                let world = World::new();
                let case = cases::$kind(&world).await;
                drive::keeps_the_contract(&world, &case).await;
                world.judge();
            }
        )*

        #[test]
        fn every_kind_has_a_case() {
            let tested = [$(stringify!($kind)),*];
            for entry in World::new().registry.iter() {
                let kind = entry.info.kind.as_str();
                assert!(tested.contains(&kind), "{kind} has no case");
            }
        }
    };
}

kinds!(
    bucket,
    database,
    database_db,
    database_user,
    domain,
    domain_record,
    droplet,
    firewall,
    load_balancer,
    project,
    reserved_ip,
    spaces_key,
    ssh_key,
    tag,
    volume,
    vpc,
);
