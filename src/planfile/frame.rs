//! The bytes of a plan file: one line that says what follows, and a JSON document.
//!
//! `kplan-plan 1 LENGTH sha256:… SEAL`: the digest tells damage from everybody, the seal (an HMAC
//! under a key of the state's) tells a forgery from whoever has the state's identity.

use super::{FORMAT, PlanFile, sha256};
use crate::error::{Failure, Problem};
use crate::exit::Exit;
use kplan_state::Keyring;

const MAGIC: &str = "kplan-plan";
/// No plan file is larger: 100,000 resources give a tenth of it.
const MOST: usize = 1 << 30;

/// A plan file as it was read: whole, but its seal is not checked yet.
#[derive(Debug)]
pub struct Sealed {
    /// The plan.
    pub plan: PlanFile,
    payload: Vec<u8>,
    seal: String,
}

impl Sealed {
    /// Whether the seal is the one that these keys make.
    ///
    /// # Errors
    /// `planfile::forged`.
    pub fn check(&self, keyring: &Keyring) -> Result<(), Failure> {
        if keyring.seal_plan(&self.payload) == self.seal {
            return Ok(());
        }
        Err(invalid(
            "planfile::forged",
            "the plan file was changed after kplan wrote it: its seal does not fit",
        ))
    }
}

/// The file's bytes.
///
/// # Errors
/// Those of serializing, which a value of this type does not have.
pub fn write(plan: &PlanFile, keyring: &Keyring) -> Result<Vec<u8>, serde_json::Error> {
    let payload = serde_json::to_vec(plan)?;
    let head = format!(
        "{MAGIC} {FORMAT} {} {} {}\n",
        payload.len(),
        sha256(&payload),
        keyring.seal_plan(&payload)
    );
    Ok([head.into_bytes(), payload].concat())
}

/// Reads a plan file.
///
/// # Errors
/// `planfile::not_one`, `planfile::format`, `planfile::truncated`, `planfile::longer`,
/// `planfile::damaged`.
pub fn read(bytes: Vec<u8>) -> Result<Sealed, Failure> {
    let line = bytes.iter().take(256).position(|byte| *byte == b'\n');
    let head = line.and_then(|end| std::str::from_utf8(&bytes[..end]).ok());
    let parts: Vec<&str> = head.unwrap_or_default().split(' ').collect();
    let (&[magic, format, length, digest, seal], Some(end)) = (&parts[..], line) else {
        return Err(not_one(&bytes));
    };
    if magic != MAGIC {
        return Err(not_one(&bytes));
    }
    if format != FORMAT.to_string() {
        return Err(invalid(
            "planfile::format",
            format!("the plan file has format {format}; this kplan reads format {FORMAT}"),
        ));
    }
    let payload = bytes[end + 1..].to_vec();
    let wanted: usize = length.parse().unwrap_or(usize::MAX);
    if payload.len() < wanted && wanted <= MOST {
        return Err(invalid(
            "planfile::truncated",
            format!(
                "the plan file is cut off: it has {} of {wanted} bytes",
                payload.len()
            ),
        ));
    }
    if payload.len() > wanted {
        return Err(invalid(
            "planfile::longer",
            format!(
                "the plan file has {} bytes more than it says",
                payload.len() - wanted
            ),
        ));
    }
    if sha256(&payload) != digest {
        return Err(invalid(
            "planfile::damaged",
            "the plan file is damaged: its digest is not the one it says",
        ));
    }
    let plan = serde_json::from_slice(&payload).map_err(|cause| {
        invalid(
            "planfile::unreadable",
            format!("the plan file holds something that is no plan: {cause}"),
        )
    })?;
    Ok(Sealed {
        plan,
        payload,
        seal: seal.to_owned(),
    })
}

fn not_one(bytes: &[u8]) -> Failure {
    let message = if bytes.is_empty() {
        "the plan file is empty"
    } else {
        "that is no plan file: it does not begin as one"
    };
    let problem = Problem::error("planfile::not_one", message);
    problem
        .help("`kplan plan --out FILE` writes plan files")
        .into()
}

/// A file that no longer stands for a plan.
pub(super) fn invalid(code: &str, message: impl Into<String>) -> Failure {
    let problem = Problem::error(code, message).help(
        "nothing was changed. Make the plan anew with `kplan plan --out FILE`, and have it read again",
    );
    Failure::with(Exit::StalePlan, problem)
}
