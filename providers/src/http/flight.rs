//! Coalesces identical lists: whoever asks while a list is still waiting to be sent shares it;
//! whoever asks after it was sent gets a new one, so nobody is given data older than the question.

use futures_util::FutureExt;
use futures_util::future::Shared;
use kplan_model::{BoxFuture, ProviderError};
use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What a list gives: its items, shared.
pub(super) type Items = Arc<Vec<serde_json::Value>>;
type Flight = Shared<BoxFuture<'static, Result<Items, ProviderError>>>;

#[derive(Default)]
struct Key {
    /// Held while a list of this key is being read, so that the next one gathers all who ask
    /// meanwhile.
    turn: Arc<tokio::sync::Mutex<()>>,
    /// The list that was not sent yet.
    waiting: Option<Flight>,
}

/// The lists under way, by what they ask for.
#[derive(Clone, Default)]
pub(super) struct Flights {
    keys: Arc<Mutex<BTreeMap<String, Key>>>,
}

impl Flights {
    fn keys(&self) -> MutexGuard<'_, BTreeMap<String, Key>> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Joins the waiting list of that key, or starts one with `read`.
    pub(super) async fn join<F>(
        &self,
        key: &str,
        read: impl FnOnce() -> F + Send + 'static,
    ) -> Result<Items, ProviderError>
    where
        F: Future<Output = Result<Items, ProviderError>> + Send + 'static,
    {
        let flight = {
            let mut keys = self.keys();
            let entry = keys.entry(key.to_owned()).or_default();
            if let Some(waiting) = &entry.waiting {
                waiting.clone()
            } else {
                let turn = Arc::clone(&entry.turn);
                let (flights, name) = (self.clone(), key.to_owned());
                let future: BoxFuture<'static, _> = Box::pin(async move {
                    let _turn = turn.lock().await;
                    // Those who ask in the same breath come along: another task runs only after
                    // all of this one that is ready has been polled.
                    let _ran = tokio::spawn(std::future::ready(())).await;
                    flights.sent(&name);
                    read().await
                });
                let flight = future.shared();
                entry.waiting = Some(flight.clone());
                flight
            }
        };
        let answer = flight.await;
        self.tidy(key);
        answer
    }

    /// Forgets a key nobody uses, so that the map stays as small as what is under way.
    fn tidy(&self, key: &str) {
        let mut keys = self.keys();
        if keys
            .get(key)
            .is_some_and(|entry| entry.waiting.is_none() && Arc::strong_count(&entry.turn) == 1)
        {
            keys.remove(key);
        }
    }

    fn sent(&self, key: &str) {
        if let Some(entry) = self.keys().get_mut(key) {
            entry.waiting = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::time::Duration;

    fn read(
        counter: &Arc<AtomicU32>,
    ) -> impl FnOnce() -> BoxFuture<'static, Result<Items, ProviderError>> + Send + 'static {
        let counter = Arc::clone(counter);
        move || {
            let number = counter.fetch_add(1, Ordering::SeqCst);
            Box::pin(async move {
                tokio::time::sleep(Duration::from_secs(1)).await;
                Ok(Arc::new(vec![serde_json::json!(number)]))
            })
        }
    }

    #[tokio::test(start_paused = true)]
    async fn those_who_ask_later_share_a_later_list() {
        let flights = Flights::default();
        let reads = Arc::new(AtomicU32::new(0));
        let first = flights.join("droplets", read(&reads));
        let later = async {
            tokio::time::sleep(Duration::from_millis(10)).await;
            futures_util::future::join_all((0..50).map(|_| flights.join("droplets", read(&reads))))
                .await
        };
        let (first, later) = futures_util::future::join(first, later).await;
        assert_eq!(first.unwrap()[0], 0);
        for answer in later {
            assert_eq!(
                answer.unwrap()[0],
                1,
                "never the list sent before the question"
            );
        }
        assert_eq!(reads.load(Ordering::SeqCst), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_list_whose_asker_left_does_not_block_the_next() {
        let flights = Flights::default();
        let reads = Arc::new(AtomicU32::new(0));
        let gone = tokio::time::timeout(
            Duration::from_millis(5),
            flights.join("droplets", read(&reads)),
        )
        .await;
        assert!(gone.is_err());
        let answer = flights.join("droplets", read(&reads)).await.unwrap();
        assert_eq!(answer[0], 1);
        assert!(flights.keys().is_empty());
    }
}
