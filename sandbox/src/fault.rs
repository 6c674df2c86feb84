//! Faults on purpose: seeded rules that make a request go wrong the way a cloud's requests do.

use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::rng::Rng;

/// What goes wrong. Durations are the cloud's, divided by the time scale.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Fault {
    /// The request is carried out, its answer never arrives: the connection is closed.
    LostResponse,
    /// The connection is closed before anything is done.
    Reset,
    /// Nothing is done for ten minutes, then the connection is closed: longer than clients wait.
    /// With `committed` the request was carried out first.
    Timeout {
        /// Whether the request is carried out.
        #[serde(default)]
        committed: bool,
    },
    /// 429 with a `retry-after`.
    TooManyRequests {
        /// Seconds in `retry-after`.
        #[serde(default = "one")]
        retry_after: u32,
    },
    /// An error of the server or of something in front of it, or a right that the token lacks, before
    /// anything is done.
    Status {
        /// 403, 500, 502, 503 or 504.
        status: u16,
    },
    /// The answer takes longer.
    Delay {
        /// Seconds.
        seconds: f64,
    },
    /// Lists do not show, and reads by id answer 404 for, what is younger than this.
    Stale {
        /// Seconds.
        seconds: f64,
    },
    /// What this request starts takes longer.
    SlowActions {
        /// Seconds.
        seconds: f64,
    },
    /// The actions this request starts end as `errored`, and nothing is different afterwards.
    FailedActions,
}

impl Fault {
    /// Its kind, as rules name it.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Fault::LostResponse => "lost_response",
            Fault::Reset => "reset",
            Fault::Timeout { .. } => "timeout",
            Fault::TooManyRequests { .. } => "too_many_requests",
            Fault::Status { .. } => "status",
            Fault::Delay { .. } => "delay",
            Fault::Stale { .. } => "stale",
            Fault::SlowActions { .. } => "slow_actions",
            Fault::FailedActions => "failed_actions",
        }
    }
}

fn one() -> u32 {
    1
}

/// When a fault happens. Conditions that are left out always hold.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Unchecked")]
pub struct FaultRule {
    /// The request's method, such as `POST`.
    pub method: Option<String>,
    /// The request's path; `*` stands for any characters.
    pub path: Option<String>,
    /// Only the n-th request (from 1) that fits method and path.
    pub nth: Option<u64>,
    /// How likely it happens to a request that fits, 0 to 1.
    pub probability: Option<f64>,
    /// How often it happens at most.
    pub times: Option<u64>,
    /// What happens.
    pub fault: Fault,
}

/// A rule as it was written, before anybody knows that it makes sense.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Unchecked {
    method: Option<String>,
    path: Option<String>,
    nth: Option<u64>,
    probability: Option<f64>,
    times: Option<u64>,
    fault: Fault,
}

/// The longest wait of a rule: a day of the cloud.
const LONGEST: f64 = 86_400.0;

/// A rule that could never do what it says would let a test pass for nothing.
impl TryFrom<Unchecked> for FaultRule {
    type Error = String;

    fn try_from(rule: Unchecked) -> Result<Self, String> {
        let Unchecked {
            method,
            path,
            nth,
            probability,
            times,
            fault,
        } = rule;
        for (name, text) in [("method", &method), ("path", &path)] {
            if text.as_ref().is_some_and(String::is_empty) {
                return Err(format!("`{name}` is empty: it fits no request"));
            }
        }
        for (name, count) in [("nth", nth), ("times", times)] {
            if count == Some(0) {
                return Err(format!("`{name}` counts from 1"));
            }
        }
        if probability.is_some_and(|share| !(0.0..=1.0).contains(&share)) {
            return Err("`probability` is from 0 to 1".to_owned());
        }
        match fault {
            Fault::Status { status } if !matches!(status, 403 | 500 | 502..=504) => {
                return Err("`status` is 403, 500, 502, 503 or 504".to_owned());
            }
            Fault::Delay { seconds }
            | Fault::Stale { seconds }
            | Fault::SlowActions { seconds }
                if !(0.0..=LONGEST).contains(&seconds) =>
            {
                return Err(format!("`seconds` is from 0 to {LONGEST}"));
            }
            _ => {}
        }
        Ok(FaultRule {
            method,
            path,
            nth,
            probability,
            times,
            fault,
        })
    }
}

/// Why a rule's text is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no fault rule: {why}")]
pub struct BadRule {
    text: String,
    why: String,
}

/// `KIND[:KEY=VALUE[,KEY=VALUE…]]`, such as `lost_response:method=POST,path=/v2/droplets,nth=1` or
/// `status:status=503,probability=0.1`; or the rule as JSON, as the control address takes it.
impl FromStr for FaultRule {
    type Err = BadRule;

