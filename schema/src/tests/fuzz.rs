//! Whatever the bytes, the parser ends soon, does not panic, and points into the file.

use std::thread;
use std::time::{Duration, Instant};

use miette::{GraphicalReportHandler, GraphicalTheme};
use proptest::prelude::*;

use super::mutate::{Random, corpus, mutate, rounds};
use super::{parse_text, spec_files};
use crate::{MAX_SOURCE_BYTES, Parsed};

/// What stands in these files, or looks as if.
const PIECES: &[&str] = &[
    "[[",
    "]]",
    "\"\"\"",
    "'''",
    "1979-05-27T07:32:00Z",
    "{ env = 1 }",
    "ghp_0123456789abcdef",
    "-----BEGIN PRIVATE KEY-----",
    "[servers]\n",
    "a.b.c = 1\n",
    "[cluster.name]\n",
    "[[servers]]\n",
    "[agents]\n",
    "servers.count = 0\n",
    "\"\" = 1\n",
];

fn mutated(random: &mut Random, base: &str, other: &str) -> String {
    let bytes = mutate(random, base.as_bytes(), other.as_bytes(), PIECES);
    String::from_utf8_lossy(&bytes).into_owned()
}

/// What has to hold of every result.
fn check(text: &str, parsed: &Parsed) {
    let errors = parsed
        .diagnostics
        .iter()
        .any(crate::SpecDiagnostic::is_error);
    assert_eq!(parsed.spec.is_none(), errors, "{text:?}");
    if text.len() <= MAX_SOURCE_BYTES {
        assert_eq!(parsed.source.text().len(), text.len(), "{text:?}");
    }
    for label in parsed
        .diagnostics
        .iter()
        .flat_map(|finding| &finding.labels)
    {
        let (start, end) = (label.span.start, label.span.end);
        assert!(
            parsed.source.text().get(start..end).is_some(),
            "{start}..{end} of {text:?}"
        );
        let position = parsed.source.position(start);
        assert!(parsed.source.line(position.line).is_some(), "{text:?}");
    }
}

const MUTATIONS: u64 = 100_000;

/// The corpus, bytes that are no text replaced.
fn texts() -> impl Iterator<Item = String> {
    let files = corpus("spec").into_iter();
    files.map(|(_, bytes)| String::from_utf8_lossy(&bytes).into_owned())
}

#[test]
fn the_corpus_is_survived() {
    for text in texts() {
        check(&text, &parse_text(&text));
    }
}

#[test]
fn a_hundred_thousand_mutated_files_are_survived() {
    let mut bases: Vec<String> = spec_files("good")
        .into_iter()
        .map(|(_, text)| text)
        .collect();
    bases.extend(spec_files("bad").into_iter().map(|(_, text)| text));
    bases.extend(texts());
    // Small files reach as deep as large ones, and more of them fit into a second.
    bases.retain(|text| text.len() <= 700);
    let workers =
        thread::available_parallelism().map_or(1, |n| u64::try_from(n.get()).unwrap_or(1));
    thread::scope(|scope| {
        for worker in 0..workers {
            let bases = &bases;
            scope.spawn(move || {
                let handler = GraphicalReportHandler::new_themed(GraphicalTheme::unicode_nocolor());
                for number in
                    (worker..rounds(MUTATIONS)).step_by(usize::try_from(workers).expect("few"))
                {
                    let mut random = Random::new(number);
                    let base = &bases[random.below(bases.len())];
                    let other = &bases[random.below(bases.len())];
                    let text = mutated(&mut random, base, other);
                    let parsed = parse_text(&text);
                    check(&text, &parsed);
                    if number % 100 == 0 {
                        for finding in &parsed.diagnostics {
                            let mut out = String::new();
                            handler.render_report(&mut out, finding).expect("rendered");
                        }
                    }
                }
            });
        }
    });
}

fn numbered(count: usize, piece: impl Fn(usize) -> String) -> String {
    (0..count).fold(String::new(), |text, i| text + &piece(i))
}

