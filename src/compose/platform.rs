//! What runs on the cluster, in the order in which each needs the one before: the controllers'
//! token, the cloud controller (without which no node takes a pod), storage, backups, Argo CD,
//! and the Application everything else comes from.

use super::build::{Builder, address, to};
use super::{addons, k3s, network, restoring, storage};
use kplan_model::{Address, Codec as _, Input, Meta, Secret};
use kplan_providers::artifacts::pinned;
use kplan_providers::kubernetes::{
    Applied, ArgocdApplicationArgs, ArgocdArgs, ArgocdIngress, ArgocdRepositoryArgs, CcmArgs,
    CloudSecretArgs, CsiArgs, EtcdSnapshotsArgs, GithubApp, K3sUpgradeArgs, Schedule,
    SealedSecretsArgs, SealingSecretArgs, UpgradeControllerArgs, VeleroArgs, VeleroSecretArgs,
};
use kplan_providers::local::RandomPasswordArgs;
use kplan_schema::spec::{Backup, BackupStore, GitCredentials, Gitops};
use kplan_schema::value::{Datastore, DnsLabel};
use kplan_schema::{Span, Spanned, Spec};

/// Argo CD.
pub fn argocd() -> Address {
    address("argocd", "main")
}

/// The password of Argo CD's administrator.
pub fn argocd_admin() -> Address {
    address("random_password", "argocd_admin")
}

/// The key of Sealed Secrets.
pub fn sealing_key() -> Address {
    address("sealing_key", "main")
}

/// The version of K3s on living nodes.
pub fn upgrade() -> Address {
    address("k3s_upgrade", "main")
}

/// DigitalOcean's cloud controller.
pub fn cloud_controller() -> Address {
    address("ccm", "main")
}

/// The token of the cluster's controllers.
pub fn cloud_secret() -> Address {
    address("cloud_secret", "main")
}

/// The Application that everything from Git comes from.
pub fn root_application() -> Address {
    address("argocd_application", "root")
}

/// The driver of DigitalOcean's volumes.
pub fn csi() -> Address {
    address("csi", "main")
}

/// Sealed Secrets.
pub fn sealed_secrets() -> Address {
    address("sealed_secrets", "main")
}

/// The key of Sealed Secrets, where Git brings the rest.
pub fn sealing_secret() -> Address {
    address("sealing_secret", "main")
}

/// Velero's secrets, where Git brings the rest.
pub fn velero_secret() -> Address {
    address("velero_secret", "main")
}

/// What stays with kplan where Git brings the rest.
pub fn kept_from_git() -> [Address; 2] {
    [velero_secret(), sealing_secret()]
}

/// Velero.
pub fn velero() -> Address {
    address("velero", "main")
}

pub(super) fn access<T>() -> Input<T> {
    to(&k3s::cluster(), "access")
}

/// Everything here lives in the cluster and goes with it.
pub(super) fn meta(after: Vec<Address>) -> Meta {
    Meta {
        inside: Some(k3s::cluster()),
        after,
        ..Meta::default()
    }
}

/// Declares it.
pub fn declare(builder: &mut Builder<'_>) {
    let controllers = controllers(builder);
    let spec = builder.spec;
    let mut ready = vec![controllers];
    let by_git = builder.is_by_git();
    if spec.storage.csi.value {
        if by_git {
            builder.forget(csi());
        } else {
            ready.push(storage_driver(builder, &ready));
        }
    }
    upgrades(builder, &ready);
    if spec.addons.sealed_secrets.value {
        ready.push(sealed(builder, &ready));
    }
    let mut for_addons = ready.clone();
    if let Some(backup) = &spec.backup {
        if snapshots_are_kept(spec) {
            etcd_snapshots(builder, backup, &ready);
        }
        ready.push(if by_git {
            builder.forget(velero());
            backup_secret(builder, backup, &ready)
        } else {
            builder.forget(velero_secret());
            backups(builder, backup, &ready)
        });
        let restored = restoring::declare(builder, &ready);
        for_addons.extend(restored.clone());
        ready.extend(restored);
    }
    addons::declare(builder, &for_addons);
    if let Some(gitops) = &spec.gitops {
        delivery(builder, gitops, ready);
    }
}

