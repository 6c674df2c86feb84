//! Imports, moves and removals that contradict each other.

use std::collections::BTreeMap;

use crate::code::Code;
use crate::diagnostic::{Finding, Report};
use crate::spec::{Move, Spec};
use crate::span::Spanned;
use crate::value::ResourceAddress;

pub(super) const SUMMARY: &str =
    "An address is imported once, moved once and removed once, and a resource keeps its kind.";

pub(super) fn check(spec: &Spec, report: &mut Report) {
    let imported = spec.imports.iter().map(|import| &import.to);
    let moved_to = spec.moves.iter().map(|moved| &moved.to);
    distinct("the address of two resources", imported.chain(moved_to), report);
    let moved_from = spec.moves.iter().map(|moved| &moved.from);
    let removed = spec.removals.iter().map(|removal| &removal.from);
    distinct("moved or removed twice", moved_from.chain(removed), report);
    for moved in &spec.moves {
        same_shape(moved, report);
    }
}

fn distinct<'a>(
    what: &str,
    addresses: impl Iterator<Item = &'a Spanned<ResourceAddress>>,
    report: &mut Report,
) {
    let mut first: BTreeMap<&str, &Spanned<ResourceAddress>> = BTreeMap::new();
    for address in addresses.filter(|address| address.span.is_some()) {
        let Some(earlier) = first.get(address.as_str()) else {
            if report.trusts(address.span) {
                first.insert(address.as_str(), address);
            }
            continue;
        };
        report.judge(
            Finding::new(
                Code::RelocationConflict,
                format!("`{address}` is {what}"),
            )
            .label(address.span, "second time")
            .label(earlier.span, "first time")
            .why("Nobody could tell which of the two is meant.")
            .remedy("Take one of them out."),
        );
    }
}

fn same_shape(moved: &Move, report: &mut Report) {
    let (from, to) = (moved.from.as_str(), moved.to.as_str());
    let kind = |address: &str| address.split('.').next().unwrap_or_default().to_owned();
    let (message, remedy) = if from == to {
        (format!("`{from}` is moved to itself"), "Take it out.")
    } else if kind(from) != kind(to) {
        (
            format!("`{from}` is a {}, and `{to}` is a {}", kind(from), kind(to)),
            "A resource keeps its kind: name an address of the same one.",
        )
    } else if from.contains('[') != to.contains('[') {
        (
            format!("one of `{from}` and `{to}` has a number, and the other has none"),
            "Give both a number, or neither: without one, all of that name are moved.",
        )
    } else {
        return;
    };
    report.judge(
        Finding::new(Code::RelocationConflict, message)
            .label(moved.from.span, "from here")
            .label(moved.to.span, "to here")
            .why("A move changes the address of what exists, and nothing else.")
            .remedy(remedy),
    );
}
