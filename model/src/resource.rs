//! `Resource`: one kind of thing, implemented once in one file of `providers`; and its erased
//! halves `Observe` (reads) and `Mutate` (needs a `Permit`).

use crate::address::Address;
use crate::codec::ObjectCodec;
use crate::error::{ErrorKind, ProviderError};
use crate::kind::{FieldSet, KindInfo};
use crate::object::Object;
use crate::observation::{Found, Known, Readiness, RemoteId};
use crate::owner::Owner;
use crate::plan::Permit;
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;

/// A boxed future that can move between threads.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// What is to be made, or looked for.
#[derive(Debug)]
pub struct Wanted<'a, A> {
    /// Whose it will be.
    pub owner: &'a Owner,
    /// Its address.
    pub address: &'a Address,
    /// Its arguments, every reference filled.
    pub args: &'a A,
}

// Derived, it would ask `A` to be `Copy`, of which only a reference is here.
impl<A> Copy for Wanted<'_, A> {}

impl<A> Clone for Wanted<'_, A> {
    fn clone(&self) -> Self {
        *self
    }
}

/// [`Wanted`] with plain arguments.
pub type WantedObject<'a> = Wanted<'a, Object>;

/// What a look for one resource came to.
pub type FoundOrNot<A> = Result<Vec<Found<A>>, ProviderError>;

/// A create that did not end well; what exists nevertheless is recorded as tainted.
#[derive(Clone, Debug, PartialEq)]
pub struct CreateFailed<A> {
    /// Why.
    pub error: ProviderError,
    /// What was made before it failed.
    pub partial: Option<Found<A>>,
}

impl<A> From<ProviderError> for CreateFailed<A> {
    fn from(error: ProviderError) -> Self {
        Self {
            error,
            partial: None,
        }
    }
}

/// What the remote side itself says a change would make of one object (a server's dry run).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Preview {
    /// The object, in the remote side's words, such as `apps/v1 Deployment argocd/argocd-server`.
    pub object: String,
    /// Its text before; empty when it does not exist. Never holds a secret.
    pub before: String,
    /// Its text after; empty when it goes. Never holds a secret.
    pub after: String,
}

