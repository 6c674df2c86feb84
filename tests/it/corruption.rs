//! A state folder damaged at random, met by the real program: it plans from the true state, or it
//! ends with a named error and the exit code of one; it never panics and never plans from nothing.
//! The thousand cases are in `state/src/local/tests/corruption.rs`.

use crate::support::{Dice, Folder, SMALL};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// How often the folder is damaged.
const CASES: u64 = 40;

type Files = BTreeMap<PathBuf, Vec<u8>>;

fn collect(dir: &Path, files: &mut Files) {
    for entry in std::fs::read_dir(dir).expect("a folder").flatten() {
        let path = entry.path();
        if path.is_dir() {
            collect(&path, files);
        } else {
            files.insert(path.clone(), std::fs::read(&path).expect("a file"));
        }
    }
}

fn restore(root: &Path, files: &Files) {
    std::fs::remove_dir_all(root).expect("removed");
    for (path, bytes) in files {
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        std::fs::write(path, bytes).expect("written");
    }
}

/// Damages a file; those a state is read from three times out of four.
fn damage(files: &Files, dice: &mut Dice) -> String {
    let read = ["snapshot", "snapshot.1", "journal", "journal.1", "mark"];
    let read_from = |path: &&PathBuf| read.iter().any(|name| path.ends_with(name));
    let chosen: Vec<&PathBuf> = if dice.below(4) > 0 {
        files.keys().filter(read_from).collect()
    } else {
        files.keys().collect()
    };
    let path = chosen[dice.index(chosen.len())];
    let mut bytes = files[path].clone();
    let at = dice.index(bytes.len().max(1));
    let what = match dice.below(6) {
        0 => {
            drop(std::fs::remove_file(path));
            return format!("{} removed", path.display());
        }
        1 => {
            bytes.truncate(at);
            "cut"
        }
        2 => {
            bytes.clear();
            "emptied"
        }
        3 => {
            let end = (at + 300).min(bytes.len());
            bytes[at..end].fill(0);
            "zeroed"
        }
        4 => {
            let tail = bytes[at..].to_vec();
            bytes.extend(tail);
            "its tail doubled"
        }
        _ => {
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= 1 << dice.below(8);
            }
            "a bit flipped"
        }
    };
    std::fs::write(path, bytes).expect("written");
    format!("{} {what} at {at}", path.display())
}

/// One command over the damaged folder; says whether it went well.
fn command(folder: &Folder, arguments: &[&str], what: &str) -> bool {
    let run = folder.kplan(arguments);
    let place = format!("{what}: {arguments:?} ended with {:?}", run.code);
    assert!(
        !run.err.contains("panicked at"),
        "{place}:\n{}\n{}",
        run.out,
        run.err
    );
    match run.code {
        Some(0) => {
            if arguments[0] == "plan" {
                let plan = run.json();
                assert_eq!(plan["changes"]["add"], 0, "{place}: {plan:#}");
                assert_eq!(plan["changes"]["destroy"], 0, "{place}: {plan:#}");
            }
            return true;
        }
        Some(1 | 6) => {}
        _ => panic!("{place}:\n{}\n{}", run.out, run.err),
    }
    let said: Vec<serde_json::Value> = run
        .out
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect();
    let whole = serde_json::from_str::<serde_json::Value>(&run.out).ok();
    let codes = said.iter().chain(&whole).flat_map(codes);
    let known = |code: &String| code.starts_with("state::") || code == "plan::renamed";
    assert!(
        codes.clone().any(|code| known(&code)),
        "{place} without a code of the state's: {:?}\n{}\n{}",
        codes.collect::<Vec<_>>(),
        run.out,
        run.err
    );
    false
}

/// Every `code` in a document.
fn codes(value: &serde_json::Value) -> Vec<String> {
    match value {
        serde_json::Value::Object(map) => map
            .iter()
            .flat_map(|(key, value)| match value.as_str() {
                Some(code) if key == "code" => vec![code.to_owned()],
                _ => codes(value),
            })
            .collect(),
        serde_json::Value::Array(items) => items.iter().flat_map(codes).collect(),
        _ => Vec::new(),
    }
}

#[test]
fn a_damaged_folder_is_repaired_or_refused_by_name() {
    let folder = Folder::with(SMALL);
    folder.apply();
    folder.write(&format!(
        "{SMALL}\n[[volume]]\nname = \"data\"\nsize = 10\n"
    ));
    folder.apply();
    let root = folder.path().join(".kplan/.sandbox/state");
    let mut files = Files::new();
    collect(&root, &mut files);
    let (mut well, mut refused) = (0, 0);
    for seed in 0..CASES {
        let mut dice = Dice::new(seed);
        let damages = 1 + dice.below(3);
        let damages: Vec<String> = (0..damages).map(|_| damage(&files, &mut dice)).collect();
        let what = format!("seed {seed}: {}", damages.join(", "));
        let plan = command(&folder, &["plan", "--sandbox", "--json"], &what);
        command(&folder, &["state", "verify", "--sandbox", "--json"], &what);
        let applied = ["apply", "--sandbox", "--auto-approve", "--json"];
        let applied = command(&folder, &applied, &what);
        if applied {
            folder.assert_no_changes();
        }
        if plan && applied {
            well += 1;
        } else {
            refused += 1;
        }
        restore(&root, &files);
    }
    folder.assert_no_changes();
    println!("{CASES} folders damaged: {well} repaired or whole, {refused} refused");
    assert!(well > 5 && refused > 3);
}
