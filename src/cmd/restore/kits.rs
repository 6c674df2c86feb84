//! Recovery kits that a restore is given: from a file, or from a bucket that nothing here knows of
//! yet; which are taken; and what comes out of one on an empty machine.

use crate::artifacts::LOCK_FILE;
use crate::cli::{Global, RestoreArgs};
use crate::error::{Failure, Problem};
use crate::exit::Exit;
use crate::interrupt::blocking;
use crate::kit::{self, Name, frame};
use crate::render::Terminal;
use crate::wire::{kits_at, no_identity};
use kplan_model::{ObjectStore as _, ProviderError};
use kplan_schema::value::{LocalFile, S3Place, StateBackend};
use kplan_state::KitContents;
use std::collections::BTreeMap;
use std::path::Path;

use super::write_file;

/// Where kits lie in a bucket, below whatever prefix its backups have.
const FOLDER: &str = "plugins/kplan/";

/// The arguments, with the kit of a bucket fetched where `--kit` is a bucket's address: the one with
/// the digest that somebody trusts, else the newest.
///
/// # Errors
/// Where the address is none, there are no keys, or no kit; `kit::which` where the bucket has those of
/// several clusters and none is named.
pub(super) async fn brought(args: &RestoreArgs) -> Result<RestoreArgs, Failure> {
    let mut args = args.clone();
    let Some(address) = args.kit.as_ref().filter(|kit| kit.starts_with("s3://")) else {
        return Ok(args);
    };
    let place = match StateBackend::parse(address) {
        Ok(StateBackend::S3(place)) => in_folder(place),
        Ok(StateBackend::Local) => return Ok(args),
        Err(why) => return Err(Problem::error("kit::address", why).into()),
    };
    let objects = kits_at(&place)?;
    let digest = args.trust_kit.clone();
    let found = blocking(move || -> Result<_, ProviderError> {
        let listing = objects.list("", None)?;
        let keys: Vec<String> = listing.objects.into_iter().map(|it| it.key).collect();
        let key = match chosen(&keys, digest.as_deref()) {
            Ok(key) => key,
            Err(clusters) => return Ok(Err(clusters)),
        };
        Ok(Ok(key.and_then(|key| Some((objects.get(&key).ok()??, key)))))
    })
    .await??;
    match found {
        Ok(Some((bytes, key))) => {
            args.brought = Some(bytes.into());
            args.kit = Some(key);
            Ok(args)
        }
        Ok(None) => {
            let message = format!(
                "the bucket {} has no recovery kit below {}",
                place.bucket, place.prefix
            );
            let help = "is this the bucket of `[backup]`? Where the backups have a prefix there, it is \
                        in front of `plugins/kplan/NAME`";
            Err(Problem::error("kit::missing", message).help(help).into())
        }
        Err(clusters) => {
            let message = format!(
                "the bucket {} has recovery kits of several clusters: {}",
                place.bucket,
                clusters.join(", ")
            );
            let help = format!(
                "name one: s3://{}/{}/NAME, with the same region",
                place.bucket, place.prefix
            );
            Err(Problem::error("kit::which", message).help(help).into())
        }
    }
}

/// The folder of the kits, where the address only says the bucket, or the prefix of its backups.
fn in_folder(mut place: S3Place) -> S3Place {
    let folder = FOLDER.trim_end_matches('/');
    if !format!("{}/", place.prefix).contains(FOLDER) {
        place.prefix = format!("{}{folder}", place.root());
    }
    place
}

/// The kit to take, of these keys below the folder of all kits or of one cluster's; the names of the
/// clusters where there are several.
fn chosen(keys: &[String], digest: Option<&str>) -> Result<Option<String>, Vec<String>> {
    let mut clusters: BTreeMap<&str, BTreeMap<Name, &String>> = BTreeMap::new();
    for key in keys {
        let (cluster, file) = key.rsplit_once('/').unwrap_or(("", key));
        if let Some(name) = Name::parse(file) {
            clusters.entry(cluster).or_default().insert(name, key);
        }
    }
    let trusted = |name: &Name| {
        digest.is_some_and(|digest| digest.to_ascii_lowercase().starts_with(&name.digest))
    };
    let mut all = clusters.values().flatten();
    if let Some((_, key)) = all.find(|(name, _)| trusted(name)) {
        return Ok(Some((*key).clone()));
    }
    if clusters.len() > 1 {
        return Err(clusters.keys().map(|&name| name.to_owned()).collect());
    }
    let newest = clusters.values().next().and_then(BTreeMap::last_key_value);
    Ok(newest.map(|(_, key)| (*key).clone()))
}

