//! What a droplet's `user_data` asks for: the files cloud-init would write, and the node they make.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_norway::Value;

/// Where the node's identity is.
const NODE_ENV: &str = "/etc/kplan/node.env";
/// Where the key that signs bundles is.
const BUNDLE_KEY: &str = "/etc/kplan/bundle.pub";
/// The boot script.
const SCRIPT: &str = "/usr/local/sbin/kplan-boot";
/// The unit that runs the script.
const UNIT: &str = "/etc/systemd/system/kplan-boot.service";
/// The version of the contract this sandbox knows.
const FORMAT: &str = "1";

/// Server or agent, as `node.env` and bundles spell it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Role {
    /// Runs the control plane.
    Server,
    /// Runs workloads only.
    Agent,
}

impl Role {
    /// `server` or `agent`.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Role::Server => "server",
            Role::Agent => "agent",
        }
    }

    fn parse(text: &str) -> Option<Role> {
        [Role::Server, Role::Agent]
            .into_iter()
            .find(|role| role.as_str() == text)
    }
}

/// A node that waits for its bundle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct NodeIdentity {
    pub cluster: String,
    pub node: String,
    pub role: Role,
    pub bundle_url: String,
    pub report_url: String,
    /// PEM of the key that signs the bundle.
    pub bundle_key: String,
}

/// Why nothing boots.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(super) enum UserDataError {
    #[error("user_data is not a #cloud-config document")]
    NotCloudConfig,
    #[error("cloud-init cannot read user_data: {0}")]
    Yaml(String),
    #[error("cloud-init cannot write {path}: {why}")]
    File { path: String, why: String },
    #[error("user_data has {NODE_ENV} but not {0}, so nothing starts a node")]
    Missing(&'static str),
    #[error("{SCRIPT} is written with permissions {0:o}, which cannot be executed")]
    NotExecutable(u32),
    #[error("runcmd does not start kplan-boot, so nothing starts a node")]
    NotStarted,
    #[error("{NODE_ENV}: {0}")]
    Identity(String),
}

#[derive(Debug, Deserialize)]
struct CloudConfig {
    #[serde(default)]
    write_files: Vec<WriteFile>,
    #[serde(default)]
    runcmd: Vec<Value>,
}

#[derive(Debug, Deserialize)]
struct WriteFile {
    path: String,
    #[serde(default)]
    content: String,
    #[serde(default)]
    permissions: Option<Value>,
    #[serde(default)]
    encoding: Option<String>,
}

struct Written {
    content: String,
    mode: u32,
}

impl WriteFile {
    fn write(self) -> Result<(String, Written), UserDataError> {
        let fail = |why: String| UserDataError::File {
            path: self.path.clone(),
            why,
        };
        if let Some(encoding) = self
            .encoding
            .as_deref()
            .filter(|encoding| *encoding != "text/plain")
        {
            return Err(fail(format!(
                "the sandbox's cloud-init does not decode {encoding}"
            )));
        }
        let mode = match &self.permissions {
            None => 0o644,
            // An octal number in YAML loses its meaning; cloud-init wants a string.
            Some(Value::String(text)) => u32::from_str_radix(text.trim_start_matches("0o"), 8)
                .map_err(|_| fail(format!("permissions {text:?} are not octal")))?,
            Some(_) => {
                return Err(fail(
                    "permissions must be a string such as '0644'".to_owned(),
                ));
            }
        };
        Ok((
            self.path,
            Written {
                content: self.content,
                mode,
            },
        ))
    }
}

/// Reads `user_data`. `Ok(None)`: the droplet runs, but is no node.
pub(super) fn parse(user_data: &str) -> Result<Option<NodeIdentity>, UserDataError> {
    let first = user_data.lines().next().unwrap_or_default();
    if first.trim_end() != "#cloud-config" {
        // A script or nothing at all: cloud-init does something else with it.
        return if user_data.contains(NODE_ENV) {
            Err(UserDataError::NotCloudConfig)
        } else {
            Ok(None)
        };
    }
    let config: Option<CloudConfig> = serde_norway::from_str(user_data)
        .map_err(|error| UserDataError::Yaml(error.to_string()))?;
    let Some(config) = config else {
        return Ok(None);
    };
    let mut files = BTreeMap::new();
    for file in config.write_files {
        let (path, written) = file.write()?;
        files.insert(path, written);
    }
    let Some(env) = files.get(NODE_ENV) else {
        return Ok(None);
    };
    for path in [BUNDLE_KEY, SCRIPT, UNIT] {
        if !files.contains_key(path) {
            return Err(UserDataError::Missing(path));
        }
    }
    if let Some(script) = files.get(SCRIPT).filter(|script| script.mode & 0o111 == 0) {
        return Err(UserDataError::NotExecutable(script.mode));
    }
    if !config.runcmd.iter().any(starts_boot) {
        return Err(UserDataError::NotStarted);
    }
    let key = files
        .get(BUNDLE_KEY)
        .map(|file| file.content.clone())
        .unwrap_or_default();
    identity(&env.content, key).map(Some)
}