/// One kind of thing.
///
/// Calls are made with their references filled. None of them waits for readiness: `create`
/// returns as soon as the remote side named the resource, and the engine polls all waiters of a
/// kind with one `read_all`.
pub trait Resource: Send + Sync + 'static {
    /// What is asked for.
    type Args: ObjectCodec;
    /// What the remote side reports. Fields named as in `Args` are compared with them; a field
    /// of `Args` that is `None` or missing here cannot be read and is compared with the record.
    type Attrs: ObjectCodec;

    /// The kind, its fields and what changing them means.
    const INFO: &'static KindInfo;

    /// Whether nothing is left to look for once `delete` returned: true for a kind that exists
    /// only on record, or that goes with what carries it. Otherwise the engine watches until the
    /// remote side does not show it any more.
    const GONE_AT_ONCE: bool = false;

    /// Whether one whose create failed half-way is destroyed and made again. Where its parts may
    /// have been there before, or hold what others made, it is completed instead.
    const IS_REMADE: bool = true;

    /// Whether it bears a mark of its owner's, which [`Resource::release`] takes off.
    const IS_MARKED: bool = false;

    /// Whether [`Resource::find_all`] looks for many at the price of one list. If not, the engine
    /// looks for each on its own, as many at once as the kind may have calls.
    const FINDS_ALL: bool = false;

    /// Reads one resource: `None` when the remote side says that it does not exist.
    fn read(
        &self,
        known: &Known,
    ) -> impl Future<Output = Result<Option<Self::Attrs>, ProviderError>> + Send;

    /// Reads all of them at once, by list calls read to the last page. An id that no list shows
    /// is left out of the answer; whether it is really absent is for the engine to confirm.
    ///
    /// A kind of which there is one in a cluster has no list, and is read on its own.
    fn read_all(
        &self,
        known: &[Known],
    ) -> impl Future<Output = Result<BTreeMap<RemoteId, Self::Attrs>, ProviderError>> + Send {
        async move {
            let mut all = BTreeMap::new();
            for one in known {
                if let Some(attrs) = self.read(one).await? {
                    all.insert(one.id.clone(), attrs);
                }
            }
            Ok(all)
        }
    }

    /// What exists already with the owner's tag or the deterministic name that a create would
    /// give: candidates for a create whose answer was lost, and for the look before a create.
    fn find(
        &self,
        wanted: Wanted<'_, Self::Args>,
    ) -> impl Future<Output = Result<Vec<Found<Self::Attrs>>, ProviderError>> + Send;

    /// [`Resource::find`] for many at once: one answer for each of `wanted`, in its order.
    ///
    /// A kind that can answer all of them from one list says so ([`Resource::FINDS_ALL`]) and
    /// does it here.
    fn find_all(
        &self,
        wanted: &[Wanted<'_, Self::Args>],
    ) -> impl Future<Output = Vec<FoundOrNot<Self::Attrs>>> + Send {
        async move {
            let mut all = Vec::with_capacity(wanted.len());
            for one in wanted {
                all.push(self.find(*one).await);
            }
            all
        }
    }

    /// Makes it.
    fn create(
        &self,
        wanted: Wanted<'_, Self::Args>,
        permit: &Permit,
    ) -> impl Future<Output = Result<Found<Self::Attrs>, CreateFailed<Self::Attrs>>> + Send;

    /// Changes the given fields of the living resource. Safe to run again after it was cut off.
    fn update(
        &self,
        known: &Known,
        args: &Self::Args,
        changed: &FieldSet,
        permit: &Permit,
    ) -> impl Future<Output = Result<Self::Attrs, ProviderError>> + Send;

    /// Destroys it; already gone is fine.
    fn delete(
        &self,
        known: &Known,
        permit: &Permit,
    ) -> impl Future<Output = Result<(), ProviderError>> + Send;

    /// Takes the owner's mark off one that stays and leaves the record: by it, it would be told for
    /// the owner's for ever. Called for kinds that bear one ([`Resource::IS_MARKED`]); one that is
    /// gone, or bears none, is fine. Safe to run again after it was cut off.
    fn release(
        &self,
        known: &Known,
        permit: &Permit,
    ) -> impl Future<Output = Result<(), ProviderError>> + Send {
        let _ = (known, permit);
        async { Ok(()) }
    }

    /// Whether it can be used, from its attributes.
    fn readiness(&self, attrs: &Self::Attrs) -> Readiness {
        let _ = attrs;
        Readiness::Ready
    }

    /// How far the destruction is of one that was to be destroyed and is still there: `Waiting` with
    /// what it waits for, `Failed` where it does not come to its end, `Ready` where nothing more is
    /// waited for.
    fn going(&self, attrs: &Self::Attrs) -> Readiness {
        let _ = attrs;
        Readiness::Waiting("it is still there".to_owned())
    }

    /// Why the container that it stands in, or would stand in, does not take one any more; `None`
    /// where it does, or where nobody can tell. Asked when it is planned to make one (again)
    /// while its container stays: that is made anew then, too. `args` are filled as far as the
    /// record goes; `attrs` is what was seen of the one that is there.
    fn too_late(&self, args: &Self::Args, attrs: Option<&Self::Attrs>) -> Option<String> {
        let _ = (args, attrs);
        None
    }

    /// What is known of it once what it runs on ([`crate::kind::Field::runs_on`]) is being
    /// interrupted: attributes of which [`Resource::readiness`] says that it waits until reading
    /// saw it working *after* that. A sign of life that may be older must not count.
    ///
    /// Attributes of a waiting resource are read with those of the read before in
    /// [`Known::attrs`], so one read can be compared with the next.
    fn interrupted(&self, attrs: Self::Attrs) -> Self::Attrs {
        attrs
    }

    /// Whether these are attributes that [`Resource::interrupted`] gave and that no later read
    /// cleared. Such a resource worked before, and is not replaced for being late.
    fn is_interrupted(&self, attrs: &Self::Attrs) -> bool {
        let _ = attrs;
        false
    }

    /// The remote side's own dry run of a create or an update, where it has one: a reading call,
    /// for plans. Nothing to say is an empty list.
    fn preview(
        &self,
        known: Option<&Known>,
        args: &Self::Args,
    ) -> impl Future<Output = Result<Vec<Preview>, ProviderError>> + Send {
        let _ = (known, args);
        async { Ok(Vec::new()) }
    }
}

/// The reading half of a kind, for the engine.
pub trait Observe: Send + Sync {
    /// See [`Resource::INFO`].
    fn info(&self) -> &'static KindInfo;
    /// See [`Resource::GONE_AT_ONCE`].
    fn gone_at_once(&self) -> bool;

