//! Credentials that do not fit the repository's address.

use crate::code::Code;
use crate::diagnostic::{Finding, Report};
use crate::spec::{GitCredentials, Spec};

pub(super) const SUMMARY: &str = "Tokens go with HTTPS, keys with SSH.";

pub(super) fn check(spec: &Spec, report: &mut Report) {
    let Some(gitops) = spec.gitops.as_ref().filter(|gitops| gitops.repo.span.is_some()) else {
        return;
    };
    let credentials = gitops.credentials.as_ref();
    let (message, remedy) = match (gitops.repo.is_ssh(), credentials.map(|c| &c.value)) {
        (true, None) => (
            "the repository is read over SSH, but there is no key",
            "Add `credentials = { ssh_key = { file = \"~/.keys/deploy\" } }`, or write the \
             `https://` address if the repository is public.",
        ),
        (true, Some(GitCredentials::Token(_) | GitCredentials::GithubApp { .. })) => (
            "a token cannot be used over SSH",
            "Write the repository's `https://` address, or use `ssh_key`.",
        ),
        (false, Some(GitCredentials::SshKey(_))) => (
            "an SSH key cannot be used over HTTPS",
            "Write the repository's SSH address, such as `git@github.com:acme/infra.git`, or use \
             `token`.",
        ),
        _ => return,
    };
    report.judge(
        Finding::new(Code::GitopsCredentialsMismatch, message)
            .label(gitops.repo.span, "the repository")
            .label(credentials.and_then(|c| c.span), "its credentials")
            .why("Argo CD would not be able to read the repository, and nothing would be deployed.")
            .remedy(remedy),
    );
}
