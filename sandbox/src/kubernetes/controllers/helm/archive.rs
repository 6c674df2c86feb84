//! A chart's archive: what is in it, and whether Helm would load it.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::read::GzDecoder;
use serde::Deserialize as _;
use serde_json::{Value, json};

use crate::kubernetes::object::{at, items, text};

/// Most bytes of a chart, unpacked. Source: `MaxDecompressedChartSize`.
const MAX_CHART: u64 = 100 * 1024 * 1024;
/// Most bytes of one of its files. Source: `MaxDecompressedFileSize`.
const MAX_FILE: u64 = 5 * 1024 * 1024;

/// A chart that was loaded: its files by their path inside it.
#[derive(Debug)]
pub(super) struct Chart {
    /// `Chart.yaml`.
    pub(super) metadata: Value,
    files: BTreeMap<String, Vec<u8>>,
}

/// The objects of a chart's templates, each with its file, and what was left out.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Templates {
    pub(super) objects: Vec<(String, Value)>,
    /// Files that only Helm could render.
    pub(super) unrendered: Vec<String>,
    /// How many files there were.
    pub(super) count: usize,
    /// Files with hooks other than tests, which Helm would run.
    pub(super) hooks: BTreeSet<String>,
    pub(super) subcharts: BTreeSet<String>,
}

/// The documents of a YAML text.
pub(super) fn documents(yaml: &str) -> Result<Vec<Value>, String> {
    let mut found = Vec::new();
    for document in serde_norway::Deserializer::from_str(yaml) {
        let document = Value::deserialize(document).map_err(|error| error.to_string())?;
        if !document.is_null() {
            found.push(document);
        }
    }
    Ok(found)
}

impl Chart {
    /// Loads a chart.
    ///
    /// # Errors
    /// In Helm's words, when the bytes are not a compressed archive of a chart that can be
    /// installed.
    pub(super) fn load(archive: &[u8]) -> Result<Chart, String> {
        let files = unpack(archive)?;
        let metadata = files
            .get("Chart.yaml")
            .ok_or("Chart.yaml file is missing")?;
        let metadata = serde_norway::from_slice::<Value>(metadata)
            .map_err(|error| format!("cannot load Chart.yaml: {error}"))?;
        if let Some(values) = files.get("values.yaml") {
            serde_norway::from_slice::<Value>(values)
                .map_err(|error| format!("cannot load values.yaml: {error}"))?;
        }
        let chart = Chart { metadata, files };
        chart.check()?;
        Ok(chart)
    }

    fn check(&self) -> Result<(), String> {
        let field = |name: &str| text(&self.metadata, &[name]).unwrap_or_default();
        for name in ["apiVersion", "name", "version"] {
            if field(name).is_empty() {
                return Err(format!("validation: chart.metadata.{name} is required"));
            }
        }
        if !version(field("version")) {
            return Err(format!(
                "validation: chart.metadata.version {:?} is invalid",
                field("version")
            ));
        }
        if field("type") == "library" {
            return Err("library charts are not installable".to_owned());
        }
        let there = self.subcharts();
        let mut missing = Vec::new();
        for dependency in items(&self.metadata, &["dependencies"]) {
            let name = text(dependency, &["name"]).unwrap_or_default();
            let packed = format!("{name}-");
            if !there
                .iter()
                .any(|one| one == name || one.starts_with(&packed))
            {
                missing.push(name);
            }
        }
        if !missing.is_empty() {
            return Err(format!(
                "found in Chart.yaml, but missing in charts/ directory: {}",
                missing.join(", ")
            ));
        }
        Ok(())
    }

    /// The chart's name.
    pub(super) fn name(&self) -> &str {
        text(&self.metadata, &["name"]).unwrap_or_default()
    }

    /// Folders and archives of charts inside this one.
    fn subcharts(&self) -> BTreeSet<String> {
        let inside = self.files.keys().filter_map(|path| {
            let path = path.strip_prefix("charts/")?;
            path.split('/').next()
        });
        inside
            .filter(|name| !name.starts_with(['_', '.']) && *name != "README.md")
            .map(str::to_owned)
            .collect()
    }

    /// The objects that are made before all others and never changed.
    ///
    /// # Errors
    /// When a file is no YAML.
    pub(super) fn definitions(&self) -> Result<Vec<Value>, String> {
        let mut found = Vec::new();
        for (path, content) in &self.files {
            let manifest = [".yaml", ".yml", ".json"]
                .iter()
                .any(|end| path.ends_with(end));
            if path.starts_with("crds/") && manifest {
                found.extend(parse(path, &String::from_utf8_lossy(content))?);
            }
        }
        Ok(found)
    }

