//! Where add-ons come from: addresses, digests, charts, files beside `cluster.toml`.

use super::{FromText, Invalid, text_newtype};
use crate::code::Code;
use crate::suggest::shortened;

fn invalid<T>(what: String, why: &str, remedy: &str) -> Result<T, Invalid> {
    Err(Invalid::new(Code::AddonInvalid, what, why, remedy))
}

text_newtype!(
    /// An HTTPS address of a file, without credentials, query or fragment.
    ArtifactUrl
);

impl ArtifactUrl {
    /// The last part of its path.
    pub fn file_name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or_default()
    }
}

impl FromText for ArtifactUrl {
    fn from_text(text: &str) -> Result<Self, Invalid> {
        let (_, path) = parts(text)?;
        if path.is_empty() || path.ends_with('/') {
            return not_an_address(text);
        }
        Ok(Self(text.to_owned()))
    }

    fn stand_in() -> Self {
        Self("https://example.com/file".to_owned())
    }
}

text_newtype!(
    /// The HTTPS address of a chart repository, without credentials, query or fragment, and without a
    /// slash at its end.
    ChartRepository
);

impl FromText for ChartRepository {
    fn from_text(text: &str) -> Result<Self, Invalid> {
        parts(text)?;
        Ok(Self(text.trim_end_matches('/').to_owned()))
    }

    fn stand_in() -> Self {
        Self("https://example.com".to_owned())
    }
}

/// Host and path of an HTTPS address.
fn parts(text: &str) -> Result<(&str, &str), Invalid> {
    if text.starts_with("oci://") {
        return invalid(
            format!("`{}` is a registry, not an address", shortened(text)),
            "kplan fetches charts over HTTPS; registries have a protocol of their own.",
            "Name the project's chart repository, or the address of a chart's archive with `url`; \
             a project that has neither usually releases a manifest.",
        );
    }
    let Some(rest) = text.strip_prefix("https://") else {
        return invalid(
            format!("`{}` is not an HTTPS address", shortened(text)),
            "What it brings runs in the cluster; over anything else, whoever sits between could \
             change it before it is pinned.",
            "Write it like `https://github.com/acme/app/releases/download/v1.0.0/install.yaml`.",
        );
    };
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    if host.contains('@') {
        return Err(Invalid::new(
            Code::SecretLiteral,
            "the address holds credentials",
            "The file is reviewed and kept in Git, so whatever it holds is not secret any more. \
             The text is withheld from this report.",
            "Revoke them, and fetch it from a `[mirror]` that needs none.",
        ));
    }
    let clean = !host.is_empty()
        && text.len() <= 2048
        && !text.contains(['?', '#', '\\'])
        && !text.chars().any(|c| c.is_whitespace() || c.is_control());
    if clean {
        Ok((host, path))
    } else {
        not_an_address(text)
    }
}

fn not_an_address<T>(text: &str) -> Result<T, Invalid> {
    invalid(
        format!("`{}` is not the address of a file", shortened(text)),
        "kplan fetches it once and keeps it by its digest.",
        "Write host and path, without a query.",
    )
}

text_newtype!(
    /// A SHA-256: 64 hexadecimal digits, in lower case.
    Sha256
);

impl FromText for Sha256 {
    fn from_text(text: &str) -> Result<Self, Invalid> {
        let digits = text.strip_prefix("sha256:").unwrap_or(text);
        if digits.len() == 64 && digits.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Ok(Self(digits.to_ascii_lowercase()));
        }
        invalid(
            format!("`{}` is not a SHA-256", shortened(text)),
            "It says which bytes are the right ones.",
            "Write the 64 hexadecimal digits that `sha256sum FILE` prints, or leave the key out and \
             run `kplan lock`.",
        )
    }

    fn stand_in() -> Self {
        Self("0".repeat(64))
    }
}

text_newtype!(
    /// A Helm chart's name in its repository.
    ChartName
);

impl FromText for ChartName {
    fn from_text(text: &str) -> Result<Self, Invalid> {
        let body = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
        if (1..=250).contains(&text.len()) && text.bytes().all(body) && !text.starts_with('.') {
            return Ok(Self(text.to_owned()));
        }
        invalid(
            format!("`{}` is not a chart's name", shortened(text)),
            "The repository's index lists charts by name.",
            "Write the name alone, like `cert-manager`.",
        )
    }

    fn stand_in() -> Self {
        Self("chart".to_owned())
    }
}

text_newtype!(
    /// One version of a Helm chart; never a range.
    ChartVersion
);

impl FromText for ChartVersion {
    fn from_text(text: &str) -> Result<Self, Invalid> {
        let body = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'+' | b'.');
        let numbers = text.trim_start_matches('v').split(['-', '+']).next();
        let exact = numbers.is_some_and(|numbers| {
            let mut parts = numbers.split('.');
            let number = |part: Option<&str>| {
                part.is_some_and(|it| !it.is_empty() && it.bytes().all(|b| b.is_ascii_digit()))
            };
            number(parts.next()) && number(parts.next()) && number(parts.next())
        });
        if text.len() <= 128 && text.bytes().all(body) && exact {
            return Ok(Self(text.to_owned()));
        }
        invalid(
            format!("`{}` is not one version of a chart", shortened(text)),
            "A range would install something else tomorrow than what was reviewed today.",
            "Write a whole version, like `1.18.2`.",
        )
    }

    fn stand_in() -> Self {
        Self("0.0.0".to_owned())
    }
}

text_newtype!(
    /// A file in the folder of `cluster.toml`, or below it.
    LocalFile
);

impl LocalFile {
    /// The path, where it is one that the file could name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::from_text(text).ok()
    }
}

impl FromText for LocalFile {
    fn from_text(text: &str) -> Result<Self, Invalid> {
        let inside = (1..=1024).contains(&text.len())
            && !text.starts_with(['/', '~'])
            && !text.contains('\\')
            && !text.chars().any(char::is_control)
            // Hidden ones hold what no plan may show, such as Git's own credentials.
            && text.split('/').all(|part| !part.is_empty() && !part.starts_with('.'));
        if inside {
            return Ok(Self(text.to_owned()));
        }
        invalid(
            format!("`{}` is not a file beside this one", shortened(text)),
            "Recovery kits and plans hold the content of these files, so a file that somebody else \
             wrote must not be able to name any other on your machine.",
            "Put the file into this folder or below it, and write its relative path, like \
             `addons/values.yaml`.",
        )
    }

    fn stand_in() -> Self {
        Self("file".to_owned())
    }
}
