//! `preflight::domain`: whether the account has the domain of a record.

use super::sight::{Sight, text};
use super::{Finding, Severity};
use kplan_model::Action;

/// Every domain that is to get a record is there. A warning: everything else can be made, and the next
/// apply makes the records.
pub(super) fn there(sight: &Sight<'_>) -> Vec<Finding> {
    let Some(Ok(domains)) = sight.taken.get("domain_record") else {
        return Vec::new();
    };
    let made = sight.of_kind("domain_record");
    let made = made.filter(|step| step.action == Action::Create);
    made.filter_map(|step| {
        let domain = text(step, "domain")?;
        let mut made = sight.of_kind("domain");
        let made = made.any(|step| text(step, "name") == Some(domain));
        let there = domains
            .iter()
            .any(|known| known.name.eq_ignore_ascii_case(domain));
        let message = format!("the account has no domain `{domain}`");
        let help = format!(
            "add a `[[domain]]` of that name, or `doctl compute domain create {domain}`, and name DigitalOcean's name servers \
             (ns1.digitalocean.com and so on) where it is registered. Everything else is made without it"
        );
        (!made && !there).then(|| Finding {
            severity: Severity::Warning,
            ..sight.error("preflight::domain", (step, "domain"), message, help)
        })
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use crate::preflight::Severity;
    use crate::preflight::testing::Rig;
    use kplan_providers::digitalocean::Taken;

    #[test]
    fn a_domain_that_is_not_there_is_a_warning() {
        let mut rig = Rig::default();
        rig.create("domain_record.a", &[("domain", "example.com".into())]);
        let found = |name: &str| {
            let mut sight = rig.sight();
            let there = Taken {
                name: name.to_owned(),
                ..Taken::default()
            };
            sight
                .taken
                .insert("domain_record".to_owned(), Ok(vec![there]));
            super::there(&sight)
        };
        assert_eq!(found("Example.com"), []);
        let found = found("example.org");
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].severity, Severity::Warning);
    }
}
