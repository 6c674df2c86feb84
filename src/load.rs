//! Reads `cluster.toml` and resolves the secrets it names.

use crate::error::{Failure, Problem};
use crate::exit::Exit;
use kplan_model::{Origin, Secret};
use kplan_schema::value::{SecretSource, StateBackend};
use kplan_schema::{Span, Spanned, Spec, SpecDiagnostic};
use miette::NamedSource;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Larger files are refused unread: a cluster is a page of text.
const MAX_FILE_BYTES: u64 = 1024 * 1024;

/// A valid file.
pub struct Loaded {
    /// What it says.
    pub spec: Spec,
    /// Its text with everything that could be a secret masked, for reports.
    pub source: Arc<NamedSource<String>>,
    /// What is questionable about it.
    pub warnings: Vec<Problem>,
    /// The folder it lies in; the state lies beside it.
    pub folder: PathBuf,
    /// Its own name, without the folder.
    pub file: String,
    /// The files beside it that it names, by their paths as it writes them.
    pub beside: BTreeMap<String, String>,
}

/// Reads and checks the file. Every problem is reported, not only the first.
pub fn file(path: &Path) -> Result<Loaded, Failure> {
    text(path, &read(path)?)
}

/// Checks a text as if it were in a file.
///
/// # Errors
/// Everything that is wrong with it, and what of the files beside it cannot be read.
pub fn text(path: &Path, text: &str) -> Result<Loaded, Failure> {
    let Judged {
        spec,
        source,
        warnings,
    } = judged(path, text)?;
    let folder = folder_of(path);
    let beside = beside(&spec, &folder, &source)?;
    Ok(Loaded {
        spec,
        source,
        warnings,
        folder,
        file: name_of(path),
        beside,
    })
}

/// A valid text.
pub struct Judged {
    /// What it says.
    pub spec: Spec,
    /// The text with everything that could be a secret masked.
    pub source: Arc<NamedSource<String>>,
    /// What is questionable about it.
    pub warnings: Vec<Problem>,
}

/// Checks a text that is, or will be, a cluster's file.
///
/// # Errors
/// Everything that is wrong with it.
pub fn judged(path: &Path, text: &str) -> Result<Judged, Failure> {
    let source = kplan_schema::Source::new(path.display().to_string(), text);
    let parsed = kplan_schema::parse(&source);
    let masked = parsed.source.text().to_owned();
    let masked = Arc::new(NamedSource::new(path.display().to_string(), masked));
    let problems: Vec<Problem> = parsed
        .diagnostics
        .iter()
        .map(|finding| problem(finding, &masked))
        .collect();
    match parsed.spec {
        Some(spec) => Ok(Judged {
            spec,
            source: masked,
            warnings: problems,
        }),
        None => Err(Failure::all(Exit::Error, problems)),
    }
}

/// Reads the files that the file names beside it; all that cannot be read are reported together.
fn beside(
    spec: &Spec,
    folder: &Path,
    source: &Arc<NamedSource<String>>,
) -> Result<BTreeMap<String, String>, Failure> {
    let (mut files, mut problems) = (BTreeMap::new(), Vec::new());
    for (key, file) in spec.local_files() {
        match one_beside(folder, file.as_str()) {
            Ok(text) => drop(files.insert(file.to_string(), text)),
            Err(why) => {
                let problem = Problem::error("file::beside", format!("{key}: {why}"));
                let problem = problem.help(
                    "these files are read with the file, and are in its recovery kits: put it beside \
                     it, as text",
                );
                problems.push(match file.span {
                    Some(span) => problem.at(source, (span.start, span.end), "named here"),
                    None => problem,
                });
            }
        }
    }
    if problems.is_empty() {
        Ok(files)
    } else {
        Err(Failure::all(Exit::Error, problems))
    }
}

/// A link must not lead out: the text would be shown in plans and kept in kits.
fn one_beside(folder: &Path, name: &str) -> Result<String, String> {
    let cannot = |error: std::io::Error| format!("cannot read {name}: {error}");
    let path = folder.join(name).canonicalize().map_err(cannot)?;
    let root = worktree(folder).canonicalize().map_err(cannot)?;
    if !path.starts_with(&root) {
        return Err(format!(
            "{name} is a link that leads out of {}",
            root.display()
        ));
    }
    let inside = path.strip_prefix(&root).unwrap_or(&path);
    let hidden =
        |part: std::path::Component<'_>| part.as_os_str().to_string_lossy().starts_with('.');
    if inside.components().any(hidden) {
        return Err(format!("{name} is a link to a hidden file"));
    }
    let size = std::fs::metadata(&path).map_err(cannot)?.len();
    if size > MAX_FILE_BYTES {
        return Err(format!("{name} has {size} bytes; at most 1 MiB are read"));
    }
    let bytes = std::fs::read(&path).map_err(cannot)?;
    String::from_utf8(bytes).map_err(|_| format!("{name} is not UTF-8 text"))
}

