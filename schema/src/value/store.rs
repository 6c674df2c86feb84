//! Where the state is kept: `local`, or a bucket's address.

use super::{BucketName, FromText, Invalid};
use crate::code::Code;
use crate::suggest::shortened;

/// `[state] backend`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StateBackend {
    /// A folder beside the file.
    Local,
    /// A bucket that several machines share.
    S3(S3Place),
}

/// A place in a bucket: `s3://bucket[/prefix][?region=…&endpoint=…]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct S3Place {
    /// The bucket.
    pub bucket: String,
    /// The beginning of every object's key, without a slash at either end; may be empty.
    pub prefix: String,
    /// The bucket's region; `None` where the address names none.
    pub region: Option<String>,
    /// The store's address; `None` for Spaces in that region.
    pub endpoint: Option<String>,
}

/// The id of an S3 key: 1 to 128 visible ASCII characters, as every store makes them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessKey(String);

impl AccessKey {
    /// The id.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromText for AccessKey {
    fn from_text(text: &str) -> Result<Self, Invalid> {
        let visible = text.bytes().all(|byte| byte.is_ascii_graphic());
        if visible && (1..=128).contains(&text.len()) {
            return Ok(Self(text.to_owned()));
        }
        // Not quoted: somebody may have written the key itself.
        Err(Invalid::new(
            Code::TextInvalid,
            "this is no id of an S3 key",
            "It is written into the file the store's clients read, one line for each value.",
            "Write the id as the store shows it: 1 to 128 letters, digits and signs, no spaces and \
             no line breaks.",
        ))
    }

    fn stand_in() -> Self {
        Self("key".to_owned())
    }
}

/// Characters a prefix may have.
const MAX_PREFIX: usize = 200;

impl FromText for StateBackend {
    fn from_text(text: &str) -> Result<Self, Invalid> {
        if text == "local" {
            return Ok(Self::Local);
        }
        if !text.starts_with("s3://") && !text.contains('@') {
            let what = format!("`{}` is no place for a state", shortened(text));
            return Err(invalid(what));
        }
        S3Place::parse(text).map(Self::S3)
    }

    fn stand_in() -> Self {
        Self::Local
    }
}

fn invalid(what: impl Into<String>) -> Invalid {
    Invalid::new(
        Code::StateBackendInvalid,
        what,
        "The state is kept in a folder beside the file (`local`), or in a bucket that several \
         machines share.",
        "Write `local`, or an address like `s3://acme-state/clusters?region=fra1`.",
    )
}

fn s3(rest: &str) -> Result<S3Place, Invalid> {
    let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (bucket, prefix) = path.split_once('/').unwrap_or((path, ""));
    // S3 itself allows dots; certificates of `<bucket>.<host>` do not.
    <BucketName as FromText>::from_text(bucket)?;
    let prefix = prefix.trim_end_matches('/');
    let segment = |part: &str| {
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_');
        // A segment that begins with a dot is kplan's own.
        !part.is_empty() && !part.starts_with('.') && part.bytes().all(plain)
    };
    if prefix.len() > MAX_PREFIX || !(prefix.is_empty() || prefix.split('/').all(segment)) {
        return Err(invalid(format!(
            "`{}` is no prefix: letters, digits, `.`, `-` and `_`, in parts between slashes that \
             do not begin with a dot",
            shortened(prefix)
        )));
    }
    let mut place = S3Place {
        bucket: bucket.to_owned(),
        prefix: prefix.to_owned(),
        region: None,
        endpoint: None,
    };
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        let setting = match key {
            "region" => &mut place.region,
            "endpoint" => &mut place.endpoint,
            _ => {
                return Err(invalid(format!(
                    "`{}` is no setting of a bucket's address: there are `region` and `endpoint`",
                    shortened(key)
                )));
            }
        };
        if setting.replace(value.to_owned()).is_some() {
            return Err(invalid(format!("`{key}` is there twice")));
        }
    }
    if let Some(region) = &place.region {
        checked_region(region)?;
    }
    if let Some(endpoint) = &mut place.endpoint {
        *endpoint = checked_endpoint(endpoint)?;
    }
    Ok(place)
}

fn credentials() -> Invalid {
    Invalid::new(
        Code::SecretLiteral,
        "the bucket's address holds credentials",
        "The file is reviewed and kept in Git, so whatever it holds is not secret any more. The \
         text is withheld from this report.",
        "Revoke them. The keys are read from SPACES_ACCESS_KEY_ID and SPACES_SECRET_ACCESS_KEY.",
    )
}

/// `http(s)://host[:port]`, without a slash at the end.
fn checked_endpoint(text: &str) -> Result<String, Invalid> {
    let wrong = || {
        invalid(format!(
            "`{}` is no endpoint: write it like `https://fra1.digitaloceanspaces.com`",
            shortened(text)
        ))
    };
    let rest = text
        .strip_prefix("https://")
        .or_else(|| text.strip_prefix("http://"))
        .ok_or_else(wrong)?;
    let host = rest.trim_end_matches('/');
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b':' | b'[' | b']');
    if host.is_empty() || host.len() > 255 || !host.bytes().all(plain) {
        return Err(wrong());
    }
    Ok(text.trim_end_matches('/').to_owned())
}

