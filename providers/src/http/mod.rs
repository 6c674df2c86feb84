//! The way to remote HTTP interfaces: transports, one client with retries, limits, coalesced
//! lists and error mapping. Only this module and the S3 connector speak HTTP; GitHub's client takes
//! its transports.

mod client;
mod clock;
mod errors;
mod event;
mod flight;
mod limiter;
mod page;
mod scopes;
mod statistics;
#[cfg(test)]
pub(crate) mod testing;
mod transport;

pub use client::{Client, ClientConfig};
pub use clock::{Now, parse_timestamp, system_clock};
pub(crate) use errors::header;
pub use event::{HttpEvent, OnEvent};
pub use limiter::{Limiter, Quota, Rate};
pub use page::{List, MAX_PER_PAGE, encode};
pub use scopes::read_scope;
pub use statistics::Statistics;
pub(crate) use transport::chain;
pub use transport::{ReadOnly, Reqwest, ServiceTransport, Transport, TransportError};
