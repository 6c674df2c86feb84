//! `[servers]` and `[[agents]]`.

use super::{Lowerer, flag, optional_flag};
use crate::code::Code;
use crate::raw::{Leaf, Map, Opt, RawAgentPool, RawServers};
use crate::span::{Span, Spanned};
use crate::spec::{AgentPool, Labels, Servers, Unmanaged};
use crate::value::{FromText as _, ImageSlug, Invalid, LabelValue, SizeSlug, Taint, label_key};
use std::collections::BTreeSet;

/// Most nodes Kubernetes itself is made for.
const MAX_NODES: u32 = 5000;

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
            unmanaged: self.unmanaged(&raw.tags, &raw.ipv6),
            span: Some(raw.span),
        }
    }

    /// What stands for `[servers]` where the file has none.
    pub(super) fn no_servers() -> Servers {
        Servers {
            count: Spanned::default_of(0),
            size: Spanned::default_of(SizeSlug::stand_in()),
            image: Spanned::default_of(ImageSlug::default_image()),
            labels: Labels::new(),
            taints: Vec::new(),
            schedulable: Spanned::default_of(true),
            backups: Spanned::default_of(false),
            monitoring: Spanned::default_of(true),
            unmanaged: Unmanaged::default(),
            span: None,
        }
    }

    fn unmanaged(&mut self, tags: &Opt<Vec<Leaf<String>>>, ipv6: &Opt<bool>) -> Unmanaged {
        Unmanaged {
            tags_span: tags.as_ref().map(Leaf::span),
            tags: self.list(tags),
            ipv6: optional_flag(ipv6),
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
                unmanaged: self.unmanaged(&pool.tags, &pool.ipv6),
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
}