    /// The objects of the templates that need no rendering.
    ///
    /// # Errors
    /// When one of them is no YAML, or not of an object.
    pub(super) fn templates(&self) -> Result<Templates, String> {
        let mut found = Templates {
            subcharts: self.subcharts(),
            ..Templates::default()
        };
        for (path, content) in &self.files {
            let name = path.rsplit('/').next().unwrap_or(path);
            if !path.starts_with("templates/") || name.starts_with('_') || name == "NOTES.txt" {
                continue;
            }
            found.count += 1;
            let content = String::from_utf8_lossy(content);
            if content.contains("{{") {
                found.unrendered.push(path.clone());
                continue;
            }
            for object in parse(path, &content)? {
                match at(&object, &["metadata", "annotations", "helm.sh/hook"]) {
                    None => found.objects.push((path.clone(), object)),
                    // Only `helm test` runs these.
                    Some(hook) if hook.as_str().is_some_and(|hook| hook.starts_with("test")) => {}
                    Some(_) => drop(found.hooks.insert(path.clone())),
                }
            }
        }
        Ok(found)
    }

    /// The chart as a release records it.
    pub(super) fn recorded(&self) -> Value {
        let file =
            |path: &str, content: &[u8]| json!({"name": path, "data": STANDARD.encode(content)});
        let (mut templates, mut files) = (Vec::new(), Vec::new());
        for (path, content) in &self.files {
            match path.as_str() {
                "Chart.yaml" | "values.yaml" => {}
                path if path.starts_with("templates/") => templates.push(file(path, content)),
                path => files.push(file(path, content)),
            }
        }
        let values = self.files.get("values.yaml");
        let values = values.and_then(|text| serde_norway::from_slice::<Value>(text).ok());
        json!({"metadata": self.metadata, "templates": templates, "files": files,
            "values": values.unwrap_or_else(|| json!({}))})
    }
}

/// The objects of a file; the elements of lists one by one.
fn parse(path: &str, content: &str) -> Result<Vec<Value>, String> {
    let read =
        documents(content).map_err(|error| format!("YAML parse error on {path}: {error}"))?;
    let mut found = Vec::new();
    for object in read {
        let kind = text(&object, &["kind"]).filter(|kind| !kind.is_empty());
        let Some(kind) = kind.filter(|_| text(&object, &["apiVersion"]).is_some()) else {
            return Err(format!(
                "unable to build kubernetes objects from release manifest: {path}: apiVersion and kind are not set"
            ));
        };
        match object.get("items").and_then(Value::as_array) {
            Some(list) if kind.ends_with("List") => found.extend(list.iter().cloned()),
            _ => found.push(object),
        }
    }
    Ok(found)
}

/// The files of an archive, without the folder they are all in.
fn unpack(archive: &[u8]) -> Result<BTreeMap<String, Vec<u8>>, String> {
    let bad = |error: std::io::Error| format!("cannot load the chart's archive: {error}");
    let mut bytes = Vec::new();
    let mut decoder = GzDecoder::new(archive).take(MAX_CHART + 1);
    decoder.read_to_end(&mut bytes).map_err(bad)?;
    if bytes.len() as u64 > MAX_CHART {
        return Err(format!(
            "decompressed chart is larger than the maximum size {MAX_CHART}"
        ));
    }
    let mut files = BTreeMap::new();
    for entry in tar::Archive::new(bytes.as_slice()).entries().map_err(bad)? {
        let mut entry = entry.map_err(bad)?;
        if !entry.header().entry_type().is_file() {
            continue;
        }
        let path = entry.path().map_err(bad)?.to_string_lossy().into_owned();
        let Some((_, inside)) = path.split_once('/') else {
            return Err("chart illegally contains content outside the base directory".to_owned());
        };
        if path.starts_with('/') || inside.split('/').any(|part| part == "..") {
            return Err("chart illegally references parent directory".to_owned());
        }
        if entry.size() > MAX_FILE {
            return Err(format!(
                "decompressed chart file {path:?} is larger than the maximum file size {MAX_FILE}"
            ));
        }
        let mut content = Vec::new();
        entry.read_to_end(&mut content).map_err(bad)?;
        files.insert(inside.to_owned(), content);
    }
    if files.is_empty() {
        return Err("no files in chart archive".to_owned());
    }
    Ok(files)
}

