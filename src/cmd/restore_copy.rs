//! `kplan restore --name NAME`: another cluster from this one's backup, under another name and
//! perhaps in another region. Of this one only its file, its state or kit, and its bucket are read.

use crate::cli::{Global, RestoreArgs};
use crate::cmd::restore;
use crate::cmd::session::{Session, planning_policy};
use crate::compose::storage;
use crate::copy::Origin;
use crate::copy::file::{self, Wanted};
use crate::error::{CommandResult, Failure, Problem};
use crate::exit::Exit;
use crate::interrupt::Interrupts;
use crate::load::{self, Loaded};
use crate::render::Terminal;
use crate::wire::{no_identity, state_address};
use kplan_model::Snapshot;
use kplan_schema::value::StateBackend;
use std::path::PathBuf;

/// Hexadecimal characters that tell the bucket of one copy from that of the one before it.
const MARK: usize = 8;

/// Runs it.
pub async fn run(
    global: &Global,
    args: &RestoreArgs,
    interrupts: &Interrupts,
    terminal: &mut Terminal,
) -> CommandResult {
    let Some(name) = &args.name else {
        return Err(in_place(args));
    };
    let first = interrupts.unless(Session::open(global, terminal)).await?;
    checked(&first, name, args.region.as_deref())?;
    let secrets = load::secrets(&first.loaded, planning_policy(true))?;
    let known = known((&first, interrupts), global, args, terminal);
    let known = interrupts.unless(known).await?;
    let copy = Global {
        file: written(&first, global, (name, args.region.as_deref()), terminal)?,
        ..global.clone()
    };
    let session = interrupts.unless(Session::open(&copy, terminal)).await?;
    fits(
        &first.loaded,
        &session.loaded,
        (name, args.region.as_deref()),
    )?;
    let origin = Origin::of(
        (&first.loaded, &secrets),
        &first.cloud,
        &known,
        &session.loaded,
    )?;
    restore::carry_out(&copy, args, (&session, interrupts), Some(&origin), terminal).await
}

/// `--region` alone.
fn in_place(args: &RestoreArgs) -> Failure {
    let region = args.region.as_deref().unwrap_or_default();
    let message = "a cluster that is there cannot be brought to another region: its droplets, \
                   volumes and networks belong to the one they are in";
    let problem = Problem::error("restore::region", message).help(format!(
        "nothing was changed. Make a copy there, `kplan restore --name NEW --region {region}`, and \
         destroy this one when it works. To keep the name, destroy this one first, which keeps its \
         backups; then write `region = \"{region}\"` under `[cluster]` and the region it had under \
         `[backup]`, where the bucket stays, and run `kplan restore`"
    ));
    Failure::with(Exit::Refused, problem)
}

/// What can be said of the flags before anything is asked.
fn checked(first: &Session, name: &str, region: Option<&str>) -> Result<(), Failure> {
    let spec = &first.loaded.spec;
    if !file::is_name(name) {
        let message = format!("`{name}` is no name of a cluster");
        let problem = Problem::error("copy::name", message);
        return Err(problem
            .help("lower-case letters, digits and hyphens, beginning with a letter")
            .into());
    }
    if name == spec.name() {
        let message = format!("{} is the cluster {name} itself", first.loaded.file);
        let problem = Problem::error("copy::name", message).help(format!(
            "nothing was changed. A copy needs a name of its own; without `--name`, `kplan restore` \
             brings {name} back"
        ));
        return Err(Failure::with(Exit::Refused, problem));
    }
    match region {
        Some(region) if !file::is_region(region) => {
            let message = format!("`{region}` is no region of DigitalOcean");
            let problem = Problem::error("copy::region", message);
            Err(problem.help("one like `fra1`, `ams3` or `nyc3`").into())
        }
        _ => Ok(()),
    }
}

/// What is on record of the first cluster: its state where it is at hand, else a kit. Read without
/// a lock; nothing of it is written.
async fn known(
    (first, interrupts): (&Session, &Interrupts),
    global: &Global,
    args: &RestoreArgs,
    terminal: &mut Terminal,
) -> Result<Snapshot, Failure> {
    if args.kit.is_none() && first.place.exists()? {
        let snapshot = first.recorded(terminal)?;
        if snapshot.resources.contains_key(&storage::kit()) {
            first.place.identity()?.ok_or_else(no_identity)?;
            return Ok(snapshot);
        }
    }
    restore::kit_of(global, args, (first, interrupts), terminal).await
}

/// The copy's file, written where there is none yet.
fn written(
    first: &Session,
    global: &Global,
    (name, region): (&str, Option<&str>),
    terminal: &mut Terminal,
) -> Result<PathBuf, Failure> {
    let path = global.file.with_file_name(format!("{name}.toml"));
    if path.exists() {
        terminal.note(&format!("Using {} as it is.", path.display()));
        return Ok(path);
    }
    let spec = &first.loaded.spec;
    let mark: String = kplan_state::new_lineage()?.chars().take(MARK).collect();
    let wanted = Wanted {
        name,
        region,
        mark: &mark,
        state: match &spec.state.value {
            StateBackend::S3(place) => Some(state_address(place)),
            StateBackend::Local => None,
        },
    };
    let (text, changes) = file::of(spec, &load::read(&global.file)?, &wanted);
    load::judged(&path, &text)?;
    restore::write_file(&path, &text)?;
    terminal.note(&format!(
        "Wrote {}: {} with these differences.",
        path.display(),
        first.loaded.file
    ));
    for change in &changes {
        terminal.note(&format!("  {} {}", change.what, change.why));
    }
    let followed = spec.gitops.is_some() && !spec.is_delivered_by_git();
    if followed || !spec.own_addons.is_empty() {
        terminal.note(
            "  Git and add-ons bring the copy what they bring the first cluster: load balancers, \
             hosts and other systems that they name are then used by both",
        );
    }
    Ok(path)
}

/// What a file that was there already must say.
fn fits(
    first: &Loaded,
    copy: &Loaded,
    (name, region): (&str, Option<&str>),
) -> Result<(), Failure> {
    let refused = |what: String, help: String| {
        let problem = Problem::error("copy::file", what).help(help);
        Err(Failure::with(Exit::Refused, problem))
    };
    let (spec, file) = (&copy.spec, &copy.file);
    if spec.name() != name {
        return refused(
            format!("{file} is about the cluster {}, not {name}", spec.name()),
            "nothing was changed. Choose another name, or move that file away".to_owned(),
        );
    }
    if let Some(region) = region.filter(|region| *region != spec.region()) {
        return refused(
            format!("{file} says the region {}, not {region}", spec.region()),
            "nothing was changed. Edit it, or leave `--region` out".to_owned(),
        );
    }
    if spec.backup.is_none() {
        return refused(
            format!("{file} has no `[backup]`, and what restores is Velero"),
            "nothing was changed. Give it a bucket of its own".to_owned(),
        );
    }
    match file::shared_bucket(&first.spec, spec) {
        Some(bucket) => refused(
            format!(
                "{file} backs up into {bucket}, which is {}'s bucket",
                first.spec.name()
            ),
            "nothing was changed. Give it a bucket of its own: each would delete the other's \
             backups"
                .to_owned(),
        ),
        None => Ok(()),
    }
}
