//! What stands by itself: keys, VPCs, droplets, volumes, buckets and reserved addresses.

use super::{Lowerer, flag, optional_flag};
use crate::raw::{
    Leaf, Opt, RawDroplet, RawFreeBucket, RawFreeVpc, RawLifecycleRule, RawReservedIp, RawSshKey,
    RawStoreCredentials, RawTable as _, RawVolume, Sensitive,
};
use crate::span::{Span, Spanned};
use crate::spec::{
    BucketCredentials, BucketRule, Cluster, FreeBucket, FreeDroplet, FreeReservedIp, FreeVolume,
    FreeVpc, SshKey,
};
use crate::value::{BucketAcl, BucketName, DnsLabel, ImageSlug, Power, RegionSlug, ResourceName};

/// Largest block storage volume, in GiB.
const MAX_VOLUME_GIB: u32 = 16384;
/// Days of a lifecycle rule; a hundred years are for ever.
const MAX_DAYS: u32 = 36_500;

impl Lowerer<'_> {
    /// A block's label: as given, or made of its name. One that is made has the name's place.
    pub(super) fn label(
        &mut self,
        given: &Opt<String>,
        name: &str,
        span: Option<Span>,
    ) -> Spanned<DnsLabel> {
        match given {
            Some(leaf) => self.text(leaf),
            None => Spanned {
                value: DnsLabel::of(name),
                span,
            },
        }
    }

    /// A block's region: as given, or the cluster's.
    pub(super) fn region(&mut self, given: &Opt<String>, cluster: &Cluster) -> Spanned<RegionSlug> {
        self.text_or(given, || cluster.region.value.clone())
    }

    pub(super) fn ssh_keys(&mut self, raw: &Opt<Vec<Leaf<RawSshKey>>>) -> Vec<SshKey> {
        Self::tables(raw)
            .map(|key| {
                let name = self.free_text(&key.name.0, 1, 255, "key");
                SshKey {
                    label: self.label(&key.label, &name, name.span),
                    name,
                    public_key: self.required(&key.public_key),
                    protect: optional_flag(&key.protect),
                    span: Some(key.span),
                }
            })
            .collect()
    }

    pub(super) fn vpcs(
        &mut self,
        raw: &Opt<Vec<Leaf<RawFreeVpc>>>,
        cluster: &Cluster,
    ) -> Vec<FreeVpc> {
        Self::tables(raw)
            .map(|vpc| {
                let name = self.required::<ResourceName>(&vpc.name);
                FreeVpc {
                    label: self.label(&vpc.label, name.as_str(), name.span),
                    name,
                    region: self.region(&vpc.region, cluster),
                    ip_range: self.optional(&vpc.ip_range),
                    description: self.free_text(&vpc.description, 0, 255, ""),
                    protect: optional_flag(&vpc.protect),
                    span: Some(vpc.span),
                }
            })
            .collect()
    }

    pub(super) fn droplets(
        &mut self,
        raw: &Opt<Vec<Leaf<RawDroplet>>>,
        cluster: &Cluster,
    ) -> Vec<FreeDroplet> {
        Self::tables(raw)
            .map(|droplet| self.droplet(droplet, cluster))
            .collect()
    }

    fn droplet(&mut self, raw: &RawDroplet, cluster: &Cluster) -> FreeDroplet {
        let name = self.required::<ResourceName>(&raw.name);
        FreeDroplet {
            label: self.label(&raw.label, name.as_str(), name.span),
            name,
            region: self.region(&raw.region, cluster),
            size: self.required(&raw.size),
            image: self.text_or(&raw.image, ImageSlug::default_image),
            vpc: self.optional(&raw.vpc),
            ssh_keys: raw.ssh_keys.as_ref().map(|_| self.list(&raw.ssh_keys)),
            tags: self.list(&raw.tags),
            user_data: self.optional(&raw.user_data),
            backups: flag(&raw.backups, false),
            monitoring: flag(&raw.monitoring, true),
            ipv6: flag(&raw.ipv6, false),
            droplet_agent: optional_flag(&raw.droplet_agent),
            resize_disk: optional_flag(&raw.resize_disk),
            power: self.text_or(&raw.power, || Power::On),
            protect: optional_flag(&raw.protect),
            span: Some(raw.span),
        }
    }

    pub(super) fn volumes(
        &mut self,
        raw: &Opt<Vec<Leaf<RawVolume>>>,
        cluster: &Cluster,
    ) -> Vec<FreeVolume> {
        Self::tables(raw)
            .map(|volume| {
                let name = self.required::<DnsLabel>(&volume.name);
                FreeVolume {
                    label: self.label(&volume.label, name.as_str(), name.span),
                    name,
                    region: self.region(&volume.region, cluster),
                    size: self.number(
                        &volume.size.0,
                        1..=MAX_VOLUME_GIB,
                        1,
                        "DigitalOcean's volumes have 1 to 16384 GiB.",
                    ),
                    filesystem: self.optional(&volume.filesystem),
                    filesystem_label: self.optional(&volume.filesystem_label),
                    snapshot_id: self.optional(&volume.snapshot_id),
                    description: self.free_text(&volume.description, 0, 255, ""),
                    tags: self.list(&volume.tags),
                    droplet: self.optional(&volume.droplet),
                    protect: optional_flag(&volume.protect),
                    span: Some(volume.span),
                }
            })
            .collect()
    }

    pub(super) fn buckets(
        &mut self,
        raw: &Opt<Vec<Leaf<RawFreeBucket>>>,
        cluster: &Cluster,
    ) -> Vec<FreeBucket> {
        Self::tables(raw)
            .map(|bucket| {
                let name = self.required::<BucketName>(&bucket.name);
                let keys = bucket.credentials.as_ref();
                FreeBucket {
                    label: self.label(&bucket.label, name.as_str(), name.span),
                    name,
                    region: self.region(&bucket.region, cluster),
                    acl: self.text_or(&bucket.acl, || BucketAcl::Private),
                    versioning: flag(&bucket.versioning, false),
                    lifecycle_rule: Self::tables(&bucket.lifecycle_rule)
                        .map(|rule| self.bucket_rule(rule))
                        .collect(),
                    force_destroy: flag(&bucket.force_destroy, false),
                    credentials: keys.map(|keys| self.bucket_credentials(keys, bucket.span)),
                    protect: optional_flag(&bucket.protect),
                    span: Some(bucket.span),
                }
            })
            .collect()
    }

    fn bucket_credentials(
        &mut self,
        leaf: &Leaf<Sensitive<RawStoreCredentials>>,
        span: Span,
    ) -> BucketCredentials {
        let raw = match leaf {
            Leaf::Read(table) => table.value.0.clone(),
            Leaf::Unread(_) => RawStoreCredentials::empty(span),
        };
        BucketCredentials {
            access_key: self.required(&raw.access_key),
            secret_key: self.required_secret(&raw.secret_key),
        }
    }

    fn bucket_rule(&mut self, raw: &RawLifecycleRule) -> BucketRule {
        let why = "S3 counts in whole days.";
        let mut days = |field: &Opt<i64>| self.optional_number(field, 1..=MAX_DAYS, why);
        let expiration_days = days(&raw.expiration_days);
        let noncurrent = days(&raw.noncurrent_version_expiration_days);
        let unfinished = days(&raw.abort_incomplete_multipart_upload_days);
        BucketRule {
            id: self.free_text(&raw.id.0, 1, 255, "rule"),
            prefix: self.text_or(&raw.prefix, String::new),
            enabled: flag(&raw.enabled, true),
            expiration_days,
            noncurrent_version_expiration_days: noncurrent,
            abort_incomplete_multipart_upload_days: unfinished,
            span: Some(raw.span),
        }
    }

    pub(super) fn reserved_ips(
        &mut self,
        raw: &Opt<Vec<Leaf<RawReservedIp>>>,
        cluster: &Cluster,
    ) -> Vec<FreeReservedIp> {
        Self::tables(raw)
            .map(|ip| FreeReservedIp {
                name: self.required(&ip.name),
                region: self.region(&ip.region, cluster),
                droplet: self.optional(&ip.droplet),
                protect: optional_flag(&ip.protect),
                span: Some(ip.span),
            })
            .collect()
    }
}