/// The root of the Git checkout the folder is in, or the folder where it is in none.
fn worktree(folder: &Path) -> PathBuf {
    let whole = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
    let root = whole.ancestors().find(|at| at.join(".git").exists());
    root.unwrap_or(&whole).to_owned()
}

/// Which cluster a file is about.
#[derive(Clone)]
pub struct Identified {
    /// `[cluster] name`.
    pub cluster: String,
    /// The folder it lies in; the state lies beside it.
    pub folder: PathBuf,
    /// The file's own name.
    pub file: String,
    /// `[state] backend`.
    pub backend: StateBackend,
}

impl Loaded {
    /// Which cluster it is about.
    pub fn identified(&self) -> Identified {
        Identified {
            cluster: self.spec.name().to_owned(),
            folder: self.folder.clone(),
            file: self.file.clone(),
            backend: self.spec.state.value.clone(),
        }
    }
}

/// Which cluster the file is about, whatever else is wrong with it: commands that only look at
/// what was applied need no more of it.
pub fn identify(path: &Path) -> Result<Identified, Failure> {
    let text = read(path)?;
    let source = kplan_schema::Source::new(path.display().to_string(), text);
    let parsed = kplan_schema::parse(&source);
    match (parsed.cluster, parsed.state) {
        (Some(cluster), Some(backend)) => Ok(Identified {
            cluster,
            folder: folder_of(path),
            file: name_of(path),
            backend,
        }),
        // The findings say why there is no name, or why nobody knows where the state is.
        _ => Ok(file(path)?.identified()),
    }
}

fn folder_of(path: &Path) -> PathBuf {
    path.parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."))
        .to_owned()
}

fn name_of(path: &Path) -> String {
    path.file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default()
}

/// The file's own text, with whatever it holds.
///
/// # Errors
/// Where it is not there, too large, or no text.
pub fn read(path: &Path) -> Result<String, Failure> {
    let shown = path.display();
    let unreadable = |error: std::io::Error| {
        let missing = error.kind() == std::io::ErrorKind::NotFound;
        let problem = Problem::error("file::unreadable", format!("cannot read {shown}: {error}"));
        let help = if missing {
            "name the file with -f FILE, change folder with --chdir DIR, or start from one of the \
             examples"
        } else {
            "make the file readable, or name another one with -f FILE"
        };
        problem.help(help)
    };
    let size = std::fs::metadata(path).map_err(unreadable)?.len();
    if size > MAX_FILE_BYTES {
        let message = format!("{shown} has {size} bytes; a cluster file has at most 1 MiB");
        return Err(Problem::error("file::too_large", message).into());
    }
    let bytes = std::fs::read(path).map_err(unreadable)?;
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        let message = format!("{shown} is not UTF-8 text: byte {at} cannot be read");
        Problem::error("file::not_utf8", message)
            .help("save the file as UTF-8")
            .into()
    })
}

fn problem(finding: &SpecDiagnostic, source: &Arc<NamedSource<String>>) -> Problem {
    let mut problem = if finding.is_error() {
        Problem::error(finding.code.as_str(), &finding.message)
    } else {
        Problem::warning(finding.code.as_str(), &finding.message)
    };
    problem.help = Some(format!("{}\n{}", finding.why, finding.remedy));
    for label in &finding.labels {
        problem = problem.at(source, (label.span.start, label.span.end), &label.text);
    }
    problem
}

/// The origin of a value of the file.
pub fn origin(span: Option<Span>) -> Origin {
    span.map_or(Origin::Default, |span| Origin::File {
        start: span.start,
        end: span.end,
    })
}

/// Whether secret sources may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SourcePolicy {
    /// All of them.
    All,
    /// Only environment variables: a pull request must not run code or read files on a runner.
    EnvironmentOnly,
}

/// The secrets the file names, by source.
pub type Secrets = BTreeMap<SecretSource, Secret>;

