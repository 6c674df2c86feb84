//! `[servers]`, `[[agents]]`, and the free-standing `[[ssh_key]]`, `[[droplet]]`, `[[volume]]`.

use super::{Lowerer, flag};
use crate::code::Code;
use crate::raw::{Leaf, Map, Opt, RawAgentPool, RawDroplet, RawServers, RawSshKey, RawVolume};
use crate::span::{Span, Spanned};
use crate::spec::{AgentPool, FreeDroplet, FreeVolume, Labels, Servers, SshKey};
use crate::value::{ImageSlug, Invalid, LabelValue, Taint, label_key};
use std::collections::BTreeSet;

/// Most nodes Kubernetes itself is made for.
const MAX_NODES: u32 = 5000;

/// Largest block storage volume, in GiB.
const MAX_VOLUME_GIB: u32 = 16384;

impl Lowerer<'_> {
    pub(super) fn servers(&mut self, raw: &RawServers) -> Servers {
        Servers {
            count: self.count(
                &raw.count,
                "Without a server there is no cluster, and Kubernetes is made for at most 5000 \
                 nodes.",
            ),
            size: self.required(&raw.size),
            image: self.text_or(&raw.image, ImageSlug::default_image),
            labels: self.labels(&raw.labels),
            taints: self.taints(&raw.taints),
            schedulable: flag(&raw.schedulable, true),
            backups: flag(&raw.backups, false),
            monitoring: flag(&raw.monitoring, true),
            span: Some(raw.span),
        }
    }

    pub(super) fn agents(
        &mut self,
        raw: &Opt<Vec<Leaf<RawAgentPool>>>,
        servers: &Servers,
    ) -> Vec<AgentPool> {
        let all_read = match raw {
            None => true,
            Some(Leaf::Unread(_)) => false,
            Some(Leaf::Read(pools)) => pools.iter().all(|pool| matches!(pool, Leaf::Read(_))),
        };
        if !all_read {
            self.report.distrust_nodes();
        }
        Self::tables(raw)
            .map(|pool| AgentPool {
                name: self.required(&pool.name),
                count: self.count(
                    &pool.count,
                    "A pool without nodes is better left out, and Kubernetes is made for at most \
                     5000 nodes.",
                ),
                size: self.required(&pool.size),
                image: self.text_or(&pool.image, || servers.image.value.clone()),
                labels: self.labels(&pool.labels),
                taints: self.taints(&pool.taints),
                backups: flag(&pool.backups, false),
                monitoring: flag(&pool.monitoring, true),
                span: Some(pool.span),
            })
            .collect()
    }

    fn count(&mut self, field: &Opt<i64>, why: &str) -> Spanned<u32> {
        let count = self.number(field, 1..=MAX_NODES, 1, why);
        if !self.report.trusts(count.span) {
            self.report.distrust_nodes();
        }
        count
    }

    fn labels(&mut self, field: &Opt<Map<String>>) -> Labels {
        let mut out = Labels::new();
        let Some(Leaf::Read(map)) = field else {
            return out;
        };
        for (key, leaf) in &map.value.0 {
            let value: Spanned<LabelValue> = self.text(leaf);
            match label_key(&key.value) {
                Ok(key) => {
                    out.insert(key, value);
                }
                Err(invalid) => self.invalid(key.span.unwrap_or(Span::new(0, 0)), invalid),
            }
        }
        out
    }

    /// A node has one taint of each key and effect.
    fn taints(&mut self, field: &Opt<Vec<Leaf<String>>>) -> Vec<Spanned<Taint>> {
        let taints: Vec<Spanned<Taint>> = self.list(field);
        let mut seen = BTreeSet::new();
        for taint in &taints {
            if !seen.insert((taint.value.key.clone(), taint.value.effect)) {
                let invalid = Invalid::new(
                    Code::TaintInvalid,
                    format!("the taint `{}` is here twice", taint.value),
                    "Kubernetes takes one taint of each key and effect; a node with two does not \
                     register.",
                    "Leave one of them.",
                );
                self.invalid(taint.span.unwrap_or(Span::new(0, 0)), invalid);
            }
        }
        taints
    }

    pub(super) fn ssh_keys(&mut self, raw: &Opt<Vec<Leaf<RawSshKey>>>) -> Vec<SshKey> {
        Self::tables(raw)
            .map(|key| SshKey {
                name: self.required(&key.name),
                public_key: self.required(&key.public_key),
                span: Some(key.span),
            })
            .collect()
    }

    pub(super) fn droplets(&mut self, raw: &Opt<Vec<Leaf<RawDroplet>>>) -> Vec<FreeDroplet> {
        Self::tables(raw)
            .map(|droplet| FreeDroplet {
                name: self.required(&droplet.name),
                size: self.required(&droplet.size),
                image: self.text_or(&droplet.image, ImageSlug::default_image),
                tags: self.list(&droplet.tags),
                backups: flag(&droplet.backups, false),
                monitoring: flag(&droplet.monitoring, true),
                span: Some(droplet.span),
            })
            .collect()
    }

    pub(super) fn volumes(&mut self, raw: &Opt<Vec<Leaf<RawVolume>>>) -> Vec<FreeVolume> {
        Self::tables(raw)
            .map(|volume| FreeVolume {
                name: self.required(&volume.name),
                size: self.number(
                    &volume.size.0,
                    1..=MAX_VOLUME_GIB,
                    1,
                    "DigitalOcean's volumes have 1 to 16384 GiB.",
                ),
                filesystem: self.optional(&volume.filesystem),
                description: self.free_text(&volume.description, 0, 255, ""),
                tags: self.list(&volume.tags),
                span: Some(volume.span),
            })
            .collect()
    }
}
