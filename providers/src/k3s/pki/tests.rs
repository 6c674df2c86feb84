//! The chains of trust, held against an X.509 reader and openssl.

use super::secret::{Joiner, sha256_hex, token};
use super::*;
use kplan_conformance::skipped;
use kplan_model::ObjectCodec as _;
use rcgen::{CertificateParams, ExtendedKeyUsagePurpose, Issuer, KeyPair, KeyUsagePurpose};
use std::fs;
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::sync::LazyLock;
use x509_parser::pem::Pem;
use x509_parser::prelude::*;

/// One PKI for all tests: the RSA key takes a while unoptimised.
pub(crate) static PKI: LazyLock<PkiAttrs> =
    LazyLock::new(|| generate("demo-3f9a1c2e", Timestamp::from_seconds(1_790_000_000)).unwrap());

fn certificates(chain: &str) -> Vec<Pem> {
    Pem::iter_from_buffer(chain.as_bytes())
        .map(Result::unwrap)
        .collect()
}

fn chains(pki: &PkiAttrs) -> [(&'static str, &str); 5] {
    let all = &pki.certificates;
    [
        ("server-ca", &all.server_ca),
        ("client-ca", &all.client_ca),
        ("request-header-ca", &all.request_header_ca),
        ("etcd-peer-ca", &all.etcd_peer_ca),
        ("etcd-server-ca", &all.etcd_server_ca),
    ]
}

#[test]
fn every_authority_is_a_chain_to_one_root() {
    let pki = &*PKI;
    let root = certificates(&pki.root_certificate).remove(0);
    for (name, chain) in chains(pki) {
        let chain = certificates(chain);
        assert_eq!(chain.len(), 3, "{name}");
        assert_eq!(chain[2].contents, root.contents, "{name}");
        let parsed: Vec<X509Certificate<'_>> =
            chain.iter().map(|pem| pem.parse_x509().unwrap()).collect();
        for pair in parsed.windows(2) {
            assert!(
                pair[0].verify_signature(Some(pair[1].public_key())).is_ok(),
                "{name}"
            );
            assert_eq!(pair[0].issuer(), pair[1].subject(), "{name}");
        }
        assert!(parsed[0].is_ca() && parsed[1].is_ca() && parsed[2].is_ca());
        assert!(
            parsed[0].subject().to_string().ends_with(name),
            "{}",
            parsed[0].subject()
        );
        let years = |cert: &X509Certificate<'_>| {
            let validity = cert.validity();
            (validity.not_after.timestamp() - validity.not_before.timestamp()) / (365 * 86_400)
        };
        assert_eq!(parsed.iter().map(years).collect::<Vec<_>>(), [10, 20, 20]);
    }
}

#[test]
fn the_token_pins_the_root_as_k3s_does() {
    let pki = &*PKI;
    // K3s: more than one certificate served, so the digest of the root's DER.
    let der = certificates(&pki.certificates.server_ca).remove(2).contents;
    assert_eq!(pki.token_hash, sha256_hex(&der));
    let token = token(&pki.token_hash, Joiner::Agent, "s");
    assert_eq!(token, format!("K10{}::node:s", pki.token_hash));
}

#[test]
fn nothing_is_made_twice() {
    let other = generate("demo-3f9a1c2e", Timestamp::from_seconds(1_790_000_000)).unwrap();
    let pki = &*PKI;
    assert_ne!(other.token_hash, pki.token_hash);
    assert_ne!(other.server_token, pki.server_token);
    assert_ne!(pki.server_token, pki.agent_token);
    assert_ne!(other.ssh_public_key, pki.ssh_public_key);
    assert!(
        pki.ssh_public_key
            .starts_with("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI")
    );
}

#[test]
fn the_record_reads_back_and_shows_no_key() {
    let mut pki = PKI.clone();
    pki.server_token_before = Some(pki.server_token.clone());
    let object = pki.to_object();
    assert_eq!(PkiAttrs::from_object(&object).unwrap(), pki);
    let shown = format!("{object:?}");
    assert!(!shown.contains("PRIVATE KEY"));
    for field in PkiAttrs::NAMES {
        let secret = object[*field].has_secret();
        assert_eq!(
            INFO.field(field).map(|field| field.secret),
            Some(secret),
            "{field}"
        );
    }
}

#[tokio::test]
async fn another_server_token_keeps_the_one_before() {
    let kind = Pki::new(Arc::new(|| Timestamp(0)));
    let args = |after| PkiArgs {
        cluster: PKI.cluster.clone(),
        agent_token_after: None,
        server_token_after: after,
    };
    let known = Known {
        address: kplan_model::Address::new(Kind::new("pki"), "cluster"),
        id: RemoteId::new("pki"),
        args: args(None).to_object(),
        attrs: PKI.to_object(),
    };
    let permit = crate::k3s::testing::permit("pki.cluster");
    let changed: FieldSet = std::iter::once("server_token_after").collect();
    let made = kind
        .update(&known, &args(Some(1)), &changed, &permit)
        .await
        .unwrap();
    assert_ne!(made.server_token, PKI.server_token);
    assert_eq!(made.server_token_before.as_ref(), Some(&PKI.server_token));
    assert_eq!(made.agent_token, PKI.agent_token);
}

