//! `Secret`: text that is never shown. It has no `Display` and no `Serialize`; its `Debug` says
//! nothing. Only the state store turns it into ciphertext, and only a provider call exposes it.

use std::fmt;
use std::sync::Arc;

/// A secret text, or the ciphertext of one whose key is not at hand.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Secret(Arc<Inner>);

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Inner {
    Plain(Box<str>),
    Sealed(Box<str>),
}

impl Secret {
    /// A secret whose text is known.
    pub fn new(text: impl Into<Box<str>>) -> Self {
        Self(Arc::new(Inner::Plain(text.into())))
    }

    /// A secret read without the key: it can be carried and stored again, not compared or used.
    pub fn sealed(token: impl Into<Box<str>>) -> Self {
        Self(Arc::new(Inner::Sealed(token.into())))
    }

    /// The text, where it is known. Every caller must be about to hand it to the system that
    /// needs it, or to encrypt it.
    pub fn expose(&self) -> Option<&str> {
        match &*self.0 {
            Inner::Plain(text) => Some(text),
            Inner::Sealed(_) => None,
        }
    }

    /// The stored ciphertext of a secret whose key is not at hand.
    pub fn sealed_token(&self) -> Option<&str> {
        match &*self.0 {
            Inner::Plain(_) => None,
            Inner::Sealed(token) => Some(token),
        }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_says_nothing() {
        assert_eq!(
            format!("{:?} {:?}", Secret::new("hunter2"), Secret::sealed("x")),
            "Secret(…) Secret(…)"
        );
    }
}