/// The controllers' token and the cloud controller.
fn controllers(builder: &mut Builder<'_>) -> Address {
    let spec = builder.spec;
    let own = &spec.cloud_controller.token;
    let token = match own {
        Some(source) => builder.inputs.secret(&source.value),
        None => builder.inputs.token.clone(),
    };
    let args = CloudSecretArgs {
        access: access(),
        objects: Applied,
        token: Input::Known(token),
    };
    let span = spec.cloud_controller.span;
    let secret = builder.add_with(cloud_secret(), &args, span, meta(vec![]));
    builder.field_at("token", own.as_ref().and_then(|token| token.span));
    let (artifacts, sources) = pinned(builder.inputs.artifacts.all("digitalocean-ccm"));
    let args = CcmArgs {
        access: access(),
        objects: Applied,
        artifacts,
        sources: Some(sources),
        region: spec.region().to_owned(),
        vpc_id: to(&network::vpc(), "id"),
        cluster_id: builder.inputs.owner.id(),
        load_balancer_type: "REGIONAL_NETWORK".to_owned(),
        api_url: None,
    };
    builder.add_with(cloud_controller(), &args, span, meta(vec![secret]))
}

fn storage_driver(builder: &mut Builder<'_>, after: &[Address]) -> Address {
    let (artifacts, sources) = pinned(builder.inputs.artifacts.all("csi-digitalocean"));
    let args = CsiArgs {
        access: access(),
        objects: Applied,
        artifacts,
        sources: Some(sources),
        tag: to(&network::owner_tag(), "name"),
        // K3s marks its own class as the default, anew at every start: there is never a second.
        default_class: (!builder.spec.addons.local_storage.value)
            .then(|| "do-block-storage".to_owned()),
        api_url: None,
    };
    let span = builder.spec.storage.span;
    builder.add_with(csi(), &args, span, meta(after.to_vec()))
}

/// The controller that exchanges K3s on living nodes, and the version they are to run. Nothing waits
/// for them.
fn upgrades(builder: &mut Builder<'_>, after: &[Address]) {
    let version = builder.spec.k3s.version.clone();
    let (artifacts, sources) = pinned(builder.inputs.artifacts.all("system-upgrade-controller"));
    let args = UpgradeControllerArgs {
        access: access(),
        objects: Applied,
        version: builder
            .inputs
            .artifacts
            .default_version("system-upgrade-controller"),
        artifacts,
        sources: Some(sources),
        kubectl: version.kubernetes(),
    };
    let address = address("system_upgrade_controller", "main");
    let controller = builder.add_with(address, &args, version.span, meta(after.to_vec()));
    let args = K3sUpgradeArgs {
        access: access(),
        version: version.to_string(),
    };
    let mut behind = vec![controller];
    for pool in builder.spec.pools() {
        behind.extend((0..pool.count().value).map(|index| k3s::node(pool.name(), index)));
    }
    builder.add_with(upgrade(), &args, version.span, meta(behind));
    builder.field_at("version", version.span);
}

/// What was sealed can be opened before anything from Git or from a backup asks for it.
fn sealed(builder: &mut Builder<'_>, after: &[Address]) -> Address {
    let span = builder.spec.addons.sealed_secrets.span;
    let key = RandomPasswordArgs {
        purpose: "secrets sealed for the cluster".to_owned(),
    };
    builder.add(sealing_key(), &key, span);
    let certificate = to::<String>(&sealing_key(), "certificate");
    builder.output("sealed_secrets_certificate", certificate.encode());
    if builder.is_by_git() {
        builder.forget(sealed_secrets());
        let args = SealingSecretArgs {
            access: access(),
            objects: Applied,
            certificate,
            private_key: to(&sealing_key(), "private_key"),
        };
        return builder.add_with(sealing_secret(), &args, span, meta(after.to_vec()));
    }
    builder.forget(sealing_secret());
    let (artifacts, sources) = pinned(builder.inputs.artifacts.all("sealed-secrets"));
    let args = SealedSecretsArgs {
        access: access(),
        objects: Applied,
        artifacts,
        sources: Some(sources),
        certificate,
        private_key: to(&sealing_key(), "private_key"),
    };
    builder.add_with(sealed_secrets(), &args, span, meta(after.to_vec()))
}

