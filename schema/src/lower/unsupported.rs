//! Tables the grammar has and this version does not act on: refused, never skipped.

use super::Lowerer;
use crate::code::Code;
use crate::diagnostic::Finding;
use crate::raw::{Leaf, Opt, RawFile, RawTable};
use crate::span::Span;

impl Lowerer<'_> {
    /// Refuses every table whose behaviour does not exist yet.
    pub(super) fn unsupported(&mut self, raw: &RawFile) {
        self.refuse_each("[[import]]", &raw.import);
        self.refuse_each("[[moved]]", &raw.moved);
        self.refuse_each("[[removed]]", &raw.removed);
        if let Some(Leaf::Read(table)) = &raw.restore {
            self.refuse("`[restore]`", table.value.span);
        }
    }

    fn refuse_each<T: RawTable>(&mut self, name: &str, field: &Opt<Vec<Leaf<T>>>) {
        for table in Self::tables(field) {
            self.refuse(&format!("`{name}`"), table.span());
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
