//! An add-on that comes after one that is not there, or, in the end, after itself.

use std::collections::{BTreeMap, BTreeSet};

use crate::code::Code;
use crate::diagnostic::{Finding, Report};
use crate::spec::{AFTER_ARGOCD, Addon, Spec};

pub(super) const SUMMARY: &str = "Add-ons come after add-ons of the file, and none after itself.";

pub(super) fn check(spec: &Spec, report: &mut Report) {
    let known: BTreeMap<&str, &Addon> = spec
        .own_addons
        .iter()
        .map(|addon| (addon.name.as_str(), addon))
        .collect();
    for addon in &spec.own_addons {
        for before in &addon.after {
            let argocd = before.as_str() == AFTER_ARGOCD;
            let (message, label) = if argocd && spec.gitops.is_some() {
                continue;
            } else if argocd {
                ("there is no Argo CD".to_owned(), "this file has no `[gitops]`")
            } else if !known.contains_key(before.as_str()) {
                (format!("there is no add-on `{before}`"), "not in this file")
            } else if comes_after(&known, before.as_str(), addon.name.as_str()) {
                let message = format!("the add-on `{}` comes after itself", addon.name);
                (message, "leads back to it")
            } else {
                continue;
            };
            report.judge(
                Finding::new(Code::AddonOrder, message)
                    .label(before.span, label)
                    .why("An add-on is installed when those it comes after work.")
                    .remedy("Name an `[[addon]]` of this file that does not wait for this one."),
            );
        }
    }
}

/// Whether `one` is `other`, or comes after it.
fn comes_after(known: &BTreeMap<&str, &Addon>, one: &str, other: &str) -> bool {
    let mut seen = BTreeSet::new();
    let mut open = vec![one];
    while let Some(name) = open.pop() {
        if name == other {
            return true;
        }
        if seen.insert(name) {
            let after = known.get(name).map(|addon| &addon.after);
            open.extend(after.into_iter().flatten().map(|before| before.as_str()));
        }
    }
    false
}
