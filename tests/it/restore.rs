//! A cluster that comes back from its bucket: the state from a signed kit, what ran in it from a
//! backup.

use crate::support::bucket::SpacesAccess;
use crate::support::{Folder, Run};
use kplan::kit::frame;
use kplan_model::ObjectStore as _;
use kplan_providers::local::{Made as _, RandomPasswordArgs, Signing};
use kplan_providers::recovery::Signer;

const BUCKET: &str = "acme-single-backup";
const KITS: &str = "plugins/kplan/single/";
const RESTORE: &[&str] = &["restore", "--sandbox", "--auto-approve"];

/// The example, applied, and a key to its bucket that does not come out of its state.
struct Life {
    folder: Folder,
    keys: SpacesAccess,
}

impl Life {
    fn begin() -> Self {
        let folder = Folder::example("single-node");
        folder.apply().ok();
        let keys = SpacesAccess::of(&folder);
        Self { folder, keys }
    }

    fn kplan(&self, arguments: &[&str]) -> Run {
        let mut command = self.folder.command(arguments);
        command
            .env("SPACES_ACCESS_KEY_ID", &self.keys.access_key)
            .env("SPACES_SECRET_ACCESS_KEY", &self.keys.secret_key);
        Run::of(command)
    }

    fn lose_the_state(&self) {
        let state = self.folder.path().join(".kplan/.sandbox/state");
        std::fs::remove_dir_all(state).expect("the state was there");
    }

    fn kits(&self) -> Vec<String> {
        let kits = self.keys.objects(BUCKET, KITS);
        let listing = kits.list("", None).expect("a list");
        listing.objects.into_iter().map(|kit| kit.key).collect()
    }
}

fn stranger() -> Signer {
    let purpose = "somebody else's".to_owned();
    let made = Signing::make(&RandomPasswordArgs { purpose }).expect("a key");
    Signer {
        private_key: made.private_key,
        public_key: made.public_key,
    }
}

#[test]
fn a_lost_state_comes_back_from_its_kit_and_nothing_else_changes() {
    let life = Life::begin();
    let before = life.folder.inspect();
    life.lose_the_state();
    // Without it a second cluster of that name is refused, and the way out is named.
    let refused = life.kplan(&["plan", "--sandbox"]).expect_code(6);
    assert!(refused.err.contains("kplan restore"), "{}", refused.err);
    let back = life.kplan(RESTORE).ok();
    assert!(back.out.contains("only its state was lost"), "{}", back.out);
    assert_eq!(life.folder.inspect()["resources"], before["resources"]);
    life.folder.assert_no_changes();
    let again = life.kplan(RESTORE).expect_code(6);
    assert!(again.err.contains("restore::not_lost"), "{}", again.err);
}

#[test]
fn a_kit_of_somebody_elses_is_refused_unless_it_is_named_by_its_digest() {
    let life = Life::begin();
    let kits = life.keys.objects(BUCKET, KITS);
    let newest = life.kits().pop().expect("a kit");
    let ours = kits.get(&newest).expect("an answer").expect("a kit");
    let taken = frame::open(&ours, "ours").expect("a whole kit");
    let header = &taken.header;
    let state = (header.lineage.as_str(), header.serial + 1);
    // The same contents, which only need public keys to be made, under another signature.
    let forged = frame::seal("single", state, 0, taken.contents(), &stranger()).expect("a kit");
    kits.put_new("999999999999-0.kit", &forged)
        .expect("it is put");
    life.lose_the_state();
    let refused = life.kplan(RESTORE).expect_code(6);
    assert!(refused.err.contains("kit::not_trusted"), "{}", refused.err);
    let mut named = RESTORE.to_vec();
    named.extend(["--kit", &newest]);
    let wrong: Vec<&str> = [named.as_slice(), &["--trust-kit", "00"]].concat();
    life.kplan(&wrong).expect_code(6);
    // One byte of the contents.
    let mut damaged = ours.clone();
    *damaged.last_mut().expect("a byte") ^= 1;
    std::fs::write(life.folder.path().join("damaged.kit"), damaged).expect("a file");
    let damaged: Vec<&str> = [RESTORE, &["--kit", "damaged.kit"]].concat();
    let refused = life.kplan(&damaged).expect_code(1);
    assert!(refused.err.contains("kit::damaged"), "{}", refused.err);
    // The lock is gone, too: nobody says whose kits are good.
    let lock = life.folder.path().join(".kplan/.sandbox/kplan.lock");
    std::fs::remove_file(lock).expect("the lock was there");
    let refused = life.kplan(&named).expect_code(6);
    assert!(refused.err.contains(&taken.digest), "{}", refused.err);
    let trusted: Vec<&str> = [named.as_slice(), &["--trust-kit", &taken.digest]].concat();
    life.kplan(&trusted).ok();
    life.folder.assert_no_changes();
}

#[test]
fn a_kit_is_there_before_the_first_droplet_and_the_last_ten_stay() {
    let life = Life::begin();
    let plan = Folder::example("single-node");
    let graph = plan.kplan(&["graph", "--json"]).ok().json().to_string();
    assert!(graph.contains("recovery_kit.main"), "{graph}");
    assert_eq!(
        life.kits().len(),
        2,
        "one before the droplet, one after the apply"
    );
    let kits = life.keys.objects(BUCKET, KITS);
    for kit in life.kits() {
        let bytes = kits.get(&kit).expect("an answer").expect("a kit");
        let text = String::from_utf8_lossy(&bytes).into_owned();
        assert!(!text.contains("BEGIN"), "{kit} has a key in plain text");
        assert!(!text.contains("fra1"), "{kit} has the file in plain text");
    }
    for round in 0..10 {
        let text = std::fs::read_to_string(life.folder.path().join("cluster.toml"));
        let text = text.expect("the file");
        let keep = format!("keep = \"{}d\"", 31 + round);
        let at = text.find("keep = \"").expect("a schedule");
        let end = at + text[at..].find('d').expect("days") + 2;
        life.folder
            .write(&format!("{}{keep}{}", &text[..at], &text[end..]));
        life.folder.apply().ok();
    }
    assert_eq!(life.kits().len(), 10);
}
