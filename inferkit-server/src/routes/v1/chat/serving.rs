//! From a checked request to a running one: the lease, the identity of the answer, the notes on it.

use std::time::Duration;
use std::time::Instant;
use std::time::SystemTime;

use futures_util::StreamExt;
use futures_util::stream;
use inferkit::Error;
use inferkit::Lease;
use inferkit::ModelHandle;
use inferkit::ModelStatus;
use inferkit::RequestFault;
use inferkit::Result;
use inferkit::task::ChatEvent;
use inferkit::task::ChatRequest;
use inferkit::task::ChatStream;
use inferkit::task::Task;
use rand::Rng;
use rand::distr::Alphanumeric;
use sha2::Digest;
use sha2::Sha256;

use super::answer::Identity;
use crate::clock::unix_seconds;
use crate::middleware::Notes;
use crate::routes::until_ended;
use crate::routes::why_ended;

/// A request that the model has taken up.
pub(super) struct Admitted {
    pub(super) identity: Identity,
    pub(super) stream: ChatStream,
}

/// Brings the model up and hands it the request.
pub(super) async fn admit(
    handle: &ModelHandle,
    called: String,
    request: ChatRequest,
    (load_wait, notes): (Duration, &Notes),
) -> Result<Admitted> {
    let started = Instant::now();
    notes.facts().model = Some(handle.key().to_owned());
    let status = handle.status();
    if status.info.task != Task::Chat {
        let message = format!(
            "the model '{}' is for the task '{}'; name a chat model",
            handle.key(),
            status.info.task.as_str(),
        );
        return Err(Error::invalid(RequestFault::UnsupportedModelTask, "model", message));
    }
    let lease = handle.ensure_loaded_within(load_wait).await?;
    let begins = async { begun(lease.chat()?.chat(request).await?).await };
    let stream = tokio::select! {
        biased;
        stream = begins => stream?,
        () = lease.ended() => return Err(why_ended(&lease)),
    };
    let identity = Identity {
        id: format!("chatcmpl-{}", random_characters(24)),
        created: unix_seconds(SystemTime::now()),
        model: called,
        system_fingerprint: fingerprint(&status, &lease),
    };
    let stream = noted(until_ended(stream, lease), started, notes.clone());
    Ok(Admitted { identity, stream })
}

/// The same stream once its request has been taken up, so that a wait that ends badly has its own status.
async fn begun(mut events: ChatStream) -> Result<ChatStream> {
    match events.next().await {
        Some(first) => Ok(stream::iter([Ok(first?)]).chain(events).boxed()),
        None => Err(Error::internal("an answer ended before it began")),
    }
}

/// The same stream, whose figures are noted for the log.
fn noted(events: ChatStream, started: Instant, notes: Notes) -> ChatStream {
    events
        .inspect(move |event| match event {
            Ok(ChatEvent::Delta { .. }) => {
                notes.facts().first_token.get_or_insert_with(|| started.elapsed());
            }
            Ok(ChatEvent::Finished { reason, .. }) => notes.facts().finish_reason = Some(reason.as_str()),
            Ok(ChatEvent::Done { usage, timings }) => {
                let mut facts = notes.facts();
                facts.queue = Some(timings.queue);
                facts.prompt_tokens = Some(usage.prompt_tokens);
                facts.cached_tokens = Some(usage.cached_tokens);
                facts.completion_tokens = Some(usage.completion_tokens);
            }
            _ => {}
        })
        .boxed()
}

/// Names what an answer depends on besides the request: build, weights, number type and device.
fn fingerprint(status: &ModelStatus, lease: &Lease) -> String {
    use std::fmt::Write;

    let parts = [
        env!("CARGO_PKG_VERSION"),
        &status.info.source.to_string(),
        &lease.dtype,
        &lease.device,
    ];
    let mut digest = Sha256::new();
    for part in parts {
        digest.update(part.as_bytes());
        digest.update([0]);
    }
    let mut name = "fp_".to_owned();
    for byte in digest.finalize().iter().take(6) {
        let _ = write!(name, "{byte:02x}");
    }
    name
}

fn random_characters(count: usize) -> String {
    rand::rng()
        .sample_iter(Alphanumeric)
        .take(count)
        .map(char::from)
        .collect()
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use inferkit::UnavailableFault;

    use super::*;

    #[test]
    fn a_request_that_waited_in_vain_fails_before_its_stream_begins() {
        let late = Error::unavailable(UnavailableFault::QueueTimeout, "waited for 60 s");
        let events = stream::iter([Err(late)]).boxed();
        let error = begun(events).now_or_never().unwrap().err().unwrap();
        assert_eq!(error.code(), "queue_timeout");
    }

    #[test]
    fn looking_at_the_first_event_loses_none() {
        let started = ChatEvent::Started {
            prompt_tokens: 3,
            cached_tokens: 0,
        };
        let events = stream::iter([Ok(started.clone()), Err(Error::internal("later"))]).boxed();
        let events = begun(events).now_or_never().unwrap().unwrap();
        let events: Vec<_> = events.collect::<Vec<_>>().now_or_never().unwrap();
        assert_eq!(events.first().unwrap().as_ref().unwrap(), &started);
        assert_eq!(events.len(), 2);
    }
}