/// Resolves every secret source of the spec; all that fail are reported together.
pub fn secrets(loaded: &Loaded, policy: SourcePolicy) -> Result<Secrets, Failure> {
    let mut secrets = Secrets::new();
    let mut problems = Vec::new();
    for (path, source) in loaded.spec.secret_sources() {
        match resolve(&source.value, &loaded.folder, policy) {
            Ok(secret) => drop(secrets.insert(source.value.clone(), secret)),
            Err(why) => problems.push(unresolved(loaded, path, source, &why)),
        }
    }
    if problems.is_empty() {
        Ok(secrets)
    } else {
        Err(Failure::all(Exit::Error, problems))
    }
}

/// Why a secret could not be had, and what to do.
struct Unresolved {
    code: &'static str,
    message: String,
    help: String,
}

fn unresolved(
    loaded: &Loaded,
    path: &str,
    source: &Spanned<SecretSource>,
    why: &Unresolved,
) -> Problem {
    let problem =
        Problem::error(why.code, format!("{path}: {}", why.message)).help(why.help.clone());
    match source.span {
        Some(span) => problem.at(&loaded.source, (span.start, span.end), "needed here"),
        None => problem,
    }
}

fn resolve(
    source: &SecretSource,
    folder: &Path,
    policy: SourcePolicy,
) -> Result<Secret, Unresolved> {
    match source {
        SecretSource::Env(name) => from_env(name),
        SecretSource::File(path) => {
            allowed(policy, "reads a file")?;
            from_file(path, folder)
        }
        SecretSource::Command(command) => {
            allowed(policy, "runs a command")?;
            from_command(command, folder)
        }
    }
}

fn allowed(policy: SourcePolicy, what: &str) -> Result<(), Unresolved> {
    match policy {
        SourcePolicy::All => Ok(()),
        SourcePolicy::EnvironmentOnly => Err(Unresolved {
            code: "secret::source_not_allowed",
            message: format!(
                "this source {what}, which a plan under CI=true does not do: a pull request must \
                 not run code on the runner"
            ),
            help: "pass --allow-secret-sources where the file is trusted, or use { env = \"…\" }"
                .to_owned(),
        }),
    }
}

fn nonempty(text: String, what: &str) -> Result<Secret, Unresolved> {
    let trimmed = text.trim_end_matches(['\n', '\r']);
    if trimmed.is_empty() {
        return Err(Unresolved {
            code: "secret::empty",
            message: format!("{what} is empty"),
            help: "give it the secret".to_owned(),
        });
    }
    Ok(Secret::new(trimmed))
}

fn from_env(name: &str) -> Result<Secret, Unresolved> {
    match std::env::var(name) {
        Ok(text) => nonempty(text, &format!("the environment variable {name}")),
        Err(error) => Err(Unresolved {
            code: "secret::unset",
            message: match error {
                std::env::VarError::NotPresent => {
                    format!("the environment variable {name} is not set")
                }
                std::env::VarError::NotUnicode(_) => {
                    format!("the environment variable {name} is not UTF-8 text")
                }
            },
            help: format!("export {name}=… and run kplan again"),
        }),
    }
}

fn from_file(path: &str, folder: &Path) -> Result<Secret, Unresolved> {
    let full = match (path.strip_prefix("~/"), std::env::var_os("HOME")) {
        (Some(rest), Some(home)) => PathBuf::from(home).join(rest),
        _ => folder.join(path),
    };
    let text = std::fs::read_to_string(&full).map_err(|error| Unresolved {
        code: "secret::unreadable",
        message: format!("cannot read {}: {error}", full.display()),
        help: "make the file readable for yourself, or name another source".to_owned(),
    })?;
    nonempty(text, &format!("{}", full.display()))
}

fn from_command(command: &[String], folder: &Path) -> Result<Secret, Unresolved> {
    let failed = |message: String| Unresolved {
        code: "secret::command_failed",
        message,
        help: "run the command by hand; it must print the secret and nothing else".to_owned(),
    };
    let (program, arguments) = command
        .split_first()
        .ok_or_else(|| failed("the command is empty".to_owned()))?;
    let output = std::process::Command::new(program)
        .args(arguments)
        .current_dir(folder)
        .stdin(std::process::Stdio::inherit())
        .stderr(std::process::Stdio::inherit())
        .output()
        .map_err(|error| failed(format!("cannot run `{program}`: {error}")))?;
    if !output.status.success() {
        return Err(failed(format!("`{program}` ended with {}", output.status)));
    }
    let text = String::from_utf8(output.stdout)
        .map_err(|_| failed(format!("`{program}` did not print UTF-8 text")))?;
    nonempty(text, &format!("what `{program}` printed"))
}
