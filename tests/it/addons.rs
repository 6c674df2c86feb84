//! Add-ons of the file's own, and Sealed Secrets with a key that outlives the cluster.

use crate::definitions::{definitions, fits_its_definition};
use crate::support::bucket::SpacesAccess;
use crate::support::cluster::Cluster;
use crate::support::upstream::released_definitions;
use crate::support::{Folder, Run};
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::rsa::{OAEP_SHA256_MGF1SHA256, OaepPublicEncryptingKey, PublicEncryptingKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kplan_providers::kubernetes::manifest;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// The smallest cluster, without storage.
const BARE: &str = r#"
[cluster]
name = "bare"
region = "fra1"

[servers]
size = "s-2vcpu-4gb"

[storage]
csi = false
"#;

const MANIFEST: &str = "
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: pools.example.org}
spec:
  group: example.org
  scope: Namespaced
  names: {kind: Pool, plural: pools, singular: pool, listKind: PoolList}
  versions:
  - name: v1
    served: true
    storage: true
    schema: {openAPIV3Schema: {type: object, properties: {spec: {type: object, \
     x-kubernetes-preserve-unknown-fields: true}}}}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data: {colour: green}
---
apiVersion: example.org/v1
kind: Pool
metadata: {name: first}
spec: {size: 3}
";

fn addon(name: &str, rest: &str) -> String {
    format!("\n[[addon]]\nname = \"{name}\"\n{rest}\n")
}

/// Puts a file into the folder of `cluster.toml`.
fn put(folder: &Folder, name: &str, bytes: &[u8]) {
    let path = folder.path().join(name);
    std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
    std::fs::write(path, bytes).expect("a file");
}

#[test]
fn a_manifest_beside_the_file_is_applied_pruned_and_taken_away() {
    let later = addon(
        "later",
        "after = [\"own\"]\nmanifest = { file = \"later.yaml\" }",
    );
    let own = addon(
        "own",
        "namespace = \"apps\"\nmanifest = { file = \"addons/own.yaml\" }",
    );
    let folder = Folder::with(&format!("{BARE}{later}{own}"));
    let missing = folder.kplan(&["validate"]).expect_code(1);
    assert!(missing.err.contains("addons/own.yaml"), "{}", missing.err);
    put(&folder, "addons/own.yaml", MANIFEST.as_bytes());
    let second =
        "{apiVersion: example.org/v1, kind: Pool, metadata: {name: second, namespace: apps}}";
    put(&folder, "later.yaml", second.as_bytes());
    let run = folder.apply().ok();
    let at = |what: &str| {
        run.out
            .find(what)
            .unwrap_or_else(|| panic!("no {what}: {}", run.out))
    };
    assert!(
        at("addon_manifest.own: Creation complete") < at("addon_manifest.later: Creating"),
        "{}",
        run.out
    );
    folder.assert_no_changes();
    let cluster = Cluster::of(&folder, "bare");
    assert!(cluster.get("v1 ConfigMap apps/settings").is_some());
    assert!(cluster.get("example.org/v1 Pool apps/second").is_some());

    let less = MANIFEST.split("---").take(1).collect::<String>();
    put(&folder, "addons/own.yaml", less.as_bytes());
    let plan = folder.kplan(&["plan", "--sandbox"]).ok();
    assert!(plan.out.contains("~ addon_manifest.own"), "{}", plan.out);
    folder.apply().ok();
    assert!(cluster.get("v1 ConfigMap apps/settings").is_none());
    // The namespace may be somebody else's by now, and the definition holds what others made.
    assert!(cluster.get("v1 Namespace apps").is_some());
    assert!(cluster.get("example.org/v1 Pool apps/second").is_some());

    folder.write(BARE);
    folder.apply().ok();
    let definition = "apiextensions.k8s.io/v1 CustomResourceDefinition pools.example.org";
    assert!(cluster.get(definition).is_none());
    folder.assert_no_changes();
}

