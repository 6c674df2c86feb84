//! The whole file; `[cluster]`, `[project]`, `[network]`, `[load_balancer]`, `[endpoint]`.

use super::{Lowerer, flag, present, whole};
use crate::raw::{
    Leaf, Opt, RawApiLoadBalancer, RawCluster, RawEndpoint, RawFile, RawLoadBalancers, RawNetwork,
    RawProject, RawState, RawTable, Req,
};
use crate::span::{Span, Spanned};
use crate::spec::{ApiLoadBalancer, Cluster, Endpoint, Network, Project, Spec, Vpc};
use crate::value::{Environment, FromText, Hostname, ResourceName, StateBackend};

impl Lowerer<'_> {
    pub(super) fn spec(&mut self, raw: &RawFile) -> Spec {
        // The place of a required table that is missing: nothing is said about what is in it.
        self.report.distrust(Span::new(0, 0));
        let cluster = self.cluster(&table_or_empty(&raw.cluster));
        if matches!(raw.servers, Some(Leaf::Unread(_))) {
            self.report.distrust_nodes();
        }
        let servers = match &raw.servers {
            Some(leaf) => self.servers(&whole(leaf)),
            None => Self::no_servers(),
        };
        let agents = self.agents(&raw.agents, &servers);
        let k3s = self.k3s(&present(&raw.k3s), &cluster, servers.count.value);
        let storage = Self::storage(&present(&raw.storage));
        Spec {
            project: present(&raw.project).map(|table| self.project(&table, &cluster)),
            network: self.network(&present(&raw.network), &cluster),
            api_load_balancer: self.api_load_balancer(&raw.load_balancer, &cluster),
            endpoint: raw.endpoint.as_ref().map(|leaf| self.endpoint(leaf)),
            gitops: present(&raw.gitops).map(|table| self.gitops(&table)),
            backup: present(&raw.backup).map(|table| self.backup(&table, &cluster)),
            cloud_controller: self.cloud_controller(&present(&raw.cloud_controller)),
            addons: Self::addons(&present(&raw.addons), &storage),
            own_addons: self.own_addons(&raw.addon),
            ssh_keys: self.ssh_keys(&raw.ssh_key),
            vpcs: self.vpcs(&raw.vpc, &cluster),
            droplets: self.droplets(&raw.droplet, &cluster),
            volumes: self.volumes(&raw.volume, &cluster),
            firewalls: self.firewalls(&raw.firewall),
            load_balancers: self.load_balancers(&raw.load_balancer, &cluster),
            databases: self.databases(&raw.database, &cluster),
            buckets: self.buckets(&raw.bucket, &cluster),
            reserved_ips: self.reserved_ips(&raw.reserved_ip, &cluster),
            domains: self.domains(&raw.domain),
            domain_records: self.domain_records(&raw.domain_record),
            imports: self.imports(&raw.import),
            moves: self.moves(&raw.moved),
            removals: self.removals(&raw.removed),
            ignored_drift: self.ignored_drift(&present(&raw.drift)),
            mirror: present(&raw.mirror).and_then(|table| self.mirror(&table)),
            state: self.state(&present(&raw.state), &cluster),
            cluster,
            servers,
            agents,
            k3s,
            storage,
        }
    }

    fn state(&mut self, raw: &Option<RawState>, cluster: &Cluster) -> Spanned<StateBackend> {
        let backend = raw.as_ref().and_then(|table| table.backend.as_ref());
        match backend {
            None => Spanned::default_of(StateBackend::Local),
            Some(leaf) => self
                .text::<StateBackend>(leaf)
                .map(|backend| backend.in_region(cluster.region.as_str())),
        }
    }

    fn cluster(&mut self, raw: &RawCluster) -> Cluster {
        Cluster {
            name: self.required(&raw.name),
            region: self.required(&raw.region),
            protect: flag(&raw.protect, false),
            span: Some(raw.span),
        }
    }

    fn project(&mut self, raw: &RawProject, cluster: &Cluster) -> Project {
        Project {
            name: self.free_text(&raw.name, 1, 175, cluster.name.as_str()),
            environment: self.text_or(&raw.environment, || Environment::Development),
            description: self.free_text(&raw.description, 0, 255, ""),
            purpose: self.free_text(&raw.purpose, 1, 255, "Service or API"),
            span: Some(raw.span),
        }
    }

    fn network(&mut self, raw: &Option<RawNetwork>, cluster: &Cluster) -> Network {
        let vpc = raw.as_ref().and_then(|network| present(&network.vpc));
        let none = None;
        let vpc_name = vpc.as_ref().map_or(&none, |vpc| &vpc.name);
        let ip_range = vpc.as_ref().and_then(|vpc| self.optional(&vpc.ip_range));
        let default_name = ResourceName::of(&cluster.name);
        Network {
            vpc: Vpc {
                name: self.text_or(vpc_name, || default_name),
                ip_range,
                span: vpc.map(|vpc| vpc.span),
            },
            api_allow: raw
                .as_ref()
                .and_then(|network| self.list_with_span(&network.api_allow)),
            ssh_allow: raw
                .as_ref()
                .and_then(|network| self.list_with_span(&network.ssh_allow))
                .unwrap_or(Spanned::default_of(Vec::new())),
            span: raw.as_ref().map(|network| network.span),
        }
    }

    fn api_load_balancer(
        &mut self,
        raw: &Opt<RawLoadBalancers>,
        cluster: &Cluster,
    ) -> Option<ApiLoadBalancer> {
        let table = match raw.as_ref()? {
            Leaf::Read(balancers) => present(&balancers.api)?,
            Leaf::Unread(span) => RawApiLoadBalancer::empty(*span),
        };
        Some(ApiLoadBalancer {
            name: self.text_or(&table.name, || ResourceName::derived(&cluster.name, "api")),
            size_unit: self.number(
                &table.size_unit,
                1..=100,
                1,
                "DigitalOcean builds a load balancer from 1 to 100 nodes.",
            ),
            span: Some(table.span),
        })
    }

    fn endpoint(&mut self, leaf: &Leaf<RawEndpoint>) -> Endpoint {
        let raw = whole(leaf);
        let hostname = match leaf {
            Leaf::Read(table) => self.optional(&table.hostname),
            Leaf::Unread(span) => Some(Spanned::at(*span, Hostname::stand_in())),
        };
        Endpoint {
            hostname,
            domain: self.optional(&raw.domain),
            reserved_ip: flag(&raw.reserved_ip, false),
            span: Some(raw.span),
        }
    }
}

/// A required table, or an empty one: that it is missing or unreadable has been reported.
fn table_or_empty<T: RawTable + Clone>(field: &Req<T>) -> T {
    field
        .0
        .as_ref()
        .map_or_else(|| T::empty(Span::new(0, 0)), whole)
}