/// Whether it is a version as Helm reads them: one to three numbers, and what may follow.
fn version(text: &str) -> bool {
    let text = text.trim_start_matches('v');
    let core = text.split(['-', '+']).next().unwrap_or_default();
    let numbers: Vec<&str> = core.split('.').collect();
    numbers.len() <= 3
        && numbers
            .iter()
            .all(|number| !number.is_empty() && number.bytes().all(|c| c.is_ascii_digit()))
        && text
            .bytes()
            .all(|c| c.is_ascii_alphanumeric() || b".-+".contains(&c))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// An archive with these files in the folder `chart`.
    pub(crate) fn pack(files: &[(&str, &str)]) -> Vec<u8> {
        use std::io::Write as _;
        let mut archive = tar::Builder::new(Vec::new());
        for (path, content) in files {
            let mut header = tar::Header::new_gnu();
            header.set_size(content.len() as u64);
            header.set_mode(0o644);
            let path = format!("chart/{path}");
            let added = archive.append_data(&mut header, path, content.as_bytes());
            added.unwrap();
        }
        let level = flate2::Compression::default();
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), level);
        gzip.write_all(&archive.into_inner().unwrap()).unwrap();
        gzip.finish().unwrap()
    }

    const CHART: (&str, &str) = ("Chart.yaml", "apiVersion: v2\nname: web\nversion: 1.2.3\n");
    const MAP: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n";

    fn refused(files: &[(&str, &str)]) -> String {
        Chart::load(&pack(files)).unwrap_err()
    }

    #[test]
    fn what_is_no_chart_is_refused() {
        assert!(Chart::load(b"nonsense").unwrap_err().contains("archive"));
        let whole = pack(&[CHART]);
        assert!(Chart::load(&whole[..whole.len() / 2]).is_err());
        assert_eq!(refused(&[]), "no files in chart archive");
        assert_eq!(
            refused(&[("values.yaml", "")]),
            "Chart.yaml file is missing"
        );
        for (yaml, why) in [
            ("name: web\nversion: 1.2.3", "apiVersion is required"),
            ("apiVersion: v2\nversion: 1.2.3", "name is required"),
            ("apiVersion: v2\nname: web", "version is required"),
            (
                "apiVersion: v2\nname: web\nversion: new",
                "\"new\" is invalid",
            ),
            (
                "apiVersion: v2\nname: web\nversion: 1.2.3\ntype: library",
                "library",
            ),
            (
                "apiVersion: v2\nname: web\nversion: 1.2.3\ndependencies: [{name: db}]",
                "missing in charts/ directory: db",
            ),
        ] {
            let found = refused(&[("Chart.yaml", yaml)]);
            assert!(found.contains(why), "{yaml}: {found}");
        }
        assert!(refused(&[CHART, ("values.yaml", "a: [")]).contains("values.yaml"));
    }

    #[test]
    fn plain_templates_are_objects_and_others_are_named() {
        let list = format!(
            "apiVersion: v1\nkind: ConfigMapList\nitems:\n- {{{}}}",
            "apiVersion: v1, kind: ConfigMap, metadata: {name: b}"
        );
        let test = MAP.replace("{name: a}", "{name: t, annotations: {helm.sh/hook: test}}");
        let hook = MAP.replace(
            "{name: a}",
            "{name: t, annotations: {helm.sh/hook: pre-install}}",
        );
        let chart = Chart::load(&pack(&[
            CHART,
            (
                "crds/one.yaml",
                "apiVersion: v1\nkind: X\n---\n# nothing\n---\napiVersion: v1\nkind: Y\n",
            ),
            ("crds/README.md", "no: [manifest"),
            ("charts/db-1.0.0.tgz", "?"),
            ("templates/NOTES.txt", "thanks"),
            ("templates/_helpers.tpl", "{{ define \"x\" }}{{ end }}"),
            ("templates/a.yaml", MAP),
            ("templates/b.yaml", &list),
            ("templates/hook.yaml", &hook),
            ("templates/rendered.yaml", "{{ .Values.x }}"),
            ("templates/tests/t.yaml", &test),
        ]))
        .unwrap();
        assert_eq!(chart.definitions().unwrap().len(), 2);
        let found = chart.templates().unwrap();
        let names = found
            .objects
            .iter()
            .map(|(path, object)| (path.as_str(), object["metadata"]["name"].as_str().unwrap()));
        assert_eq!(
            names.collect::<Vec<_>>(),
            [("templates/a.yaml", "a"), ("templates/b.yaml", "b")]
        );
        assert_eq!((found.count, found.unrendered.len()), (5, 1));
        assert!(found.hooks.contains("templates/hook.yaml"));
        assert!(found.subcharts.contains("db-1.0.0.tgz"));
        let broken = Chart::load(&pack(&[CHART, ("templates/a.yaml", "a: b")])).unwrap();
        assert!(broken.templates().unwrap_err().contains("templates/a.yaml"));
    }

    #[test]
    fn versions_are_helms() {
        for right in ["1", "1.2", "v1.2.3", "1.2.3-rc.1+build"] {
            assert!(version(right), "{right}");
        }
        for wrong in ["", "1.2.3.4", "1.x", "latest", "1.2.3 "] {
            assert!(!version(wrong), "{wrong}");
        }
    }
}
