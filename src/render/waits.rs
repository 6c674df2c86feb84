//! Why nothing happens: waits for the rate limit and for requests that are made again, told on
//! standard error while they last.

use indicatif::MultiProgress;
use kplan_providers::http::HttpEvent;
use std::io::Write as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A wait that is over sooner is not worth a line.
const WORTH_TELLING: Duration = Duration::from_secs(2);
/// Many calls wait for the same thing: it is said this often at most.
const PAUSE: Duration = Duration::from_secs(5);

/// Tells of waits; clones tell to the same place.
#[derive(Clone)]
pub struct Waits {
    /// Whose rate limit it is.
    whose: &'static str,
    told: Arc<Mutex<Told>>,
}

impl Default for Waits {
    fn default() -> Self {
        Self::of("DigitalOcean")
    }
}

#[derive(Default)]
struct Told {
    /// The bars that lines have to stand above.
    bars: Option<MultiProgress>,
    last: Option<Instant>,
}

impl Waits {
    /// Tells of waits for this remote side.
    pub fn of(whose: &'static str) -> Self {
        Self {
            whose,
            told: Arc::default(),
        }
    }

    /// Lines stand above these bars from now on.
    pub fn above(&self, bars: &MultiProgress) {
        self.told().bars = Some(bars.clone());
    }

    /// Hears of one wait.
    pub fn hear(&self, event: &HttpEvent) {
        let mut told = self.told();
        let now = Instant::now();
        let quiet = told.last.is_some_and(|last| now - last < PAUSE);
        let Some(line) = sentence(event, self.whose).filter(|_| !quiet) else {
            return;
        };
        told.last = Some(now);
        let shown = told.bars.as_ref().map(|bars| bars.println(&line));
        if !matches!(shown, Some(Ok(()))) {
            // Nobody is left to tell when standard error is closed.
            drop(writeln!(std::io::stderr().lock(), "{line}"));
        }
    }

    fn told(&self) -> std::sync::MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn sentence(event: &HttpEvent, whose: &str) -> Option<String> {
    let seconds = |wait: &Duration| wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
    match event {
        HttpEvent::Limited { wait, refused } => (*wait >= WORTH_TELLING).then(|| {
            let why = if *refused {
                " (it refused a request)"
            } else {
                ""
            };
            format!(
                "waiting {} s for the {whose} rate limit{why}",
                seconds(wait)
            )
        }),
        HttpEvent::Retrying { wait, what, why } => (*wait >= WORTH_TELLING)
            .then(|| format!("waiting {} s to try {what} again: {why}", seconds(wait))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_waits_worth_telling_are_told() {
        let limited =
            |wait, refused| sentence(&HttpEvent::Limited { wait, refused }, "DigitalOcean");
        assert_eq!(limited(Duration::from_millis(1900), false), None);
        assert_eq!(
            limited(Duration::from_millis(28_100), false).as_deref(),
            Some("waiting 29 s for the DigitalOcean rate limit")
        );
        assert_eq!(
            limited(Duration::from_secs(3), true).as_deref(),
            Some("waiting 3 s for the DigitalOcean rate limit (it refused a request)")
        );
        let again = HttpEvent::Retrying {
            wait: Duration::from_secs(4),
            what: "GET /v2/droplets".to_owned(),
            why: "503 Service Unavailable".to_owned(),
        };
        assert_eq!(
            sentence(&again, "GitHub").as_deref(),
            Some("waiting 4 s to try GET /v2/droplets again: 503 Service Unavailable")
        );
    }
}
