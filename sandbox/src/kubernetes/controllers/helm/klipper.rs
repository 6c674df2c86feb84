//! What the container of a chart's job does: the script of `rancher/klipper-helm`.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::archive::Chart;
use super::client::Client;
use super::objects::Owner;
use super::operations::{self, Flags, Package, Progress};
use super::release::{self, Release};
use super::{CHART, CONFIG_MAPS, Pass, SECRETS, values};
use crate::kubernetes::controllers::kubelet::Step;
use crate::kubernetes::object::{self, Object, items, number, text};

/// How long Helm takes.
const RUN: Duration = Duration::from_secs(5);

/// Most bytes of a termination message. Source: the kubelet's `MaxPodTerminationMessageLogLength`.
const MAX_MESSAGE: usize = 4096;

/// A container of a chart's job.
struct Script<'a, 'p> {
    client: Client<'a, 'p>,
    pod: &'a Value,
    container: &'a Value,
    /// Whether `--wait` has waited for long enough.
    impatient: bool,
    /// What it leaves as its termination message.
    said: Vec<String>,
}

/// How far the pod's container is; `None` for pods that are no chart's.
pub(in crate::kubernetes::controllers) fn step(pass: &mut Pass<'_>, pod: &Object) -> Option<Step> {
    object::label(pod, CHART)?;
    let container = items(pod, &["spec", "containers"]).first()?;
    if text(container, &["name"]) != Some("helm") {
        return None;
    }
    let statuses = items(pod, &["status", "containerStatuses"]);
    let count = statuses
        .first()
        .and_then(|one| number(one, &["restartCount"]));
    let run = count.unwrap_or(0);
    if !pass.due(&format!("helm {run}"), pod, RUN) {
        return Some(Step::Runs);
    }
    let impatient = pass.due(&format!("helm {run} waits"), pod, operations::WAIT);
    let image = text(container, &["image"]).unwrap_or_default();
    let name = image.trim_start_matches("docker.io/");
    if !name.starts_with("rancher/klipper-helm:") {
        let why = format!("the sandbox knows rancher/klipper-helm only, not {image}");
        return Some(Step::Failed(why));
    }
    let mut script = Script {
        client: Client::new(pass, pod),
        pod,
        container,
        impatient,
        said: Vec::new(),
    };
    let ended = script.run();
    let mut said = script.said;
    let step = match ended {
        Ok(Progress::Waits) => Step::Runs,
        Ok(Progress::Done(notes)) => {
            said.extend(notes);
            Step::Done(message(&said))
        }
        Err(why) => {
            said.push(why);
            Step::Failed(message(&said))
        }
    };
    Some(step)
}

/// The lines, cut where the kubelet cuts them.
fn message(lines: &[String]) -> String {
    let mut text = lines.join("\n");
    let mut end = text.len().min(MAX_MESSAGE);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.truncate(end);
    text
}

