//! What the kinds share: a remote form that is read one by one or by list.

use super::DigitalOcean;
use crate::http::{List, encode, parse_timestamp};
use http::Method;
use kplan_model::codec::{Codec, ObjectCodec};
use kplan_model::{
    ErrorKind, Found, FoundOrNot, Input, Known, Permit, ProviderError, RemoteId, ShapeError,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How DigitalOcean shows one kind of thing.
pub(super) trait Remote: DeserializeOwned + Send {
    /// What the engine sees of it.
    type Attrs: ObjectCodec;
    /// The path of the list.
    const PATH: &'static str;
    /// The key of one in an answer.
    const ONE: &'static str;
    /// The key of many in an answer.
    const MANY: &'static str;
    /// The field that identifies one.
    const ID: &'static str = "id";

    /// Its id.
    fn id(&self) -> String;

    /// When it was created, as DigitalOcean writes it.
    fn created_at(&self) -> Option<&str> {
        None
    }

    /// What the engine sees of it; `known` is our record of it, where there is one.
    fn attrs(&self, known: Option<&Known>) -> Self::Attrs;

    /// The whole list.
    fn list() -> List {
        List::new(Self::PATH, Self::MANY, Self::ID)
    }

    /// It, as found on the remote side.
    fn found(&self) -> Found<Self::Attrs> {
        Found {
            id: RemoteId::new(self.id()),
            created_at: self.created_at().and_then(parse_timestamp),
            attrs: self.attrs(None),
            role: kplan_model::FoundAs::Asked,
        }
    }
}

/// A region, size or image as it stands inside other things.
#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct Slug {
    pub(super) slug: Option<String>,
}

impl Slug {
    pub(super) fn text(slug: Option<&Self>) -> String {
        slug.and_then(|slug| slug.slug.clone()).unwrap_or_default()
    }
}

/// The path of one.
pub(super) fn path_of<R: Remote>(id: &str) -> String {
    format!("{}/{}", R::PATH, encode(id))
}

/// A field of our record of a resource, if it is there and has that type.
pub(super) fn recorded<T: Codec>(known: Option<&Known>, field: &str) -> Option<T> {
    T::decode(known?.attrs.get(field)?).ok()
}

/// A field of the arguments last applied.
pub(crate) fn applied<T: Codec>(known: Option<&Known>, field: &str) -> Option<T> {
    T::decode(known?.args.get(field)?).ok()
}

/// The values of inputs, sorted out of their wrapping.
pub(super) fn texts(inputs: &[Input<String>]) -> Result<Vec<String>, ShapeError> {
    inputs.iter().map(|input| input.known().cloned()).collect()
}

/// The value of an optional input.
pub(super) fn text(input: Option<&Input<String>>) -> Result<Option<String>, ShapeError> {
    input.map(|input| input.known().cloned()).transpose()
}

/// A droplet's id as the API wants it.
pub(super) fn number(id: &str) -> Result<i64, ProviderError> {
    id.parse().map_err(|_| {
        ProviderError::new(ErrorKind::Bug, format!("`{id}` is not the id of a droplet"))
    })
}

/// Nothing, where an empty text means nothing.
pub(super) fn filled(text: Option<String>) -> Option<String> {
    text.filter(|text| !text.is_empty())
}

/// Something that was there a moment ago is not.
pub(super) fn vanished(known: &Known) -> ProviderError {
    ProviderError::new(
        ErrorKind::NotFound,
        format!("{} ({}) is gone from DigitalOcean", known.address, known.id),
    )
}

impl DigitalOcean {
    /// One thing under its key; `None` on 404.
    pub(super) async fn one<T: DeserializeOwned>(
        &self,
        path: &str,
        key: &str,
    ) -> Result<Option<T>, ProviderError> {
        let Some(body) = self.http.get_optional::<serde_json::Value>(path).await? else {
            return Ok(None);
        };
        unwrap(body, path, key).map(Some)
    }

    /// Reads one resource.
    pub(super) async fn read<R: Remote>(
        &self,
        known: &Known,
    ) -> Result<Option<R::Attrs>, ProviderError> {
        let remote: Option<R> = self.one(&path_of::<R>(known.id.as_str()), R::ONE).await?;
        Ok(remote.map(|remote| remote.attrs(Some(known))))
    }

    /// Reads one resource that must be there.
    pub(super) async fn reread<R: Remote>(&self, known: &Known) -> Result<R, ProviderError> {
        self.one(&path_of::<R>(known.id.as_str()), R::ONE)
            .await?
            .ok_or_else(|| vanished(known))
    }

    /// Reads those of a list that we know.
    pub(super) async fn read_all<R: Remote>(
        &self,
        known: &[Known],
        list: &List,
    ) -> Result<BTreeMap<RemoteId, R::Attrs>, ProviderError> {
        let remotes = self.known::<R>(known, list).await?;
        let attrs = |(known, remote): (&Known, R)| (known.id.clone(), remote.attrs(Some(known)));
        Ok(remotes.into_iter().map(attrs).collect())
    }

