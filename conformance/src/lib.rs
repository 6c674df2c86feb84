//! Checks recorded HTTP exchanges against an `OpenAPI` 3.0 document (tests only).
//!
//! A simulator and its client, written by the same people, agree with each other whatever they
//! do. This crate is the outside judge: it holds what was really said, in both directions,
//! against the document the vendor publishes.
//!
//! It is strict where `OpenAPI` tooling is usually kind: unknown properties, unknown query
//! parameters, undocumented status codes, read-only properties in requests and bodies where
//! none is described are all violations. The document's own errors stand, each with its
//! reason, in `exceptions.toml` beside this crate.
//!
//! Knowing limit: when two branches of one `allOf` describe the same property as an *object*,
//! each branch closes it on its own, so the union of their properties is refused. The failure
//! is loud (a false violation, never a false pass).

mod body;
mod compile;
mod document;
mod examples;
mod exceptions;
mod explain;
mod formats;
mod inputs;
mod parameters;
mod pointer;
mod report;
mod routes;
mod schema;
mod skipped;

pub use document::{Document, DocumentError, document_from_env, required_document};
pub use examples::Example;
pub use exceptions::{Exception, Exceptions, ExceptionsError};
pub use report::{Exchange, Location, Report, Violation};
pub use skipped::skipped;

#[cfg(test)]
mod fixture;
