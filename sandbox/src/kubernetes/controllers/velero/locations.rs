//! Backup locations: whether their bucket opens, again and again.

use std::time::Duration;

use super::store::Store;
use super::{LOCATIONS, NOTICE, Pass, span_at};
use crate::kubernetes::object::{self, Object, set, text};

/// How often a location is probed when it does not say.
const PROBE: Duration = Duration::from_mins(1);

/// Probes a location when it is new, and when its period is over.
pub(super) fn probe(pass: &mut Pass<'_>, location: &Object) {
    let due = if text(location, &["status", "phase"]).is_none() {
        pass.due("notice", location, NOTICE)
    } else {
        let period = span_at(location, &["spec", "validationFrequency"], PROBE);
        !period.is_zero() && pass.every("probe", location, period)
    };
    if !due {
        return;
    }
    let found = Store::open(pass, location).and_then(|store| store.check());
    let now = pass.server.now();
    pass.adjust(LOCATIONS, location, |location| {
        set(location, &["status", "lastValidationTime"], now);
        match found {
            Ok(()) => {
                set(location, &["status", "phase"], "Available");
                object::remove(location, &["status", "message"]);
            }
            Err(why) => {
                set(location, &["status", "phase"], "Unavailable");
                set(location, &["status", "message"], why);
            }
        }
    });
}
