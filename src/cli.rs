//! The command line: clap types and nothing else.

use crate::render::Colors;
use clap::{Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;
use std::sync::Arc;

/// Plan and apply a GitOps Kubernetes cluster on DigitalOcean from one file.
#[derive(Debug, Parser)]
#[command(
    name = "kplan",
    version,
    max_term_width = 100,
    propagate_version = true
)]
pub struct Cli {
    /// Options every command takes.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Options every command takes.
#[derive(Debug, Clone, Args)]
pub struct Global {
    /// The cluster's file
    #[arg(
        short = 'f',
        long = "file",
        value_name = "FILE",
        global = true,
        default_value = "cluster.toml"
    )]
    pub file: PathBuf,
    /// Switch to this folder first
    #[arg(long, value_name = "DIR", global = true)]
    pub chdir: Option<PathBuf>,
    /// Use the embedded cloud of this folder instead of DigitalOcean
    #[arg(long, global = true)]
    pub sandbox: bool,
    /// Print one JSON document (for `apply` and `destroy`: one JSON event a line)
    #[arg(long, global = true)]
    pub json: bool,
    /// Whether to use colour; the environment's `NO_COLOR` and `CLICOLOR_FORCE` are heard, too
    #[arg(long, global = true, value_enum, value_name = "WHEN", default_value_t = ColorWhen::Auto)]
    pub color: ColorWhen,
    /// Never use colour: `--color never`
    #[arg(long, global = true, conflicts_with = "color")]
    pub no_color: bool,
}

impl Global {
    /// Whether output is coloured.
    pub fn colors(&self) -> Colors {
        match self.color {
            _ if self.no_color => Colors::Never,
            ColorWhen::Auto => Colors::Auto,
            ColorWhen::Always => Colors::Always,
            ColorWhen::Never => Colors::Never,
        }
    }
}

/// When output is coloured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ColorWhen {
    /// On a terminal.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Check the file and report everything that is wrong with it
    Validate(ValidateArgs),
    /// Show what apply would do
    Plan(PlanArgs),
    /// Make the cloud as the file says
    Apply(ApplyArgs),
    /// Show what changed outside of kplan; exit 2 where something did. Only reads
    Drift(DriftArgs),
    /// Put resources that exist already on record
    Import(ImportArgs),
    /// Destroy everything that is on record
    Destroy(DestroyArgs),
    /// Bring a lost cluster back from its backups
    Restore(RestoreArgs),
    /// Make secrets anew: the new one is in use before the old one goes
    Rotate(RotateArgs),
    /// Look at the backups in the bucket
    #[command(subcommand)]
    Backup(BackupCommand),
    /// Look at everything an operator should worry about; exit 1 where something is wrong
    Doctor(DoctorArgs),
    /// Show what is on record, or the plan in a file
    Show(ShowingArgs),
    /// Show the plan in a file as the one comment of a pull request on GitHub
    Comment(CommentArgs),
    /// Show the results of the last apply
    Output(OutputArgs),
    /// Print a kubeconfig with a short-lived certificate
    Kubeconfig(KubeconfigArgs),
    /// Look into the state
    #[command(subcommand)]
    State(StateCommand),
    /// Show the resources and what they depend on
    Graph(GraphArgs),
    /// Write files that belong into other places
    #[command(subcommand)]
    Render(RenderCommand),
    /// Resolve the version set to digests and write kplan.lock
    Lock(LockArgs),
    /// Serve the embedded cloud in the foreground, or look into it
    Sandbox(SandboxArgs),
    /// Print the JSON Schema of cluster.toml, or of what kplan prints
    Schema(SchemaArgs),
    /// Print a completion script for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

/// What `schema` takes.
#[derive(Debug, Clone, Args)]
pub struct SchemaArgs {
    /// Of `plan --format json`
    #[arg(long, conflicts_with = "events")]
    pub plan: bool,

    /// Of the lines of `apply --json`
    #[arg(long)]
    pub events: bool,
}