/// Calls openssl with words separated by spaces; whether it agreed, and what it said.
fn openssl(words: &str, input: &str) -> Option<(bool, String)> {
    let mut child = Command::new("openssl")
        .args(words.split(' '))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .ok()?;
    // It may end before it has read everything.
    drop(child.stdin.take()?.write_all(input.as_bytes()));
    let output = child.wait_with_output().ok()?;
    let text = [output.stdout, output.stderr].concat();
    Some((
        output.status.success(),
        String::from_utf8_lossy(&text).into_owned(),
    ))
}

/// A folder for openssl, and the root in it.
struct Desk {
    folder: tempfile::TempDir,
    root: String,
}

impl Desk {
    fn new() -> Self {
        let folder = tempfile::TempDir::new().unwrap();
        let mut desk = Self {
            folder,
            root: String::new(),
        };
        desk.root = desk.write("root", &PKI.root_certificate);
        desk
    }

    fn write(&self, name: &str, text: &str) -> String {
        let path = self.folder.path().join(name);
        fs::write(&path, text).unwrap();
        path.to_string_lossy().into_owned()
    }

    /// Whether openssl trusts the leaf for the purpose, with the root and what stands between.
    fn verify(&self, purpose: &str, chain: &str, leaf: &str) -> Option<(bool, String)> {
        let root = &self.root;
        let words = format!(
            "verify -x509_strict -attime 1790000010 -purpose {purpose} -CAfile {root} \
             -untrusted {chain} {leaf}"
        );
        openssl(&words, "")
    }
}

#[test]
fn openssl_agrees() {
    let (pki, desk) = (&*PKI, Desk::new());
    let subject = Subject {
        name: "kplan:ada",
        groups: &["kplan:admins"],
        now: Timestamp::from_seconds(1_790_000_000),
        valid: Duration::from_hours(1),
    };
    let ca_key = pki.server_keys.client_ca.expose().unwrap();
    let chain = &pki.certificates.client_ca;
    let admin = authority::sign(subject, Purpose::Client, chain, ca_key).unwrap();
    let (chain, leaf) = (
        desk.write("chain", chain),
        desk.write("leaf", &admin.certificate),
    );
    let Some((good, text)) = desk.verify("sslclient", &chain, &leaf) else {
        return skipped("openssl");
    };
    assert!(good, "{text}");
    assert!(
        !desk.verify("sslserver", &chain, &leaf).unwrap().0,
        "a client certificate must not serve"
    );
    let (_, shown) = openssl(&format!("x509 -noout -subject -in {leaf}"), "").unwrap();
    assert!(
        shown.contains("kplan:admins") && shown.contains("kplan:ada"),
        "{shown}"
    );
    let key = pki.server_keys.service_account.expose().unwrap();
    let (good, text) = openssl("rsa -noout -text -check", key).unwrap();
    assert!(good && text.contains("2048 bit"), "{text}");
}

/// A leaf as K3s signs it with an authority's certificate and key, for these purposes.
fn leaf(chain: &str, key: &Secret, purposes: &[ExtendedKeyUsagePurpose]) -> String {
    let signer = KeyPair::from_pem(key.expose().unwrap()).unwrap();
    let issuer = Issuer::from_ca_cert_pem(chain, signer).unwrap();
    let mut params = CertificateParams::new(vec!["demo-server-0".to_owned()]).unwrap();
    let start = rcgen::date_time_ymd(1970, 1, 1) + Duration::from_secs(1_790_000_000);
    (params.not_before, params.not_after) = (start, start + Duration::from_hours(1));
    params.use_authority_key_identifier_extension = true;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = purposes.to_vec();
    let pair = KeyPair::generate().unwrap();
    params.signed_by(&pair, &issuer).unwrap().pem()
}

#[test]
fn openssl_trusts_a_leaf_of_each_authority_for_what_k3s_signs_with_it_and_no_other() {
    use ExtendedKeyUsagePurpose::{ClientAuth, ServerAuth};
    let (desk, keys) = (Desk::new(), &PKI.server_keys);
    let other = generate("demo-3f9a1c2e", Timestamp::from_seconds(1_790_000_000)).unwrap();
    let foreign = desk.write("foreign", &other.root_certificate);
    let all = [
        (&keys.server_ca, vec![ServerAuth]),
        (&keys.client_ca, vec![ClientAuth]),
        (&keys.request_header_ca, vec![ClientAuth]),
        (&keys.etcd_peer_ca, vec![ServerAuth, ClientAuth]),
        (&keys.etcd_server_ca, vec![ServerAuth, ClientAuth]),
    ];
    let files = chains(&PKI).map(|(name, chain)| desk.write(name, chain));
    for (index, ((name, chain), (key, purposes))) in chains(&PKI).into_iter().zip(all).enumerate() {
        let signed = desk.write("leaf", &leaf(chain, key, &purposes));
        for (purpose, usage) in [("sslserver", ServerAuth), ("sslclient", ClientAuth)] {
            for (at, file) in files.iter().enumerate() {
                let Some((good, text)) = desk.verify(purpose, file, &signed) else {
                    return skipped("openssl");
                };
                let wanted = at == index && purposes.contains(&usage);
                assert_eq!(good, wanted, "{name}, {purpose}, {file}: {text}");
            }
        }
        let at = format!(
            "verify -attime 1790000010 -CAfile {foreign} -untrusted {} {signed}",
            files[index]
        );
        assert!(!openssl(&at, "").unwrap().0, "{name}: of another cluster");
    }
}
