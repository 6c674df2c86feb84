//! A real process, killed with SIGKILL at random moments while it appends as fast as it can.

use super::Place;
use crate::local::{LocalWriter, WriteOptions};
use crate::testing::succeeded;
use crate::{Identity, code};
use kplan_model::{Journal as _, Value};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

const DIR: &str = "KPLAN_TEST_STATE_DIR";
const IDENTITY: &str = "KPLAN_TEST_STATE_IDENTITY";
const KILLS: usize = 12;

fn options() -> WriteOptions {
    WriteOptions {
        checkpoint_bytes: 4_000,
        ..WriteOptions::new("kplan apply")
    }
}

/// What the killed process runs, and nothing in any other. It says every number after it was
/// acknowledged.
#[test]
fn child() {
    let (Ok(dir), Ok(identity)) = (std::env::var(DIR), std::env::var(IDENTITY)) else {
        return;
    };
    let identity = Identity::load(&PathBuf::from(identity)).unwrap().unwrap();
    let mut writer = LocalWriter::open(&PathBuf::from(dir), "demo", &identity, &options()).unwrap();
    for number in writer.snapshot().serial + 1.. {
        let mut entry = succeeded("a", "1");
        if let kplan_model::JournalEvent::Succeeded {
            record: Some(record),
            ..
        } = &mut entry.event
        {
            let number = i64::try_from(number).unwrap();
            record.args.insert("number".to_owned(), Value::Int(number));
        }
        writer.append(&[entry]).unwrap();
        println!("acknowledged {number}");
        std::io::stdout().flush().unwrap();
    }
}

fn spawn(place: &Place, identity: &std::path::Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "local::tests::process::child", "--nocapture"])
        .env(DIR, &place.path)
        .env(IDENTITY, identity)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

#[test]
fn killed_at_any_moment_everything_acknowledged_is_there() {
    let mut place = Place::new();
    let file = place.path.parent().unwrap().join("identity");
    place.identity = Identity::load_or_create(&file).unwrap().0;
    let mut last = 0;
    for round in 0..KILLS {
        let mut child = spawn(&place, &file);
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut seen = 0;
        while seen < 1 + round * 7 {
            let line = lines.next().expect("the child goes on").unwrap();
            if let Some((_, number)) = line.split_once("acknowledged ") {
                last = number.trim().parse::<u64>().unwrap();
                seen += 1;
            }
        }
        let locked = place.try_writer().err().unwrap();
        assert_eq!(locked.code, code::LOCKED);
        assert!(locked.message.contains(&child.id().to_string()), "{locked}");
        child.kill().unwrap();
        // What it said before it died counts too.
        for line in lines.map_while(Result::ok) {
            if let Some((_, number)) = line.split_once("acknowledged ") {
                last = number.trim().parse().unwrap_or(last);
            }
        }
        child.wait().unwrap();
        let state = place.state();
        assert!(
            state.serial == last || state.serial == last + 1,
            "{} {last}",
            state.serial
        );
        let number = &state.resources[&crate::testing::address("a")].args["number"];
        assert_eq!(number.as_int(), i64::try_from(state.serial).ok());
        let writer = place.writer();
        assert_eq!(writer.snapshot(), &state);
        last = state.serial;
    }
}