/// Whether K3s copies its snapshots of etcd into the backup bucket.
pub fn snapshots_are_kept(spec: &Spec) -> bool {
    spec.backup.is_some() && spec.datastore() == Datastore::Etcd
}

/// Where they go, from the backups' root on. Velero calls a bucket broken that has folders it does not
/// know, but for `plugins/`.
pub fn snapshots_folder(cluster: &str) -> String {
    format!("plugins/k3s/{cluster}")
}

fn etcd_snapshots(builder: &mut Builder<'_>, backup: &Backup, after: &[Address]) {
    let store = location(builder, &backup.store);
    let folder = snapshots_folder(builder.spec.name());
    let args = EtcdSnapshotsArgs {
        access: access(),
        objects: Applied,
        bucket: store.bucket,
        folder: match store.prefix {
            Some(prefix) => format!("{}/{folder}", prefix.trim_end_matches('/')),
            None => folder,
        },
        region: store.region,
        endpoint: store.endpoint,
        access_key: store.access_key,
        secret_key: store.secret_key,
    };
    let address = address("etcd_snapshots", "main");
    builder.add_with(address, &args, backup.span, meta(after.to_vec()));
}

/// What Velero needs and Git must not have.
fn backup_secret(builder: &mut Builder<'_>, backup: &Backup, after: &[Address]) -> Address {
    let store = location(builder, &backup.store);
    let volumes = builder.spec.storage.csi.value;
    let args = VeleroSecretArgs {
        access: access(),
        objects: Applied,
        access_key: store.access_key,
        secret_key: store.secret_key,
        repository_password: repository_password(builder, backup).filter(|_| volumes),
    };
    builder.add_with(velero_secret(), &args, backup.span, meta(after.to_vec()))
}

fn backups(builder: &mut Builder<'_>, backup: &Backup, after: &[Address]) -> Address {
    let schedules = backup.schedules.iter().map(schedule).collect();
    let files = &builder.inputs.artifacts;
    let (artifacts, sources) = pinned(files.version("velero", backup.version.as_str()));
    let store = location(builder, &backup.store);
    let args = VeleroArgs {
        access: access(),
        objects: Applied,
        artifacts,
        sources: Some(sources),
        version: backup.version.to_string(),
        bucket: store.bucket,
        prefix: store.prefix,
        region: store.region,
        endpoint: store.endpoint,
        access_key: store.access_key,
        secret_key: store.secret_key,
        repository_password: repository_password(builder, backup),
        volumes: builder.spec.storage.csi.value,
        schedules,
        restoring: restoring::is_under_way(builder),
    };
    let address = builder.add_with(velero(), &args, backup.span, meta(after.to_vec()));
    builder.field_at("version", backup.version.span);
    address
}

fn repository_password(builder: &Builder<'_>, backup: &Backup) -> Option<Input<Secret>> {
    match &backup.repository_password {
        Some(source) => Some(Input::Known(builder.inputs.secret(&source.value))),
        None if builder.inputs.earlier.open_backups => None,
        None => Some(to(&storage::backup_password(), "result")),
    }
}

/// Where Velero puts backups, and with which key.
pub(super) struct Location {
    pub(super) bucket: Input<String>,
    pub(super) prefix: Option<String>,
    pub(super) region: String,
    pub(super) endpoint: Input<String>,
    pub(super) access_key: Input<String>,
    pub(super) secret_key: Input<Secret>,
}

/// See [`Location`].
pub(super) fn location(builder: &Builder<'_>, store: &BackupStore) -> Location {
    match store {
        BackupStore::Own { region, .. } => Location {
            bucket: to(&storage::backup_bucket(), "name"),
            prefix: None,
            region: region.to_string(),
            endpoint: to(&storage::backup_bucket(), "endpoint"),
            access_key: to(&storage::backup_key(), "access_key"),
            secret_key: to(&storage::backup_key(), "secret_key"),
        },
        BackupStore::Existing {
            place,
            access_key,
            secret_key,
        } => Location {
            bucket: Input::Known(place.bucket.clone()),
            prefix: Some(place.prefix.clone()).filter(|prefix| !prefix.is_empty()),
            region: place.region().to_owned(),
            endpoint: Input::Known(place.url()),
            access_key: Input::Known(access_key.as_str().to_owned()),
            secret_key: Input::Known(builder.inputs.secret(&secret_key.value)),
        },
    }
}