/// What to write.
#[derive(Debug, Clone, Subcommand)]
pub enum RenderCommand {
    /// The tree that Argo CD brings storage, backups and add-ons from (`[gitops] delivery = "git"`)
    Gitops {
        /// The checkout of the repository
        folder: PathBuf,
        /// Say what is not as it would be written, write nothing, and exit with 2 where there is any
        #[arg(long)]
        check: bool,
    },
}

/// Where secrets may come from.
#[derive(Debug, Clone, Copy, Default, Args)]
pub struct SecretArgs {
    /// Run the commands and read the files that secret sources name, also under CI=true
    #[arg(long)]
    pub allow_secret_sources: bool,
}

/// `validate`.
#[derive(Debug, Clone, Args)]
pub struct ValidateArgs {}

/// What is not looked at before an apply.
#[derive(Debug, Clone, Default, Args)]
pub struct PreflightArgs {
    /// Go on although preflight found an error of this code, such as `preflight::name_taken`
    /// (repeatable)
    #[arg(long, value_name = "CODE")]
    pub skip_preflight: Vec<String>,
}

/// What a plan covers.
#[derive(Debug, Clone, Args)]
pub struct PlanningArgs {
    /// Only this resource and what it depends on (repeatable); not for routine use
    #[arg(long, value_name = "ADDRESS")]
    pub target: Vec<String>,
    /// Replace this resource (repeatable)
    #[arg(long, value_name = "ADDRESS")]
    pub replace: Vec<String>,
    /// Only write what was seen into the state
    #[arg(long, conflicts_with_all = ["target", "replace"])]
    pub refresh_only: bool,
    /// Whether to look at the cloud first
    #[arg(long, value_name = "BOOL", default_value_t = true, action = clap::ArgAction::Set)]
    pub refresh: bool,
    /// Allow apply to destroy this resource and what is lost with it (repeatable)
    #[arg(long, value_name = "ADDRESS")]
    pub allow_destroy: Vec<String>,
    /// Leave this operation out, such as `drain` of nodes that cannot be reached any more
    /// (repeatable)
    #[arg(long, value_name = "NAME")]
    pub skip_operation: Vec<String>,
    /// Preflight.
    #[command(flatten)]
    pub preflight: PreflightArgs,
    /// Secrets.
    #[command(flatten)]
    pub secrets: SecretArgs,
}

/// `plan`.
#[derive(Debug, Clone, Args)]
pub struct PlanArgs {
    /// What it covers.
    #[command(flatten)]
    pub planning: PlanningArgs,
    /// Plan to destroy everything
    #[arg(long, conflicts_with_all = ["refresh_only", "replace", "target"])]
    pub destroy: bool,
    /// Exit 0 when nothing would change, 2 when something would, 1 on error
    #[arg(long)]
    pub detailed_exitcode: bool,
    /// With --destroy: what becomes of the volumes and snapshots that the cluster made
    #[arg(long, value_name = "WHAT", value_enum, requires = "destroy")]
    pub orphans: Option<Orphans>,
    /// With --destroy: destroy the backups too
    #[arg(long, requires = "destroy")]
    pub delete_backups: bool,
    /// With --destroy: make a last backup first
    #[arg(
        long,
        value_name = "WHETHER",
        requires = "destroy",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true"
    )]
    pub final_backup: Option<bool>,
    /// Write the plan to this file; `kplan apply FILE` carries out exactly this one
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// How to print it.
    #[command(flatten)]
    pub show: ShowArgs,
}

/// `show`.
#[derive(Debug, Clone, Args)]
pub struct ShowingArgs {
    /// A file that `kplan plan --out` wrote. Default: what is on record
    #[arg(value_name = "PLAN")]
    pub plan: Option<PathBuf>,
    /// How to print it.
    #[command(flatten)]
    pub show: ShowArgs,
}

