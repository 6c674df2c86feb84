//! What every kind made of Kubernetes objects shares: a kind says which objects it consists of,
//! and everything else is here.

use super::bundle::{self, APPLIED, Basis, Bundle, ByHand, Line, Target, label_of, read_inventory};
use super::by_hand;
use super::connect::{Kubernetes, Role};
use super::diff;
use super::managed::{self, Managed};
use super::object::Object;
use super::parallel;
use super::session::{Ownership, Session};
use crate::artifacts::ArtifactSource;
use crate::k3s::access::Access;
use kplan_model::{
    BoxFuture, Codec, CreateFailed, ErrorKind, Field, FieldSet, Found, Input, KindInfo, Known,
    ObjectCodec, Permit, Preview, ProviderError, Readiness, RemoteId, Resource, ShapeError, Value,
    Wanted,
};
use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;

/// How many bundles are read at once.
const PARALLEL: usize = 4;

/// What is said of a bundle that an Application managed until now.
const NO_LONGER_MANAGED: &str = "no longer managed by Argo CD";

/// What is asked of a bundle's objects: to be there as they were applied. Its counterpart in the
/// attributes says what differs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Applied;

impl Codec for Applied {
    fn encode(&self) -> Value {
        Value::str(APPLIED)
    }

    fn decode(_value: &Value) -> Result<Self, ShapeError> {
        Ok(Self)
    }
}

kplan_model::object! {
    /// What is known of a bundle.
    pub struct BundleAttrs {
        /// `applied`, or what differs.
        pub objects: String,
        /// What was applied: one line per object, with digests of it and of which fields of it the
        /// server then said are kplan's.
        pub inventory: Vec<String>,
        /// What it waits for.
        pub waiting: Option<String>,
        /// Why it never will work.
        pub failed: Option<String>,
        /// The Application with which Argo CD manages it; kplan leaves all but its secrets to that.
        pub managed_by: Option<String>,
    }
}

/// The fields every such kind has besides its own.
pub(super) const ACCESS: Field = Field::in_place("access", "How the cluster is reached.")
    .secret()
    .reaches();
pub(super) const OBJECTS: Field = Field::in_place(
    "objects",
    "Whether every object is there as it was applied.",
);
pub(super) const SOURCES: Field = Field::ignored(
    "sources",
    "Where the artifacts come from; a mirror changes no bytes, so it changes nothing.",
);
pub(super) const INVENTORY: Field = Field::computed(
    "inventory",
    "What was applied: one line per object, with digests of it and of which fields became kplan's.",
);
pub(super) const WAITING: Field = Field::computed("waiting", "What it waits for.");
pub(super) const FAILED: Field = Field::computed("failed", "Why it never will work.");
pub(super) const MANAGED_BY: Field = Field::computed(
    "managed_by",
    "The Application with which Argo CD manages it; kplan leaves all but its secrets to that.",
);

/// The table of such a kind: its own fields between those that all of them have.
macro_rules! bundle_fields {
    ($($own:expr),* $(,)?) => {
        &[
            $crate::kubernetes::kind::ACCESS,
            $crate::kubernetes::kind::OBJECTS,
            $($own,)*
            $crate::kubernetes::kind::INVENTORY,
            $crate::kubernetes::kind::WAITING,
            $crate::kubernetes::kind::FAILED,
            $crate::kubernetes::kind::MANAGED_BY,
        ]
    };
}
pub(super) use bundle_fields;

