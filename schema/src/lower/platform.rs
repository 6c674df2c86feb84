//! `[gitops]`, `[backup]`, `[storage]`, `[cloud_controller]`, `[addons]`, `[mirror]`.

use super::{Lowerer, flag, present, whole};
use crate::code::Code;
use crate::diagnostic::Finding;
use crate::raw::{
    Leaf, RawAddons, RawBackup, RawCloudController, RawCredentials, RawGitops, RawMirror,
    RawSchedule, RawStorage, RawStoreCredentials, RawTable, Req, Sensitive,
};
use crate::span::{Span, Spanned};
use crate::spec::{
    Addons, Backup, BackupStore, CloudController, Cluster, GitCredentials, Gitops, Ingress, Mirror,
    Schedule, Storage,
};
use crate::value::{
    ArgoCdVersion, BucketName, Delivery, FromText, Invalid, RepoPath, Retention, S3Place,
    SecretSource, VeleroVersion,
};

impl Lowerer<'_> {
    pub(super) fn gitops(&mut self, raw: &RawGitops) -> Gitops {
        Gitops {
            repo: self.required(&raw.repo),
            path: self.text_or(&raw.path, RepoPath::stand_in),
            revision: self.free_text(&raw.revision, 1, 255, "HEAD"),
            delivery: self.text_or(&raw.delivery, || Delivery::Apply),
            version: self.text_or(&raw.version, ArgoCdVersion::default_version),
            ha: flag(&raw.ha, false),
            credentials: raw.credentials.as_ref().map(|leaf| match leaf {
                Leaf::Unread(span) => Spanned::at(*span, stand_in_credentials()),
                Leaf::Read(table) => {
                    let span = table.span.unwrap_or(table.value.0.span);
                    let read = self.credentials(&table.value.0);
                    if read.is_none() {
                        self.report.distrust(span);
                    }
                    Spanned::at(span, read.unwrap_or_else(stand_in_credentials))
                }
            }),
            ingress: present(&raw.ingress).map(|raw| Ingress {
                host: self.required(&raw.host),
                class: self.optional(&raw.class),
                cluster_issuer: self.optional(&raw.cluster_issuer),
            }),
            span: Some(raw.span),
        }
    }

    fn credentials(&mut self, raw: &RawCredentials) -> Option<GitCredentials> {
        let written = [
            ("token", raw.token.is_some()),
            ("ssh_key", raw.ssh_key.is_some()),
            ("github_app", raw.github_app.is_some()),
        ];
        if !self.exactly_one(&written, raw.span, "One repository is read in one way.") {
            return None;
        }
        if let Some(leaf) = &raw.token {
            return Some(GitCredentials::Token(self.secret(leaf)));
        }
        if let Some(leaf) = &raw.ssh_key {
            return Some(GitCredentials::SshKey(self.secret(leaf)));
        }
        match raw.github_app.as_ref()? {
            Leaf::Unread(_) => None,
            Leaf::Read(app) => {
                let app = &app.value.0;
                Some(GitCredentials::GithubApp {
                    id: self.id(&app.id),
                    installation_id: self.id(&app.installation_id),
                    private_key: self.required_secret(&app.private_key),
                })
            }
        }
    }

    fn id(&mut self, field: &Req<i64>) -> Spanned<u64> {
        match &field.0 {
            None => Spanned::default_of(1),
            Some(Leaf::Unread(span)) => Spanned::at(*span, 1),
            Some(Leaf::Read(value)) => {
                let span = value.span.unwrap_or(Span::new(0, 0));
                match u64::try_from(value.value) {
                    Ok(id) if id >= 1 => Spanned::at(span, id),
                    _ => {
                        self.invalid(
                            span,
                            Invalid::new(
                                Code::OutOfRange,
                                "an id is a positive number",
                                "GitHub counts apps and installations from 1.",
                                "Copy it from the app's settings page.",
                            ),
                        );
                        Spanned::at(span, 1)
                    }
                }
            }
        }
    }

    /// Whether exactly one of the alternatives is written; reports it otherwise.
    pub(super) fn exactly_one(&mut self, written: &[(&str, bool)], span: Span, why: &str) -> bool {
        let names: Vec<String> = written
            .iter()
            .map(|(name, _)| format!("`{name}`"))
            .collect();
        let found: Vec<&str> = written
            .iter()
            .filter(|(_, there)| *there)
            .map(|(name, _)| *name)
            .collect();
        let (message, verb) = match found.as_slice() {
            [_] => return true,
            [] => (format!("none of {} is given", names.join(", ")), "Add"),
            several => (
                format!("`{}` exclude each other", several.join("` and `")),
                "Keep exactly",
            ),
        };
        self.report.distrust(span);
        self.report.push(
            Finding::new(Code::OneOf, message)
                .label(span, "exactly one belongs here")
                .why(why)
                .remedy(format!("{verb} one of {}.", names.join(", "))),
        );
        false
    }

    pub(super) fn backup(&mut self, raw: &RawBackup, cluster: &Cluster) -> Backup {
        // A schedule that could not be read is still a schedule.
        let schedules: Vec<RawSchedule> = match &raw.schedules {
            None => Vec::new(),
            Some(Leaf::Unread(span)) => vec![RawSchedule::empty(*span)],
            Some(Leaf::Read(leaves)) => leaves.value.iter().map(whole).collect(),
        };
        Backup {
            store: self.backup_store(raw, cluster),
            repository_password: raw
                .repository_password
                .as_ref()
                .map(|leaf| self.secret(leaf)),
            version: self.text_or(&raw.version, VeleroVersion::default_version),
            schedules: schedules.iter().map(|table| self.schedule(table)).collect(),
            span: Some(raw.span),
        }
    }

    fn backup_store(&mut self, raw: &RawBackup, cluster: &Cluster) -> BackupStore {
        let own = |this: &mut Self| BackupStore::Own {
            bucket: match &raw.bucket {
                Some(leaf) => this.text(leaf),
                None => Spanned::default_of(BucketName::stand_in()),
            },
            region: this.text_or(&raw.region, || cluster.region.value.clone()),
            versioning: flag(&raw.versioning, true),
            noncurrent_days: this.number(
                &raw.noncurrent_days,
                1..=3650,
                7,
                "It decides when deleted backups are gone for good.",
            ),
        };
        let written = [
            ("bucket", raw.bucket.is_some()),
            ("store", raw.store.is_some()),
        ];
        let why = "A bucket is either made by kplan, in Spaces, or there already.";
        if !self.exactly_one(&written, raw.span, why) {
            return own(self);
        }
        let Some(store) = &raw.store else {
            self.only_with(
                "store",
                &[("credentials", raw.credentials.as_ref().map(Leaf::span))],
            );
            return own(self);
        };
        let of_its_own = [
            ("region", raw.region.as_ref().map(Leaf::span)),
            ("versioning", raw.versioning.as_ref().map(Leaf::span)),
            (
                "noncurrent_days",
                raw.noncurrent_days.as_ref().map(Leaf::span),
            ),
        ];
        self.only_with("bucket", &of_its_own);
        let place = self.text::<BackupPlace>(store);
        let place = place.map(|place| place.0.in_region(cluster.region.as_str()));
        if raw.credentials.is_none() {
            self.missing_credentials(store);
        }
        let key = match &raw.credentials {
            Some(Leaf::Read(table)) => table.value.0.clone(),
            _ => RawStoreCredentials::empty(raw.span),
        };
        BackupStore::Existing {
            place,
            access_key: self.required(&key.access_key),
            secret_key: self.required_secret(&key.secret_key),
        }
    }

    fn missing_credentials(&mut self, store: &Leaf<String>) {
        self.report.push(
            Finding::new(Code::MissingKey, "`credentials` is missing")
                .label(store.span(), "this bucket needs a key")
                .why("kplan makes keys for its own buckets in Spaces, and for no other.")
                .remedy(
                    "Add `credentials = { access_key = \"…\", secret_key = { env = \
                     \"BACKUP_SECRET_KEY\" } }`.",
                ),
        );
    }

    /// Refuses keys that mean something only beside another one, which is not there.
    pub(super) fn only_with(&mut self, other: &str, written: &[(&str, Option<Span>)]) {
        for (key, span) in written {
            let Some(span) = span else { continue };
            self.report.push(
                Finding::new(
                    Code::OneOf,
                    format!("`{key}` says nothing without `{other}`"),
                )
                .label(*span, "would be skipped")
                .why("kplan refuses what it cannot act on instead of skipping it.")
                .remedy(format!("Take it out, or use `{other}`.")),
            );
        }
    }

    fn schedule(&mut self, raw: &RawSchedule) -> Schedule {
        Schedule {
            name: self.required(&raw.name),
            cron: self.required(&raw.cron),
            keep: self.text_or(&raw.keep, || Retention::days(30)),
            include_namespaces: self.list(&raw.include_namespaces),
            exclude_namespaces: self.list(&raw.exclude_namespaces),
            paused: flag(&raw.paused, false),
            span: Some(raw.span),
        }
    }

    pub(super) fn storage(raw: &Option<RawStorage>) -> Storage {
        match raw {
            None => Storage {
                csi: Spanned::default_of(true),
                span: None,
            },
            Some(raw) => Storage {
                csi: flag(&raw.csi, true),
                span: Some(raw.span),
            },
        }
    }

    pub(super) fn cloud_controller(&mut self, raw: &Option<RawCloudController>) -> CloudController {
        let token: Option<&Leaf<Sensitive<_>>> = raw.as_ref().and_then(|raw| raw.token.as_ref());
        CloudController {
            token: token.map(|leaf| self.secret(leaf)),
            span: raw.as_ref().map(|raw| raw.span),
        }
    }

    pub(super) fn addons(raw: &Option<RawAddons>, storage: &Storage) -> Addons {
        let local_storage = !storage.csi.value;
        match raw {
            None => Addons {
                traefik: Spanned::default_of(false),
                metrics_server: Spanned::default_of(true),
                local_storage: Spanned::default_of(local_storage),
                sealed_secrets: Spanned::default_of(false),
                span: None,
            },
            Some(raw) => Addons {
                traefik: flag(&raw.traefik, false),
                metrics_server: flag(&raw.metrics_server, true),
                local_storage: flag(&raw.local_storage, local_storage),
                sealed_secrets: flag(&raw.sealed_secrets, false),
                span: Some(raw.span),
            },
        }
    }

    pub(super) fn mirror(&mut self, raw: &RawMirror) -> Option<Mirror> {
        let written = [("url", raw.url.is_some()), ("folder", raw.folder.is_some())];
        if !self.exactly_one(&written, raw.span, "Every artifact comes from one place.") {
            return None;
        }
        if let Some(leaf) = &raw.url {
            return Some(Mirror::Url(self.text::<MirrorUrl>(leaf).map(|url| url.0)));
        }
        Some(Mirror::Folder(self.free_text(&raw.folder, 1, 4096, ".")))
    }
}

