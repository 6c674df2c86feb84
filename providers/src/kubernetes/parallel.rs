//! Many calls at once, but not too many.

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use kplan_model::{BoxFuture, ProviderError};

/// Runs the calls, at most `limit` at once; answers in their order, or the first error.
pub(crate) async fn all<T: Send>(
    limit: usize,
    calls: Vec<BoxFuture<'_, Result<T, ProviderError>>>,
) -> Result<Vec<T>, ProviderError> {
    stream::iter(calls).buffered(limit).try_collect().await
}