/// A kind that consists of Kubernetes objects.
pub trait BundleKind: Send + Sync + 'static {
    /// What is asked for.
    type Args: ObjectCodec + Clone;

    /// The kind, its fields and what changing them means.
    const INFO: &'static KindInfo;

    /// Whether it is made anew when it turns out never to work. What somebody else's objects hold
    /// would be lost with them, so theirs are waited for instead, with the reason.
    const IS_REMADE: bool = true;

    /// Whether its objects must belong to no other bundle. The platform's own parts hand objects
    /// over among themselves.
    const IS_ALONE: bool = false;

    /// Whether its objects are left to an Application that manages them. What Argo CD itself rests
    /// on never is.
    const YIELDS: bool = true;

    /// The connection among the arguments.
    fn access(args: &Self::Args) -> &Input<Access>;

    /// The objects it consists of.
    fn objects(
        args: &Self::Args,
        artifacts: &dyn ArtifactSource,
    ) -> impl Future<Output = Result<Vec<serde_json::Value>, ProviderError>> + Send;

    /// What comes before its objects are applied.
    fn before_apply(
        to: &Target<'_>,
        args: &Self::Args,
    ) -> impl Future<Output = Result<(), ProviderError>> + Send {
        let _ = (to, args);
        async { Ok(()) }
    }

    /// What comes before its objects are deleted. An error leaves all of them.
    fn before_delete(
        to: &Target<'_>,
        args: &Self::Args,
    ) -> impl Future<Output = Result<(), ProviderError>> + Send {
        let _ = (to, args);
        async { Ok(()) }
    }

    /// Whether the values of an object are somebody else's to change once they are there: an update
    /// leaves those that are, and adds those that are missing.
    fn is_left_to_others(before: &Self::Args, now: &Self::Args, object: &Object) -> bool {
        let _ = (before, now, object);
        false
    }

    /// Whether a program that is installed makes an object for itself, with something in it that serves
    /// until there is ours: where that comes later, it takes the place of what is there.
    fn is_standin(object: &Object) -> bool {
        let _ = object;
        false
    }

    /// What it waits for besides its own objects.
    fn waits_for(
        session: &Session,
        args: &Self::Args,
    ) -> impl Future<Output = Result<Option<String>, ProviderError>> + Send {
        let _ = (session, args);
        async { Ok(None) }
    }
}

/// A [`BundleKind`] as a resource.
pub struct Bundled<K> {
    kubernetes: Kubernetes,
    artifacts: Arc<dyn ArtifactSource>,
    kind: std::marker::PhantomData<fn() -> K>,
}

impl<K: BundleKind> Bundled<K> {
    /// With connections and artifacts.
    pub fn new(kubernetes: Kubernetes, artifacts: Arc<dyn ArtifactSource>) -> Self {
        Self {
            kubernetes,
            artifacts,
            kind: std::marker::PhantomData,
        }
    }

    fn session(&self, args: &K::Args) -> Result<Session, ProviderError> {
        self.kubernetes
            .session(K::access(args).known()?, Role::Admin)
    }

    async fn bundle(
        &self,
        owner: &str,
        address: &kplan_model::Address,
        args: &K::Args,
    ) -> Result<Bundle, ProviderError> {
        Bundle::new(
            owner,
            address,
            K::objects(args, self.artifacts.as_ref()).await?,
        )
    }

    /// The objects as an update applies them.
    async fn renewed(
        &self,
        session: &Session,
        known: &Known,
        args: &K::Args,
    ) -> Result<Bundle, ProviderError> {
        let bundle = self.bundle(owner(known)?, &known.address, args).await?;
        let before = K::Args::from_object(&known.args)?;
        let is_left = |object: &Object| K::is_left_to_others(&before, args, object);
        bundle.with_others_values(session, is_left).await
    }

    /// The objects as they were applied last. Only where somebody took fields of them is that needed;
    /// where the manifests cannot be read any more, nobody knows.
    async fn earlier(
        &self,
        session: &Session,
        known: &Known,
        lines: &[Line],
    ) -> Result<Option<Bundle>, ProviderError> {
        let (owner, name) = (owner(known)?, label_of(&known.address));
        let found = bundle::labelled(session, owner, &name, lines).await?;
        let is_taken = |line: &Line| {
            let live = found.get(&line.object);
            live.is_some_and(|live| line.is_taken(live))
        };
        if !lines.iter().any(is_taken) {
            return Ok(None);
        }
        let before = K::Args::from_object(&known.args)?;
        Ok(self.bundle(owner, &known.address, &before).await.ok())
    }

    /// What Argo CD manages of what was found.
    async fn managed(
        session: &Session,
        found: &BTreeMap<Object, serde_json::Value>,
    ) -> Result<Managed, ProviderError> {
        if K::YIELDS {
            managed::managed(session, found).await
        } else {
            Ok(Managed::default())
        }
    }

    /// The same of a recorded inventory.
    async fn managed_of(
        session: &Session,
        known: &Known,
        lines: &[Line],
    ) -> Result<Managed, ProviderError> {
        let (owner, name) = (owner(known)?, label_of(&known.address));
        let found = bundle::labelled(session, owner, &name, lines).await?;
        Self::managed(session, &found).await
    }

    /// An object of two bundles would be each one's in turn, and go with either.
    async fn is_alone(session: &Session, bundle: &Bundle) -> Result<(), ProviderError> {
        if !K::IS_ALONE {
            return Ok(());
        }
        let Some((object, other)) = bundle.taken(session).await? else {
            return Ok(());
        };
        let message = format!("{object} belongs to {other} already");
        Err(ProviderError::new(ErrorKind::Invalid, message).help(
            "one object is in one add-on: take it out of this one, and put this one behind the other \
             with `after`",
        ))
    }

