//! Storage classes: a claim that names none gets the default one, where there is exactly one.

use super::examination::unread;
use super::{Examination, Verdict};
use kplan_providers::kubernetes::csi::DEFAULT_CLASS;
use kplan_providers::kubernetes::object::Type;
use serde_json::{Value, json};

/// Exactly one class is the default.
pub(super) async fn default_class(at: &Examination) -> Verdict {
    let spec = &at.session.loaded.spec;
    if !spec.storage.csi.value && !spec.addons.local_storage.value {
        return Verdict::not_looked("the file asks for no storage");
    }
    let session = match at.cluster().await {
        Ok(session) => session,
        Err(verdict) => return verdict,
    };
    let classes = Type::new("storage.k8s.io/v1", "StorageClass");
    match session.list(&classes, "").await {
        Ok(classes) => judged(&classes),
        Err(error) => unread("the storage classes", &error),
    }
}

fn judged(classes: &[Value]) -> Verdict {
    let defaults: Vec<&str> = classes
        .iter()
        .filter(|class| class["metadata"]["annotations"][DEFAULT_CLASS] == "true")
        .filter_map(|class| class["metadata"]["name"].as_str())
        .collect();
    let details = json!({ "classes": classes.len(), "defaults": defaults });
    match defaults.as_slice() {
        [one] => Verdict::ok(format!("{one} is the default storage class")).details(details),
        [] => Verdict::problem("no storage class is the default")
            .details(details)
            .help(
                "claims that name no class stay pending for ever. `kplan apply` makes the class again \
                 that is gone",
            ),
        several => Verdict::warning(format!("{} are default classes", several.join(" and ")))
            .details(details)
            .help(
                "claims that name no class get the one that was made last, whichever that is. Take \
                 the annotation storageclass.kubernetes.io/is-default-class off all but one",
            ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Outcome;

    #[test]
    fn exactly_one_class_is_the_default() {
        let class = |name: &str, default: &str| json!({"metadata": {"name": name, "annotations": {DEFAULT_CLASS: default}}});
        let (block, local) = (
            class("do-block-storage", "true"),
            class("local-path", "true"),
        );
        let plain = class("slow", "false");
        assert_eq!(judged(&[block.clone(), plain.clone()]).outcome, Outcome::Ok);
        assert_eq!(judged(&[plain]).outcome, Outcome::Problem);
        assert_eq!(judged(&[block, local]).outcome, Outcome::Warning);
    }
}
