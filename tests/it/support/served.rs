//! The certificates that the servers of a folder's cluster show.

use super::Folder;
use kplan_providers::k3s::served_certificate;
use serde_json::Value;
use std::collections::BTreeSet;
use tokio::runtime::Runtime;
use x509_parser::prelude::{FromDer as _, GeneralName, X509Certificate};

impl Folder {
    /// The certificate shown at an address, such as `https://203.0.113.7:6443`, DER.
    #[track_caller]
    fn served_at(&self, server: &str) -> Vec<u8> {
        let note = self.path().join(".kplan/.sandbox/cloud/endpoint.json");
        let note = std::fs::read_to_string(note).expect("the cloud's addresses");
        let note: Value = serde_json::from_str(&note).expect("the cloud's addresses");
        let proxy = note["endpoints"]["proxy_url"].as_str();
        let shown = served_certificate(server, proxy);
        let runtime = Runtime::new().expect("a runtime");
        runtime.block_on(shown).expect("a certificate")
    }

    /// Names and addresses in the certificate shown there.
    #[track_caller]
    pub(crate) fn names_served_at(&self, server: &str) -> BTreeSet<String> {
        let shown = self.served_at(server);
        let (_, leaf) = X509Certificate::from_der(&shown).expect("a certificate");
        let names = leaf.subject_alternative_name().expect("an extension");
        let names = names.expect("names").value.general_names.iter();
        let name = |one: &GeneralName<'_>| match one {
            GeneralName::DNSName(name) => Some((*name).to_owned()),
            GeneralName::IPAddress(bytes) => {
                let bytes: [u8; 4] = (*bytes).try_into().ok()?;
                Some(std::net::Ipv4Addr::from(bytes).to_string())
            }
            _ => None,
        };
        names.filter_map(name).collect()
    }

    /// The public keys of the certificates shown there at so many connections, DER.
    #[track_caller]
    pub(crate) fn keys_served_at(&self, server: &str, times: u32) -> BTreeSet<Vec<u8>> {
        let key = |_| {
            let shown = self.served_at(server);
            let (_, leaf) = X509Certificate::from_der(&shown).expect("a certificate");
            leaf.public_key().raw.to_vec()
        };
        (0..times).map(key).collect()
    }
}