    /// What of it was changed by hand, in words. The manifest is read only where the server's book
    /// says that somebody took something.
    async fn by_hand(
        &self,
        (owner, address): (&str, &kplan_model::Address),
        args: &K::Args,
        lines: &[Line],
        (found, managed): (&BTreeMap<Object, serde_json::Value>, &Managed),
    ) -> BTreeMap<Object, String> {
        let taken = lines.iter().filter(|line| {
            let live = found.get(&line.object);
            live.is_some_and(|live| line.is_taken(live))
                && !managed.covers(&line.object)
                && !K::is_left_to_others(args, args, &line.object)
        });
        let mut taken: BTreeMap<&Object, &Line> = taken.map(|line| (&line.object, line)).collect();
        if taken.is_empty() {
            return BTreeMap::new();
        }
        let mut words = BTreeMap::new();
        // Where the manifest cannot be read, or is another one now, all that is known is that
        // somebody took something.
        if let Ok(bundle) = self.bundle(owner, address, args).await {
            let edits = bundle.taken_by_hand(lines, found);
            for (object, _, digest) in bundle.iter() {
                let is_same = |line: &&Line| line.digest == digest;
                if let (Some(edits), true) =
                    (edits.get(object), taken.get(object).is_some_and(is_same))
                {
                    taken.remove(object);
                    if !edits.is_empty() {
                        words.insert(object.clone(), by_hand::shown(object, edits));
                    }
                }
            }
        }
        words.extend(
            taken
                .keys()
                .map(|&object| (object.clone(), object.to_string())),
        );
        words
    }

    async fn look(
        &self,
        session: &Session,
        (owner, address): (&str, &kplan_model::Address),
        args: &K::Args,
        inventory: Vec<String>,
    ) -> Result<Option<BundleAttrs>, ProviderError> {
        let lines = read_inventory(&inventory)?;
        let name = label_of(address);
        let found = bundle::labelled(session, owner, &name, &lines).await?;
        let managed = Self::managed(session, &found).await?;
        let at = (owner, address);
        let by_hand = self.by_hand(at, args, &lines, (&found, &managed)).await;
        let Some(seen) = bundle::look(&found, &lines, &managed, &by_hand) else {
            return Ok(None);
        };
        let (mut waiting, mut failed) = (None, None);
        match seen.state {
            Readiness::Ready => waiting = K::waits_for(session, args).await?,
            Readiness::Waiting(what) => waiting = Some(what),
            Readiness::Failed(why) if K::IS_REMADE => failed = Some(why),
            Readiness::Failed(why) => waiting = Some(why),
        }
        Ok(Some(BundleAttrs {
            objects: seen.objects,
            inventory,
            waiting,
            failed,
            managed_by: managed.by,
        }))
    }

    async fn look_known(&self, known: &Known) -> Result<Option<BundleAttrs>, ProviderError> {
        let args = K::Args::from_object(&known.args)?;
        let session = self.session(&args)?;
        let recorded = BundleAttrs::from_object(&known.attrs)?;
        let owner = owner(known)?;
        let at = (owner, &known.address);
        let seen = self.look(&session, at, &args, recorded.inventory).await?;
        Ok(seen.map(|mut seen| {
            if recorded.managed_by.is_some() && seen.managed_by.is_none() {
                NO_LONGER_MANAGED.clone_into(&mut seen.objects);
            }
            seen
        }))
    }
}

fn applied(inventory: Vec<String>) -> BundleAttrs {
    BundleAttrs {
        objects: APPLIED.to_owned(),
        inventory,
        waiting: Some("it was applied just now".to_owned()),
        failed: None,
        managed_by: None,
    }
}

/// The owner id in a remote id, `<owner id>/<address>`.
fn owner(known: &Known) -> Result<&str, ProviderError> {
    known
        .id
        .as_str()
        .split_once('/')
        .map(|(owner, _)| owner)
        .ok_or_else(|| {
            ProviderError::new(
                ErrorKind::Bug,
                format!("`{}` is not the id of a bundle", known.id),
            )
        })
}

impl<K: BundleKind> Resource for Bundled<K> {
    type Args = K::Args;
    type Attrs = BundleAttrs;

    const INFO: &'static KindInfo = K::INFO;
    /// Its objects may have been there before, and may hold what others made.
    const IS_REMADE: bool = false;

    async fn read(&self, known: &Known) -> Result<Option<BundleAttrs>, ProviderError> {
        self.look_known(known).await
    }