/// `comment`.
#[derive(Debug, Clone, Args)]
pub struct CommentArgs {
    /// A file that `kplan plan --out` wrote
    #[arg(value_name = "PLAN")]
    pub plan: PathBuf,
    /// The repository. Default: that of the workflow, `GITHUB_REPOSITORY`
    #[arg(long, value_name = "OWNER/NAME")]
    pub repo: Option<String>,
    /// The number of the pull request. Default: that of the workflow, from `GITHUB_REF`
    #[arg(long, value_name = "N")]
    pub pr: Option<u64>,
    /// Tells this comment from others about the same cluster, such as `staging`
    #[arg(long, value_name = "NAME")]
    pub key: Option<String>,
    /// Print the comment, and say what would be done; needs no token
    #[arg(long)]
    pub dry_run: bool,
    /// The most bytes that the comment may take; what GitHub allows where nothing is said
    #[arg(long, value_name = "BYTES", value_parser = most_bytes_of_a_comment)]
    pub max_bytes: Option<usize>,
}

/// How a plan is printed.
#[derive(Debug, Clone, Args)]
pub struct ShowArgs {
    /// For people, for machines, or for a pull request
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
    /// One line for each resource
    #[arg(long, conflicts_with = "full")]
    pub summary: bool,
    /// Also what stays as it is, long texts whole, and what each step waits for
    #[arg(long)]
    pub full: bool,
    /// In which order to show resources as text; Markdown always begins with the most dangerous
    #[arg(long, value_enum, default_value_t = Sort::Dependency)]
    pub sort: Sort,
    /// The most bytes that Markdown may take; what GitHub allows where nothing is said
    #[arg(long, value_name = "BYTES", value_parser = most_bytes)]
    pub max_bytes: Option<usize>,
}

impl ShowArgs {
    /// How much is shown.
    pub fn detail(&self) -> Detail {
        match (self.summary, self.full) {
            (true, _) => Detail::Summary,
            (_, true) => Detail::Full,
            _ => Detail::Changes,
        }
    }
}

fn most_bytes(text: &str) -> Result<usize, String> {
    bytes_from(crate::render::markdown::LEAST, text)
}

/// The comment's first line takes some of them.
fn most_bytes_of_a_comment(text: &str) -> Result<usize, String> {
    bytes_from(
        crate::render::markdown::LEAST + crate::cmd::comment::LONGEST_MARKER,
        text,
    )
}

fn bytes_from(least: usize, text: &str) -> Result<usize, String> {
    let most = crate::render::markdown::MOST;
    let number: usize = text.parse().map_err(|error| format!("{error}"))?;
    if (least..=most).contains(&number) {
        Ok(number)
    } else {
        Err(format!("a number from {least} to {most} is wanted"))
    }
}

/// How a plan is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    Text,
    /// For machines.
    Json,
    /// For a pull request.
    Markdown,
}

/// How requests are logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// For machines.
    Json,
}

/// How much is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Detail {
    /// One line for each resource.
    Summary,
    /// What changes.
    Changes,
    /// Everything.
    Full,
}

/// In which order resources are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Sort {
    /// As they are carried out.
    Dependency,
    /// The most dangerous first.
    Risk,
}

/// How an apply runs.
#[derive(Debug, Clone, Args)]
pub struct RunArgs {
    /// Do not ask
    #[arg(long)]
    pub auto_approve: bool,
    /// How many changes may run at once
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub parallelism: u16,
    /// How long to wait for another kplan to finish, such as 30s or 5m
    #[arg(long, value_name = "DURATION", default_value = "0s")]
    pub lock_timeout: String,
}

/// `apply`.
#[derive(Debug, Clone, Args)]
pub struct ApplyArgs {
    /// A file that `kplan plan --out` wrote: exactly that is done, without a question
    #[arg(
        value_name = "PLAN",
        conflicts_with_all = ["target", "replace", "refresh_only", "refresh", "allow_destroy", "skip_operation"]
    )]
    pub plan: Option<PathBuf>,
    /// The cluster's name: consent to a plan in a file that destroys everything
    #[arg(long, value_name = "NAME", requires = "plan")]
    pub confirm: Option<String>,
    /// What it covers.
    #[command(flatten)]
    pub planning: PlanningArgs,
    /// How it runs.
    #[command(flatten)]
    pub run: RunArgs,
}

/// `drift`.
#[derive(Debug, Clone, Args)]
pub struct DriftArgs {
    /// Leave a field out: `ADDRESS: FIELD`, either of which may be `*` (repeatable)
    #[arg(long, value_name = "RULE")]
    pub ignore: Vec<String>,
    /// Secrets.
    #[command(flatten)]
    pub secrets: SecretArgs,
}

