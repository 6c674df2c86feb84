//! Actions: what DigitalOcean calls a change that takes a while.

use super::DigitalOcean;
use crate::http::{List, parse_timestamp};
use http::Method;
use kplan_model::{ErrorKind, Permit, ProviderError, Timestamp};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The first pause between two looks at an action.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(15);
/// How often an action is looked at: 30 minutes altogether. Resizing a large disk takes a few
/// minutes per 100 GiB; Terraform waits up to 60 minutes.
const LOOKS: usize = 125;

/// The pauses between two looks at an action, or at what one is being done to.
pub(super) fn pauses() -> impl Iterator<Item = Duration> {
    let longer = |pause: &Duration| Some((*pause * 2).min(LONGEST_PAUSE));
    std::iter::successors(Some(FIRST_PAUSE), longer).take(LOOKS)
}

/// The status of an action that ended badly.
pub(super) const ERRORED: &str = "errored";

/// An action as DigitalOcean shows it.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Action {
    id: u64,
    status: String,
    #[serde(rename = "type", default)]
    what: String,
    started_at: Option<String>,
}

impl Action {
    /// Whether it is of this type and ended badly.
    pub(super) fn failed_to(&self, what: &str) -> bool {
        self.what == what && self.status == ERRORED
    }

    /// When it was started.
    pub(super) fn started(&self) -> Option<Timestamp> {
        parse_timestamp(self.started_at.as_deref()?)
    }
}

/// The list of the actions on the resource at `path`.
pub(super) fn actions_of(path: &str) -> List {
    List::new(format!("{path}/actions"), "actions", "id")
}

impl DigitalOcean {
    /// Whether an action of this type ended badly, by a list of [`actions_of`] a resource.
    pub(super) async fn has_failed(&self, list: &List, what: &str) -> Result<bool, ProviderError> {
        let actions: Vec<Action> = self.http.list(list).await?;
        Ok(actions.iter().any(|action| action.failed_to(what)))
    }

    /// Starts an action and waits until it is over.
    ///
    /// Errors: `Busy` while another event is in progress or when it takes longer than 30 minutes
    /// (the same call may be made again), `Failed` when the action ends badly.
    pub(super) async fn act(
        &self,
        permit: &Permit,
        path: &str,
        body: &impl Serialize,
    ) -> Result<(), ProviderError> {
        #[derive(Deserialize)]
        struct Answer {
            action: Action,
        }
        let Answer { mut action } = self.http.change(permit, &Method::POST, path, body).await?;
        for pause in pauses() {
            match action.status.as_str() {
                "completed" => return Ok(()),
                ERRORED => {
                    return Err(ProviderError::new(
                        ErrorKind::Failed,
                        format!(
                            "DigitalOcean reports that the action {} failed",
                            action.what
                        ),
                    ));
                }
                _ => {}
            }
            self.http.pause(pause).await;
            let Answer { action: seen } =
                self.http.get(&format!("/v2/actions/{}", action.id)).await?;
            action = seen;
        }
        Err(ProviderError::new(
            ErrorKind::Busy,
            format!(
                "the action {} is still in progress after 30 minutes",
                action.what
            ),
        ))
    }
}
