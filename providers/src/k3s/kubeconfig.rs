//! Kubeconfigs: files `kubectl` reads, each with a certificate of its own that soon expires.

use super::access::{ADMINS, Access, Who, mint};
use super::pki::authority::Signed;
use super::pki::exposed;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kplan_model::{ErrorKind, ProviderError, Secret, Timestamp};
use std::fmt::Write as _;
use std::time::Duration;

/// What a kubeconfig is made of.
#[derive(Clone, Copy, Debug)]
pub struct Kubeconfig<'a> {
    /// The name of cluster and context.
    pub name: &'a str,
    /// Who will use it: the certificate names `kplan:<user>`.
    pub user: &'a str,
    /// An HTTP proxy the API is reached through.
    pub proxy_url: Option<&'a str>,
    /// The current moment.
    pub now: Timestamp,
    /// How long its certificate is valid.
    pub valid: Duration,
}

/// JSON's form of a text is also YAML's.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// Everything but the user: `user` is the text below `user:`, indented by four.
fn document(access: &Access, name: &str, proxy_url: Option<&str>, who: &str, user: &str) -> String {
    let (name, who) = (quoted(name), quoted(who));
    let mut text = String::from("apiVersion: v1\nkind: Config\n");
    let _ = write!(
        text,
        "clusters:\n- name: {name}\n  cluster:\n    server: {}\n    certificate-authority-data: {}\n",
        quoted(&access.server),
        STANDARD.encode(&access.server_ca),
    );
    if let Some(proxy) = proxy_url {
        let _ = writeln!(text, "    proxy-url: {}", quoted(proxy));
    }
    let _ = write!(
        text,
        "users:\n- name: {who}\n  user:\n{user}\
         contexts:\n- name: {name}\n  context:\n    cluster: {name}\n    user: {who}\n\
         current-context: {name}\n",
    );
    text
}

fn mint_admin(
    access: &Access,
    user: &str,
    now: Timestamp,
    valid: Duration,
) -> Result<Signed, ProviderError> {
    let user = format!("kplan:{user}");
    let who = Who {
        user: &user,
        groups: &[ADMINS],
    };
    mint(access, who, now, valid)
}

/// A kubeconfig whose certificate names `CN=kplan:<user>, O=kplan:admins`.
pub fn kubeconfig(access: &Access, config: Kubeconfig<'_>) -> Result<Secret, ProviderError> {
    let signed = mint_admin(access, config.user, config.now, config.valid)?;
    let user = format!(
        "    client-certificate-data: {}\n    client-key-data: {}\n",
        STANDARD.encode(&signed.certificate),
        STANDARD.encode(exposed(&signed.key)?),
    );
    let who = format!("kplan:{}", config.user);
    Ok(Secret::new(document(
        access,
        config.name,
        config.proxy_url,
        &who,
        &user,
    )))
}

/// A kubeconfig without any credential: `kubectl` runs the command, which prints what
/// [`exec_credential`] gives, whenever it needs a certificate.
pub fn kubeconfig_exec(
    access: &Access,
    name: &str,
    proxy_url: Option<&str>,
    command: &str,
    args: &[&str],
) -> String {
    let mut user = format!(
        "    exec:\n      apiVersion: client.authentication.k8s.io/v1\n      command: {}\n      \
         interactiveMode: Never\n      args:\n",
        quoted(command)
    );
    for arg in args {
        let _ = writeln!(user, "      - {}", quoted(arg));
    }
    document(access, name, proxy_url, "kplan", &user)
}