    /// See [`Resource::IS_REMADE`].
    fn is_remade(&self) -> bool;
    /// See [`Resource::IS_MARKED`].
    fn is_marked(&self) -> bool;
    /// See [`Resource::read`].
    fn read<'a>(&'a self, known: &'a Known)
    -> BoxFuture<'a, Result<Option<Object>, ProviderError>>;
    /// See [`Resource::read_all`].
    fn read_all<'a>(
        &'a self,
        known: &'a [Known],
    ) -> BoxFuture<'a, Result<BTreeMap<RemoteId, Object>, ProviderError>>;
    /// See [`Resource::find`].
    fn find<'a>(
        &'a self,
        wanted: WantedObject<'a>,
    ) -> BoxFuture<'a, Result<Vec<Found<Object>>, ProviderError>>;
    /// See [`Resource::FINDS_ALL`].
    fn finds_all(&self) -> bool;
    /// See [`Resource::find_all`].
    fn find_all<'a>(
        &'a self,
        wanted: &'a [WantedObject<'a>],
    ) -> BoxFuture<'a, Vec<FoundOrNot<Object>>>;
    /// See [`Resource::readiness`].
    fn readiness(&self, attrs: &Object) -> Result<Readiness, ProviderError>;
    /// See [`Resource::going`].
    fn going(&self, attrs: &Object) -> Result<Readiness, ProviderError>;
    /// See [`Resource::too_late`].
    fn too_late(
        &self,
        args: &Object,
        attrs: Option<&Object>,
    ) -> Result<Option<String>, ProviderError>;
    /// See [`Resource::interrupted`].
    fn interrupted(&self, attrs: &Object) -> Result<Object, ProviderError>;
    /// See [`Resource::is_interrupted`].
    fn is_interrupted(&self, attrs: &Object) -> Result<bool, ProviderError>;
    /// See [`Resource::preview`].
    fn preview<'a>(
        &'a self,
        known: Option<&'a Known>,
        args: &'a Object,
    ) -> BoxFuture<'a, Result<Vec<Preview>, ProviderError>>;
}

/// The changing half of a kind, for the executor alone.
pub trait Mutate: Send + Sync {
    /// See [`Resource::create`].
    fn create<'a>(
        &'a self,
        wanted: WantedObject<'a>,
        permit: &'a Permit,
    ) -> BoxFuture<'a, Result<Found<Object>, CreateFailed<Object>>>;
    /// See [`Resource::update`].
    fn update<'a>(
        &'a self,
        known: &'a Known,
        args: &'a Object,
        changed: &'a FieldSet,
        permit: &'a Permit,
    ) -> BoxFuture<'a, Result<Object, ProviderError>>;
    /// See [`Resource::delete`].
    fn delete<'a>(
        &'a self,
        known: &'a Known,
        permit: &'a Permit,
    ) -> BoxFuture<'a, Result<(), ProviderError>>;
    /// See [`Resource::release`].
    fn release<'a>(
        &'a self,
        known: &'a Known,
        permit: &'a Permit,
    ) -> BoxFuture<'a, Result<(), ProviderError>>;
}

fn plain<A: ObjectCodec>(found: Found<A>) -> Found<Object> {
    Found {
        id: found.id,
        created_at: found.created_at,
        attrs: found.attrs.to_object(),
        role: found.role,
    }
}