    fn from_str(text: &str) -> Result<Self, BadRule> {
        let bad = |why: String| BadRule {
            text: text.to_owned(),
            why,
        };
        if text.trim_start().starts_with('{') {
            return serde_json::from_str(text).map_err(|error| bad(error.to_string()));
        }
        let (kind, settings) = text.split_once(':').unwrap_or((text, ""));
        let mut rule = Map::new();
        let mut fault = Map::from_iter([("kind".to_owned(), Value::from(kind))]);
        for setting in settings.split(',').filter(|setting| !setting.is_empty()) {
            let (key, value) = setting
                .split_once('=')
                .ok_or_else(|| bad(format!("`{setting}` is not KEY=VALUE")))?;
            // Numbers and booleans are what JSON takes for one; everything else is text.
            let value = serde_json::from_str(value)
                .ok()
                .filter(|value: &Value| value.is_number() || value.is_boolean())
                .unwrap_or_else(|| Value::from(value));
            let of_rule = ["method", "path", "nth", "probability", "times"].contains(&key);
            let place = if of_rule { &mut rule } else { &mut fault };
            if place.insert(key.to_owned(), value).is_some() {
                return Err(bad(format!("`{key}` is there twice")));
            }
        }
        let wanted = fault.len();
        rule.insert("fault".to_owned(), Value::Object(fault));
        let rule: Self =
            serde_json::from_value(Value::Object(rule)).map_err(|error| bad(error.to_string()))?;
        // A misspelt setting of a kind would be ignored in silence.
        let known = serde_json::to_value(&rule.fault)
            .map_or(0, |value| value.as_object().map_or(0, Map::len));
        if wanted > known {
            return Err(bad(format!("`{kind}` has no such setting")));
        }
        Ok(rule)
    }
}

#[derive(Debug)]
struct Armed {
    rule: FaultRule,
    seen: u64,
    fired: u64,
}

/// The rules in force.
#[derive(Debug)]
pub(crate) struct Faults {
    rules: Vec<Armed>,
    rng: Rng,
}

impl Faults {
    pub(crate) fn new(rules: Vec<FaultRule>, seed: u64) -> Faults {
        let mut faults = Faults {
            rules: Vec::new(),
            rng: Rng::seeded(seed),
        };
        faults.replace(rules, Some(seed));
        faults
    }

    /// Puts new rules in force; a seed starts the dice again.
    pub(crate) fn replace(&mut self, rules: Vec<FaultRule>, seed: Option<u64>) {
        if let Some(seed) = seed {
            // Apart from the stream the account's ids come from.
            self.rng = Rng::seeded(seed ^ 0x5eed_fa17);
        }
        self.rules = rules
            .into_iter()
            .map(|rule| Armed {
                rule,
                seen: 0,
                fired: 0,
            })
            .collect();
    }

    /// What happens to this request.
    pub(crate) fn decide(&mut self, method: &str, path: &str) -> Vec<Fault> {
        let mut decided = Vec::new();
        for armed in &mut self.rules {
            let rule = &armed.rule;
            let method_fits = rule
                .method
                .as_ref()
                .is_none_or(|wanted| wanted.eq_ignore_ascii_case(method));
            if !method_fits
                || rule
                    .path
                    .as_ref()
                    .is_some_and(|pattern| !fits(pattern, path))
            {
                continue;
            }
            armed.seen += 1;
            // The die is thrown for every request that fits, so that later decisions do not
            // depend on the other conditions.
            let lucky = rule.probability.is_none_or(|p| chance(&self.rng) < p);
            let turn = rule.nth.is_none_or(|nth| nth == armed.seen);
            if lucky && turn && rule.times.is_none_or(|times| armed.fired < times) {
                armed.fired += 1;
                decided.push(rule.fault.clone());
            }
        }
        decided
    }
}

/// A number in 0..1.
fn chance(rng: &Rng) -> f64 {
    f64::from(u32::try_from(rng.u64() >> 32).unwrap_or(u32::MAX)) / 4_294_967_296.0
}

/// Whether a path fits a pattern whose `*` stand for any characters.
fn fits(pattern: &str, path: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = path.strip_prefix(parts.next().unwrap_or_default()) else {
        return false;
    };
    let mut parts = parts.peekable();
    if parts.peek().is_none() {
        return rest.is_empty();
    }
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return rest.ends_with(part);
        }
        let Some(found) = rest.find(part) else {
            return false;
        };
        rest = rest.get(found + part.len()..).unwrap_or_default();
    }
    true
}