    async fn read_all(
        &self,
        known: &[Known],
    ) -> Result<BTreeMap<RemoteId, BundleAttrs>, ProviderError> {
        let mut calls: Vec<BoxFuture<'_, Result<_, ProviderError>>> = Vec::new();
        for one in known {
            calls.push(Box::pin(self.look_known(one)));
        }
        let found = parallel::all(PARALLEL, calls).await?;
        let ids = known.iter().map(|one| one.id.clone());
        Ok(ids
            .zip(found)
            .filter_map(|(id, attrs)| Some((id, attrs?)))
            .collect())
    }

    async fn find(
        &self,
        wanted: Wanted<'_, K::Args>,
    ) -> Result<Vec<Found<BundleAttrs>>, ProviderError> {
        let owner = wanted.owner.id();
        let session = self.session(wanted.args)?;
        let bundle = self.bundle(&owner, wanted.address, wanted.args).await?;
        let lines = read_inventory(&bundle.inventory())?;
        let name = label_of(wanted.address);
        let live = bundle::labelled(&session, &owner, &name, &lines).await?;
        let inventory = bundle.marked(&bundle.seen_marks(&live));
        let at = (owner.as_str(), wanted.address);
        let found = self.look(&session, at, wanted.args, inventory).await?;
        let id = RemoteId::new(format!("{owner}/{}", wanted.address));
        Ok(found
            .into_iter()
            .map(|attrs| Found {
                id: id.clone(),
                created_at: None,
                attrs,
                // It carries the owner's own labels, so it is this cluster's and in nobody's way:
                // what was forgotten, or handed to Git for a while, is applied again.
                role: kplan_model::FoundAs::Remains,
            })
            .collect())
    }

    async fn create(
        &self,
        wanted: Wanted<'_, K::Args>,
        permit: &Permit,
    ) -> Result<Found<BundleAttrs>, CreateFailed<BundleAttrs>> {
        let owner = wanted.owner.id();
        let session = self.session(wanted.args)?;
        let bundle = self.bundle(&owner, wanted.address, wanted.args).await?;
        let mut found = Found {
            id: RemoteId::new(format!("{owner}/{}", wanted.address)),
            created_at: None,
            attrs: applied(bundle.inventory()),
            role: kplan_model::FoundAs::Asked,
        };
        let to = Target {
            kubernetes: &self.kubernetes,
            session: &session,
            permit,
        };
        Self::is_alone(&session, &bundle).await?;
        K::before_apply(&to, wanted.args).await?;
        // Nobody's fields are respected when it is first installed: there is nobody yet, or
        // somebody who is to be taken over.
        match bundle.apply(&to, |_, _| true, Ownership::Take).await {
            Ok(marks) => {
                found.attrs = applied(bundle.marked(&marks));
                Ok(found)
            }
            Err(error) => Err(CreateFailed {
                error,
                partial: Some(found),
            }),
        }
    }

    async fn update(
        &self,
        known: &Known,
        args: &K::Args,
        changed: &FieldSet,
        permit: &Permit,
    ) -> Result<BundleAttrs, ProviderError> {
        let session = self.session(args)?;
        let bundle = self.renewed(&session, known, args).await?;
        let recorded = BundleAttrs::from_object(&known.attrs)?;
        let before = read_inventory(&recorded.inventory)?;
        let managed = Self::managed_of(&session, known, &before).await?;
        Self::is_alone(&session, &bundle).await?;
        let to = Target {
            kubernetes: &self.kubernetes,
            session: &session,
            permit,
        };
        K::before_apply(&to, args).await?;
        if recorded.managed_by.is_some() || recorded.objects == NO_LONGER_MANAGED {
            // The marks say nothing about what Argo CD made of it meanwhile.
            let ours = |object: &Object| !managed.covers(object);
            bundle.take_over(&to, ours).await?;
        }
        // Only what the plan showed is put back, and nothing that the file leaves to others.
        let by_hand = if changed.contains("objects") {
            ByHand::Undo
        } else {
            ByHand::Leave
        };
        let earlier = self.earlier(&session, known, &before).await?;
        let recorded_args = K::Args::from_object(&known.args)?;
        let basis = Basis {
            lines: &before,
            before: earlier.as_ref(),
            managed: &managed,
            by_hand,
            is_left: &|object| K::is_left_to_others(&recorded_args, &recorded_args, object),
            is_standin: &K::is_standin,
        };
        Ok(applied(bundle.update(&to, &basis).await?))
    }