/// What is between fences of that language.
fn blocks<'a>(text: &'a str, language: &str) -> Vec<&'a str> {
    let fence = format!("```{language}\n");
    let after = text.split(fence.as_str()).skip(1);
    after.filter_map(|rest| rest.split("```").next()).collect()
}

#[test]
fn every_example_of_the_guide_is_a_file_that_kplan_takes() {
    let guide = crate::support::repository().join("docs/guide/add-ons.md");
    let guide = std::fs::read_to_string(guide).expect("the guide");
    let (tables, manifests) = (blocks(&guide, "toml"), blocks(&guide, "yaml"));
    assert!(
        tables.len() >= 9 && manifests.len() >= 9,
        "the guide has examples"
    );
    // Two blocks switch something of the same table on.
    let mut text = BARE.to_owned();
    text.push_str("[gitops]\nrepo = \"https://github.com/acme/infra.git\"\n");
    let (switches, addons): (Vec<&str>, Vec<&str>) = tables
        .into_iter()
        .partition(|table| table.starts_with("[addons]"));
    let lines = switches.iter().flat_map(|table| table.lines().skip(1));
    let lines: Vec<&str> = lines.collect();
    text = format!("{text}[addons]\n{}\n", lines.join("\n"));
    text.push_str(&addons.join("\n"));
    let folder = Folder::with(&text);
    let shown = shown_files(&guide);
    let named: Vec<&str> = text
        .split('"')
        .filter(|word| word.starts_with("addons/"))
        .collect();
    assert_eq!(
        shown.keys().copied().collect::<BTreeSet<_>>(),
        named.iter().copied().collect()
    );
    assert_eq!(shown.len(), manifests.len(), "a block is no file's");
    for (name, content) in &shown {
        put(&folder, name, content.as_bytes());
    }
    folder.kplan(&["validate"]).ok();
    for (name, content) in &shown {
        let is_values = text.contains(&format!("values = \"{name}\""));
        if is_values {
            let values: Value = serde_norway::from_str(content).expect("YAML");
            assert!(values.is_object(), "{name} holds no values: {values}");
            continue;
        }
        for object in manifest::parse(name, content.as_bytes()).expect("a manifest") {
            if object["kind"] == "Application" {
                assert_is_an_application(&object);
            }
        }
    }
}

/// What the guide shows of each file: the blocks of a section are the files that its tables name, in
/// this order. The first table of the page is the section's on cert-manager.
fn shown_files(guide: &str) -> BTreeMap<&str, &str> {
    let (first, examples) = guide.split_once("## Worked examples").expect("examples");
    let mut shown = BTreeMap::new();
    for section in examples.split("\n### ").skip(1) {
        let mut tables = blocks(section, "toml");
        if section.starts_with("cert-manager") {
            tables.extend(blocks(first, "toml"));
        }
        let words = tables.into_iter().flat_map(|table| table.split('"'));
        let names: Vec<&str> = words.filter(|word| word.starts_with("addons/")).collect();
        let contents = blocks(section, "yaml");
        assert_eq!(names.len(), contents.len(), "{section}");
        shown.extend(names.into_iter().zip(contents));
    }
    shown
}

fn assert_is_an_application(object: &Value) {
    if let Some(released) = released_definitions() {
        // Whatever a chart's values are: the definition leaves that field open.
        let mut object = object.clone();
        let helm = object
            .pointer_mut("/spec/source/helm")
            .and_then(Value::as_object_mut);
        let values = helm.and_then(|helm| helm.remove("valuesObject"));
        assert!(values.expect("values").is_object());
        fits_its_definition(&object, definitions(&released)["Application"]);
    }
}

/// A manifest with a namespace and a settings map in it.
fn manifest(namespace: &str, more: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Namespace\nmetadata: {{name: {namespace}}}\n---\napiVersion: v1\nkind: \
         ConfigMap\nmetadata: {{name: settings, namespace: {namespace}}}\ndata: {{a: b}}\n{more}"
    )
}

