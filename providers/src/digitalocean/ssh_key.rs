//! `ssh_key`: a public key that new droplets accept.

use super::DigitalOcean;
use super::remote::{Remote, applied, path_of};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::Method;
use kplan_model::{
    CreateFailed, ErrorKind, Field, FieldSet, Found, FoundOrNot, Input, Kind, KindInfo, Known,
    Permit, ProviderError, RemoteId, ReplaceOrder, Resource, Typical, Wanted, object,
};
use md5::{Digest, Md5};
use serde::Deserialize;
use serde_json::json;
use std::collections::BTreeMap;

object! {
    /// What is asked of an SSH key.
    pub struct SshKeyArgs {
        /// Its name in the account.
        pub name: String,
        /// The public key in OpenSSH's form: type, Base64, comment.
        pub public_key: Input<String>,
    }
}

object! {
    /// What is seen of an SSH key.
    pub struct SshKeyAttrs {
        /// Its name in the account.
        pub name: String,
        /// The public key.
        pub public_key: String,
        /// MD5 of the key in hexadecimal pairs.
        pub fingerprint: String,
    }
}

/// The kind `ssh_key`.
pub struct SshKey(pub DigitalOcean);

static FIELDS: [Field; 3] = [
    Field::in_place("name", "Its name in the account."),
    Field::replace("public_key", "The public key; its comment does not count."),
    Field::computed("fingerprint", "MD5 of the key."),
];

static INFO: KindInfo = KindInfo {
    kind: Kind::new("ssh_key"),
    terraform: "digitalocean_ssh_key",
    doc: "A public key that new droplets accept.",
    fields: &FIELDS,
    // One key exists once in an account, whatever it is called.
    replace: ReplaceOrder::DeleteFirst,
    identity: &["public_key"],
    holds: None,
    // Answered at once; estimates.
    typical: Typical {
        create: 1,
        update: 1,
        delete: 1,
    },
    max_parallel: 4,
    alike: &[],
    import: Some("the key's number"),
    operations: &[],
};

#[derive(Debug, Deserialize)]
struct SshKeyRemote {
    id: u64,
    name: String,
    public_key: String,
    #[serde(default)]
    fingerprint: String,
}

/// A public key without its comment, in one spelling: what a key is compared by.
pub fn without_comment(key: &str) -> String {
    material(key).join(" ")
}

/// Type and Base64 of a key, without its comment.
fn material(key: &str) -> Vec<&str> {
    key.split_whitespace().take(2).collect()
}

/// The MD5 fingerprint, by which DigitalOcean finds a key without a list.
pub(super) fn fingerprint(key: &str) -> Option<String> {
    let blob = STANDARD.decode(material(key).get(1)?).ok()?;
    let digest = Md5::digest(&blob);
    let pairs: Vec<String> = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    Some(pairs.join(":"))
}

fn wanted_fingerprint(wanted: Wanted<'_, SshKeyArgs>) -> Result<String, ProviderError> {
    fingerprint(wanted.args.public_key.known()?).ok_or_else(|| {
        ProviderError::new(
            ErrorKind::Invalid,
            format!(
                "the public key of {} is not in OpenSSH's form",
                wanted.address
            ),
        )
        .help("it looks like `ssh-ed25519 AAAA… comment`")
    })
}

impl SshKeyRemote {
    /// The key in the spelling asked for, where only the comment differs.
    fn seen(&self, asked: Option<String>) -> SshKeyAttrs {
        let same = asked.filter(|asked| material(asked) == material(&self.public_key));
        SshKeyAttrs {
            name: self.name.clone(),
            public_key: same.unwrap_or_else(|| self.public_key.clone()),
            fingerprint: self.fingerprint.clone(),
        }
    }
}

impl Remote for SshKeyRemote {
    type Attrs = SshKeyAttrs;
    const PATH: &'static str = "/v2/account/keys";
    const ONE: &'static str = "ssh_key";
    const MANY: &'static str = "ssh_keys";

