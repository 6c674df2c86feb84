//! `kplan render gitops DIR`: writes what Argo CD is to bring into a checkout of its repository.

use crate::cli::{Global, RenderCommand};
use crate::cmd::session::Session;
use crate::compose::{self, Inputs};
use crate::error::{CommandResult, Failure, Problem};
use crate::exit::Exit;
use crate::gitops::{self, MARK, Tree};
use crate::interrupt::Interrupts;
use crate::load;
use crate::render::Terminal;
use kplan_schema::spec::Gitops;
use serde_json::json;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Runs it. It needs no secret: nothing secret is written.
pub async fn run(
    global: &Global,
    command: &RenderCommand,
    terminal: &mut Terminal,
) -> CommandResult {
    let RenderCommand::Gitops { folder, check } = command;
    let interrupts = Interrupts::listen();
    let rendering = async {
        let session = Session::open(global, terminal).await?;
        let gitops = wanted(&session)?;
        let tree = tree(&session, gitops, terminal).await?;
        let changes = Changes::of(folder, gitops, tree)?;
        if !check {
            changes.write(folder)?;
        }
        changes.tell(global, *check, terminal);
        let differs = *check && !changes.is_empty();
        Ok(if differs { Exit::Changes } else { Exit::Ok })
    };
    Box::pin(interrupts.unless(rendering)).await
}

fn wanted(session: &Session) -> Result<&Gitops, Failure> {
    let spec = &session.loaded.spec;
    match &spec.gitops {
        Some(gitops) if spec.is_delivered_by_git() => Ok(gitops),
        found => {
            let message = "this file does not say `delivery = \"git\"` in `[gitops]`";
            let problem = Problem::error("render::not_by_git", message).help(
                "kplan applies storage, backups and add-ons itself; written into Git as well, two would \
                 manage them. Say it, apply, and render then",
            );
            let span = found.as_ref().and_then(|gitops| gitops.span);
            Err(session.at(problem, load::origin(span)).into())
        }
    }
}

async fn tree(
    session: &Session,
    gitops: &Gitops,
    terminal: &mut Terminal,
) -> Result<Tree, Failure> {
    let snapshot = session.recorded(terminal)?;
    let inputs = Inputs {
        owner: snapshot.owner.clone(),
        members: compose::Members::of(&snapshot),
        earlier: compose::Earlier::of(&snapshot),
        standing: compose::Standing::of(&snapshot),
        restoring: compose::Restoring::default(),
        rotating: compose::Rotating::of(&snapshot),
        artifacts: session.adapters.artifacts.clone(),
        secrets: load::Secrets::new(),
        token: session.cloud.token.clone(),
    };
    let source = session.adapters.fetcher.as_ref();
    let spec = &session.loaded.spec;
    Ok(gitops::tree(spec, gitops, &inputs, &snapshot, source).await?)
}

/// What is not in a checkout as it would be written.
struct Changes {
    written: Tree,
    removed: BTreeSet<String>,
    same: usize,
}

