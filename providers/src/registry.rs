//! The one list of kinds.

use crate::artifacts::ArtifactSource;
use crate::digitalocean::{self, DigitalOcean};
use crate::http::Now;
use crate::k3s::{Cluster, Drain, K3sNode, LeaveEtcd, Pki, ServerToken, Uncordon};
use crate::kubernetes::{
    AddonManifest, Argocd, ArgocdApplication, ArgocdRepository, BundleKind, Bundled, Ccm,
    CloudSecret, Csi, EtcdSnapshots, FinalBackup, HelmRelease, K3sUpgrade, Kubernetes, Remarks,
    Resume, SealedSecrets, SealingSecret, Suspend, UpgradeController, Velero, VeleroRestore,
    VeleroSecret, VeleroSource, WindDown,
};
use crate::local::{Kept, Login, Repository, RestoreRequest, Rotation, Sealing, Signing};
use crate::recovery::{KitKeeper, RecoveryKit};
use crate::spaces::{Bucket, Spaces};
use kplan_model::Registry;
use std::sync::Arc;

/// Connections to the remote sides, made once by whoever runs a command.
#[derive(Clone)]
pub struct Clients {
    /// DigitalOcean.
    pub digitalocean: DigitalOcean,
    /// Spaces.
    pub spaces: Spaces,
    /// Clusters.
    pub kubernetes: Kubernetes,
    /// Upstream artifacts.
    pub artifacts: Arc<dyn ArtifactSource>,
    /// Makes recovery kits and puts them into buckets.
    pub kits: Arc<dyn KitKeeper>,
    /// The current moment.
    pub now: Now,
    /// What is to be said once everything is over.
    pub remarks: Remarks,
}

/// Every kind there is.
pub fn all(clients: &Clients) -> Registry {
    let mut registry = cloud(&clients.digitalocean, &clients.spaces);
    registry.add(Kept::<Login>::new(Arc::clone(&clients.now)));
    registry.add(Kept::<Repository>::new(Arc::clone(&clients.now)));
    registry.add(Kept::<Signing>::new(Arc::clone(&clients.now)));
    registry.add(Kept::<Sealing>::new(Arc::clone(&clients.now)));
    registry.add(Kept::<RestoreRequest>::new(Arc::clone(&clients.now)));
    registry.add(Kept::<Rotation>::new(Arc::clone(&clients.now)));
    registry.add(RecoveryKit(Arc::clone(&clients.kits)));
    left(clients, &mut registry);
    registry.add(FinalBackup::new(clients.kubernetes.clone()));
    registry.add(WindDown::new(
        clients.kubernetes.clone(),
        clients.remarks.clone(),
    ));
    k3s(clients, &mut registry);
    bundled::<CloudSecret>(clients, &mut registry);
    bundled::<Ccm>(clients, &mut registry);
    bundled::<Csi>(clients, &mut registry);
    bundled::<UpgradeController>(clients, &mut registry);
    registry.add(K3sUpgrade(clients.kubernetes.clone()));
    bundled::<Velero>(clients, &mut registry);
    bundled::<VeleroSource>(clients, &mut registry);
    registry.add(VeleroRestore(clients.kubernetes.clone()));
    bundled::<EtcdSnapshots>(clients, &mut registry);
    bundled::<VeleroSecret>(clients, &mut registry);
    bundled::<SealingSecret>(clients, &mut registry);
    bundled::<SealedSecrets>(clients, &mut registry);
    bundled::<AddonManifest>(clients, &mut registry);
    bundled::<HelmRelease>(clients, &mut registry);
    bundled::<Argocd>(clients, &mut registry);
    registry.add_operation(Suspend(clients.kubernetes.clone()));
    registry.add_operation(Resume(clients.kubernetes.clone()));
    bundled::<ArgocdRepository>(clients, &mut registry);
    bundled::<ArgocdApplication>(clients, &mut registry);
    registry
}

/// The kinds of DigitalOcean and Spaces alone.
pub fn cloud(cloud: &DigitalOcean, spaces: &Spaces) -> Registry {
    let mut registry = Registry::default();
    registry.add(digitalocean::Tag(cloud.clone()));
    registry.add(digitalocean::Vpc(cloud.clone()));
    registry.add(digitalocean::Droplet {
        cloud: cloud.clone(),
        spaces: spaces.clone(),
    });
    registry.add(digitalocean::Firewall(cloud.clone()));
    registry.add(digitalocean::Project(cloud.clone()));
    registry.add(digitalocean::SshKey(cloud.clone()));
    registry.add(digitalocean::LoadBalancer(cloud.clone()));
    registry.add(digitalocean::ReservedIp(cloud.clone()));
    registry.add(digitalocean::Volume(cloud.clone()));
    registry.add(digitalocean::Database(cloud.clone()));
    registry.add(digitalocean::DatabaseUser(cloud.clone()));
    registry.add(digitalocean::DatabaseDb(cloud.clone()));
    registry.add(digitalocean::Domain(cloud.clone()));
    registry.add(digitalocean::DomainRecord(cloud.clone()));
    registry.add(digitalocean::SpacesKey(cloud.clone()));
    registry.add(Bucket(spaces.clone()));
    registry
}

/// What clusters make, and kplan only destroys.
fn left(clients: &Clients, registry: &mut Registry) {
    use digitalocean::{Balancers, CloudTraces, LastLook, Left, Snapshots, Volumes};
    let (cloud, remarks) = (&clients.digitalocean, &clients.remarks);
    registry.add(Left::<Volumes>::new(cloud.clone(), remarks.clone()));
    registry.add(Left::<Snapshots>::new(cloud.clone(), remarks.clone()));
    registry.add(Left::<Balancers>::new(cloud.clone(), remarks.clone()));
    registry.add(LastLook(cloud.clone()));
    registry.add(CloudTraces);
}

fn k3s(clients: &Clients, registry: &mut Registry) {
    let artifacts = Arc::clone(&clients.artifacts);
    let storage = Arc::new(clients.spaces.clone());
    registry.add(Pki::new(Arc::clone(&clients.now)));
    registry.add(ServerToken(clients.kubernetes.clone()));
    registry.add(K3sNode::new(
        Arc::clone(&storage) as _,
        artifacts,
        clients.kubernetes.clone(),
        Arc::clone(&clients.now),
    ));
    registry.add_operation(Drain(clients.kubernetes.clone()));
    registry.add_operation(Uncordon(clients.kubernetes.clone()));
    registry.add_operation(LeaveEtcd(clients.kubernetes.clone()));
    registry.add(Cluster::new(clients.kubernetes.clone(), storage));
}

fn bundled<K: BundleKind>(clients: &Clients, registry: &mut Registry) {
    let artifacts = Arc::clone(&clients.artifacts);
    registry.add(Bundled::<K>::new(clients.kubernetes.clone(), artifacts));
}