impl<'a> Script<'a, '_> {
    fn env(&self, name: &str) -> &'a str {
        let env = items(self.container, &["env"]).iter();
        let mut found = env.filter(|variable| variable["name"] == name);
        let found = found.next_back();
        found
            .and_then(|variable| text(variable, &["value"]))
            .unwrap_or_default()
    }

    fn args(&self) -> Vec<&'a str> {
        let args = items(self.container, &["args"]).iter();
        args.filter_map(Value::as_str).collect()
    }

    fn owner(&self) -> Owner<'a> {
        Owner {
            name: self.env("NAME"),
            namespace: self.env("TARGET_NAMESPACE"),
        }
    }

    fn run(&mut self) -> Result<Progress, String> {
        if self.env("HELM_DRIVER") != "secret" {
            return Err("the sandbox keeps releases in Secrets only".to_owned());
        }
        let content = self.content()?;
        let owner = self.owner();
        let latest = release::latest(self.client.pass(), owner);
        if self.args().first() == Some(&"delete") {
            return self.delete(latest.as_ref());
        }
        let Some(latest) = latest else {
            return self.install(content.as_deref());
        };
        if let Some(other) = self.other_revision(&latest) {
            return Ok(other);
        }
        match latest.status.as_str() {
            "deployed" => self.said.push("Upgrading helm chart".to_owned()),
            // The sandbox was killed in the middle of one.
            "pending-upgrade" => self.said.push("Retrying upgrade of helm chart".to_owned()),
            status => return self.again(&latest, status, content.as_deref()),
        }
        let package = self.package(content.as_deref(), "UPGRADE FAILED")?;
        let flags = self.flags();
        operations::upgrade(&self.client, owner, &latest, &package, flags)
            .map_err(|why| format!("Error: {why}"))
    }

    /// The chart's archive, where the job brings it.
    fn content(&self) -> Result<Option<Vec<u8>>, String> {
        let volumes = items(self.pod, &["spec", "volumes"]);
        let volume = volumes.iter().find(|volume| volume["name"] == "content");
        let name = volume.and_then(|volume| text(volume, &["configMap", "name"]));
        let pass = self.client.pass();
        let found = name.and_then(|name| pass.get(CONFIG_MAPS, object::namespace(self.pod), name));
        let key = format!("{}.tgz.base64", self.env("NAME"));
        let Some(content) = found.as_ref().and_then(|map| text(map, &["data", &key])) else {
            return Ok(None);
        };
        // `base64 -d` passes over line ends only.
        let plain: String = content.chars().filter(|c| !"\r\n".contains(*c)).collect();
        let bytes = STANDARD.decode(plain);
        bytes
            .map(Some)
            .map_err(|_not| "base64: invalid input".to_owned())
    }

    fn delete(&mut self, latest: Option<&Release>) -> Result<Progress, String> {
        let Some(latest) = latest else {
            self.said
                .push("No helm chart installed; nothing to delete".to_owned());
            return Ok(Progress::Done(Vec::new()));
        };
        if let Some(other) = self.other_revision(latest) {
            return Ok(other);
        }
        self.said.push("Uninstalling helm chart".to_owned());
        let (owner, impatient) = (self.owner(), self.impatient);
        let gone = operations::uninstall(&self.client, owner, latest, impatient);
        // The script ends well whatever Helm says.
        gone.or_else(|why| Ok(Progress::Done(vec![format!("Error: {why}")])))
    }

    /// Ends without having done anything where somebody else changed the release meanwhile.
    fn other_revision(&mut self, latest: &Release) -> Option<Progress> {
        let expected = self.env("EXPECTED_RELEASE_REVISION");
        let revision = latest.revision;
        if expected.is_empty() || expected == revision.to_string() {
            return None;
        }
        self.said.push(format!(
            "Current release revision {revision} does not match expected revision {expected}"
        ));
        Some(Progress::Done(Vec::new()))
    }

    /// A release that is not deployed, by the chart's failure policy. One that is being
    /// uninstalled is so by this container's last look, or by one that was cut off.
    fn again(
        &mut self,
        latest: &Release,
        status: &str,
        content: Option<&[u8]>,
    ) -> Result<Progress, String> {
        let policy = self.env("FAILURE_POLICY");
        if !matches!(policy, "" | "reinstall") {
            self.said.push(format!(
                "Release status is '{status}' and failure policy is '{policy}', not 'reinstall'; waiting for operator intervention"
            ));
            return Err("exit status 1".to_owned());
        }
        self.said.push(format!("Uninstalling {status} helm chart"));
        let (owner, impatient) = (self.owner(), self.impatient);
        let gone = operations::uninstall(&self.client, owner, latest, impatient);
        match gone.map_err(|why| format!("Error: {why}"))? {
            Progress::Waits => Ok(Progress::Waits),
            Progress::Done(_) => self.install(content),
        }
    }

    fn install(&mut self, content: Option<&[u8]>) -> Result<Progress, String> {
        self.said.push("Installing helm chart".to_owned());
        let package = self.package(content, "INSTALLATION FAILED")?;
        let (owner, flags) = (self.owner(), self.flags());
        operations::install(&self.client, owner, &package, flags)
            .map_err(|why| format!("Error: {why}"))
    }

    fn flags(&self) -> Flags {
        let args = self.args();
        Flags {
            create_namespace: args.contains(&"--create-namespace"),
            take_ownership: args.contains(&"--take-ownership"),
        }
    }

    fn package(&self, content: Option<&[u8]>, what: &str) -> Result<Package, String> {
        let failed = |why: String| format!("Error: {what}: {why}");
        let content = content.ok_or_else(|| {
            let chart = self.env("CHART");
            failed(format!(
                "the sandbox has no chart repositories and no {chart:?}: set spec.chartContent"
            ))
        })?;
        Ok(Package {
            values: self.values().map_err(failed)?,
            chart: Chart::load(content).map_err(failed)?,
        })
    }

    /// The values of the mounted files, in the order of their names, and of the arguments.
    fn values(&self) -> Result<Value, String> {
        let mut files = Vec::new();
        let volumes = items(self.pod, &["spec", "volumes"]).iter();
        let sources = volumes.flat_map(|volume| items(volume, &["projected", "sources"]));
        for source in sources {
            let name = text(source, &["secret", "name"]).unwrap_or_default();
            let pass = self.client.pass();
            let Some(secret) = pass.get(SECRETS, object::namespace(self.pod), name) else {
                continue;
            };
            for item in items(source, &["secret", "items"]) {
                let key = text(item, &["key"]).unwrap_or_default();
                let path = text(item, &["path"]).unwrap_or_default();
                let content = text(&secret, &["data", key]).unwrap_or_default();
                // The API server took it, so it is Base64.
                let content = STANDARD.decode(content).unwrap_or_default();
                let content = String::from_utf8_lossy(&content).into_owned();
                if path.starts_with("values-") {
                    files.push((path.to_owned(), content));
                }
            }
        }
        files.sort();
        let mut all = values::of_files(&files)?;
        for pair in self.args().windows(2) {
            if let [option @ ("--set" | "--set-string"), argument] = pair {
                let set = values::of_argument(argument, *option == "--set-string")?;
                values::lay(set, &mut all);
            }
        }
        Ok(all)
    }
}
