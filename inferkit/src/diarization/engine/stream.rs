//! Events of one request on their way to the caller.

use std::time::Duration;

use futures_util::Stream;
use futures_util::stream;
use tokio::sync::mpsc;
use tokio::sync::oneshot;

use super::work::Order;
use crate::diarization::clustering::SpeakerBounds;
use crate::error::Error;
use crate::error::Result;
use crate::error::UnavailableFault;
use crate::task::DiarizationEvent;
use crate::task::DiarizationRequest;

/// Events that a reader may lag behind; progress beyond that is left out.
const LAG: usize = 16;

/// Where the reader is.
enum Reader {
    /// The request stands in line.
    Waiting(oneshot::Receiver<()>, mpsc::Receiver<Result<DiarizationEvent>>),
    /// The work has begun.
    Reading(mpsc::Receiver<Result<DiarizationEvent>>),
    /// The last event was read.
    Over,
}

/// A request for the thread, and the stream of what becomes of it. Dropping the stream ends the work.
pub(super) fn events(
    request: DiarizationRequest,
    bounds: SpeakerBounds,
    queue_timeout: Duration,
) -> (Order, impl Stream<Item = Result<DiarizationEvent>>) {
    let (started, begun) = oneshot::channel();
    let (outlet, inlet) = mpsc::channel(LAG);
    let order = Order {
        request,
        bounds,
        started,
        outlet,
    };
    let stream = stream::unfold(Reader::Waiting(begun, inlet), move |reader| next(reader, queue_timeout));
    (order, stream)
}

async fn next(reader: Reader, queue_timeout: Duration) -> Option<(Result<DiarizationEvent>, Reader)> {
    let mut inlet = match reader {
        Reader::Over => return None,
        Reader::Reading(inlet) => inlet,
        Reader::Waiting(begun, inlet) => {
            // An engine that ended says so as the next event, or by its absence.
            if tokio::time::timeout(queue_timeout, begun).await.is_err() {
                let message = format!(
                    "the recording waited for {} s and other recordings are still ahead; try again later",
                    queue_timeout.as_secs()
                );
                let error = Error::unavailable(UnavailableFault::QueueTimeout, message);
                return Some((Err(error), Reader::Over));
            }
            inlet
        }
    };
    match inlet.recv().await {
        Some(Ok(event @ DiarizationEvent::Progress { .. })) => Some((Ok(event), Reader::Reading(inlet))),
        Some(last) => Some((last, Reader::Over)),
        None => Some((
            Err(Error::internal("diarization failed: the engine has ended")),
            Reader::Over,
        )),
    }
}
