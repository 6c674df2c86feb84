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
    pub(crate) check: fn(&Spec, &mut Report),
}

macro_rules! rules {
    ($($module:ident),* $(,)?) => {
        $(mod $module;)*

        /// Every rule. A rule that is not listed here does not exist; a test compares the list
        /// with the folder.
        pub const RULES: &[Rule] = &[$(Rule {
            name: stringify!($module),
            summary: $module::SUMMARY,
            check: $module::check,
        }),*];
    };
}

rules! {
    addon_order,
    api_allow_empty,
    api_allow_open,
    api_endpoint_missing,
    argocd_ha_nodes,
    argocd_version_range,
    backup_without_schedule,
    cidr_not_private,
    cidr_overlap,
    cidr_size,
    cloud_controller_token,
    database_missing,
    database_too_small,
    database_unused,
    database_version_old,
    duplicate_name,
    endpoint_domain,
    etcd_even_count,
    gitops_credentials_mismatch,
    image_old,
    k3s_version_csi,
    k3s_version_untested,
    local_storage_default,
    name_reserved,
    name_too_long,
    nothing_schedulable,
    relocation_conflict,
    reserved_ip_misplaced,
    server_too_small,
    spaces_region,
    sqlite_several_servers,
    vpc_too_small,
}

#[cfg(test)]
mod tests;
