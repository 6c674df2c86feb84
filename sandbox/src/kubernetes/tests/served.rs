//! The same over TLS on loopback: certificates decide who the client is.

use rcgen::{
    CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, Issuer, KeyPair,
};

use super::{authority, config};
use crate::clock::Clock;
use crate::kubernetes::{Cluster, ClusterConfig};
use crate::rng::Rng;
use crate::store::Store;

/// A client certificate of an authority, with its key, PEM.
pub(super) fn client_certificate(ca: &(String, String), user: &str, group: &str) -> String {
    let issuer = Issuer::from_ca_cert_pem(&ca.0, KeyPair::from_pem(&ca.1).unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, user);
    params
        .distinguished_name
        .push(DnType::OrganizationName, group);
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    let leaf = params.signed_by(&key, &issuer).unwrap();
    format!("{}{}", leaf.pem(), key.serialize_pem())
}

/// An HTTP client that trusts the server CA and shows a certificate, if it has one.
fn client(server_ca: &str, pem: Option<String>) -> reqwest::Client {
    let trusted = reqwest::Certificate::from_pem(server_ca.as_bytes()).unwrap();
    let mut builder = reqwest::Client::builder()
        .tls_certs_only([trusted])
        .no_proxy();
    if let Some(pem) = pem {
        builder = builder.identity(reqwest::Identity::from_pem(pem.as_bytes()).unwrap());
    }
    builder.build().unwrap()
}

/// The public key of the certificate that a server shows, DER.
pub(super) async fn key_at(address: std::net::SocketAddr) -> Vec<u8> {
    let client = reqwest::Client::builder()
        .tls_danger_accept_invalid_certs(true)
        .tls_info(true)
        .no_proxy();
    let url = format!("https://{address}/ping");
    let answer = client.build().unwrap().get(url).send().await.unwrap();
    let info = answer.extensions().get::<reqwest::tls::TlsInfo>().unwrap();
    let leaf = info.peer_certificate().unwrap();
    let (_, leaf) = x509_parser::parse_x509_certificate(leaf).unwrap();
    leaf.public_key().raw.to_vec()
}

#[tokio::test]
async fn the_certificate_is_the_identity() {
    let client_ca = authority("client-ca");
    let config = ClusterConfig {
        client_ca_chain_pem: client_ca.0.clone(),
        ..config()
    };
    let server_ca = config.server_ca_chain_pem.clone();
    let (store, clock, rng) = (Store::in_memory(), Clock::new(60.0), Rng::seeded(1));
    let cluster = Cluster::open("tls", config, store, clock, rng)
        .await
        .unwrap();
    let (address, guard) = cluster
        .serve(None, vec!["kubernetes".to_owned()], None, None)
        .await
        .unwrap();
    let status = async |path: &str, pem: Option<String>| {
        let url = format!("https://{address}{path}");
        client(&server_ca, pem)
            .get(url)
            .send()
            .await
            .map(|answer| answer.status().as_u16())
    };
    let nodes = "/api/v1/nodes";
    assert_eq!(status("/ping", None).await.unwrap(), 200);
    assert_eq!(status(nodes, None).await.unwrap(), 401);
    let admin = client_certificate(&client_ca, "admin", "system:masters");
    assert_eq!(status(nodes, Some(admin)).await.unwrap(), 200);
    let nobody = client_certificate(&client_ca, "bob", "team");
    assert_eq!(status(nodes, Some(nobody)).await.unwrap(), 403);
    // Another authority of the same name: the handshake ends.
    let forged = client_certificate(&authority("client-ca"), "admin", "system:masters");
    assert!(status(nodes, Some(forged)).await.is_err());
    drop(guard);
    tokio::task::yield_now().await;
    assert!(status("/ping", None).await.is_err());
}
