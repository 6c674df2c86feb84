//! The server token while it is exchanged: a server that knows two tries either.
//!
//! K3s encrypts what a server needs to start with that token and keeps it in the datastore. One that is
//! started with another token ends, on some ways after it wrote its file of passwords, and a file that
//! is newer than its copy in the datastore ends every start after that (K3s's `pkg/cluster/storage.go`
//! and `bootstrap.go`). So a server holds both tokens from before the exchange until it was seen
//! started with the new one, and a script of its unit, `k3s-token`, takes the other one after a start
//! that did not come up, and makes that file old before every start. `docs/internals/node-boot.md`,
//! section 6.

use super::bundle::{File, Files};
use super::config::quoted;
use super::node::NodeArgs;
use super::pki::exposed;
use super::pki::secret::{Joiner, sha256_hex, token};
use kplan_model::{ProviderError, Secret};

/// The script, on a server.
pub(super) const SCRIPT_PATH: &str = "/etc/kplan/k3s-token";
/// The script of a server's unit.
pub const SCRIPT: &str = include_str!("boot/k3s-token.sh");
/// The token from before.
pub(super) const OLD: &str = "/etc/kplan/server-token.old";
/// The token to come.
pub(super) const NEW: &str = "/etc/kplan/server-token.new";
/// The one of the two that K3s reads: it counts more than what the bundle and kplan's file say.
pub(super) const CHOSEN: &str = "/etc/rancher/k3s/config.yaml.d/60-kplan-token.yaml";
/// The label by which a server says which of the two it was started with.
const MARK: &str = "kplan.io/server-token";

/// The two tokens, each as the configuration that K3s reads. They are secret.
pub(super) struct Tokens {
    /// From before.
    pub(super) old: String,
    /// To come.
    pub(super) new: String,
}

fn label(secret: &str) -> String {
    let mut mark = sha256_hex(format!("server token {secret}").as_bytes());
    mark.truncate(16);
    format!("{MARK}={mark}")
}

fn configuration(hash: &str, secret: &Secret) -> Result<String, ProviderError> {
    let secret = exposed(secret)?;
    let whole = quoted(&token(hash, Joiner::Server, secret));
    let label = quoted(&label(secret));
    Ok(format!("token: {whole}\nnode-label+:\n  - {label}\n"))
}

impl Tokens {
    /// `hash` is what tokens pin.
    pub(super) fn new(hash: &str, old: &Secret, new: &Secret) -> Result<Self, ProviderError> {
        Ok(Self {
            old: configuration(hash, old)?,
            new: configuration(hash, new)?,
        })
    }

    /// Those of a server while they are exchanged; else there is one.
    pub(super) fn of(args: &NodeArgs) -> Result<Option<Self>, ProviderError> {
        let (Some(old), Some(new)) = (&args.server_token_before, &args.server_token) else {
            return Ok(None);
        };
        let tokens = Self::new(args.token_hash.known()?, old.known()?, new.known()?)?;
        Ok(Some(tokens))
    }
}

/// Whether K3s was started with this token, by what it says on its Node.
pub(super) fn started_with(node_args: &str, secret: &Secret) -> Result<bool, ProviderError> {
    let args: Vec<String> = serde_json::from_str(node_args).unwrap_or_default();
    Ok(args.contains(&label(exposed(secret)?)))
}

/// A server's bundle: the script, and both tokens while they are exchanged. It begins with the new one.
pub(super) fn add(files: &mut Files, args: &NodeArgs) -> Result<(), ProviderError> {
    let mut put = |path: &str, mode: u32, content: String| {
        let path = path.trim_start_matches('/').to_owned();
        files.insert(path, File { mode, content });
    };
    put(SCRIPT_PATH, 0o755, SCRIPT.to_owned());
    if let Some(tokens) = Tokens::of(args)? {
        put(CHOSEN, 0o600, tokens.new.clone());
        put(OLD, 0o600, tokens.old);
        put(NEW, 0o600, tokens.new);
    }
    Ok(())
}
