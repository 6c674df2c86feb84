//! What somebody changes by hand, how it is done, what kplan has to say of it, and where the cloud's
//! own API shows it.

use crate::support::bucket::SpacesAccess;
use crate::support::cluster::Cluster;
use crate::support::{Folder, Run};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;
use std::time::{Duration, Instant};

/// A request by hand.
pub(super) enum Deed {
    /// One of DigitalOcean's API: method, path, body.
    Ask(&'static str, String, Value),
    /// A new setting of a bucket: its name, the setting, its value.
    Bucket(&'static str, &'static str, Value),
    /// New values in an object in the cluster: `apiVersion kind namespace/name`; each with its way,
    /// such as `spec/ports/name=http/port`. Nothing takes it out.
    Edit(String, BTreeMap<String, Value>),
    /// The same, written as a manager of that name, where there is a `kubectl` to say it.
    EditAs(String, String, BTreeMap<String, Value>),
    /// A new object in the cluster.
    Apply(Value),
    /// Takes a node off the API once its kubelet is silent.
    Leave(&'static str),
}

/// Where a field's real value is to be seen without kplan.
pub(super) enum Place {
    /// In an answer of DigitalOcean's API: path, pointer.
    Api(String, &'static str),
    /// Of a bucket: its name, the setting.
    Bucket(&'static str, &'static str),
    /// In objects of the cluster: `apiVersion kind namespace/name`, way.
    Objects(Vec<(String, String)>),
}

impl Place {
    /// In one object of the cluster.
    pub(super) fn object(what: &str, way: &str) -> Self {
        Self::Objects(vec![(what.to_owned(), way.to_owned())])
    }
}

/// One field that changes.
pub(super) struct Seen {
    pub(super) field: &'static str,
    /// What is on record and what the file says.
    pub(super) was: Value,
    /// What is real once it was changed.
    pub(super) real: Value,
    /// Where that is to be seen besides.
    pub(super) place: Place,
}

/// What somebody does to one resource.
pub(super) struct Hand {
    pub(super) address: String,
    pub(super) deeds: Vec<Deed>,
    pub(super) fields: Vec<Seen>,
    /// Fields of whose values objects are made: a change of those objects is what can be seen of
    /// them.
    pub(super) carried: Vec<String>,
}

/// The ids of resources, by address.
pub(super) type Ids<'a> = &'a dyn Fn(&str) -> String;

/// The ids on record in a folder, by address.
pub(super) fn ids(folder: &Folder, cluster: &str) -> impl Fn(&str) -> String + use<> {
    let snapshot = folder.snapshot(cluster);
    move |address: &str| {
        let record = snapshot
            .resources
            .get(&address.parse().expect("an address"));
        let all: Vec<String> = snapshot.resources.keys().map(ToString::to_string).collect();
        let record = record.unwrap_or_else(|| panic!("no {address} in {all:?}"));
        record.id.to_string()
    }
}

/// What remote sides show, by address and field.
pub(super) type Looks = BTreeMap<(String, &'static str), Value>;

/// The sandbox's cloud, and the ways to change it past kplan.
pub(super) struct Site<'a> {
    pub(super) folder: &'a Folder,
    pub(super) cluster: Option<Cluster>,
    pub(super) spaces: Option<SpacesAccess>,
}

fn has_kubectl() -> bool {
    let asked = Command::new("kubectl")
        .args(["version", "--client"])
        .output();
    if asked.is_err() {
        kplan_conformance::skipped("kubectl");
    }
    asked.is_ok()
}

impl Site<'_> {
    /// Does it, and waits until it is done.
    pub(super) fn act(&self, hands: &[Hand]) {
        for deed in hands.iter().flat_map(|hand| &hand.deeds) {
            match deed {
                Deed::Ask(method, path, body) => self.ask(method, path, body),
                Deed::Bucket(name, setting, value) => {
                    let spaces = self.spaces.as_ref().expect("a key");
                    spaces.set(name, setting, value);
                }
                Deed::Edit(what, values) => self.edit(None, what, values),
                Deed::EditAs(by, what, values) => self.edit(Some(by), what, values),
                Deed::Apply(object) => self.cluster().apply(object),
                Deed::Leave(node) => self.leave(node),
            }
        }
    }

    fn cluster(&self) -> &Cluster {
        self.cluster.as_ref().expect("a cluster")
    }

    fn leave(&self, node: &str) {
        let deadline = Instant::now() + Duration::from_mins(1);
        let ready = |node: &Value| {
            let all = node["status"]["conditions"].as_array();
            all.into_iter()
                .flatten()
                .any(|one| one["type"] == "Ready" && one["status"] == "True")
        };
        while self.cluster().get(node).is_some_and(|node| ready(&node)) {
            assert!(Instant::now() < deadline, "{node} is always ready");
            std::thread::sleep(Duration::from_millis(10));
        }
        self.cluster().delete(node);
    }

    /// As `kubectl edit` does it: reads, changes, and sends what differs.
    fn edit(&self, by: Option<&str>, what: &str, values: &BTreeMap<String, Value>) {
        let mut object = self.cluster().get(what).expect(what);
        let mut tops = BTreeSet::new();
        for (way, value) in values {
            tops.insert(way.split('/').next().unwrap_or_default().to_owned());
            let (parent, name) = way.rsplit_once('/').expect("a way");
            let parent = at(&mut object, parent).expect(way);
            // A merge takes out what is nothing.
            parent[name.replace("~1", "/")] = value.clone();
        }
        let tops = tops
            .into_iter()
            .map(|top| (top.clone(), object[&top].clone()));
        let mut patch = Value::Object(tops.collect());
        if let Some(metadata) = patch.get_mut("metadata").and_then(Value::as_object_mut) {
            metadata.retain(|name, _| ["labels", "annotations"].contains(&name.as_str()));
        }
        match by.filter(|_| has_kubectl()) {
            Some(by) => self.cluster().merge_as(by, what, &patch),
            None => self.cluster().merge(what, &patch),
        }
    }

    fn ask(&self, method: &str, path: &str, body: &Value) {
        let body = (!body.is_null()).then_some(body);
        let answer = self.folder.cloud(method, path, body);
        let (_, body) = answer.split_once("\r\n\r\n").expect("a body");
        let answer: Value = serde_json::from_str(body).unwrap_or_default();
        let action = &answer["action"]["id"];
        if action.is_u64() {
            self.until(&format!("/v2/actions/{action}"), |it| {
                it["action"]["status"] == "completed"
            });
        }
        if let Some(database) = path.strip_prefix("/v2/databases/") {
            let id = database.split('/').next().unwrap_or_default();
            self.until(&format!("/v2/databases/{id}"), |it| {
                it["database"]["status"] == "online"
            });
        }
    }

    fn until(&self, path: &str, done: impl Fn(&Value) -> bool) {
        let deadline = Instant::now() + Duration::from_mins(1);
        loop {
            let seen = self.folder.ask("GET", path, None);
            if done(&seen) {
                return;
            }
            assert!(Instant::now() < deadline, "{path}: {seen:#}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// What the remote sides show at a place.
    fn look(&self, place: &Place) -> Value {
        let seen = match place {
            Place::Api(path, pointer) => {
                let seen = self.folder.ask("GET", path, None);
                seen.pointer(pointer).cloned()
            }
            Place::Bucket(name, setting) => {
                let spaces = self.spaces.as_ref().expect("a key");
                Some(spaces.setting(name, setting))
            }
            Place::Objects(places) => {
                let look = |(what, way): &(String, String)| {
                    let mut seen = self.cluster().get(what).unwrap_or_default();
                    json!([{ "at": format!("{what} {way}"), "is": at(&mut seen, way) }])
                };
                Some(places.iter().map(look).collect())
            }
        };
        plain(&seen.unwrap_or_default())
    }

    /// What the remote sides show of every field.
    pub(super) fn looks(&self, hands: &[Hand]) -> Looks {
        let mut all = BTreeMap::new();
        for hand in hands {
            for seen in &hand.fields {
                all.insert((hand.address.clone(), seen.field), self.look(&seen.place));
            }
        }
        all
    }

    /// That the remote sides show of every field what they showed then.
    #[track_caller]
    pub(super) fn is_as(&self, hands: &[Hand], then: &Looks) {
        for (at, now) in self.looks(hands) {
            assert_eq!(now, then[&at], "{at:?}");
        }
    }

    /// That `kplan drift` names these fields and no other, with their three values, in both forms.
    #[track_caller]
    pub(super) fn shows(&self, hands: &[Hand]) {
        let run = self.folder.kplan(&["drift", "--sandbox", "--json"]);
        let run = run.expect_code(2);
        let document = run.json();
        let drift = document["drift"].as_array().expect("drift").iter();
        let mut found = BTreeMap::new();
        for one in drift {
            assert_eq!(one["vanished"], false, "{one:#}");
            for field in one["fields"].as_array().expect("fields") {
                let text = |value: &Value| value.as_str().expect("text").to_owned();
                found.insert((text(&one["address"]), text(&field["field"])), field);
            }
        }
        let mut wrong = Vec::new();
        for (address, seen) in hands
            .iter()
            .flat_map(|hand| hand.fields.iter().map(|seen| (&hand.address, seen)))
        {
            let at = (address.clone(), seen.field.to_owned());
            let Some(field) = found.remove(&at) else {
                wrong.push(format!("{at:?} is not shown"));
                continue;
            };
            let columns = ["recorded", "real", "file"].map(|column| plain(&field[column]));
            let expected = [&seen.was, &seen.real, &seen.was].map(plain);
            if columns != expected {
                wrong.push(format!("{at:?}: {columns:?} instead of {expected:?}"));
            }
        }
        for (at, field) in found {
            wrong.push(format!("{at:?} is shown: {field}"));
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
        assert_eq!(document["not_on_record"], json!([]));
        assert_eq!(document["complete"], true);
        says(&self.folder.kplan(&["drift", "--sandbox"]), hands);
    }
}

/// The same as text: below its address each field, with columns where its values are short.
#[track_caller]
fn says(run: &Run, hands: &[Hand]) {
    assert_eq!(run.code, Some(2), "{}", run.err);
    for hand in hands {
        let title = format!("  # {} has changed\n", hand.address);
        let (_, section) = run.out.split_once(&title).expect(&title);
        let section = section.split("\n\n").next().unwrap_or_default();
        for seen in &hand.fields {
            let begins = format!("~ {}", seen.field);
            let mut lines = section.lines().map(str::trim_start);
            let line = lines.find(|line| {
                let rest = line.strip_prefix(&begins);
                rest.is_some_and(|rest| rest.starts_with([' ', ':']))
            });
            let line = line.unwrap_or_else(|| panic!("no {begins} in {section}"));
            let is_short = [&seen.was, &seen.real].iter().all(|value| {
                matches!(value, Value::Bool(_) | Value::Number(_))
                    || value.as_str().is_some_and(|text| text.len() < 30)
            });
            if is_short {
                let [was, real] = [&seen.was, &seen.real].map(Value::to_string);
                let columns: Vec<&str> = line[begins.len()..]
                    .split("   ")
                    .map(str::trim)
                    .filter(|column| !column.is_empty())
                    .collect();
                assert_eq!(columns, [&was, &real, &was], "{begins}");
            }
        }
    }
}

/// A place in an object: names and, in a list, `name=value`.
fn at<'a>(value: &'a mut Value, way: &str) -> Option<&'a mut Value> {
    way.split('/').try_fold(value, |value, step| match value {
        Value::Array(items) => {
            let step = step.replace("~1", "/");
            let (name, wanted) = step.split_once('=')?;
            // A port is a number.
            let number = wanted.parse::<u64>().ok();
            let is = |item: &&mut Value| {
                let value = &item[name];
                value.as_str() == Some(wanted) || (number.is_some() && value.as_u64() == number)
            };
            items.iter_mut().find(is)
        }
        other => other.get_mut(step.replace("~1", "/")),
    })
}

/// A value without what says nothing, its lists in order.
fn plain(value: &Value) -> Value {
    match value {
        Value::Array(items) => {
            let mut items: Vec<Value> = items.iter().map(plain).collect();
            items.sort_by_key(Value::to_string);
            if items.is_empty() {
                Value::Null
            } else {
                Value::Array(items)
            }
        }
        Value::Object(map) => {
            // What a list of the cloud's makes anew whenever it is set.
            let anew = |name: &str| ["assigned_at", "created_at", "uuid"].contains(&name);
            let map = map.iter().filter(|(name, _)| !anew(name));
            let map = map.map(|(name, value)| (name.clone(), plain(value)));
            Value::Object(map.filter(|(_, value)| !value.is_null()).collect())
        }
        other => other.clone(),
    }
}
