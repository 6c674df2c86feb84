//! SSH keys of the account.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use md5::{Digest as _, Md5};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::required;
use crate::http::{ApiError, Reply, Request, Response, list};
use crate::world::World;
use crate::world::table::Row;

/// A public key.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct SshKey {
    pub(crate) id: u64,
    pub(crate) name: String,
    public_key: String,
    pub(crate) fingerprint: String,
    created_at: Timestamp,
}

impl Row for SshKey {
    fn created_at(&self) -> Timestamp {
        self.created_at
    }
}

#[derive(Deserialize)]
struct Body {
    name: Option<String>,
    public_key: Option<String>,
}

/// The MD5 fingerprint of an OpenSSH public key line: the digest of the decoded blob.
pub(crate) fn fingerprint(public_key: &str) -> Option<String> {
    let mut words = public_key.split_whitespace();
    let kind = words.next()?;
    let blob = STANDARD.decode(words.next()?).ok()?;
    // The blob starts with its own kind, which must be the one the line says.
    let length = usize::try_from(u32::from_be_bytes(blob.get(..4)?.try_into().ok()?)).ok()?;
    if blob.get(4..4 + length)? != kind.as_bytes() {
        return None;
    }
    let digest = Md5::digest(&blob);
    let pairs: Vec<String> = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    Some(pairs.join(":"))
}

/// A key by id or fingerprint.
pub(crate) fn find<'a>(world: &'a World, identifier: &str) -> Option<&'a SshKey> {
    let id = identifier.parse().ok();
    world
        .ssh_keys
        .values()
        .find(|key| Some(key.id) == id || key.fingerprint == identifier)
}

pub(crate) fn create(world: &mut World, request: &Request) -> Reply {
    let body: Body = request.body()?;
    let name = required(body.name.filter(|name| !name.is_empty()), "Name")?;
    let public_key = required(body.public_key, "Key")?.trim().to_owned();
    let fingerprint = fingerprint(&public_key).ok_or_else(|| {
        ApiError::unprocessable("Key invalid, key should be of the format `type key [comment]`")
    })?;
    if find(world, &fingerprint).is_some() {
        return Err(ApiError::unprocessable(
            "SSH Key is already in use on your account",
        ));
    }
    let (id, created_at) = (world.new_id(), world.now());
    let key = SshKey {
        id,
        name,
        public_key,
        fingerprint,
        created_at,
    };
    let shown = view(&key);
    world.ssh_keys.insert(id.to_string(), key);
    Ok(Response::new(201, json!({ "ssh_key": shown })))
}

pub(crate) fn index(world: &mut World, request: &Request) -> Reply {
    Ok(list(
        request,
        "ssh_keys",
        world.ssh_keys.sorted(),
        |key| key.created_at,
        view,
    ))
}

pub(crate) fn show(world: &mut World, request: &Request) -> Reply {
    let key = find(world, request.param(0)).ok_or_else(ApiError::not_found)?;
    Ok(Response::ok(json!({ "ssh_key": view(key) })).created_at(key.created_at))
}

pub(crate) fn update(world: &mut World, request: &Request) -> Reply {
    let id = find(world, request.param(0))
        .map(|key| key.id)
        .ok_or_else(ApiError::not_found)?;
    let name = request.body::<Body>()?.name;
    let key = world
        .ssh_keys
        .get_mut(&id.to_string())
        .ok_or_else(ApiError::not_found)?;
    key.name = name
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| key.name.clone());
    Ok(Response::ok(json!({ "ssh_key": view(key) })))
}

pub(crate) fn delete(world: &mut World, request: &Request) -> Reply {
    let id = find(world, request.param(0))
        .map(|key| key.id)
        .ok_or_else(ApiError::not_found)?;
    world.ssh_keys.remove(&id.to_string());
    Ok(Response::no_content())
}

fn view(key: &SshKey) -> Value {
    json!({
        "id": key.id,
        "name": key.name,
        "public_key": key.public_key,
        "fingerprint": key.fingerprint,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fingerprint_is_the_md5_of_the_blob() {
        let key =
            "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ1x1DzxcA0yJmmlBkUN2vDPF0Nsi0Rsjau3SCmLp4HO me";
        let print = fingerprint(key).unwrap();
        // What `ssh-keygen -E md5 -l` says.
        assert_eq!(print, "89:15:a2:97:2a:4a:68:cd:8d:b2:b1:60:23:03:09:cc");
        assert_eq!(fingerprint(&key.replace(" me", " other")), Some(print));
        assert_eq!(fingerprint(&key.replace("ssh-ed25519", "ssh-rsa")), None);
        assert_eq!(fingerprint("ssh-ed25519"), None);
    }
}
