//! The reader and the JSON Schema accept the same files.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde_json::{Map as JsonMap, Value};

use super::*;

fn object<'a>(schema: &'a Value, name: &str) -> &'a Value {
    if name == RawFile::schema_name() {
        schema
    } else {
        &schema["$defs"][public_name(name)]
    }
}

fn keys_agree<T: RawTable>(schema: &Value, seen: &mut BTreeSet<String>) {
    let name = T::schema_name().into_owned();
    let table = object(schema, &name);
    let properties: BTreeSet<&str> = table["properties"]
        .as_object()
        .unwrap_or_else(|| panic!("{name} has no properties"))
        .keys()
        .map(String::as_str)
        .collect();
    let accepted: BTreeSet<&str> = T::KEYS.iter().map(|(key, _)| *key).collect();
    assert_eq!(properties, accepted, "{name}: keys");
    let required: BTreeSet<&str> = table["required"]
        .as_array()
        .map_or(&[][..], Vec::as_slice)
        .iter()
        .filter_map(Value::as_str)
        .collect();
    let needed: BTreeSet<&str> = T::KEYS
        .iter()
        .filter(|(_, required)| *required)
        .map(|(key, _)| *key)
        .collect();
    assert_eq!(required, needed, "{name}: required keys");
    assert_eq!(table["additionalProperties"], Value::Bool(false), "{name}");
    for (key, property) in table["properties"].as_object().into_iter().flatten() {
        assert!(
            property["description"].is_string(),
            "{name}.{key} has no description"
        );
    }
    seen.insert(public_name(&name).to_owned());
}

macro_rules! for_all {
    ($schema:expr, $seen:expr, $($table:ident),* $(,)?) => {
        $(keys_agree::<$table>($schema, $seen);)*
    };
}

#[test]
fn the_reader_accepts_exactly_the_keys_of_the_schema() {
    let schema = json_schema();
    let mut seen = BTreeSet::new();
    for_all!(
        &schema,
        &mut seen,
        RawFile,
        RawCluster,
        RawProject,
        RawNetwork,
        RawVpc,
        RawServers,
        RawAgentPool,
        RawK3s,
        RawDatabase,
        RawApiLoadBalancer,
        RawEndpoint,
        RawGitops,
        RawIngress,
        RawCredentials,
        RawGithubApp,
        RawSecretSource,
        RawBackup,
        RawSchedule,
        RawStoreCredentials,
        RawStorage,
        RawCloudController,
        RawAddons,
        RawAddon,
        RawAddonManifest,
        RawAddonHelm,
        RawSshKey,
        RawFreeVpc,
        RawDroplet,
        RawVolume,
        RawFirewall,
        RawInboundRule,
        RawOutboundRule,
        RawLoadBalancer,
        RawForwardingRule,
        RawHealthCheck,
        RawBalancerFirewall,
        RawFreeDatabase,
        RawDatabaseRule,
        RawFreeBucket,
        RawLifecycleRule,
        RawReservedIp,
        RawDomain,
        RawDomainRecord,
        RawImport,
        RawMoved,
        RawRemoved,
        RawDrift,
        RawRestore,
        RawState,
        RawMirror,
    );
    // Every table the schema defines was compared.
    let defined: BTreeSet<String> = schema["$defs"]
        .as_object()
        .expect("definitions")
        .keys()
        .cloned()
        .collect();
    seen.remove(public_name(&RawFile::schema_name()));
    assert_eq!(seen, defined);
}

#[test]
fn the_reader_reads_every_key_it_lists() {
    // A key that KEYS lists and the reader did not match would be reported as unknown.
    fn known<T: RawTable>() {
        for (key, _) in T::KEYS {
            let text = format!("\"{key}\" = 1979-05-27\n");
            let (root, errors) = toml::de::DeTable::parse_recoverable(&text);
            assert!(errors.is_empty());
            let mut report = crate::diagnostic::Report::default();
            let mut context = Context {
                report: &mut report,
                incomplete: true,
            };
            let _table: T = read_root(root.get_ref(), &mut context);
            let source = std::sync::Arc::new(crate::Source::new("f", text.as_str()));
            let findings = report.finish(&source);
            assert_eq!(findings.len(), 1, "{}.{key}", T::schema_name());
            let code = findings[0].code;
            assert!(
                matches!(code, crate::Code::WrongType | crate::Code::SecretLiteral),
                "{}.{key}: {code}",
                T::schema_name()
            );
        }
    }
    known::<RawFile>();
    known::<RawServers>();
    known::<RawGitops>();
    known::<RawCredentials>();
    known::<RawSecretSource>();
    known::<RawDomain>();
    known::<RawDomainRecord>();
}

#[test]
fn no_key_may_be_null() {
    assert!(!json_schema().to_string().contains("null"));
}

fn to_json(value: &toml::Value) -> Value {
    match value {
        toml::Value::String(text) => Value::String(text.clone()),
        toml::Value::Integer(number) => Value::from(*number),
        toml::Value::Float(number) => Value::from(*number),
        toml::Value::Boolean(flag) => Value::Bool(*flag),
        toml::Value::Datetime(time) => Value::String(time.to_string()),
        toml::Value::Array(items) => Value::Array(items.iter().map(to_json).collect()),
        toml::Value::Table(table) => Value::Object(
            table
                .iter()
                .map(|(key, value)| (key.clone(), to_json(value)))
                .collect::<JsonMap<_, _>>(),
        ),
    }
}

#[test]
fn the_schema_accepts_good_files_and_refuses_bad_shapes() {
    let validator = jsonschema::validator_for(&json_schema()).expect("a valid JSON Schema");
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/specs");
    let read = |name: &str| {
        let text = fs::read_to_string(folder.join(name)).expect("spec");
        to_json(&toml::Value::Table(
            text.parse::<toml::Table>().expect("TOML"),
        ))
    };
    for entry in fs::read_dir(folder.join("good")).expect("folder") {
        let name = format!(
            "good/{}",
            entry.expect("entry").file_name().to_string_lossy()
        );
        let errors: Vec<String> = validator
            .iter_errors(&read(&name))
            .map(|error| error.to_string())
            .collect();
        assert!(errors.is_empty(), "{name}: {errors:?}");
    }
    for name in [
        "unknown_key",
        "wrong_type",
        "missing_key",
        "unknown_value",
        "out_of_range",
        "one_of",
    ] {
        assert!(
            !validator.is_valid(&read(&format!("bad/{name}.toml"))),
            "{name}"
        );
    }
}