/// `import`.
#[derive(Debug, Clone, Args)]
pub struct ImportArgs {
    /// The address in the file, such as `droplet.web`
    #[arg(value_name = "ADDRESS")]
    pub address: Option<String>,
    /// Its id at DigitalOcean
    #[arg(value_name = "ID")]
    pub id: Option<String>,
    /// Look for what the file describes among what exists, and print the blocks to import it; changes
    /// nothing
    #[arg(long, conflicts_with = "address", group = "look")]
    pub discover: bool,
    /// Print a file for what exists in the account and has no place in one yet; changes nothing
    #[arg(long, conflicts_with = "address", group = "look")]
    pub generate: bool,
    /// Look only at what carries this tag
    #[arg(long, value_name = "TAG", requires = "look")]
    pub tag: Option<String>,
    /// Look only at what stands in this VPC, by name or id
    #[arg(long, value_name = "VPC", requires = "look")]
    pub vpc: Option<String>,
    /// Look only at what is called so; `*` is anything
    #[arg(long, value_name = "GLOB", requires = "look")]
    pub name: Option<String>,
    /// Write the blocks to the end of the file instead of printing them
    #[arg(long, requires = "discover", conflicts_with = "generate")]
    pub write: bool,
    /// How it runs.
    #[command(flatten)]
    pub run: RunArgs,
}

/// `rotate`.
#[derive(Debug, Clone, Args)]
pub struct RotateArgs {
    /// What to make anew
    #[arg(value_enum, required = true)]
    pub what: Vec<Rotated>,
    /// Preflight.
    #[command(flatten)]
    pub preflight: PreflightArgs,
    /// Secrets.
    #[command(flatten)]
    pub secrets: SecretArgs,
    /// How it runs.
    #[command(flatten)]
    pub run: RunArgs,
}

/// What can be made anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Rotated {
    /// The keys of the buckets: kplan's own, and Velero's
    SpacesKeys,
    /// The password of Argo CD's administrator
    ArgocdPassword,
    /// The key that signs recovery kits
    KitKey,
    /// The leaf certificates of K3s, with their keys; each node's K3s is started again for them
    Certificates,
    /// The token agents join with; K3s is started again, on servers first
    AgentToken,
    /// The token servers join with, which also encrypts what a server needs to start; K3s is started
    /// again on servers
    ServerToken,
    /// The password of K3s's user of the managed database; K3s is started again on servers
    DatastorePassword,
}

/// `restore`.
#[derive(Debug, Clone, Args)]
pub struct RestoreArgs {
    /// The backup's name, or `latest`: the newest whole one of the whole cluster. Default: what an
    /// earlier restore began with, else `latest`
    #[arg(long, value_name = "BACKUP")]
    pub from: Option<String>,
    /// Begin from a snapshot of etcd instead of a backup: its name, or `latest`. For a cluster with
    /// embedded etcd all of whose servers are lost
    #[arg(
        long,
        value_name = "SNAPSHOT",
        conflicts_with_all = ["from", "exclude_namespace", "accept_partial", "name", "region"]
    )]
    pub snapshot: Option<String>,
    /// Make a copy of the cluster under this name; its file is NAME.toml, beside this one
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// The copy's region. Default: the cluster's
    #[arg(long, value_name = "REGION")]
    pub region: Option<String>,
    /// A recovery kit: a file, the name of one in the bucket, or, on an empty machine, the bucket:
    /// `s3://BUCKET?region=REGION`, of which the newest is taken. Default: the newest in the bucket of
    /// the cluster's file
    #[arg(long, value_name = "KIT")]
    pub kit: Option<String>,
    /// The kit, where `kit` was a bucket's address.
    #[arg(skip)]
    pub brought: Option<Arc<[u8]>>,
    /// Take the kit with this SHA-256 whoever signed it
    #[arg(long, value_name = "DIGEST")]
    pub trust_kit: Option<String>,
    /// Leave this namespace out (repeatable)
    #[arg(long, value_name = "NAMESPACE")]
    pub exclude_namespace: Vec<String>,
    /// Go on where Velero could not restore everything
    #[arg(long)]
    pub accept_partial: bool,
    /// Preflight.
    #[command(flatten)]
    pub preflight: PreflightArgs,
    /// How it runs.
    #[command(flatten)]
    pub run: RunArgs,
    /// Secrets.
    #[command(flatten)]
    pub secrets: SecretArgs,
}

