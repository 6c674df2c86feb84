//! `preflight::bucket_taken`: whether the name of a bucket is free in the whole world.

use super::Finding;
use super::sight::Sight;

/// Nobody has the name of a bucket that is to be made.
pub(super) fn free(sight: &Sight<'_>) -> Vec<Finding> {
    let steps = sight.of_kind("bucket");
    steps
        .filter(|step| matches!(sight.buckets.get(&step.address), Some(Ok(true))))
        .map(|step| {
            let name = super::sight::text(step, "name").unwrap_or_default();
            let message = format!("there is a bucket named {name} already");
            let help = "names of buckets are shared by everybody: choose another one. Where the bucket is \
                        your own, of a cluster whose state is lost, `kplan restore` takes it over with \
                        its backups";
            sight.error("preflight::bucket_taken", (step, "name"), message, help)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use crate::preflight::testing::{Rig, codes};
    use kplan_model::{ErrorKind, ProviderError};

    #[test]
    fn a_bucket_of_that_name_stands_in_the_way() {
        let mut rig = Rig::default();
        rig.create("bucket.backup", &[("name", "acme".into())]);
        let lost = ProviderError::new(ErrorKind::Transient, "no");
        for (answer, found) in [(Ok(true), 1), (Ok(false), 0), (Err(lost), 0)] {
            let mut sight = rig.sight();
            let address = "bucket.backup".parse().unwrap();
            sight.buckets.insert(address, answer);
            let seen = codes(&super::free(&sight));
            assert_eq!(seen, vec!["preflight::bucket_taken"; found]);
        }
    }
}
