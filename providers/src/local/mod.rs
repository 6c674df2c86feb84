//! Kinds that exist in the state alone: nothing remote corresponds to them, so what is on record is
//! all there is.

mod random_password;

pub use random_password::{
    Login, Purpose, RandomPassword, RandomPasswordArgs, RandomPasswordAttrs, Repository,
};
