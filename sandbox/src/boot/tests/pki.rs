//! Certificate authorities as an operator would make them: root, intermediate, five CAs.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, PKCS_RSA_SHA256,
};
use sha2::{Digest as _, Sha256};

use crate::spaces::to_hex;

/// One authority with its key.
struct Authority {
    params: CertificateParams,
    key: KeyPair,
    pem: String,
    der: Vec<u8>,
}

fn authority(name: &str, issuer: Option<&Authority>) -> Authority {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![
        KeyUsagePurpose::KeyCertSign,
        KeyUsagePurpose::CrlSign,
        KeyUsagePurpose::DigitalSignature,
    ];
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    let key = KeyPair::generate().unwrap();
    let certificate = match issuer {
        Some(issuer) => params
            .signed_by(&key, &Issuer::from_params(&issuer.params, &issuer.key))
            .unwrap(),
        None => params.self_signed(&key).unwrap(),
    };
    Authority {
        pem: certificate.pem(),
        der: certificate.der().to_vec(),
        params,
        key,
    }
}

/// The CA files of one cluster.
pub(crate) struct Pki {
    /// Path below `var/lib/rancher/k3s/server/tls/` to content.
    pub files: BTreeMap<String, String>,
    /// What tokens pin.
    pub root: String,
    client_ca: Authority,
    /// PEM of the chain that signs serving certificates.
    pub server_chain: String,
}

impl Pki {
    /// New authorities.
    pub(crate) fn new() -> Pki {
        let root = authority("root", None);
        let middle = authority("intermediate", Some(&root));
        let mut files = BTreeMap::new();
        let mut client_ca = None;
        for name in [
            "server-ca",
            "client-ca",
            "request-header-ca",
            "etcd/peer-ca",
            "etcd/server-ca",
        ] {
            let own = authority(name, Some(&middle));
            files.insert(
                format!("{name}.crt"),
                format!("{}{}{}", own.pem, middle.pem, root.pem),
            );
            files.insert(format!("{name}.key"), own.key.serialize_pem());
            if name == "client-ca" {
                client_ca = Some(own);
            }
        }
        files.insert("service.key".to_owned(), SERVICE_KEY.clone());
        let server_chain = files["server-ca.crt"].clone();
        Pki {
            root: to_hex(&Sha256::digest(&root.der)),
            files,
            client_ca: client_ca.unwrap(),
            server_chain,
        }
    }

    /// A client certificate and its key, PEM, of a member of `system:masters`.
    pub(crate) fn admin(&self) -> String {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, "admin");
        params
            .distinguished_name
            .push(DnType::OrganizationName, "system:masters");
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let key = KeyPair::generate().unwrap();
        let issuer = Issuer::from_params(&self.client_ca.params, &self.client_ca.key);
        format!(
            "{}{}",
            params.signed_by(&key, &issuer).unwrap().pem(),
            key.serialize_pem()
        )
    }
}

/// RSA keys take long to make; all tests share one.
static SERVICE_KEY: LazyLock<String> = LazyLock::new(|| {
    KeyPair::generate_for(&PKCS_RSA_SHA256)
        .unwrap()
        .serialize_pem()
});

/// The authorities most tests use.
pub(crate) static PKI: LazyLock<Pki> = LazyLock::new(Pki::new);