/// Seconds of a rule as a duration; what is not a duration counts as none.
pub(crate) fn seconds(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(fault: Fault) -> FaultRule {
        FaultRule {
            method: None,
            path: None,
            nth: None,
            probability: None,
            times: None,
            fault,
        }
    }

    #[test]
    fn patterns() {
        assert!(fits("/v2/droplets", "/v2/droplets"));
        assert!(!fits("/v2/droplets", "/v2/droplets/1"));
        assert!(fits("/v2/droplets*", "/v2/droplets/1"));
        assert!(fits("/v2/*/actions", "/v2/droplets/1/actions"));
        assert!(!fits("/v2/*/actions", "/v2/droplets/1"));
        assert!(fits("*", "/anything"));
    }

    #[test]
    fn the_nth_request_that_fits_and_no_other() {
        let nth = FaultRule {
            method: Some("post".to_owned()),
            path: Some("/v2/droplets".to_owned()),
            nth: Some(2),
            ..rule(Fault::LostResponse)
        };
        let mut faults = Faults::new(vec![nth], 1);
        assert!(faults.decide("GET", "/v2/droplets").is_empty());
        assert!(faults.decide("POST", "/v2/droplets").is_empty());
        assert_eq!(faults.decide("POST", "/v2/droplets"), [Fault::LostResponse]);
        assert!(faults.decide("POST", "/v2/droplets").is_empty());
    }

    #[test]
    fn the_same_seed_decides_the_same() {
        let dice = || {
            let rule = FaultRule {
                probability: Some(0.5),
                ..rule(Fault::Reset)
            };
            let mut faults = Faults::new(vec![rule], 42);
            (0..64)
                .map(|_| faults.decide("GET", "/").len())
                .collect::<Vec<_>>()
        };
        let first = dice();
        assert_eq!(first, dice());
        assert!(first.contains(&0) && first.contains(&1));
    }

    #[test]
    fn a_rule_can_be_used_up() {
        let rule = FaultRule {
            times: Some(1),
            ..rule(Fault::Status { status: 503 })
        };
        let mut faults = Faults::new(vec![rule], 1);
        assert_eq!(faults.decide("GET", "/").len(), 1);
        assert!(faults.decide("GET", "/").is_empty());
    }

    #[test]
    fn rules_are_written_on_a_command_line() {
        let rule: FaultRule = "lost_response:method=POST,path=/v2/droplets,nth=2"
            .parse()
            .unwrap();
        assert_eq!(rule.method.as_deref(), Some("POST"));
        assert_eq!(rule.path.as_deref(), Some("/v2/droplets"));
        assert_eq!((rule.nth, rule.fault), (Some(2), Fault::LostResponse));
        let rule: FaultRule = "timeout:committed=true,probability=0.25,times=3"
            .parse()
            .unwrap();
        assert_eq!(rule.fault, Fault::Timeout { committed: true });
        assert_eq!((rule.probability, rule.times), (Some(0.25), Some(3)));
        let json: FaultRule = r#"{"fault":{"kind":"status","status":503}}"#.parse().unwrap();
        assert_eq!(Ok(json), "status:status=503".parse());
        for (wrong, why) in [
            ("thunder", "unknown variant"),
            ("status", "missing field"),
            ("delay:seconds=soon", "invalid type"),
            ("reset:pth=/v2/*", "no such setting"),
            ("reset:nth", "KEY=VALUE"),
            ("reset:nth=1,nth=2", "twice"),
        ] {
            let error = wrong.parse::<FaultRule>().unwrap_err().to_string();
            assert!(error.contains(why), "{wrong}: {error}");
        }
    }

    #[test]
    fn rules_are_written_as_json() {
        let text = r#"{"method":"POST","path":"/v2/*","fault":{"kind":"status","status":502}}"#;
        let rule: FaultRule = serde_json::from_str(text).unwrap();
        assert_eq!(rule.fault, Fault::Status { status: 502 });
        assert!(
            serde_json::from_str::<FaultRule>(r#"{"pth":"/","fault":{"kind":"reset"}}"#).is_err()
        );
    }

    #[test]
    fn a_rule_that_could_do_nothing_is_none() {
        for bad in [
            "status:status=418",
            "reset:probability=7",
            "reset:probability=-1",
            "reset:nth=0",
            "reset:times=0",
            "reset:method=",
            "delay:seconds=-5",
            "stale:seconds=1e30",
        ] {
            assert!(bad.parse::<FaultRule>().is_err(), "{bad}");
            let written = r#"{"fault":{"kind":"status","status":200}}"#;
            assert!(serde_json::from_str::<FaultRule>(written).is_err());
        }
    }
}
