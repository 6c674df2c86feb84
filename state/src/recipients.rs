//! Who can read a state: the head with one recipient more, or with one less under a new key.

use crate::error::{code, error_help};
use crate::keyring::{Keyring, parse_recipient};
use crate::wire::snapshot::Head;
use kplan_model::StoreError;

/// The head with one more recipient; `None` where it has it already.
pub(crate) fn with(
    keyring: &Keyring,
    head: &Head,
    recipient: &str,
) -> Result<Option<Head>, StoreError> {
    let recipient = parse_recipient(recipient)?.to_string();
    let mut head = head.clone();
    if head.key.recipients.contains(&recipient) {
        return Ok(None);
    }
    head.key.recipients.push(recipient);
    head.key = keyring.wrap(&head.key.recipients)?;
    Ok(Some(head))
}

/// A new data key and the head with one recipient less. `own` are those of the identity at hand.
///
/// # Errors
/// `state::identity` for one who is no recipient, `state::locked_out` when none of `own` would be
/// left.
pub(crate) fn without(
    head: &Head,
    recipient: &str,
    own: &[String],
) -> Result<(Keyring, Head), StoreError> {
    let recipient = parse_recipient(recipient)?.to_string();
    let mut left = head.key.recipients.clone();
    left.retain(|one| *one != recipient);
    if left.len() == head.key.recipients.len() {
        let message = format!("{recipient} is no recipient of this state");
        let help = "`kplan state recipients list` shows them";
        return Err(error_help(code::IDENTITY, message, help));
    }
    if !left.iter().any(|one| own.contains(one)) {
        return Err(error_help(
            code::LOCKED_OUT,
            format!("without {recipient} your identity could not read this state any more"),
            "have another recipient remove it",
        ));
    }
    let keyring = Keyring::random(&head.lineage)?;
    let head = Head {
        key: keyring.wrap(&left)?,
        ..head.clone()
    };
    Ok((keyring, head))
}