fn precious(cluster: &Cluster, namespace: &str) {
    cluster.apply(
        &json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": namespace } }),
    );
    cluster.apply(&json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": { "name": "precious", "namespace": namespace },
    }));
}

#[test]
fn nothing_that_was_there_before_goes_with_an_add_on_that_fails_or_leaves_something_out() {
    let folder = Folder::with(BARE);
    folder.apply().ok();
    let cluster = Cluster::of(&folder, "bare");
    precious(&cluster, "shared");
    let kept = || cluster.get("v1 ConfigMap shared/precious").is_some();
    // It fails half-way: what is mended completes it, and nothing is made anew.
    let one = addon("one", "manifest = { file = \"one.yaml\" }");
    folder.write(&format!("{BARE}{one}"));
    let bad = "---\napiVersion: example.org/v1\nkind: Nothing\nmetadata: {name: a}\n";
    put(&folder, "one.yaml", manifest("shared", bad).as_bytes());
    let failed = folder.kplan(&["apply", "--sandbox", "--auto-approve"]);
    assert_ne!(failed.code, Some(0), "{}", failed.out);
    put(&folder, "one.yaml", manifest("shared", "").as_bytes());
    let plan = folder.kplan(&["plan", "--sandbox"]).ok();
    assert!(plan.out.contains("0 to destroy"), "{}", plan.out);
    folder.apply().ok();
    folder.assert_no_changes();
    assert!(kept());
    // Two add-ons cannot have one object.
    let two = addon(
        "two",
        "after = [\"one\"]\nmanifest = { file = \"two.yaml\" }",
    );
    put(&folder, "two.yaml", manifest("shared", "").as_bytes());
    folder.write(&format!("{BARE}{one}{two}"));
    let refused = folder
        .kplan(&["apply", "--sandbox", "--auto-approve"])
        .expect_code(1);
    assert!(
        refused
            .err
            .contains("belongs to addon_manifest.one already"),
        "{}",
        refused.err
    );
    // A namespace that leaves the manifest is nobody's, also when the add-on goes.
    folder.write(&format!("{BARE}{one}"));
    let settings = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: other}\n";
    put(&folder, "one.yaml", settings.as_bytes());
    folder.apply().ok();
    folder.write(BARE);
    folder.apply().ok();
    assert!(kept());
    folder.assert_no_changes();
}

#[test]
fn a_secret_has_no_place_in_a_manifest_and_a_hidden_file_none_in_a_plan() {
    let own = addon("own", "manifest = { file = \"own.yaml\" }");
    let folder = Folder::with(&format!("{BARE}{own}"));
    let secret = "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {p: hunter2}\n";
    put(&folder, "own.yaml", secret.as_bytes());
    let refused = folder.kplan(&["plan", "--sandbox"]).expect_code(1);
    assert!(refused.err.contains("holds the Secret"), "{}", refused.err);
    assert!(!refused.err.contains("hunter2") && !refused.out.contains("hunter2"));
    put(&folder, ".git/config", b"token");
    std::fs::remove_file(folder.path().join("own.yaml")).expect("it was there");
    std::os::unix::fs::symlink(".git/config", folder.path().join("own.yaml")).expect("a link");
    let refused = folder.kplan(&["validate"]).expect_code(1);
    assert!(refused.err.contains("hidden file"), "{}", refused.err);
    folder.write(&format!("{BARE}{}", own.replace("own.yaml", ".git/config")));
    folder.kplan(&["validate"]).expect_code(1);
}

#[test]
fn a_file_elsewhere_is_not_read() {
    let folder = Folder::with(&format!(
        "{BARE}{}",
        addon("own", "manifest = { file = \"link.yaml\" }")
    ));
    let outside = tempfile::NamedTempFile::new().expect("a file");
    std::os::unix::fs::symlink(outside.path(), folder.path().join("link.yaml")).expect("a link");
    let refused = folder.kplan(&["validate"]).expect_code(1);
    assert!(refused.err.contains("leads out of"), "{}", refused.err);
}

