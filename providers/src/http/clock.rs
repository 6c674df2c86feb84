//! The moment, as something that is handed in, so that tests decide what time it is.

use kplan_model::Timestamp;
use std::sync::Arc;

/// Tells the current moment.
pub type Now = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// The system's clock.
pub fn system_clock() -> Now {
    Arc::new(|| Timestamp(jiff::Timestamp::now().as_millisecond()))
}

/// Reads an RFC 3339 moment such as `2026-08-07T09:30:00Z`; `None` when it is not one.
pub fn parse_timestamp(text: &str) -> Option<Timestamp> {
    let moment: jiff::Timestamp = text.parse().ok()?;
    Some(Timestamp(moment.as_millisecond()))
}
