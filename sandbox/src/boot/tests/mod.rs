//! Droplets booting from hand-made `user_data` and bundles.

mod bundles;
mod clusters;
mod datastores;
mod life;
pub(crate) mod pki;
pub(crate) mod rig;
mod start;
