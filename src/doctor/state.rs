//! The state: whether it can be read, by whom, and who is writing.

use super::verdict::Findings;
use super::{Examination, Verdict};
use kplan_state::Severity;

/// Readable, its secrets can be opened, and nothing in it is in doubt.
pub(super) async fn readable(at: &Examination) -> Verdict {
    let state = match &at.state {
        Ok(state) => state,
        Err(problem) => {
            let help = "`kplan state verify` says what is not whole, `kplan state repair` makes it \
                        readable again";
            return Verdict::problem(problem.message.clone())
                .help(problem.help.clone().unwrap_or_else(|| help.to_owned()));
        }
    };
    if let Some(problem) = &state.sealed {
        return Verdict::problem(problem.message.clone()).help(format!(
            "{}. Without it nothing can be applied, restored or destroyed",
            problem.help.as_deref().unwrap_or("bring the identity back")
        ));
    }
    let Some(snapshot) = &state.snapshot else {
        return Verdict::ok("there is no state yet: nothing was applied");
    };
    let mut findings = Findings::new();
    for notice in &state.notices {
        if notice.severity == Severity::Warning {
            findings.warning(notice.message.clone());
        }
    }
    if !snapshot.in_doubt.is_empty() {
        let addresses: Vec<String> = snapshot.in_doubt.keys().map(ToString::to_string).collect();
        findings.warning(format!(
            "an earlier run was cut off, and nobody knows whether its change of {} was made",
            addresses.join(", ")
        ));
    }
    if !snapshot.deposed.is_empty() {
        let left: Vec<String> = snapshot
            .deposed
            .iter()
            .map(|record| record.address.to_string())
            .collect();
        findings.warning(format!(
            "a replacement was cut off: what {} were before is still there and billed",
            left.join(", ")
        ));
    }
    findings.verdict(
        format!(
            "{} resources on record, serial {}, every secret opens",
            snapshot.resources.len(),
            snapshot.serial
        ),
        "the next `kplan apply` looks what became of it and carries on; `kplan plan` shows what it \
         would do",
    )
}

/// More than one key opens it.
pub(super) async fn recipients(at: &Examination) -> Verdict {
    if let Err(verdict) = at.snapshot() {
        return verdict;
    }
    let Ok(state) = &at.state else {
        return Verdict::not_looked("the state cannot be read");
    };
    let all = state.recipients.len();
    let details = serde_json::json!({ "recipients": state.recipients });
    if all > 1 {
        return Verdict::ok(format!("{all} keys open the state")).details(details);
    }
    Verdict::warning("one key alone opens the state")
        .details(details)
        .help(
            "with it the cluster's own keys and the recovery kits are lost. Let a second one read \
             it, which lies somewhere else: `kplan state recipients add age1…`",
        )
}

/// Nobody else is writing.
pub(super) async fn lock(at: &Examination) -> Verdict {
    let Ok(state) = &at.state else {
        return Verdict::not_looked("the state cannot be read");
    };
    match &state.holder {
        None => Verdict::ok("nobody holds the state's lock"),
        Some(holder) => Verdict::warning(format!("the state's lock is signed by {holder}")).help(
            "it is at work, or was killed there. A lock is never left behind: the next writer takes \
             it where nobody holds it",
        ),
    }
}
