//! What tests of kinds need: a permit, which only an approved plan gives.

use kplan_model::Permit;

/// A permit for an address.
pub(crate) fn permit(address: &str) -> Permit {
    kplan_model::testing::permit(&address.parse().unwrap()).unwrap()
}
