//! The token servers join with, exchanged in a living cluster.
//!
//! K3s encrypts what a server needs to start (the authorities' keys among it) with that token and
//! keeps it in the datastore, so a new one has to be told to a running server first, which encrypts
//! it anew: `PUT /v1-k3s/token`, what `k3s token rotate` calls (K3s documentation, `k3s token`). It
//! takes whoever knows the token it has; every server has one of its own in its memory, and behind a
//! load balancer nobody knows which of them answers.
//!
//! What a server does with it, in this order: it takes the new token for its own, encrypts the data,
//! and answers. So one that knows the new token already may have been cut off before it encrypted
//! anything. Asked to exchange the new token for itself, it says: it cannot where the data is
//! encrypted with another. Then it takes the old one back, and the exchange begins again.

use crate::kubernetes::session::Session;
use kplan_model::{ErrorKind, Permit, ProviderError};
use serde_json::json;

const PATH: &str = "/v1-k3s/token";
/// Whom K3s takes the token as the password of.
const USER: &str = "server";
/// How often it is tried: calls of one connection go to one server, but a load balancer may close
/// connections between them.
const ROUNDS: u32 = 8;

/// Exchanges the token. Doing it again changes nothing.
///
/// # Errors
/// `Denied` where no server knows either of the two.
pub(super) async fn exchange(
    session: &Session,
    (old, new): (&str, &str),
    permit: &Permit,
) -> Result<(), ProviderError> {
    let put = |own: &str, next: &str| {
        let (login, body) = ((USER, own.to_owned()), json!({ "newToken": next }));
        async move {
            let (user, password) = (login.0, login.1.as_str());
            session.put_as(permit, PATH, (user, password), &body).await
        }
    };
    let mut denied = None;
    for _ in 0..ROUNDS {
        match put(old, new).await {
            Err(error) if error.kind == ErrorKind::Denied => {}
            other => return other,
        }
        match put(new, new).await {
            Err(error) if error.kind == ErrorKind::Denied => denied = Some(error),
            Err(error) if error.kind == ErrorKind::Transient => put(new, old).await?,
            other => return other,
        }
    }
    Err(denied.unwrap_or_else(|| {
        let message = "K3s does not finish exchanging the token servers join with";
        ProviderError::new(ErrorKind::Transient, message)
    }))
}
