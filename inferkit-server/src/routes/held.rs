//! A model's stream together with what has to live as long: the lease that keeps the model loaded, room in memory.

use futures_util::StreamExt;
use futures_util::stream;
use futures_util::stream::BoxStream;
use inferkit::Error;
use inferkit::Lease;
use inferkit::Result;
use inferkit::UnavailableFault;

/// The same stream, which keeps the lease and ends with an error when the model is unloaded by force or fails.
pub(crate) fn until_ended<T: Send + 'static>(
    events: BoxStream<'static, Result<T>>,
    lease: Lease,
) -> BoxStream<'static, Result<T>> {
    let ended = Box::pin(async move {
        lease.ended().await;
        why_ended(&lease)
    });
    stream::unfold(Some((events, ended)), |state| async move {
        let (mut events, mut ended) = state?;
        tokio::select! {
            biased;
            event = events.next() => event.map(|event| (event, Some((events, ended)))),
            error = &mut ended => Some((Err(error), None)),
        }
    })
    .boxed()
}

/// The same stream, which keeps `held` until its end.
pub(crate) fn holding<T: Send + 'static>(
    events: BoxStream<'static, T>,
    held: impl Send + 'static,
) -> BoxStream<'static, T> {
    let state = (events, held);
    stream::unfold(state, |(mut events, held)| async move {
        let event = events.next().await?;
        Some((event, (events, held)))
    })
    .boxed()
}

/// What a request is told whose lease was told to end.
pub(crate) fn why_ended(lease: &Lease) -> Error {
    lease.failure().unwrap_or_else(|| {
        let message = "the model was unloaded before the answer ended; load it and ask again";
        Error::unavailable(UnavailableFault::ModelNotLoaded, message)
    })
}
