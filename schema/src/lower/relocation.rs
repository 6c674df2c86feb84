//! `[[import]]`, `[[moved]]`, `[[removed]]` and `[drift]`.

use super::{Lowerer, flag};
use crate::raw::{Leaf, Opt, RawDrift, RawImport, RawMoved, RawRemoved};
use crate::span::Spanned;
use crate::spec::{Import, Move, Removal};
use crate::value::DriftRule;

impl Lowerer<'_> {
    pub(super) fn imports(&mut self, raw: &Opt<Vec<Leaf<RawImport>>>) -> Vec<Import> {
        Self::tables(raw)
            .map(|raw| Import {
                to: self.required(&raw.to),
                id: self.free_text(&raw.id.0, 1, 255, "unread"),
                span: Some(raw.span),
            })
            .collect()
    }

    pub(super) fn moves(&mut self, raw: &Opt<Vec<Leaf<RawMoved>>>) -> Vec<Move> {
        Self::tables(raw)
            .map(|raw| Move {
                from: self.required(&raw.from),
                to: self.required(&raw.to),
                span: Some(raw.span),
            })
            .collect()
    }

    pub(super) fn removals(&mut self, raw: &Opt<Vec<Leaf<RawRemoved>>>) -> Vec<Removal> {
        Self::tables(raw)
            .map(|raw| Removal {
                from: self.required(&raw.from),
                keep: flag(&raw.keep, false),
                span: Some(raw.span),
            })
            .collect()
    }

    pub(super) fn ignored_drift(&mut self, raw: &Option<RawDrift>) -> Vec<Spanned<DriftRule>> {
        raw.as_ref()
            .map(|raw| self.list(&raw.ignore))
            .unwrap_or_default()
    }
}