fn schedule(wanted: &kplan_schema::spec::Schedule) -> Schedule {
    Schedule {
        name: wanted.name.to_string(),
        cron: wanted.cron.to_string(),
        ttl: wanted.keep.go_duration(),
        namespaces: names(&wanted.include_namespaces),
        excluded_namespaces: names(&wanted.exclude_namespaces),
        paused: wanted.paused.value,
    }
}

fn names(list: &[Spanned<DnsLabel>]) -> Vec<String> {
    list.iter().map(ToString::to_string).collect()
}

fn delivery(builder: &mut Builder<'_>, gitops: &Gitops, after: Vec<Address>) {
    let (artifacts, sources) = pinned(builder.inputs.artifacts.argocd(gitops));
    let admin_password = admin_password(builder, gitops);
    let args = ArgocdArgs {
        access: access(),
        objects: Applied,
        artifacts,
        sources: Some(sources),
        admin_password,
        ingress: gitops.ingress.as_ref().map(|ingress| ArgocdIngress {
            host: ingress.host.to_string(),
            class: ingress.class.as_ref().map(ToString::to_string),
            cluster_issuer: ingress.cluster_issuer.as_ref().map(ToString::to_string),
        }),
    };
    let installed = builder.add_with(argocd(), &args, gitops.span, meta(after));
    builder.field_at("artifacts", gitops.version.span.or(gitops.ha.span));
    let host = gitops.ingress.as_ref().and_then(|it| it.host.span);
    builder.field_at("ingress", host);
    let mut before = vec![installed];
    if let Some(repository) = repository(builder, gitops, &before) {
        before.push(repository);
    }
    let args = ArgocdApplicationArgs {
        access: access(),
        objects: Applied,
        name: "root".to_owned(),
        repo: gitops.repo.to_string(),
        path: gitops.path.to_string(),
        revision: gitops.revision.to_string(),
        namespace: "argocd".to_owned(),
        recurse: false,
        prune: true,
        self_heal: true,
        // The tree may not be there yet: `kplan render gitops` writes it after the first apply.
        waited_for: builder.spec.is_delivered_by_git().then_some(false),
    };
    builder.add_with(root_application(), &args, gitops.span, meta(before));
    builder.field_at("repo", gitops.repo.span);
    builder.field_at("path", gitops.path.span);
    builder.field_at("revision", gitops.revision.span);
}

/// Made here, unless Argo CD made one itself under an earlier kplan: that one stays.
fn admin_password(builder: &mut Builder<'_>, gitops: &Gitops) -> Option<Input<Secret>> {
    if builder.inputs.earlier.argocd_password {
        return None;
    }
    let password = RandomPasswordArgs {
        purpose: "Argo CD's administrator".to_owned(),
    };
    builder.add(argocd_admin(), &password, gitops.span);
    let result = to::<Secret>(&argocd_admin(), "result");
    builder.output("argocd_admin_password", result.encode());
    Some(result)
}

/// How Argo CD reads a private repository.
fn repository(builder: &mut Builder<'_>, gitops: &Gitops, after: &[Address]) -> Option<Address> {
    let credentials = gitops.credentials.as_ref()?;
    let secret = |source| Some(Input::Known(builder.inputs.secret(source)));
    let mut args = ArgocdRepositoryArgs {
        access: access(),
        objects: Applied,
        url: gitops.repo.to_string(),
        username: None,
        token: None,
        ssh_key: None,
        github_app: None,
    };
    let span: Option<Span> = credentials.span;
    match &credentials.value {
        GitCredentials::Token(source) => args.token = secret(&source.value),
        GitCredentials::SshKey(source) => args.ssh_key = secret(&source.value),
        GitCredentials::GithubApp {
            id,
            installation_id,
            private_key,
        } => {
            args.github_app = Some(GithubApp {
                app_id: id.value.to_string(),
                installation_id: installation_id.value.to_string(),
                private_key: Input::Known(builder.inputs.secret(&private_key.value)),
                enterprise_url: None,
            });
        }
    }
    Some(builder.add_with(
        address("argocd_repository", "root"),
        &args,
        span,
        meta(after.to_vec()),
    ))
}
