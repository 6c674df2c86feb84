//! HTTP as the simulated APIs see it: plain requests and responses, without a socket.

mod limit;
mod page;
mod request;
mod response;
mod service;
mod shape;

pub use limit::RateLimits;
pub use service::{ApiService, ConnectionLost};

pub(crate) use limit::{Limiters, Verdict};
pub(crate) use page::list;
pub(crate) use request::Request;
pub(crate) use response::{ApiError, MISSING_SCOPE, Reply, Response};
