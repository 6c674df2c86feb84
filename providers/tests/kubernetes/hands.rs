//! The least of an engine: looks, creates, waits, reads, changes and deletes, with every kind of
//! kplan's.

use kplan_model::{
    Address, Codec as _, FieldSet, Found, Known, Object, Owner, Permit, Preview, ProviderError,
    Readiness, Registry, WantedObject,
};
use kplan_providers::registry::{self, Clients};
use std::time::Duration;

/// A permit for an address.
pub(crate) fn permit(address: &Address) -> Permit {
    kplan_model::testing::permit(address).unwrap()
}

/// Every kind, for one cluster.
pub(crate) struct Hands {
    pub(crate) registry: Registry,
    owner: Owner,
}

impl Hands {
    pub(crate) fn new(clients: &Clients) -> Self {
        Self {
            registry: registry::all(clients),
            owner: Owner {
                cluster: "demo".to_owned(),
                suffix: "3f9a1c2e".to_owned(),
            },
        }
    }

    pub(crate) fn owner_id(&self) -> String {
        self.owner.id()
    }

    fn entry(&self, address: &Address) -> &kplan_model::Entry {
        self.registry
            .get(address.kind())
            .unwrap_or_else(|| panic!("no kind {}", address.kind()))
    }

    /// Looks, creates and waits until it is ready.
    pub(crate) async fn make(&self, address: &str, args: Object) -> Known {
        let known = self
            .create(address, args)
            .await
            .unwrap_or_else(|error| panic!("{address}: {error}"));
        self.ready(known).await
    }

    pub(crate) async fn create(&self, address: &str, args: Object) -> Result<Known, ProviderError> {
        let address: Address = address.parse().unwrap();
        let entry = self.entry(&address);
        let wanted = || WantedObject {
            owner: &self.owner,
            address: &address,
            args: &args,
        };
        let before = entry.observe.find(wanted()).await?;
        assert!(before.is_empty(), "{address} is there already: {before:?}");
        let made = entry.mutate.create(wanted(), &permit(&address)).await;
        let Found { id, attrs, .. } = made.map_err(|failed| failed.error)?;
        Ok(Known {
            address,
            id,
            args,
            attrs,
        })
    }

    /// Made although it may be there: as after a create whose answer was lost.
    pub(crate) async fn create_anyway(&self, address: &str, args: Object) {
        let address: Address = address.parse().unwrap();
        let wanted = WantedObject {
            owner: &self.owner,
            address: &address,
            args: &args,
        };
        let made = self
            .entry(&address)
            .mutate
            .create(wanted, &permit(&address))
            .await;
        made.map_err(|failed| failed.error).unwrap();
    }

    /// What a create would find already.
    pub(crate) async fn find(&self, known: &Known) -> Vec<Found<Object>> {
        let wanted = WantedObject {
            owner: &self.owner,
            address: &known.address,
            args: &known.args,
        };
        self.entry(&known.address)
            .observe
            .find(wanted)
            .await
            .unwrap()
    }

    /// Waits with lists, as the engine does.
    pub(crate) async fn ready(&self, known: Known) -> Known {
        let address = known.address.clone();
        let made = self.settled(known).await;
        made.unwrap_or_else(|why| panic!("{address}: {why}"))
    }

    /// Waits until it is ready, or says that it never will be.
    pub(crate) async fn settled(&self, mut known: Known) -> Result<Known, String> {
        let entry = self.entry(&known.address);
        let mut last = Readiness::Ready;
        for _ in 0..2400 {
            last = entry.observe.readiness(&known.attrs).unwrap();
            match &last {
                Readiness::Ready => return Ok(known),
                Readiness::Failed(why) => return Err(why.clone()),
                Readiness::Waiting(_) => tokio::time::sleep(Duration::from_millis(25)).await,
            }
            if let Some(attrs) = self.read(&known).await {
                known.attrs = attrs;
            }
        }
        Err(format!("it never becomes ready: {last:?}"))
    }

    pub(crate) async fn read(&self, known: &Known) -> Option<Object> {
        let mut found = self
            .entry(&known.address)
            .observe
            .read_all(std::slice::from_ref(known))
            .await
            .unwrap_or_else(|error| panic!("{}: {error}", known.address));
        found.remove(&known.id)
    }

    /// Waits until it says that of its objects: a list that was read just now is read once.
    pub(crate) async fn says(&self, known: &Known, is: impl Fn(&str) -> bool) -> Object {
        let mut last = String::new();
        for _ in 0..400 {
            let seen = self.read(known).await;
            let seen = seen.unwrap_or_else(|| panic!("{} is gone", known.address));
            last = String::decode(&seen["objects"]).unwrap();
            if is(&last) {
                return seen;
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        panic!("{} says: {last}", known.address);
    }

    pub(crate) async fn preview(&self, known: &Known, args: &Object) -> Vec<Preview> {
        self.entry(&known.address)
            .observe
            .preview(Some(known), args)
            .await
            .unwrap()
    }

    /// Updates and waits until it is ready.
    pub(crate) async fn update(&self, known: &Known, args: Object) -> Known {
        let attrs = self.try_update(known, args.clone()).await;
        let attrs = attrs.unwrap_or_else(|error| panic!("{}: {error}", known.address));
        let known = Known {
            args,
            attrs,
            ..known.clone()
        };
        self.ready(known).await
    }

    pub(crate) async fn try_update(
        &self,
        known: &Known,
        args: Object,
    ) -> Result<Object, ProviderError> {
        let changed: FieldSet = args
            .iter()
            .filter(|(name, value)| known.args.get(name) != Some(value))
            .map(|(name, _)| name.clone())
            .collect();
        let entry = self.entry(&known.address);
        let permit = permit(&known.address);
        entry.mutate.update(known, &args, &changed, &permit).await
    }

    /// Updates what of its objects is not as it was applied, as a plan does that saw it.
    pub(crate) async fn put_back(&self, known: &Known) -> Result<Object, ProviderError> {
        let changed: FieldSet = ["objects"].into_iter().collect();
        let entry = self.entry(&known.address);
        let permit = permit(&known.address);
        let update = entry.mutate.update(known, &known.args, &changed, &permit);
        update.await
    }

    pub(crate) async fn delete(&self, known: &Known) -> Result<(), ProviderError> {
        self.entry(&known.address)
            .mutate
            .delete(known, &permit(&known.address))
            .await
    }
}