impl Changes {
    /// Compares a tree with a checkout. A file of one of its names that somebody else wrote is an
    /// error; files of kplan's that are not in the tree any more are to be removed.
    fn of(folder: &Path, gitops: &Gitops, tree: Tree) -> Result<Self, Failure> {
        if !folder.is_dir() {
            let message = format!("{} is not a folder", folder.display());
            let help = format!("clone {} and name the checkout", gitops.repo);
            return Err(Problem::error("render::no_folder", message)
                .help(help)
                .into());
        }
        let root = folder.join(gitops.path.as_str());
        stays_inside(folder, &root)?;
        let mut removed = ours(folder, &root)?;
        let (mut written, mut same) = (Tree::new(), 0);
        for (name, text) in tree {
            removed.remove(&name);
            stays_inside(folder, &folder.join(&name))?;
            match std::fs::read_to_string(folder.join(&name)) {
                Ok(there) if there == text => same += 1,
                Ok(there) if !there.starts_with(MARK) => return Err(not_ours(folder, &name)),
                Ok(_) => drop(written.insert(name, text)),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                    written.insert(name, text);
                }
                Err(error) => return Err(unusable(&folder.join(&name), &error)),
            }
        }
        Ok(Self {
            written,
            removed,
            same,
        })
    }

    fn is_empty(&self) -> bool {
        self.written.is_empty() && self.removed.is_empty()
    }

    fn write(&self, folder: &Path) -> Result<(), Failure> {
        for (name, text) in &self.written {
            let path = folder.join(name);
            path.parent()
                .map_or(Ok(()), std::fs::create_dir_all)
                .and_then(|()| std::fs::write(&path, text))
                .map_err(|error| unusable(&path, &error))?;
        }
        for name in &self.removed {
            let path = folder.join(name);
            std::fs::remove_file(&path).map_err(|error| unusable(&path, &error))?;
        }
        Ok(())
    }

    fn tell(&self, global: &Global, check: bool, terminal: &mut Terminal) {
        if global.json {
            let written: Vec<&String> = self.written.keys().collect();
            let document = json!({
                "format_version": "1.0", "written": written, "removed": self.removed,
                "unchanged": self.same, "check": check,
            });
            terminal.line(&document.to_string());
            return;
        }
        let verbs = if check {
            ("would write", "would remove")
        } else {
            ("wrote", "removed")
        };
        for name in self.written.keys() {
            terminal.line(&format!("{} {name}", verbs.0));
        }
        for name in &self.removed {
            terminal.line(&format!("{} {name}", verbs.1));
        }
        terminal.line(&format!("{} files are as they should be.", self.same));
        if !check && !self.is_empty() {
            terminal.line("Commit and push them; Argo CD brings the rest.");
        }
    }
}

/// No link leads out of the checkout: what is there is somebody else's.
fn stays_inside(folder: &Path, path: &Path) -> Result<(), Failure> {
    let root = folder
        .canonicalize()
        .map_err(|error| unusable(folder, &error))?;
    let existing = path.ancestors().find(|at| at.exists()).unwrap_or(folder);
    let real = existing
        .canonicalize()
        .map_err(|error| unusable(existing, &error))?;
    if real.starts_with(&root) {
        return Ok(());
    }
    let message = format!("{} leads out of {}", path.display(), folder.display());
    let problem = Problem::error("render::outside", message)
        .help("nothing was written. Put folders into the checkout instead of links");
    Err(Failure::with(Exit::Refused, problem))
}

/// The files below a folder that an earlier run wrote, by their paths below the checkout.
fn ours(folder: &Path, root: &Path) -> Result<BTreeSet<String>, Failure> {
    let mut found = BTreeSet::new();
    let mut open: Vec<PathBuf> = vec![root.to_owned()];
    while let Some(at) = open.pop() {
        let entries = match std::fs::read_dir(&at) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(error) => return Err(unusable(&at, &error)),
            Ok(entries) => entries,
        };
        for entry in entries {
            let entry = entry.map_err(|error| unusable(&at, &error))?;
            let kind = entry.file_type().map_err(|error| unusable(&at, &error))?;
            let path = entry.path();
            if kind.is_dir() && entry.file_name() != ".git" {
                open.push(path);
            } else if kind.is_file() && path.extension().is_some_and(|it| it == "yaml") {
                let text = std::fs::read_to_string(&path).unwrap_or_default();
                let name = path.strip_prefix(folder).unwrap_or(&path);
                if text.starts_with(MARK) {
                    found.insert(name.to_string_lossy().into_owned());
                }
            }
        }
    }
    Ok(found)
}

fn not_ours(folder: &Path, name: &str) -> Failure {
    let message = format!("{} was not written by kplan", folder.join(name).display());
    let help = "nothing was written. Move it away, or name another folder in `[gitops] path`";
    let problem = Problem::error("render::not_ours", message).help(help);
    Failure::with(Exit::Refused, problem)
}

fn unusable(path: &Path, error: &std::io::Error) -> Failure {
    let message = format!("cannot use {}: {error}", path.display());
    Problem::error("render::unusable", message).into()
}
