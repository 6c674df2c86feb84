//! Tables the grammar has and this version does not act on: refused, never skipped.

use super::Lowerer;
use crate::code::Code;
use crate::diagnostic::Finding;
use crate::raw::{Leaf, RawFile, RawTable as _};
use crate::span::Span;

impl Lowerer<'_> {
    /// Refuses every table whose behaviour does not exist yet.
    pub(super) fn unsupported(&mut self, raw: &RawFile) {
        if let Some(Leaf::Read(table)) = &raw.restore {
            self.refuse("`[restore]`", table.value.span());
        }
    }

    fn refuse(&mut self, what: &str, span: Span) {
        self.report.push(
            Finding::new(
                Code::NotYetSupported,
                format!("{what} is not supported yet"),
            )
            .label(span, "known, but nothing would be done with it")
            .why(
                "kplan refuses what it cannot act on: skipping it would show a plan that \
                     leaves out what you asked for.",
            )
            .remedy("Take it out for now."),
        );
    }
}