#[test]
fn bombs_end_soon() {
    const MEGABYTE: usize = 1_000_000;
    let repeat = |piece: &str| piece.repeat(MEGABYTE / piece.len());
    let bombs = [
        ("open brackets", repeat("[")),
        ("open arrays", format!("a = {}", repeat("["))),
        ("open inline tables", format!("a = {}", repeat("{a="))),
        (
            "closed arrays",
            format!("a = {}{}", "[".repeat(400_000), "]".repeat(400_000)),
        ),
        ("dotted keys", format!("{}a = 1", repeat("a."))),
        ("dotted header", format!("[{}a]", repeat("a."))),
        ("headers", repeat("[a]\n")),
        ("lists of tables", repeat("[[agents]]\n")),
        (
            "unknown keys",
            numbered(60_000, |i| format!("key{i} = 1\n")),
        ),
        ("one long line", format!("a = \"{}\"", repeat("x"))),
        ("one long key", format!("{} = 1", repeat("x"))),
        ("quotes", repeat("\"")),
        ("lines", repeat("\n")),
        ("equals", repeat("=")),
        ("secrets", repeat("token = \"ghp_0123456789abcdef\"\n")),
        ("key headers", repeat("-----BEGIN PRIVATE KEY-----\n")),
        ("key beginnings", repeat("-----BEGIN ")),
        ("prefixes", repeat("ghp_")),
        ("multi-byte", repeat("é")),
        (
            "unknown values",
            format!(
                "[network]\napi_allow = [{}]\n",
                numbered(50_000, |i| format!("\"{i}\","))
            ),
        ),
        (
            "distinct pools",
            numbered(20_000, |i| {
                format!("[[agents]]\nname=\"p{i}\"\nsize=\"s-2vcpu-4gb\"\n")
            }),
        ),
        (
            "equal pools",
            repeat("[[agents]]\nname=\"p\"\nsize=\"s-2vcpu-4gb\"\n"),
        ),
    ];
    for (name, text) in bombs {
        let start = Instant::now();
        check(&text, &parse_text(&text));
        let took = start.elapsed();
        // Generous: a hang is what is looked for, on a busy machine and without optimisation.
        assert!(took < Duration::from_secs(30), "{name} took {took:?}");
        println!("{name}: {took:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_survived(text in "(?s).{0,200}") {
        check(&text, &parse_text(&text));
    }

    #[test]
    fn any_keys_and_values_are_survived(
        table in "(cluster|servers|network|gitops|backup|k3s|k3s\\.database|project|endpoint)",
        key in "(name|count|size|region|vpc|api_allow|repo|credentials|schedules|version|[a-z]{1,9})",
        value in prop_oneof![
            Just("true".to_owned()), Just("1.5".to_owned()), Just("{}".to_owned()),
            Just("[[[]]]".to_owned()), any::<i64>().prop_map(|n| n.to_string()),
            "\"[ -!#-\\[\\]-~é🙂]{0,80}\"", Just("{ env = [] }".to_owned()),
        ],
    ) {
        let text = format!("[{table}]\n{key} = {value}\n");
        check(&text, &parse_text(&text));
    }

    #[test]
    fn a_written_region_name_and_size_come_back(
        name in "[a-z]([a-z0-9-]{0,20}[a-z0-9])?",
        cpus in 1_u32..64, memory in 2_u32..512, count in (0_u32..4).prop_map(|n| 2 * n + 1),
    ) {
        let text = format!(
            "[cluster]\nname = \"{name}\"\nregion = \"fra1\"\n[servers]\ncount = {count}\n\
             size = \"g-{cpus}vcpu-{memory}gb\"\n[load_balancer.api]\n"
        );
        let spec = parse_text(&text).spec.expect("a good file");
        prop_assert_eq!(spec.name(), name.as_str());
        prop_assert_eq!(spec.server_count(), count);
        prop_assert_eq!(spec.servers.size.vcpus(), cpus);
        prop_assert_eq!(spec.servers.size.memory_mib(), Some(memory * 1024));
    }
}
