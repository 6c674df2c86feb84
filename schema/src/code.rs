//! The stable codes of everything this crate can complain about.

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// The file cannot be used.
    Error,
    /// The file can be used, but somebody should look.
    Warning,
}

impl Severity {
    /// `error` or `warning`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

macro_rules! codes {
    ($($(#[doc = $doc:literal])* $variant:ident = $severity:ident $text:literal),* $(,)?) => {
        /// What is wrong, as a stable code: scripts and documentation may rely on its text.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Code {
            $($(#[doc = $doc])* $variant),*
        }

        impl Code {
            /// Every code, in the order of their declaration.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The code's text, such as `spec::unknown_key`.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => concat!("spec::", $text)),*
                }
            }

            /// Whether it stops the file from being used.
            pub const fn severity(self) -> Severity {
                match self {
                    $(Self::$variant => Severity::$severity),*
                }
            }
        }
    };
}

codes! {
    /// Not TOML.
    Syntax = Error "syntax",
    /// The file is larger than kplan reads.
    TooLarge = Error "too_large",
    /// There are more findings than are shown.
    TooMany = Error "too_many",
    /// A key no table of this kind has.
    UnknownKey = Error "unknown_key",
    /// A value of another TOML type than expected.
    WrongType = Error "wrong_type",
    /// A required key is not there.
    MissingKey = Error "missing_key",
    /// A word outside a closed set.
    UnknownValue = Error "unknown_value",
    /// A number outside its range.
    OutOfRange = Error "out_of_range",
    /// A text that is empty or too long.
    TextInvalid = Error "text_invalid",
    /// None or several of alternatives that exclude each other.
    OneOf = Error "one_of",
    /// A table whose behaviour this version of kplan does not have.
    NotYetSupported = Error "not_yet_supported",
    /// A secret's text in the file.
    SecretLiteral = Error "secret_literal",
    /// A secret source that names nothing.
    SecretSourceInvalid = Error "secret_source_invalid",
    /// A name with the wrong characters.
    NameInvalid = Error "name_invalid",
    /// A droplet size or database plan with the wrong shape.
    SizeInvalid = Error "size_invalid",
    /// An image slug with the wrong shape.
    ImageInvalid = Error "image_invalid",
    /// A version with the wrong shape.
    VersionInvalid = Error "version_invalid",
    /// A Kubernetes label with the wrong shape.
    LabelInvalid = Error "label_invalid",
    /// A Kubernetes taint with the wrong shape.
    TaintInvalid = Error "taint_invalid",
    /// Not an OpenSSH public key.
    SshKeyInvalid = Error "ssh_key_invalid",
    /// Not a repository address or a path in one.
    RepoInvalid = Error "repo_invalid",
    /// Not a mirror's address.
    MirrorInvalid = Error "mirror_invalid",
    /// Not a place for the state.
    StateBackendInvalid = Error "state_backend_invalid",
    /// Not a bucket for backups.
    BackupStoreInvalid = Error "backup_store_invalid",
    /// Not where an add-on can come from.
    AddonInvalid = Error "addon_invalid",
    /// Not a network in CIDR notation.
    CidrInvalid = Error "cidr_invalid",
    /// Not a cron schedule.
    CronInvalid = Error "cron_invalid",
    /// Not a duration.
    DurationInvalid = Error "duration_invalid",
    /// A DNS record that does not say what its type says.
    DomainRecordInvalid = Error "domain_record_invalid",
    /// Not the address of a resource, or of a field that is no drift.
    AddressInvalid = Error "address_invalid",

    /// An add-on that comes after one that is not there, or after itself.
    AddonOrder = Error "addon_order",
    /// Imports, moves or removals that contradict each other.
    RelocationConflict = Error "relocation_conflict",
    /// Two things of one kind with one name.
    DuplicateName = Error "duplicate_name",
    /// A derived name is longer than its place allows.
    NameTooLong = Error "name_too_long",
    /// An agent pool, droplet or DNS record named like something kplan makes itself.
    NameReserved = Error "name_reserved",
    /// A VPC range outside RFC 1918.
    CidrNotPrivate = Error "cidr_not_private",
    /// A VPC range outside /16 to /28.
    CidrSize = Error "cidr_size",
    /// A VPC range that shares addresses with the cluster's inner networks.
    CidrOverlap = Error "cidr_overlap",
    /// A VPC with fewer addresses than the cluster has nodes.
    VpcTooSmall = Error "vpc_too_small",
    /// An empty list of who may reach the API.
    ApiAllowEmpty = Error "api_allow_empty",
    /// Nobody said who may reach the API.
    ApiAllowOpen = Warning "api_allow_open",
    /// An even number of etcd members.
    EtcdEvenCount = Error "etcd_even_count",
    /// SQLite with several servers.
    SqliteSeveralServers = Error "sqlite_several_servers",
    /// Several servers and no single address for them.
    ApiEndpointMissing = Error "api_endpoint_missing",
    /// A record for the API's name that kplan cannot make.
    EndpointDomain = Error "endpoint_domain",
    /// A reserved IP where it cannot serve.
    ReservedIpMisplaced = Error "reserved_ip_misplaced",
    /// A managed datastore without its table.
    DatabaseMissing = Error "database_missing",
    /// A database table nobody uses.
    DatabaseUnused = Error "database_unused",
    /// A database plan with too few connections.
    DatabaseTooSmall = Error "database_too_small",
    /// A database version past its end of life.
    DatabaseVersionOld = Error "database_version_old",
    /// A K3s version nobody tested with this kplan.
    K3sVersionUntested = Error "k3s_version_untested",
    /// A K3s version the CSI driver does not support.
    K3sVersionCsi = Error "k3s_version_csi",
    /// An Argo CD version not tested with this Kubernetes.
    ArgocdVersionRange = Warning "argocd_version_range",
    /// Highly available Argo CD on too few nodes.
    ArgocdHaNodes = Error "argocd_ha_nodes",
    /// Credentials that do not fit the repository's address.
    GitopsCredentialsMismatch = Error "gitops_credentials_mismatch",
    /// No bucket can be made in the region.
    SpacesRegion = Error "spaces_region",
    /// Volumes that name no class are on the nodes' own disks, beside DigitalOcean's.
    LocalStorageDefault = Warning "local_storage_default",
    /// A backup bucket nothing is ever written to.
    BackupWithoutSchedule = Warning "backup_without_schedule",
    /// Nodes on which no pod may run.
    NothingSchedulable = Error "nothing_schedulable",
    /// Servers too small for what runs on them.
    ServerTooSmall = Warning "server_too_small",
    /// An image past its end of life.
    ImageOld = Warning "image_old",
    /// The operator's own token goes into the cluster.
    CloudControllerToken = Warning "cloud_controller_token",
}

impl std::fmt::Display for Code {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}