/// On an empty machine a kit gives `cluster.toml` and `kplan.lock`, too.
pub(super) fn unpack_here(
    global: &Global,
    args: &RestoreArgs,
    terminal: &mut Terminal,
) -> Result<(), Failure> {
    if global.file.exists() {
        return Ok(());
    }
    let Some(kit) = &args.kit else {
        let message = format!("{} is not here", global.file.display());
        let problem = Problem::error("file::unreadable", message).help(
            "bring it from version control, with kplan.lock beside it. Where that is lost, too, both \
             come out of a recovery kit: --kit 's3://BUCKET?region=REGION' takes the newest in the \
             backup bucket, --kit FILE one in a file",
        );
        return Err(problem.into());
    };
    let bytes = match &args.brought {
        Some(bytes) => bytes.to_vec(),
        None => read_file(Path::new(kit))?,
    };
    let frame = frame::open(&bytes, kit)?;
    trusted(&frame, None, args.trust_kit.as_deref(), kit)?;
    let identity = crate::wire::identity()?.ok_or_else(no_identity)?;
    let contents = KitContents::open(frame.contents(), &identity)?;
    let folder = global.file.parent().unwrap_or(Path::new("."));
    for (name, text) in &contents.files {
        let target = if name == LOCK_FILE {
            kit::trusted_in(folder, global.sandbox)
        } else if let Some(beside) = name.strip_prefix(kit::BESIDE) {
            match LocalFile::parse(beside) {
                Some(path) => folder.join(path.as_str()),
                None => continue,
            }
        } else {
            // There is one besides the lock, whatever it was called where the kit was made.
            global.file.clone()
        };
        if !target.exists() {
            write_file(&target, text)?;
            terminal.note(&format!("Wrote {} from the kit.", target.display()));
        }
    }
    Ok(())
}

pub(super) fn read_file(path: &Path) -> Result<Vec<u8>, Failure> {
    std::fs::read(path).map_err(|error| {
        let message = format!("cannot read {}: {error}", path.display());
        Problem::error("cli::file", message).into()
    })
}

/// Takes a kit that the lock's key signed, or the one whose digest somebody gave.
pub(super) fn trusted(
    frame: &frame::Frame,
    key: Option<&str>,
    digest: Option<&str>,
    what: &str,
) -> Result<(), Failure> {
    if digest.is_some_and(|digest| digest.eq_ignore_ascii_case(&frame.digest))
        || (digest.is_none() && key == Some(frame.header.public_key.as_str()))
    {
        return Ok(());
    }
    let message = match (digest, key) {
        (Some(_), _) => format!(
            "{what} has another digest than --trust-kit says: {}",
            frame.digest
        ),
        (None, None) => format!(
            "nothing here says who may sign recovery kits of {}: kplan.lock has no key for it",
            frame.header.cluster
        ),
        (None, Some(_)) => format!("{what} is not signed by the key in kplan.lock"),
    };
    let problem = Problem::error("kit::not_trusted", message).help(format!(
        "bring kplan.lock from version control, where the last apply's is. A kit decides what runs \
         in your account: only where you know that this one is yours, name it: --trust-kit {}",
        frame.digest
    ));
    Err(Failure::with(Exit::Refused, problem))
}

/// A kit that lies under another name than its own was put there by somebody else.
pub(super) fn as_named(frame: &frame::Frame, name: &str) -> Result<(), Failure> {
    let own = Name::of(frame).to_string();
    if own == name {
        return Ok(());
    }
    let message = format!("{name} is the kit {own} under another name");
    Err(Failure::with(
        Exit::Refused,
        Problem::error("kit::renamed", message),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(at: i64, digest: &str) -> String {
        format!("{at:015}-{:010}-aaaaaaaa-{digest}.kit", 1)
    }

    #[test]
    fn the_newest_kit_is_taken_or_the_trusted_one_and_of_several_clusters_none() {
        let (old, new) = (key(1, "00000000000000aa"), key(2, "00000000000000bb"));
        let keys = vec![
            format!("shop/{new}"),
            format!("shop/{old}"),
            "shop/zzz.kit".to_owned(),
        ];
        assert_eq!(chosen(&keys, None), Ok(Some(keys[0].clone())));
        let digest = format!("00000000000000AA{}", "0".repeat(48));
        assert_eq!(chosen(&keys, Some(&digest)), Ok(Some(keys[1].clone())));
        let both = [keys.clone(), vec![format!("blog/{new}")]].concat();
        assert_eq!(
            chosen(&both, None),
            Err(vec!["blog".to_owned(), "shop".to_owned()])
        );
        assert_eq!(chosen(&both, Some(&digest)), Ok(Some(keys[1].clone())));
        assert_eq!(chosen(&[old.clone(), new.clone()], None), Ok(Some(new)));
        assert_eq!(chosen(&["zzz.kit".to_owned()], None), Ok(None));
    }

    #[test]
    fn an_address_that_says_no_folder_is_about_all_kits() {
        let folder = |text: &str| match StateBackend::parse(text) {
            Ok(StateBackend::S3(place)) => in_folder(place).prefix,
            other => panic!("{other:?}"),
        };
        assert_eq!(folder("s3://acme?region=fra1"), "plugins/kplan");
        assert_eq!(
            folder("s3://acme/velero?region=fra1"),
            "velero/plugins/kplan"
        );
        assert_eq!(folder("s3://acme/plugins/kplan/shop"), "plugins/kplan/shop");
    }
}