/// The answer of an exec plugin: a certificate minted now.
pub fn exec_credential(
    access: &Access,
    user: &str,
    now: Timestamp,
    valid: Duration,
) -> Result<Secret, ProviderError> {
    let signed = mint_admin(access, user, now, valid)?;
    let ends = now
        .0
        .saturating_add(i64::try_from(valid.as_millis()).unwrap_or(i64::MAX));
    // Whole seconds, as Kubernetes writes its own times.
    let ends = jiff::Timestamp::from_second(ends / 1000).map_err(|_| {
        ProviderError::new(
            ErrorKind::Bug,
            "a certificate would be valid beyond the year 9999",
        )
    })?;
    let credential = serde_json::json!({
        "apiVersion": "client.authentication.k8s.io/v1",
        "kind": "ExecCredential",
        "status": {
            "expirationTimestamp": ends.to_string(),
            "clientCertificateData": signed.certificate,
            "clientKeyData": exposed(&signed.key)?,
        },
    });
    Ok(Secret::new(credential.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::k3s::pki::tests::PKI;

    fn access() -> Access {
        let pki = &*PKI;
        Access {
            server: "https://203.0.113.7:6443".to_owned(),
            server_ca: pki.certificates.server_ca.clone(),
            client_ca: pki.certificates.client_ca.clone(),
            client_ca_key: pki.server_keys.client_ca.clone(),
        }
    }

    #[test]
    fn a_plugin_prints_what_its_kubeconfig_promises() {
        let text = kubeconfig_exec(
            &access(),
            "demo",
            None,
            "/usr/bin/kplan",
            &["kubeconfig", "--exec"],
        );
        assert!(!text.contains("PRIVATE") && !text.contains("client-key-data"));
        let read: kube::config::Kubeconfig = serde_norway::from_str(&text).unwrap();
        let user = read.auth_infos[0].auth_info.clone().unwrap().exec.unwrap();
        assert_eq!(user.command.as_deref(), Some("/usr/bin/kplan"));
        assert_eq!(user.args.unwrap(), ["kubeconfig", "--exec"]);
        let now = Timestamp::from_seconds(1_790_000_000);
        let printed = exec_credential(&access(), "ada", now, Duration::from_hours(1)).unwrap();
        let printed: serde_json::Value = serde_json::from_str(printed.expose().unwrap()).unwrap();
        assert_eq!(
            Some(printed["apiVersion"].as_str().unwrap()),
            user.api_version.as_deref()
        );
        assert_eq!(
            printed["status"]["expirationTimestamp"],
            "2026-09-21T15:13:20Z"
        );
        for (field, label) in [
            ("clientCertificateData", "BEGIN CERTIFICATE"),
            ("clientKeyData", "BEGIN PRIVATE KEY"),
        ] {
            assert!(
                printed["status"][field].as_str().unwrap().contains(label),
                "{field}"
            );
        }
    }

    #[test]
    fn kubectl_can_read_it() {
        let (access, pki) = (access(), &*PKI);
        let config = Kubeconfig {
            name: "demo",
            user: "ada",
            proxy_url: Some("http://127.0.0.1:8081"),
            now: Timestamp::from_seconds(1_790_000_000),
            valid: Duration::from_hours(1),
        };
        let text = kubeconfig(&access, config).unwrap();
        let text = text.expose().unwrap();
        assert!(!text.contains(&STANDARD.encode(pki.server_keys.client_ca.expose().unwrap())));
        let read: kube::config::Kubeconfig = serde_norway::from_str(text).unwrap();
        assert_eq!(read.current_context.as_deref(), Some("demo"));
        let cluster = read.clusters[0].cluster.clone().unwrap();
        assert_eq!(cluster.proxy_url.as_deref(), Some("http://127.0.0.1:8081"));
        assert_eq!(cluster.server.as_deref(), Some("https://203.0.113.7:6443"));
        let certificate = read.auth_infos[0]
            .auth_info
            .clone()
            .unwrap()
            .client_certificate_data
            .unwrap();
        let pem = STANDARD.decode(certificate).unwrap();
        let pem = x509_parser::pem::Pem::iter_from_buffer(&pem)
            .next()
            .unwrap()
            .unwrap();
        let parsed = pem.parse_x509().unwrap();
        assert_eq!(parsed.subject().to_string(), "O=kplan:admins, CN=kplan:ada");
        assert_eq!(parsed.validity().not_after.timestamp(), 1_790_003_600);
    }
}