/// A chart's archive, as `helm package` makes it.
pub(super) fn chart(version: &str, files: &[(&str, &str)]) -> Vec<u8> {
    let encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    let mut archive = tar::Builder::new(encoder);
    let about = format!("apiVersion: v2\nname: app\nversion: {version}\n");
    for (name, text) in [&[("Chart.yaml", about.as_str())], files].concat() {
        let mut header = tar::Header::new_gnu();
        header.set_size(u64::try_from(text.len()).expect("a size"));
        header.set_mode(0o644);
        let path = format!("app/{name}");
        archive
            .append_data(&mut header, path, text.as_bytes())
            .expect("an entry");
    }
    archive
        .into_inner()
        .expect("a tar")
        .finish()
        .expect("a gzip")
}

const DEPLOYMENT: &str = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: app}\nspec:\n  \
    replicas: 1\n  selector: {matchLabels: {app: app}}\n  template:\n    metadata: {labels: {app: \
    app}}\n    spec: {containers: [{name: app, image: 'example/app:1'}]}\n";

fn helm(version: &str) -> String {
    let mirror = "\n[mirror]\nfolder = \"mirror\"\n";
    let about = format!(
        "namespace = \"apps\"\nhelm = {{ repo = \"https://charts.example.org\", chart = \"app\", \
         version = \"{version}\", values = \"values.yaml\" }}"
    );
    format!("{BARE}{mirror}{}", addon("app", &about))
}

#[test]
fn a_chart_is_installed_by_what_was_checked_upgraded_and_uninstalled() {
    let folder = Folder::with(&helm("1.2.3"));
    put(&folder, "values.yaml", b"colour: green\n");
    let settings = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: app}\n";
    let first = chart(
        "1.2.3",
        &[
            ("templates/app.yaml", DEPLOYMENT),
            ("templates/settings.yaml", settings),
        ],
    );
    put(&folder, "mirror/addon-app/1.2.3/app-1.2.3.tgz", &first);
    let second = chart("1.3.0", &[("templates/app.yaml", DEPLOYMENT)]);
    put(&folder, "mirror/addon-app/1.3.0/app-1.3.0.tgz", &second);
    let plan = folder.kplan(&["plan", "--sandbox"]).ok();
    assert!(
        plan.out.contains("unpinned: run `kplan lock`"),
        "{}",
        plan.out
    );
    folder.apply().ok();
    folder.assert_no_changes();
    let cluster = Cluster::of(&folder, "bare");
    let deployment = cluster.get("apps/v1 Deployment apps/app").expect("it");
    assert_eq!(deployment["status"]["availableReplicas"], 1);
    assert_eq!(
        deployment["metadata"]["annotations"]["meta.helm.sh/release-name"],
        "app"
    );

    // What changes is the chart and its values; what left the chart goes.
    folder.write(&helm("1.3.0"));
    put(&folder, "values.yaml", b"colour: blue\n");
    let plan = folder.kplan(&["plan", "--sandbox"]).ok();
    assert!(plan.out.contains("~ helm_release.app"), "{}", plan.out);
    assert!(plan.out.contains("blue"), "{}", plan.out);
    folder.apply().ok();
    assert!(cluster.get("v1 ConfigMap apps/app").is_none());
    folder.assert_no_changes();

    // Other bytes than the pinned ones are never used.
    put(&folder, "mirror/addon-app/1.3.1/app-1.3.1.tgz", &second);
    let pinned = format!("version = \"1.3.1\", sha256 = \"{}\"", "ab".repeat(32));
    folder.write(&helm("1.3.1").replace("version = \"1.3.1\"", &pinned));
    let refused = folder
        .kplan(&["apply", "--sandbox", "--auto-approve"])
        .expect_code(1);
    assert!(
        refused.err.contains("not the pinned ones"),
        "{}",
        refused.err
    );
    let pinned = format!("version = \"1.3.1\", sha256 = \"{}\"", digest(&second));
    folder.write(&helm("1.3.1").replace("version = \"1.3.1\"", &pinned));
    folder.apply().ok();
    assert!(cluster.get("apps/v1 Deployment apps/app").is_some());
    folder.write(BARE);
    folder.apply().ok();
    assert!(cluster.get("apps/v1 Deployment apps/app").is_none());
    folder.assert_no_changes();
}