/// `backup …`.
#[derive(Debug, Clone, Subcommand)]
pub enum BackupCommand {
    /// The backups and the snapshots of etcd in the bucket, the oldest first
    List,
    /// Read a whole backup out of the bucket and check it; exit 1 where it is not whole
    Verify {
        /// The backup's name. Default: the newest
        name: Option<String>,
    },
}

/// `destroy`.
#[derive(Debug, Clone, Args)]
pub struct DestroyArgs {
    /// How it runs.
    #[command(flatten)]
    pub run: RunArgs,
    /// The cluster's name: with --auto-approve, consent to losing it
    #[arg(long, value_name = "NAME")]
    pub confirm: Option<String>,
    /// Destroy the backups too: the bucket, and every object in it
    #[arg(long)]
    pub delete_backups: bool,
    /// What becomes of the volumes and snapshots that the cluster made. With a prompt, and without this,
    /// they are destroyed; with --auto-approve it has to be said where there are any
    #[arg(long, value_name = "WHAT", value_enum)]
    pub orphans: Option<Orphans>,
    /// Make a last backup first, and destroy nothing unless it is whole. With a prompt, and without
    /// this, it is asked; --final-backup=false makes none
    #[arg(
        long,
        value_name = "WHETHER",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true"
    )]
    pub final_backup: Option<bool>,
    /// Secrets.
    #[command(flatten)]
    pub secrets: SecretArgs,
}

/// What becomes of the data that the cluster's own controllers made room for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Orphans {
    /// They are destroyed, with the data on them
    Delete,
    /// They stay in the account, and keep billing
    Keep,
}

/// `doctor`.
#[derive(Debug, Clone, Args)]
pub struct DoctorArgs {
    /// Also run a pod on every node, for some seconds, that tries to reach the metadata service
    #[arg(long)]
    pub probe: bool,
}

/// `output`.
#[derive(Debug, Clone, Args)]
pub struct OutputArgs {
    /// Only this one
    pub name: Option<String>,
    /// Print the bare value
    #[arg(long, requires = "name")]
    pub raw: bool,
}

/// `kubeconfig`.
#[derive(Debug, Clone, Args)]
pub struct KubeconfigArgs {
    /// Write it to a file only you can read and print the path
    #[arg(long)]
    pub path: bool,
    /// Whose name the certificate carries
    #[arg(long, value_name = "NAME", default_value = "admin")]
    pub user: String,
    /// How long the certificate is valid, such as 8h; one minute to seven days
    #[arg(long, value_name = "DURATION", default_value = "8h")]
    pub valid: String,
}

/// `state …`.
#[derive(Debug, Clone, Subcommand)]
pub enum StateCommand {
    /// List the addresses on record
    List,
    /// Show one record
    Show {
        /// Its address
        address: String,
        /// As it was after the run of this serial (`state history` lists them)
        #[arg(long, value_name = "SERIAL")]
        at: Option<u64>,
    },
    /// List the runs that changed something, oldest first
    History,
    /// Make a damaged state readable again; keeps a copy and says what had to be left out
    Repair,
    /// Read everything there is, open every secret, and say what is not whole
    Verify,
    /// Put the state back to what it was after the run of this serial; changes the record only
    Restore {
        /// A serial that `state history` lists
        serial: u64,
        /// Do not ask
        #[arg(long)]
        auto_approve: bool,
        /// The lock.
        #[command(flatten)]
        lock: WaitArgs,
    },
    /// Give a resource on record another address; nothing is changed but the record
    Mv {
        /// Its address now
        from: String,
        /// Its address from now on
        to: String,
        /// The lock.
        #[command(flatten)]
        lock: WaitArgs,
    },
    /// Forget resources: they exist as before, and kplan manages them no more
    Rm {
        /// Their addresses
        #[arg(required = true, value_name = "ADDRESS")]
        addresses: Vec<String>,
        /// The lock.
        #[command(flatten)]
        lock: WaitArgs,
    },
    /// Print the whole state as one document, secrets sealed
    Pull,
    /// Put a document that `state pull` printed in the place of the state
    Push {
        /// The document's file
        document: PathBuf,
        /// Even when it is older than the state
        #[arg(long)]
        force: bool,
        /// The lock.
        #[command(flatten)]
        lock: WaitArgs,
    },
    /// Move the state to where `[state] backend` says it is
    Migrate {
        /// Where it is now: `local` or `s3://bucket/prefix?region=…`; by default where this folder
        /// knows it was last
        #[arg(long, value_name = "WHERE")]
        from: Option<String>,
        /// The lock.
        #[command(flatten)]
        lock: WaitArgs,
    },
    /// Who can read the state
    #[command(subcommand)]
    Recipients(RecipientsCommand),
}

