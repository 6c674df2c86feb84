//! Lineages: random names that tell two states of one cluster name apart.

use crate::error::{code, error};
use crate::keyring::hex;
use kplan_model::{Owner, StoreError};

/// Hexadecimal characters of a lineage: 128 random bits.
const LENGTH: usize = 32;
/// How many of them stand in the owner's name.
const SUFFIX: usize = 8;

/// A fresh lineage: 32 hexadecimal characters.
pub fn new_lineage() -> Result<String, StoreError> {
    let mut bytes = [0; LENGTH / 2];
    getrandom::fill(&mut bytes).map_err(|cause| {
        error(
            code::IO,
            format!("the system gives no random bytes: {cause}"),
        )
    })?;
    Ok(hex(&bytes))
}

/// Who owns the resources of a state: the cluster's name and the lineage's first eight characters.
pub fn owner(cluster: &str, lineage: &str) -> Result<Owner, StoreError> {
    let hexadecimal = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
    if lineage.len() != LENGTH || !lineage.chars().all(hexadecimal) {
        return Err(error(
            code::OTHER_LINEAGE,
            format!("`{lineage}` is not a lineage: {LENGTH} hexadecimal characters"),
        ));
    }
    Ok(Owner {
        cluster: cluster.to_owned(),
        suffix: lineage.chars().take(SUFFIX).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lineages_differ_and_give_the_owner() {
        let (a, b) = (new_lineage().unwrap(), new_lineage().unwrap());
        assert_ne!(a, b);
        assert_eq!(owner("demo", &a).unwrap().id(), format!("demo-{}", &a[..8]));
        for bad in ["", "xyz", &"A".repeat(32), &"é".repeat(16)] {
            assert!(owner("demo", bad).is_err(), "{bad}");
        }
    }
}