fn digest(bytes: &[u8]) -> String {
    kplan_providers::k3s::pki::secret::sha256_hex(bytes)
}

/// What `kubeseal` does with the certificate that `kplan output` prints.
pub(crate) fn seal(certificate: &str, scope: &str, plain: &[u8]) -> String {
    let (_, pem) = x509_parser::pem::parse_x509_pem(certificate.as_bytes()).expect("PEM");
    let parsed = pem.parse_x509().expect("a certificate");
    let key = PublicEncryptingKey::from_der(parsed.public_key().raw).expect("an RSA key");
    let key = OaepPublicEncryptingKey::new(key).expect("an RSA key");
    let session = [7; 32];
    let mut wrapped = vec![0; key.ciphertext_size()];
    let wrapped = key
        .encrypt(
            &OAEP_SHA256_MGF1SHA256,
            &session,
            &mut wrapped,
            Some(scope.as_bytes()),
        )
        .expect("it can be wrapped");
    let cipher = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &session).expect("a key"));
    let mut sealed = plain.to_vec();
    let nonce = Nonce::assume_unique_for_key([0; 12]);
    cipher
        .seal_in_place_append_tag(nonce, Aad::empty(), &mut sealed)
        .expect("it can be sealed");
    let length = u16::try_from(wrapped.len())
        .expect("a length")
        .to_be_bytes();
    STANDARD.encode([&length[..], wrapped, &sealed].concat())
}

pub(crate) fn certificate(folder: &Folder) -> String {
    let out = folder
        .kplan(&["output", "--raw", "sealed_secrets_certificate", "--sandbox"])
        .ok();
    assert!(
        out.out.starts_with("-----BEGIN CERTIFICATE-----"),
        "{}",
        out.out
    );
    out.out
}

pub(crate) fn sealed(value: &str) -> Value {
    json!({
        "apiVersion": "bitnami.com/v1alpha1", "kind": "SealedSecret",
        "metadata": { "name": "login", "namespace": "default" },
        "spec": { "encryptedData": { "password": value } },
    })
}

#[test]
fn what_was_sealed_for_a_cluster_opens_in_the_one_that_comes_after_it() {
    let file = crate::support::repository().join("examples/single-node/cluster.toml");
    let file = std::fs::read_to_string(file).expect("the example");
    let folder = Folder::with(&format!("{file}\n[addons]\nsealed_secrets = true\n"));
    folder.apply().ok();
    let keys = SpacesAccess::of(&folder);
    let from_git = sealed(&seal(&certificate(&folder), "default/login", b"hunter2"));
    let opens = |folder: &Folder| {
        let cluster = Cluster::of(folder, "single");
        cluster.apply(&from_git);
        cluster.until(
            "v1 Secret default/login",
            "/data/password",
            &STANDARD.encode("hunter2"),
        );
    };
    opens(&folder);
    let cluster = Cluster::of(&folder, "single");
    cluster.apply(&json!({
        "apiVersion": "velero.io/v1", "kind": "Backup",
        "metadata": { "name": "drill", "namespace": "velero" },
        "spec": { "storageLocation": "default", "ttl": "720h0m0s" },
    }));
    cluster.until(
        "velero.io/v1 Backup velero/drill",
        "/status/phase",
        "Completed",
    );
    folder.lose_everything();
    let mut restore = folder.command(&["restore", "--sandbox", "--auto-approve"]);
    restore
        .env("SPACES_ACCESS_KEY_ID", &keys.access_key)
        .env("SPACES_SECRET_ACCESS_KEY", &keys.secret_key);
    Run::of(restore).ok();
    opens(&folder);
}
