//! The verbs, one file each.

pub mod apply;
pub mod backup;
pub mod backup_store;
pub mod completions;
pub mod destroy;
pub mod doctor;
pub mod dry_run;
pub mod execution;
pub mod graph;
pub mod kubeconfig;
pub mod lock;
pub mod migrate;
pub mod output;
pub mod plan;
pub mod render;
pub mod restore;
pub mod restore_copy;
pub mod rotate;
pub mod sandbox;
pub mod schema;
pub mod session;
pub mod show;
pub mod signals;
pub mod state;
pub mod surgery;
pub mod validate;