impl<R: Resource> Observe for R {
    fn info(&self) -> &'static KindInfo {
        R::INFO
    }

    fn gone_at_once(&self) -> bool {
        R::GONE_AT_ONCE
    }

    fn is_remade(&self) -> bool {
        R::IS_REMADE
    }

    fn is_marked(&self) -> bool {
        R::IS_MARKED
    }

    fn read<'a>(
        &'a self,
        known: &'a Known,
    ) -> BoxFuture<'a, Result<Option<Object>, ProviderError>> {
        Box::pin(async move {
            Ok(Resource::read(self, known)
                .await?
                .map(|attrs| attrs.to_object()))
        })
    }

    fn read_all<'a>(
        &'a self,
        known: &'a [Known],
    ) -> BoxFuture<'a, Result<BTreeMap<RemoteId, Object>, ProviderError>> {
        Box::pin(async move {
            let found = Resource::read_all(self, known).await?;
            Ok(found
                .into_iter()
                .map(|(id, attrs)| (id, attrs.to_object()))
                .collect())
        })
    }

    fn find<'a>(
        &'a self,
        wanted: WantedObject<'a>,
    ) -> BoxFuture<'a, Result<Vec<Found<Object>>, ProviderError>> {
        Box::pin(async move {
            let args = R::Args::from_object(wanted.args)?;
            let typed = Wanted {
                owner: wanted.owner,
                address: wanted.address,
                args: &args,
            };
            Ok(Resource::find(self, typed)
                .await?
                .into_iter()
                .map(plain)
                .collect())
        })
    }

    fn finds_all(&self) -> bool {
        R::FINDS_ALL
    }

    fn find_all<'a>(
        &'a self,
        wanted: &'a [WantedObject<'a>],
    ) -> BoxFuture<'a, Vec<FoundOrNot<Object>>> {
        Box::pin(async move {
            let args: Vec<_> = wanted
                .iter()
                .map(|one| R::Args::from_object(one.args))
                .collect();
            let typed: Vec<_> = wanted
                .iter()
                .zip(&args)
                .filter_map(|(one, args)| {
                    Some(Wanted {
                        owner: one.owner,
                        address: one.address,
                        args: args.as_ref().ok()?,
                    })
                })
                .collect();
            let mut found = Resource::find_all(self, &typed).await.into_iter();
            // One answer for each that could be asked for, in order.
            args.iter()
                .map(|args| match args {
                    Ok(_) => match found.next() {
                        Some(found) => Ok(found?.into_iter().map(plain).collect()),
                        None => Err(ProviderError::new(
                            ErrorKind::Bug,
                            "a look for many left one out",
                        )),
                    },
                    Err(error) => Err(ProviderError::from(error.clone())),
                })
                .collect()
        })
    }

    fn readiness(&self, attrs: &Object) -> Result<Readiness, ProviderError> {
        Ok(Resource::readiness(self, &R::Attrs::from_object(attrs)?))
    }

    fn going(&self, attrs: &Object) -> Result<Readiness, ProviderError> {
        Ok(Resource::going(self, &R::Attrs::from_object(attrs)?))
    }

    fn too_late(
        &self,
        args: &Object,
        attrs: Option<&Object>,
    ) -> Result<Option<String>, ProviderError> {
        let args = R::Args::from_object(args)?;
        let attrs = attrs.map(R::Attrs::from_object).transpose()?;
        Ok(Resource::too_late(self, &args, attrs.as_ref()))
    }

    fn interrupted(&self, attrs: &Object) -> Result<Object, ProviderError> {
        let attrs = R::Attrs::from_object(attrs)?;
        Ok(Resource::interrupted(self, attrs).to_object())
    }

    fn is_interrupted(&self, attrs: &Object) -> Result<bool, ProviderError> {
        let attrs = R::Attrs::from_object(attrs)?;
        Ok(Resource::is_interrupted(self, &attrs))
    }

    fn preview<'a>(
        &'a self,
        known: Option<&'a Known>,
        args: &'a Object,
    ) -> BoxFuture<'a, Result<Vec<Preview>, ProviderError>> {
        Box::pin(async move {
            let args = R::Args::from_object(args)?;
            Resource::preview(self, known, &args).await
        })
    }
}

impl<R: Resource> Mutate for R {
    fn create<'a>(
        &'a self,
        wanted: WantedObject<'a>,
        permit: &'a Permit,
    ) -> BoxFuture<'a, Result<Found<Object>, CreateFailed<Object>>> {
        Box::pin(async move {
            let args = R::Args::from_object(wanted.args).map_err(ProviderError::from)?;
            let typed = Wanted {
                owner: wanted.owner,
                address: wanted.address,
                args: &args,
            };
            match Resource::create(self, typed, permit).await {
                Ok(found) => Ok(plain(found)),
                Err(CreateFailed { error, partial }) => Err(CreateFailed {
                    error,
                    partial: partial.map(plain),
                }),
            }
        })
    }

    fn update<'a>(
        &'a self,
        known: &'a Known,
        args: &'a Object,
        changed: &'a FieldSet,
        permit: &'a Permit,
    ) -> BoxFuture<'a, Result<Object, ProviderError>> {
        Box::pin(async move {
            let args = R::Args::from_object(args)?;
            Ok(Resource::update(self, known, &args, changed, permit)
                .await?
                .to_object())
        })
    }

    fn delete<'a>(
        &'a self,
        known: &'a Known,
        permit: &'a Permit,
    ) -> BoxFuture<'a, Result<(), ProviderError>> {
        Box::pin(Resource::delete(self, known, permit))
    }

    fn release<'a>(
        &'a self,
        known: &'a Known,
        permit: &'a Permit,
    ) -> BoxFuture<'a, Result<(), ProviderError>> {
        Box::pin(Resource::release(self, known, permit))
    }
}
