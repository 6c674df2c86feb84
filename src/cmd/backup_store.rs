//! A bucket of the operator's own that may have backups of another life: what volumes hold in them
//! opens with the password they were begun with, and Velero says so only when it is too late.

use crate::cmd::session::Session;
use crate::compose::storage;
use crate::error::{Failure, Problem};
use crate::exit::Exit;
use crate::load::{self, Secrets};
use kplan_model::{ErrorKind, Snapshot};
use kplan_providers::spaces::Keys;
use kplan_schema::spec::BackupStore;
use kplan_schema::value::S3Place;

/// Refuses a password that kplan would make for a bucket in which volumes were backed up already.
/// Asks the store only where that could be.
pub async fn can_be_opened(
    session: &Session,
    snapshot: &Snapshot,
    secrets: &Secrets,
) -> Result<(), Failure> {
    let Some(backup) = &session.loaded.spec.backup else {
        return Ok(());
    };
    let BackupStore::Existing {
        place,
        access_key,
        secret_key,
    } = &backup.store
    else {
        return Ok(());
    };
    let on_record = snapshot.resources.contains_key(&storage::backup_password());
    let Some(key) = secrets.get(&secret_key.value) else {
        return Ok(());
    };
    if on_record || backup.repository_password.is_some() {
        return Ok(());
    }
    let keys = Keys {
        access_key: access_key.as_str().to_owned(),
        secret_key: key.clone(),
    };
    let spaces = &session.adapters.spaces;
    let objects = spaces.objects_at(&place.url(), place.region(), &place.bucket, &keys)?;
    match objects.any(&repositories(place)).await {
        Ok(false) => Ok(()),
        // The embedded cloud has buckets of its own, and none of somebody else's.
        Err(error) if session.cloud.embedded && error.kind == ErrorKind::NotFound => Ok(()),
        Ok(true) => Err(begun_before(session, place, place.span)),
        Err(error) => Err(error.into()),
    }
}

/// Where Velero's Kopia keeps what volumes hold.
fn repositories(place: &S3Place) -> String {
    format!("{}kopia/", place.root())
}

fn begun_before(session: &Session, place: &S3Place, span: Option<kplan_schema::Span>) -> Failure {
    let message = format!(
        "the bucket {} has backups of volumes already, under {}, and this cluster does not know \
         their password",
        place.bucket,
        repositories(place)
    );
    let problem = Problem::error("backup::password_unknown", message).help(
        "give their password with `[backup] repository_password = { env = \"…\" }` (a Velero that \
         nobody gave one uses `static-passw0rd`), or choose another prefix. With a password that \
         kplan makes no volume could be restored, and none backed up",
    );
    Failure::with(Exit::Refused, session.at(problem, load::origin(span)))
}
