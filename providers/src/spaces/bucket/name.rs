//! What a bucket is called: as asked for, or freshly at every creation.

use super::BucketArgs;
use crate::k3s::pki::secret::random_bytes;
use kplan_model::{ErrorKind, ProviderError};

/// Characters of a fresh name after its prefix and a dash: 36^8 names, so that one that is still
/// taken is not met again.
const RANDOM: usize = 8;
/// A bucket's name has at most 63 characters (S3).
const MAX_PREFIX: usize = 63 - 1 - RANDOM;

/// What a bucket is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Name<'a> {
    /// So.
    Given(&'a str),
    /// So, with a dash and random characters after it, other ones each time.
    Prefix(&'a str),
}

impl<'a> Name<'a> {
    pub(super) fn of(args: &'a BucketArgs) -> Result<Self, ProviderError> {
        let wrong = match (args.name.as_deref(), args.name_prefix.as_deref()) {
            (Some(name), None) => return Ok(Self::Given(name)),
            (None, Some(prefix)) if (1..=MAX_PREFIX).contains(&prefix.len()) => {
                return Ok(Self::Prefix(prefix));
            }
            (None, Some(prefix)) => format!(
                "the bucket's name prefix `{prefix}` has {} characters; 1 to {MAX_PREFIX} leave \
                 room for what makes the name fresh",
                prefix.len()
            ),
            (Some(name), Some(prefix)) => {
                format!("a bucket has both the name `{name}` and the name prefix `{prefix}`")
            }
            (None, None) => "a bucket has neither a name nor a name prefix".to_owned(),
        };
        Err(ProviderError::new(ErrorKind::Invalid, wrong)
            .help("give either `name`, or a `name_prefix` of at most 54 characters"))
    }

    /// The name of the bucket to be made now.
    pub(super) fn new_one(self) -> Result<String, ProviderError> {
        let prefix = match self {
            Self::Given(name) => return Ok(name.to_owned()),
            Self::Prefix(prefix) => prefix,
        };
        let number = u64::from_le_bytes(random_bytes()?);
        Ok(format!("{prefix}-{}", characters(number)))
    }

    /// Whether a create of this may have made a bucket of that name.
    pub(super) fn may_be(self, name: &str) -> bool {
        match self {
            Self::Given(given) => name == given,
            Self::Prefix(prefix) => name
                .strip_prefix(prefix)
                .and_then(|rest| rest.strip_prefix('-'))
                .is_some_and(|rest| {
                    let ours = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
                    rest.len() == RANDOM && rest.bytes().all(ours)
                }),
        }
    }
}

/// Lower-case letters and digits for a number. That 2^64 is no multiple of 36^8 makes some of
/// them likelier by less than a millionth.
fn characters(mut number: u64) -> String {
    std::iter::repeat_with(|| {
        let digit = u32::try_from(number % 36).ok()?;
        number /= 36;
        char::from_digit(digit, 36)
    })
    .take(RANDOM)
    .flatten()
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(name: Option<&str>, prefix: Option<&str>) -> BucketArgs {
        BucketArgs {
            name: name.map(str::to_owned),
            name_prefix: prefix.map(str::to_owned),
            region: "fra1".to_owned(),
            acl: None,
            versioning: false,
            lifecycle_rule: Vec::new(),
            force_destroy: true,
            access_key: None,
            secret_key: None,
        }
    }

    #[test]
    fn exactly_one_of_name_and_prefix_is_given() {
        assert_eq!(Name::of(&args(Some("a"), None)), Ok(Name::Given("a")));
        assert_eq!(Name::of(&args(None, Some("a"))), Ok(Name::Prefix("a")));
        let longest = "a".repeat(54);
        let fits = args(None, Some(&longest));
        assert_eq!(Name::of(&fits).unwrap().new_one().unwrap().len(), 63);
        let longer = "a".repeat(55);
        for (name, prefix, said) in [
            (None, None, "neither"),
            (Some("a"), Some("b"), "both"),
            (None, Some(""), "0 characters"),
            (None, Some(longer.as_str()), "55 characters"),
        ] {
            let error = Name::of(&args(name, prefix)).unwrap_err();
            assert_eq!(error.kind, ErrorKind::Invalid);
            assert!(error.message.contains(said), "{error}");
        }
    }

    #[test]
    fn every_new_name_is_another_and_is_known_again() {
        let prefix = Name::Prefix("kplan-demo-3f9a1c2e");
        let (one, two) = (prefix.new_one().unwrap(), prefix.new_one().unwrap());
        assert_ne!(one, two);
        for name in [&one, &two] {
            assert!(prefix.may_be(name), "{name}");
            assert!(!Name::Prefix("kplan-demo").may_be(name), "{name}");
        }
        let given = Name::Given("acme-backup");
        assert_eq!(given.new_one().as_deref(), Ok("acme-backup"));
        assert!(given.may_be("acme-backup"));
    }

    #[test]
    fn only_names_that_could_be_ours_are() {
        let prefix = Name::Prefix("kplan-demo");
        for other in [
            "kplan-demo",
            "kplan-demo-",
            "kplan-demo-1234567",
            "kplan-demo-123456789",
            "kplan-demo-123-5678",
            "kplan-demo-ABCDEFGH",
            "kplan-demo12345678",
            "kplan-demos-12345678",
        ] {
            assert!(!prefix.may_be(other), "{other}");
        }
        assert!(prefix.may_be("kplan-demo-00abcxyz"));
    }

    #[test]
    fn a_number_has_always_eight_characters() {
        assert_eq!(characters(0), "00000000");
        assert_eq!(characters(36 + 35), "z1000000");
        assert_eq!(characters(u64::MAX).len(), 8);
    }
}