/// How long to wait for another writer.
#[derive(Debug, Clone, Args)]
pub struct WaitArgs {
    /// How long to wait for another kplan to finish, such as 30s or 5m
    #[arg(long, value_name = "DURATION", default_value = "0s")]
    pub lock_timeout: String,
}

/// `state recipients …`.
#[derive(Debug, Clone, Subcommand)]
pub enum RecipientsCommand {
    /// List them
    List,
    /// Let one more read the state, every secret in it included
    Add {
        /// Their public key, `age1…`
        recipient: String,
        /// The lock.
        #[command(flatten)]
        lock: WaitArgs,
    },
    /// Let one no longer read it: everything is sealed under a new key
    Remove {
        /// Their public key, `age1…`
        recipient: String,
        /// The lock.
        #[command(flatten)]
        lock: WaitArgs,
    },
}

/// `graph`.
#[derive(Debug, Clone, Args)]
pub struct GraphArgs {
    /// The graph language
    #[arg(long, value_enum, default_value_t = GraphFormat::Dot)]
    pub format: GraphFormat,
}

/// Graph languages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum GraphFormat {
    /// Graphviz.
    Dot,
    /// Mermaid.
    Mermaid,
}

/// `lock`.
#[derive(Debug, Clone, Args)]
pub struct LockArgs {}

/// `sandbox`.
#[derive(Debug, Clone, Args)]
pub struct SandboxArgs {
    /// What to do; none serves it.
    #[command(subcommand)]
    pub command: Option<SandboxCommand>,
    /// The port of the DigitalOcean API; 0 takes any
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub port: u16,
    /// By how much the cloud's waits are divided
    #[arg(long, value_name = "FACTOR", default_value_t = 60.0)]
    pub time_scale: f64,
    /// Where ids, faults and jitter come from
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
    /// Make requests go wrong on purpose (repeatable): KIND[:KEY=VALUE,…], such as
    /// `lost_response:method=POST,path=/v2/droplets,nth=1` or `status:status=503,probability=0.1`
    #[arg(long, value_name = "RULE")]
    pub fault: Vec<String>,
    /// Exit after this long without a request, such as 10m (0s: never)
    #[arg(long, value_name = "DURATION", default_value = "0s")]
    pub idle_exit: String,
    /// Write every exchange of the DigitalOcean API to this file, one JSON object a line
    /// (bodies included: passwords the embedded cloud makes up stand in it)
    #[arg(long, value_name = "FILE")]
    pub record: Option<PathBuf>,
    /// Write a line for every request to standard error, for people or as JSON
    #[arg(long, value_enum, value_name = "FORMAT")]
    pub log: Option<LogFormat>,
}

/// `sandbox …`.
#[derive(Debug, Clone, Subcommand)]
pub enum SandboxCommand {
    /// Print what exists in this folder's embedded cloud
    Inspect,
    /// Stop this folder's embedded cloud; what exists in it stays on disk
    Stop,
    /// Make an API token that may do only what its scopes say, and print it
    Token {
        /// A scope, such as `droplet:read` (repeatable); `read` stands for all that only look
        #[arg(long, value_name = "SCOPE", required = true, value_delimiter = ',')]
        scope: Vec<String>,
    },
}