    fn id(&self) -> String {
        self.id.to_string()
    }

    fn attrs(&self, known: Option<&Known>) -> SshKeyAttrs {
        self.seen(applied(known, "public_key"))
    }
}

impl Resource for SshKey {
    type Args = SshKeyArgs;
    type Attrs = SshKeyAttrs;
    const INFO: &'static KindInfo = &INFO;
    const FINDS_ALL: bool = true;

    async fn read(&self, known: &Known) -> Result<Option<SshKeyAttrs>, ProviderError> {
        self.0.read::<SshKeyRemote>(known).await
    }

    async fn read_all(
        &self,
        known: &[Known],
    ) -> Result<BTreeMap<RemoteId, SshKeyAttrs>, ProviderError> {
        self.0
            .read_all::<SshKeyRemote>(known, &SshKeyRemote::list())
            .await
    }

    async fn find(
        &self,
        wanted: Wanted<'_, SshKeyArgs>,
    ) -> Result<Vec<Found<SshKeyAttrs>>, ProviderError> {
        let path = path_of::<SshKeyRemote>(&wanted_fingerprint(wanted)?);
        let found: Option<SshKeyRemote> = self.0.one(&path, SshKeyRemote::ONE).await?;
        Ok(found.iter().map(Remote::found).collect())
    }

    /// One by its fingerprint; many by the list of all.
    async fn find_all(&self, wanted: &[Wanted<'_, SshKeyArgs>]) -> Vec<FoundOrNot<SshKeyAttrs>> {
        if let [one] = wanted {
            return vec![self.find(*one).await];
        }
        let prints: Vec<_> = wanted.iter().map(|one| wanted_fingerprint(*one)).collect();
        let asked: Vec<String> = prints.iter().flatten().cloned().collect();
        let key = |key: &SshKeyRemote| fingerprint(&key.public_key);
        let list = SshKeyRemote::list();
        let mut found = self.0.search_all(&list, &asked, key).await.into_iter();
        // One answer for each whose key can be read, in order.
        let answer = |print: Result<String, ProviderError>| {
            print?;
            found.next().unwrap_or_else(|| Ok(Vec::new()))
        };
        prints.into_iter().map(answer).collect()
    }

    async fn create(
        &self,
        wanted: Wanted<'_, SshKeyArgs>,
        permit: &Permit,
    ) -> Result<Found<SshKeyAttrs>, CreateFailed<SshKeyAttrs>> {
        let key = wanted
            .args
            .public_key
            .known()
            .map_err(ProviderError::from)?;
        let body = json!({ "name": wanted.args.name, "public_key": key });
        let made: SshKeyRemote = self.0.make(permit, &body).await?;
        Ok(Found {
            attrs: made.seen(Some(key.clone())),
            ..made.found()
        })
    }

    async fn update(
        &self,
        known: &Known,
        args: &SshKeyArgs,
        _changed: &FieldSet,
        permit: &Permit,
    ) -> Result<SshKeyAttrs, ProviderError> {
        let path = path_of::<SshKeyRemote>(known.id.as_str());
        let body = json!({ "name": args.name });
        let key: SshKeyRemote = self.0.change(permit, &Method::PUT, &path, &body).await?;
        Ok(key.attrs(Some(known)))
    }

    async fn delete(&self, known: &Known, permit: &Permit) -> Result<(), ProviderError> {
        self.0.destroy::<SshKeyRemote>(known, permit).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fingerprints_are_md5_of_the_key_alone() {
        // The key and its `ssh-keygen -E md5 -lf` fingerprint, made for this test.
        let key =
            "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f a@b";
        let print = fingerprint(key).unwrap();
        assert_eq!(print.len(), 47);
        assert_eq!(fingerprint(key.rsplit_once(' ').unwrap().0), Some(print));
        assert_eq!(fingerprint("ssh-ed25519"), None);
        assert_eq!(fingerprint("ssh-ed25519 %%%"), None);
    }
}
