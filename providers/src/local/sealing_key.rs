//! `sealing_key`: the key of Sealed Secrets. It is made here, and not in the cluster, so that it is
//! on record: without it, no sealed secret in Git can be read by the cluster that comes after.

use super::kept::{Made, RandomPasswordArgs, info};
use crate::k3s::pki::authority::{self, Subject};
use kplan_model::{Change, Field, KindInfo, ProviderError, Secret, Timestamp};
use std::time::Duration;

/// How long the certificate is valid; `kubeseal` refuses one that is over. The controller's own are
/// valid for ten years.
const VALID: Duration = Duration::from_hours(10 * 365 * 24);

kplan_model::object! {
    /// A key pair that was made.
    pub struct SealingKeyAttrs {
        /// What it opens.
        pub purpose: String,
        /// RSA of 4096 bits, PKCS #8 in PEM.
        pub private_key: Secret,
        /// What secrets are sealed with, in PEM.
        pub certificate: String,
    }
}

static FIELDS: &[Field] = &[
    Field::new("purpose", Change::Replace, "What the key opens."),
    Field::computed("private_key", "The RSA key, PKCS #8 in PEM.").secret(),
    Field::computed("certificate", "What secrets are sealed with, in PEM."),
];

static INFO: KindInfo = info(
    ("sealing_key", "tls_self_signed_cert"),
    "The key of Sealed Secrets.",
    (FIELDS, &["purpose"]),
    Some("a key, and with it every secret that was sealed for the cluster,"),
);

/// For secrets that are sealed outside the cluster.
pub struct Sealing;

impl Made for Sealing {
    type Args = RandomPasswordArgs;
    type Attrs = SealingKeyAttrs;
    const INFO: &'static KindInfo = &INFO;

    fn make(args: &RandomPasswordArgs, now: Timestamp) -> Result<SealingKeyAttrs, ProviderError> {
        let subject = Subject {
            name: "sealed-secret",
            groups: &[],
            now,
            valid: VALID,
        };
        let signed = authority::sealing(subject)?;
        Ok(SealingKeyAttrs {
            purpose: args.purpose.clone(),
            private_key: signed.key,
            certificate: signed.certificate,
        })
    }
}