    async fn delete(&self, known: &Known, permit: &Permit) -> Result<(), ProviderError> {
        let args = K::Args::from_object(&known.args)?;
        let session = self.session(&args)?;
        let lines = read_inventory(&BundleAttrs::from_object(&known.attrs)?.inventory)?;
        let to = Target {
            kubernetes: &self.kubernetes,
            session: &session,
            permit,
        };
        let (owner, name) = (owner(known)?, label_of(&known.address));
        let managed = Self::managed_of(&session, known, &lines).await?;
        K::before_delete(&to, &args).await?;
        bundle::delete(&to, owner, &name, &lines, &managed).await
    }

    fn readiness(&self, attrs: &BundleAttrs) -> Readiness {
        match (&attrs.failed, &attrs.waiting) {
            (Some(why), _) => Readiness::Failed(why.clone()),
            (None, Some(what)) => Readiness::Waiting(what.clone()),
            (None, None) => Readiness::Ready,
        }
    }

    /// Of an update alone: before a create there is nothing to compare with, and most of its
    /// objects would be refused because their namespace is one of them.
    async fn preview(
        &self,
        known: Option<&Known>,
        args: &K::Args,
    ) -> Result<Vec<Preview>, ProviderError> {
        let Some(known) = known else {
            return Ok(Vec::new());
        };
        if !args.encode().is_known() {
            return Ok(Vec::new());
        }
        let session = self.session(args)?;
        let bundle = self.renewed(&session, known, args).await?;
        let recorded = BundleAttrs::from_object(&known.attrs)?;
        let before = read_inventory(&recorded.inventory)?;
        // Most plans change nothing of it, and need not ask who manages what.
        let managed = if bundle.differs_from(&before) {
            Self::managed_of(&session, known, &before).await?
        } else {
            Managed::default()
        };
        let by_hand = if recorded.objects == APPLIED {
            ByHand::Leave
        } else {
            ByHand::Undo
        };
        // Nor what was applied where the same is asked for.
        let earlier = if args.to_object() == known.args {
            None
        } else {
            self.earlier(&session, known, &before).await?
        };
        let recorded_args = K::Args::from_object(&known.args)?;
        let basis = Basis {
            lines: &before,
            before: earlier.as_ref(),
            managed: &managed,
            by_hand,
            is_left: &|object| K::is_left_to_others(&recorded_args, &recorded_args, object),
            is_standin: &K::is_standin,
        };
        diff::previews(&session, &bundle, &basis).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::k3s::{Cluster, K3sNode, Pki};
    use crate::kubernetes::{
        AddonManifest, Argocd, ArgocdApplication, ArgocdRepository, Ccm, CloudSecret, Csi,
        EtcdSnapshots, HelmRelease, SealedSecrets, SealingSecret, UpgradeController, Velero,
        VeleroSecret, VeleroSource,
    };
    use std::collections::BTreeSet;

    /// Every argument and attribute is a field, and every field is one of them.
    fn whole<R: Resource>() {
        let names = R::Args::NAMES.iter().chain(R::Attrs::NAMES);
        let names: BTreeSet<&str> = names.copied().collect();
        let fields: BTreeSet<&str> = R::INFO.fields.iter().map(|field| field.name).collect();
        assert_eq!(names, fields, "{}", R::INFO.kind);
        assert_eq!(
            fields.len(),
            R::INFO.fields.len(),
            "{}: a field twice",
            R::INFO.kind
        );
        for field in R::INFO.identity {
            assert!(fields.contains(field), "{}: identity {field}", R::INFO.kind);
        }
        for field in R::INFO.fields {
            assert!(field.doc.ends_with('.'), "{}: {}", R::INFO.kind, field.name);
        }
    }

    #[test]
    fn every_table_is_whole() {
        whole::<Pki>();
        whole::<K3sNode>();
        whole::<Cluster>();
        whole::<Bundled<CloudSecret>>();
        whole::<Bundled<Ccm>>();
        whole::<Bundled<Csi>>();
        whole::<Bundled<Velero>>();
        whole::<Bundled<UpgradeController>>();
        whole::<Bundled<SealedSecrets>>();
        whole::<Bundled<EtcdSnapshots>>();
        whole::<Bundled<SealingSecret>>();
        whole::<Bundled<VeleroSecret>>();
        whole::<Bundled<VeleroSource>>();
        whole::<Bundled<AddonManifest>>();
        whole::<Bundled<HelmRelease>>();
        whole::<Bundled<Argocd>>();
        whole::<Bundled<ArgocdRepository>>();
        whole::<Bundled<ArgocdApplication>>();
    }
}