/// The address of a bucket for backups.
struct BackupPlace(S3Place);

impl FromText for BackupPlace {
    fn from_text(text: &str) -> Result<Self, Invalid> {
        S3Place::parse(text).map(Self).map_err(|invalid| {
            if invalid.code == Code::SecretLiteral {
                return Invalid {
                    remedy: "Revoke them, and name the key in `credentials`.".into(),
                    ..invalid
                };
            }
            Invalid::new(
                Code::BackupStoreInvalid,
                invalid.what,
                "Backups go into a bucket of an S3-compatible store.",
                "Write an address like \
                 `s3://acme-backup/demo?region=eu-central-003&endpoint=https://s3.eu-central-003.backblazeb2.com`.",
            )
        })
    }

    fn stand_in() -> Self {
        Self(S3Place::stand_in())
    }
}

fn stand_in_credentials() -> GitCredentials {
    GitCredentials::Token(Spanned::default_of(SecretSource::stand_in()))
}

/// Base address of a mirror, without a trailing slash.
struct MirrorUrl(String);

impl FromText for MirrorUrl {
    fn from_text(text: &str) -> Result<Self, Invalid> {
        let invalid = |code, what: &str, remedy: &str| {
            Err(Invalid::new(
                code,
                what,
                "Every artifact is fetched from below this address; what comes is checked against \
                 its digest.",
                remedy,
            ))
        };
        let Some(rest) = text
            .strip_prefix("https://")
            .or_else(|| text.strip_prefix("http://"))
        else {
            return invalid(
                Code::MirrorInvalid,
                "the mirror's address is neither HTTPS nor HTTP",
                "Write it like `https://mirror.example.com/kplan`.",
            );
        };
        let host = rest.split('/').next().unwrap_or_default();
        if host.contains('@') {
            return invalid(
                Code::SecretLiteral,
                "the mirror's address holds credentials",
                "Revoke them, and let the mirror serve without credentials: artifacts are public.",
            );
        }
        let clean = !host.is_empty()
            && text.len() <= 2048
            && !text.contains(['?', '#', '\\'])
            && !text.chars().any(|c| c.is_whitespace() || c.is_control());
        if !clean {
            return invalid(
                Code::MirrorInvalid,
                "the mirror's address is no base address",
                "Write host and path only, like `https://mirror.example.com/kplan`.",
            );
        }
        Ok(Self(text.trim_end_matches('/').to_owned()))
    }

    fn stand_in() -> Self {
        Self("https://example.com".to_owned())
    }
}
