//! `Spec` → `Declarations`: which resources the file asks for and what each needs of the others.
//! Typed by the providers' arguments; no IO.

pub mod addons;
pub mod build;
pub mod database;
pub mod dns;
pub mod earlier;
pub mod free;
pub mod k3s;
pub mod leavings;
pub mod members;
pub mod network;
pub mod nodes;
pub mod platform;
pub mod project;
pub mod restoring;
pub mod rotating;
pub mod standing;
pub mod storage;

pub use build::{Inputs, address};
pub use earlier::Earlier;
pub use members::Members;
pub use restoring::Restoring;
pub use rotating::Rotating;
pub use standing::Standing;

use build::{Builder, to};
use kplan_model::{Codec as _, Declarations, Value};
use kplan_schema::Spec;

/// Every resource the file asks for, in the order in which a reader would tell it.
pub fn compose(spec: &Spec, inputs: &Inputs) -> Declarations {
    let mut builder = Builder::new(spec, inputs);
    network::declare(&mut builder);
    nodes::declare(&mut builder);
    database::declare(&mut builder);
    dns::declare(&mut builder);
    storage::declare(&mut builder);
    rotating::declare(&mut builder);
    k3s::declare(&mut builder);
    platform::declare(&mut builder);
    free::declare(&mut builder);
    project::declare(&mut builder);
    outputs(&mut builder);
    builder.finish()
}

/// What `output` shows. Nothing secret: a kubeconfig is minted when it is asked for.
fn outputs(builder: &mut Builder<'_>) {
    builder.output("cluster", Value::str(builder.spec.name()));
    builder.output("owner", Value::str(builder.inputs.owner.id()));
    builder.output("vpc_id", to::<String>(&network::vpc(), "id").encode());
}
