//! Kits that lie nowhere but in memory: for simulations, and where kinds are only looked up.

use super::{KitKeeper, KitPlace, Signer};
use kplan_model::{BoxFuture, ProviderError};
use std::collections::BTreeMap;
use std::future::ready;
use std::sync::{Arc, Mutex, PoisonError};

/// How many landed in each place. Clones share them.
#[derive(Clone, Default)]
pub struct MemoryKits(Arc<Mutex<BTreeMap<String, u64>>>);

fn key(place: &KitPlace) -> String {
    format!("{}/{}", place.bucket, place.prefix)
}

impl MemoryKits {
    fn with<T>(&self, work: impl FnOnce(&mut BTreeMap<String, u64>) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl KitKeeper for MemoryKits {
    fn land<'a>(
        &'a self,
        place: &'a KitPlace,
        signer: &'a Signer,
    ) -> BoxFuture<'a, Result<(), ProviderError>> {
        let signed = signer.sign(b"kit").map(|_| {
            self.with(|kits| *kits.entry(key(place)).or_default() += 1);
        });
        Box::pin(ready(signed))
    }

    fn lies<'a>(&'a self, place: &'a KitPlace) -> BoxFuture<'a, Result<bool, ProviderError>> {
        Box::pin(ready(Ok(self.with(|kits| kits.contains_key(&key(place))))))
    }

    fn remove<'a>(&'a self, place: &'a KitPlace) -> BoxFuture<'a, Result<(), ProviderError>> {
        self.with(|kits| kits.remove(&key(place)));
        Box::pin(ready(Ok(())))
    }
}