    /// Those of a list that we know, each with our record of it.
    pub(super) async fn known<'k, R: Remote>(
        &self,
        known: &'k [Known],
        list: &List,
    ) -> Result<Vec<(&'k Known, R)>, ProviderError> {
        if known.is_empty() {
            return Ok(Vec::new());
        }
        let ours: BTreeMap<&str, &Known> = known
            .iter()
            .map(|known| (known.id.as_str(), known))
            .collect();
        let remotes: Vec<R> = self.http.list(list).await?;
        let ours = |remote: R| Some((*ours.get(remote.id().as_str())?, remote));
        Ok(remotes.into_iter().filter_map(ours).collect())
    }

    /// Those of a list that fit.
    pub(super) async fn search<R: Remote>(
        &self,
        list: &List,
        fits: impl Fn(&R) -> bool,
    ) -> Result<Vec<Found<R::Attrs>>, ProviderError> {
        let remotes: Vec<R> = self.http.list(list).await?;
        Ok(remotes
            .iter()
            .filter(|remote| fits(remote))
            .map(Remote::found)
            .collect())
    }

    /// Those of a list that each of `wanted` looks for, by what tells one from another.
    pub(super) async fn search_all<R: Remote, K: Ord>(
        &self,
        list: &List,
        wanted: &[K],
        key: impl Fn(&R) -> Option<K>,
    ) -> Vec<FoundOrNot<R::Attrs>> {
        let remotes: Vec<R> = match self.http.list(list).await {
            Ok(remotes) => remotes,
            Err(error) => return wanted.iter().map(|_| Err(error.clone())).collect(),
        };
        let mut by_key: BTreeMap<K, Vec<&R>> = BTreeMap::new();
        for remote in &remotes {
            if let Some(key) = key(remote) {
                by_key.entry(key).or_default().push(remote);
            }
        }
        let of = |key: &K| {
            let fitting = by_key.get(key).into_iter().flatten();
            Ok(fitting.map(|remote| remote.found()).collect())
        };
        wanted.iter().map(of).collect()
    }

    /// What has this name, of a kind whose id is the name.
    pub(super) async fn named<R: Remote>(&self, name: &str) -> FoundOrNot<R::Attrs> {
        let one: Option<R> = self.one(&path_of::<R>(name), R::ONE).await?;
        Ok(one.iter().map(Remote::found).collect())
    }

    /// The same of several: one by its name, many by the list of all. Names have no case.
    pub(super) async fn all_named<R: Remote>(&self, names: &[String]) -> Vec<FoundOrNot<R::Attrs>> {
        if let [one] = names {
            return vec![self.named::<R>(one).await];
        }
        let names: Vec<String> = names.iter().map(|name| name.to_lowercase()).collect();
        let key = |one: &R| Some(one.id().to_lowercase());
        self.search_all(&R::list(), &names, key).await
    }

    /// A changing call whose answer holds the thing under its key.
    pub(super) async fn change<R: Remote>(
        &self,
        permit: &Permit,
        method: &Method,
        path: &str,
        body: &impl Serialize,
    ) -> Result<R, ProviderError> {
        self.changed(permit, method, path, R::ONE, body).await
    }

    /// A changing call whose answer holds what it is about under a key.
    pub(super) async fn changed<T: DeserializeOwned>(
        &self,
        permit: &Permit,
        method: &Method,
        path: &str,
        key: &str,
        body: &impl Serialize,
    ) -> Result<T, ProviderError> {
        let answer: serde_json::Value = self.http.change(permit, method, path, body).await?;
        unwrap(answer, path, key)
    }

    /// Makes one.
    pub(super) async fn make<R: Remote>(
        &self,
        permit: &Permit,
        body: &impl Serialize,
    ) -> Result<R, ProviderError> {
        self.change(permit, &Method::POST, R::PATH, body).await
    }

    /// Destroys one; already gone is fine.
    pub(super) async fn destroy<R: Remote>(
        &self,
        known: &Known,
        permit: &Permit,
    ) -> Result<(), ProviderError> {
        self.http
            .delete(permit, &path_of::<R>(known.id.as_str()))
            .await
    }
}

fn unwrap<T: DeserializeOwned>(
    mut body: serde_json::Value,
    path: &str,
    key: &str,
) -> Result<T, ProviderError> {
    let inner = body.get_mut(key).map(serde_json::Value::take);
    inner
        .and_then(|inner| serde_json::from_value(inner).ok())
        .ok_or_else(|| {
            ProviderError::new(
                ErrorKind::Bug,
                format!("the answer of {path} has no readable `{key}`"),
            )
            .help("DigitalOcean's API changed, or a proxy answered in its place; please report it")
        })
}
