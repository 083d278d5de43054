//! A model's stream together with the lease that keeps the model loaded.

use futures_util::StreamExt;
use futures_util::stream;
use futures_util::stream::BoxStream;
use inferkit::Error;
use inferkit::Lease;
use inferkit::Result;
use inferkit::UnavailableFault;

/// The same stream, which keeps the lease and ends with an error when the model is unloaded by force.
pub(crate) fn until_unloaded<T: Send + 'static>(
    events: BoxStream<'static, Result<T>>,
    lease: Lease,
) -> BoxStream<'static, Result<T>> {
    let ended = Box::pin(async move { lease.ended().await });
    stream::unfold(Some((events, ended)), |state| async move {
        let (mut events, mut ended) = state?;
        tokio::select! {
            event = events.next() => event.map(|event| (event, Some((events, ended)))),
            () = &mut ended => {
                let message = "the model was unloaded while it answered; send the request again";
                Some((Err(Error::unavailable(UnavailableFault::ModelNotLoaded, message)), None))
            }
        }
    })
    .boxed()
}
