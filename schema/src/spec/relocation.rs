//! `[[import]]`, `[[moved]]` and `[[removed]]`: what is said of resources that exist already.

use crate::span::{Span, Spanned};
use crate::value::ResourceAddress;

/// One `[[import]]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Import {
    /// The address it gets; no other import has it.
    pub to: Spanned<ResourceAddress>,
    /// Its id at DigitalOcean.
    pub id: Spanned<String>,
    /// The table's header.
    pub span: Option<Span>,
}

/// One `[[moved]]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Move {
    /// The old address; without an index every one of that name.
    pub from: Spanned<ResourceAddress>,
    /// The new one, of the same kind; has an index exactly where the old one has.
    pub to: Spanned<ResourceAddress>,
    /// The table's header.
    pub span: Option<Span>,
}

/// One `[[removed]]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Removal {
    /// The address; without an index every one of that name.
    pub from: Spanned<ResourceAddress>,
    /// Whether it stays in the account; default false.
    pub keep: Spanned<bool>,
    /// The table's header.
    pub span: Option<Span>,
}