/// Whether a command of `runcmd` (a string or a list of words) starts the boot unit or script.
fn starts_boot(command: &Value) -> bool {
    let words: Vec<&str> = match command {
        Value::String(line) => line.split_whitespace().collect(),
        Value::Sequence(words) => words.iter().filter_map(Value::as_str).collect(),
        _ => return false,
    };
    words.iter().any(|word| word.contains("kplan-boot")) && !words.contains(&"disable")
}

fn identity(env: &str, bundle_key: String) -> Result<NodeIdentity, UserDataError> {
    let mut values = BTreeMap::new();
    for line in env
        .lines()
        .filter(|line| !line.trim().is_empty() && !line.starts_with('#'))
    {
        let pair = line
            .split_once('=')
            .filter(|(key, value)| !key.is_empty() && !value.contains(char::is_whitespace));
        let Some((key, value)) = pair else {
            return Err(UserDataError::Identity(format!(
                "{line:?} is not KEY=value without spaces"
            )));
        };
        values.insert(key, value);
    }
    let get = |key: &str| {
        let value = values.get(key).filter(|value| !value.is_empty());
        value
            .map(|value| (*value).to_owned())
            .ok_or_else(|| UserDataError::Identity(format!("{key} is missing")))
    };
    let format = get("FORMAT")?;
    if format != FORMAT {
        return Err(UserDataError::Identity(format!(
            "FORMAT={format}, but this node knows only {FORMAT}"
        )));
    }
    let role = get("ROLE")?;
    let role = Role::parse(&role).ok_or_else(|| {
        UserDataError::Identity(format!("ROLE={role} is neither server nor agent"))
    })?;
    Ok(NodeIdentity {
        cluster: get("CLUSTER")?,
        node: get("NODE")?,
        role,
        bundle_url: get("BUNDLE_URL")?,
        report_url: get("REPORT_URL")?,
        bundle_key,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(env: &str, mode: &str, runcmd: &str) -> String {
        format!(
            "#cloud-config\nssh_pwauth: false\nwrite_files:\n- path: {NODE_ENV}\n  permissions: '0644'\n  \
             content: \"{env}\"\n- path: {BUNDLE_KEY}\n  content: KEY\n- path: {SCRIPT}\n  permissions: \
             '{mode}'\n  content: '#!/bin/sh'\n- path: {UNIT}\n  content: '[Unit]'\nruncmd:\n- {runcmd}\n"
        )
    }

    const ENV: &str = "FORMAT=1\\nCLUSTER=c\\nNODE=n\\nROLE=server\\nBUNDLE_URL=http://x/b\\nREPORT_URL=http://x/r\\n";
    const START: &str = "[systemctl, start, --no-block, kplan-boot.service]";

    #[test]
    fn a_node_is_found() {
        let node = parse(&document(ENV, "0755", START)).unwrap().unwrap();
        assert_eq!(
            (node.cluster.as_str(), node.node.as_str(), node.role),
            ("c", "n", Role::Server)
        );
        assert_eq!(
            (node.bundle_url.as_str(), node.bundle_key.as_str()),
            ("http://x/b", "KEY")
        );
    }

    #[test]
    fn other_droplets_just_run() {
        for text in [
            "",
            "#!/bin/sh\necho hi",
            "#cloud-config\npackages: [nginx]",
            "#cloud-config\n",
        ] {
            assert_eq!(parse(text), Ok(None), "{text}");
        }
    }

    #[test]
    fn what_would_not_start_a_node_is_said() {
        let cases = [
            (
                document(ENV, "0644", START),
                UserDataError::NotExecutable(0o644),
            ),
            (
                document(ENV, "0755", "[systemctl, start, nginx]"),
                UserDataError::NotStarted,
            ),
            (
                document("FORMAT=2", "0755", START),
                UserDataError::Identity("FORMAT=2, but this node knows only 1".into()),
            ),
            (
                document("FORMAT=1\\nROLE=boss", "0755", START),
                UserDataError::Identity("ROLE=boss is neither server nor agent".into()),
            ),
        ];
        for (text, error) in cases {
            assert_eq!(parse(&text), Err(error), "{text}");
        }
        assert!(matches!(
            parse("#cloud-config\nwrite_files: 3"),
            Err(UserDataError::Yaml(_))
        ));
    }
}
