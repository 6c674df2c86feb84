//! How long things take on DigitalOcean, before the time scale divides them. Orders of magnitude
//! of what users see; none is documented.

use std::time::Duration;

/// A droplet from `new` to `active`.
pub(crate) const DROPLET_CREATE: Duration = Duration::from_secs(45);
/// Power on, power off, reboot, rename and the like.
pub(crate) const DROPLET_ACTION: Duration = Duration::from_secs(10);
/// A resize, with the disk copied.
pub(crate) const DROPLET_RESIZE: Duration = Duration::from_mins(1);
/// Destroying a droplet with what belongs to it, as in the document's example of its status.
pub(crate) const DROPLET_DESTROY: Duration = Duration::from_secs(5);
/// A snapshot.
pub(crate) const SNAPSHOT: Duration = Duration::from_secs(90);
/// Firewall rules reaching the hypervisors.
pub(crate) const FIREWALL_APPLY: Duration = Duration::from_secs(5);
/// A load balancer from `new` to `active`.
pub(crate) const LOAD_BALANCER_CREATE: Duration = Duration::from_secs(90);
/// A load balancer can be resized this long after its creation or last resize.
pub(crate) const LOAD_BALANCER_RESIZE_PAUSE: Duration = Duration::from_hours(1);
/// A database cluster from `creating` to `online`.
pub(crate) const DATABASE_CREATE: Duration = Duration::from_mins(5);
/// A database cluster's resize or migration.
pub(crate) const DATABASE_CHANGE: Duration = Duration::from_mins(3);
/// Let's Encrypt signs a certificate.
pub(crate) const CERTIFICATE_VERIFY: Duration = Duration::from_secs(30);
/// Attaching, detaching or growing a volume.
pub(crate) const VOLUME_ACTION: Duration = Duration::from_secs(5);
/// Moving a reserved address.
pub(crate) const RESERVED_IP_ACTION: Duration = Duration::from_secs(5);
/// A destroyed resource is still listed as a member of its VPC.
pub(crate) const MEMBER_LINGERS: Duration = Duration::from_secs(20);