/// A region of any S3: lower-case letters, digits and hyphens.
fn checked_region(text: &str) -> Result<(), Invalid> {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    if (1..=40).contains(&text.len()) && text.bytes().all(plain) {
        return Ok(());
    }
    Err(invalid(format!("`{}` is no region", shortened(text))))
}

impl S3Place {
    /// Reads `s3://bucket[/prefix][?region=…&endpoint=…]`.
    pub(crate) fn parse(text: &str) -> Result<Self, Invalid> {
        // Before anything is quoted or taken apart: a secret may hold whatever separates the rest.
        if text.contains('@') {
            return Err(credentials());
        }
        match text.strip_prefix("s3://") {
            Some(rest) => s3(rest),
            None => Err(invalid(format!("`{}` is no bucket", shortened(text)))),
        }
    }

    /// Stands where an address could not be read.
    pub(crate) fn stand_in() -> Self {
        Self {
            bucket: BucketName::stand_in().to_string(),
            prefix: String::new(),
            region: None,
            endpoint: None,
        }
    }

    /// The same, in that region where it names none and is in Spaces.
    #[must_use]
    pub(crate) fn in_region(mut self, region: &str) -> Self {
        if self.endpoint.is_none() {
            self.region.get_or_insert_with(|| region.to_owned());
        }
        self
    }

    /// What every object's key begins with: the prefix with a slash behind it, or nothing.
    pub fn root(&self) -> String {
        if self.prefix.is_empty() {
            String::new()
        } else {
            format!("{}/", self.prefix)
        }
    }

    /// The store's address.
    pub fn url(&self) -> String {
        self.endpoint
            .clone()
            .unwrap_or_else(|| format!("https://{}.digitaloceanspaces.com", self.region()))
    }

    /// The region requests are signed for. Without one any store but Spaces gets `us-east-1`,
    /// which is what most of them take.
    pub fn region(&self) -> &str {
        self.region.as_deref().unwrap_or("us-east-1")
    }
}

impl StateBackend {
    /// Reads what `[state] backend` may say, from somewhere else than the file.
    ///
    /// # Errors
    /// What is wrong with it, and how to write it.
    pub fn parse(text: &str) -> Result<Self, String> {
        Self::from_text(text).map_err(|invalid| format!("{}. {}", invalid.what, invalid.remedy))
    }

    /// The same, with the cluster's region where the address names none and the bucket is in
    /// Spaces.
    #[must_use]
    pub(crate) fn in_region(self, cluster: &str) -> Self {
        match self {
            Self::Local => Self::Local,
            Self::S3(place) => Self::S3(place.in_region(cluster)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(text: &str) -> S3Place {
        match StateBackend::from_text(text) {
            Ok(StateBackend::S3(place)) => place,
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn a_keys_id_is_one_line_and_is_not_quoted_where_it_is_wrong() {
        assert_eq!(
            AccessKey::from_text("00352f1d").unwrap().as_str(),
            "00352f1d"
        );
        for wrong in ["", "a b", "a\naws_secret_access_key=x", &"x".repeat(129)] {
            let invalid = AccessKey::from_text(wrong).unwrap_err();
            assert!(
                wrong.is_empty() || !invalid.what.contains(wrong),
                "{wrong:?}"
            );
        }
    }

    #[test]
    fn an_address_says_bucket_prefix_region_and_endpoint() {
        let bare = place("s3://acme-state");
        assert_eq!(
            (bare.bucket.as_str(), bare.prefix.as_str()),
            ("acme-state", "")
        );
        let StateBackend::S3(filled) = StateBackend::S3(bare).in_region("fra1") else {
            unreachable!()
        };
        assert_eq!(filled.region(), "fra1");
        let full = place("s3://acme-state/a/b/?region=ams3&endpoint=http://127.0.0.1:9000/");
        assert_eq!(full.prefix, "a/b");
        assert_eq!(full.region(), "ams3");
        assert_eq!(full.endpoint.as_deref(), Some("http://127.0.0.1:9000"));
        assert_eq!(
            place("s3://acme?endpoint=https://s3.example.com").region(),
            "us-east-1"
        );
    }

    #[test]
    fn anything_else_is_refused_and_credentials_are_not_quoted() {
        for text in [
            "",
            "s3",
            "postgres",
            "S3://acme",
            "s3://",
            "s3://A_b",
            "s3://acme/.sandbox",
            "s3://acme//x",
            "s3://acme/a b",
            "s3://acme?region=",
            "s3://acme?bucket=x",
            "s3://acme?region=a&region=b",
            "s3://acme?endpoint=ftp://x",
            "s3://acme?endpoint=https://",
            "https://acme.fra1.digitaloceanspaces.com",
        ] {
            assert!(StateBackend::from_text(text).is_err(), "{text}");
        }
        for text in [
            "s3://key:hunter2@acme",
            "s3://acme?endpoint=https://k:hunter2@host",
            "s3://key:a/hunter2@acme",
            "https://key:a/hunter2@host/acme",
        ] {
            let refused = StateBackend::from_text(text).unwrap_err();
            assert_eq!(refused.code, Code::SecretLiteral);
            assert!(!format!("{refused:?}").contains("hunter2"));
        }
    }
}
