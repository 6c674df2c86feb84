//! An embedded DigitalOcean, Spaces and Kubernetes that behaves like the real ones.

pub mod boot;
pub mod clock;
pub mod digitalocean;
pub mod facts;
pub mod fault;
pub mod http;
pub mod kubernetes;
pub mod log;
pub mod mirror;
pub mod proxy;
pub mod record;
pub mod rng;
pub mod server;
pub mod spaces;
pub mod store;
pub mod world;

#[cfg(test)]
#[path = "../../tests/corpus/json.rs"]
mod json;
#[cfg(test)]
#[path = "../../tests/corpus/mutate.rs"]
mod mutate;

pub use clock::Clock;
pub use fault::{Fault, FaultRule};
pub use http::{ApiService, ConnectionLost, RateLimits};
pub use log::RequestLog;
pub use rng::Rng;
pub use server::{Config, Endpoints, FORMAT_VERSION, Running, Sandbox, SandboxError, start};
pub use store::{Store, StoreError};
