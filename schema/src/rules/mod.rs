//! Third pass: what only shows when values are seen together. One rule per file, all in [`RULES`].

use crate::diagnostic::Report;
use crate::spec::Spec;

/// A judgement over the whole description.
#[derive(Debug, Clone, Copy)]
pub struct Rule {
    /// Name of the file it lives in, and of its code behind `spec::`.
    pub name: &'static str,
    /// What it holds, in one sentence.
    pub summary: &'static str,
    /// Whether it is about a K3s cluster that kplan runs: of other files it says nothing.
    pub of_cluster: bool,
    pub(crate) check: fn(&Spec, &mut Report),
}

impl Rule {
    /// Judges a file.
    pub(crate) fn judge(&self, spec: &Spec, report: &mut Report) {
        if spec.runs_k3s() || !self.of_cluster {
            (self.check)(spec, report);
        }
    }
}

macro_rules! rules {
    ($($module:ident $(of $cluster:ident)?),* $(,)?) => {
        $(mod $module;)*

        /// Every rule. A rule that is not listed here does not exist; a test compares the list
        /// with the folder.
        pub const RULES: &[Rule] = &[$(Rule {
            name: stringify!($module),
            summary: $module::SUMMARY,
            of_cluster: rules!(@of $($cluster)?),
            check: $module::check,
        }),*];
    };
    (@of) => { false };
    (@of cluster) => { true };
}

rules! {
    addon_order,
    api_allow_empty of cluster,
    api_allow_open of cluster,
    api_endpoint_missing of cluster,
    argocd_ha_nodes of cluster,
    argocd_version_range of cluster,
    backup_without_schedule of cluster,
    cidr_not_private,
    cidr_overlap of cluster,
    cidr_size,
    cloud_controller_token of cluster,
    database_missing of cluster,
    database_open,
    database_too_small of cluster,
    database_unused of cluster,
    database_version_old of cluster,
    duplicate_name,
    endpoint_domain of cluster,
    etcd_even_count of cluster,
    firewall_rule,
    gitops_credentials_mismatch of cluster,
    image_old,
    k3s_version_csi of cluster,
    k3s_version_untested of cluster,
    load_balancer_invalid,
    local_storage_default of cluster,
    name_reserved,
    name_too_long,
    needs_cluster,
    nothing_schedulable of cluster,
    reference_unknown,
    region_mismatch,
    relocation_conflict,
    reserved_ip_misplaced of cluster,
    server_too_small of cluster,
    spaces_region,
    sqlite_several_servers of cluster,
    unmanaged_only,
    vpc_too_small,
}

#[cfg(test)]
mod tests;
