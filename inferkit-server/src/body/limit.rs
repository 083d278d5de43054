//! A request body that is counted and timed while it is read, and thrown away when it is not.
//!
//! Bytes that nobody read must never be taken for the next request, and closing a socket with unread
//! bytes in it makes the kernel reset the connection, which destroys the answer on its way to the
//! client. So what is left of a refused body is read and dropped, for a bounded time and amount.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicU8;
use std::sync::atomic::Ordering;
use std::task::Context;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use futures_util::Stream;
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use poem::Body;
use tokio::time::Sleep;

/// A sender must manage this much in each window.
const LEAST_BYTES_PER_WINDOW: u64 = 30 * 1024;
/// The window over which the speed of a sender is averaged.
const WINDOW: Duration = Duration::from_secs(30);
/// How long the rest of a refused body is read.
const DRAIN_TIME: Duration = Duration::from_secs(2);
/// How much of the rest of a refused body is read.
const DRAIN_BYTES: usize = 64 * 1024 * 1024;

/// Why a body could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BodyFault {
    /// Longer than allowed.
    TooLarge,
    /// The sender was too slow.
    TooSlow,
}

/// What became of a body, for those who only see that reading it failed.
#[derive(Debug, Clone, Default)]
pub(crate) struct FaultFlag(Arc<AtomicU8>);

// 0: not read to its end.
const FINISHED: u8 = 1;
const TOO_LARGE: u8 = 2;
const TOO_SLOW: u8 = 3;

impl FaultFlag {
    /// Why the body could not be read, if it could not.
    pub(crate) fn fault(&self) -> Option<BodyFault> {
        match self.0.load(Ordering::Acquire) {
            TOO_LARGE => Some(BodyFault::TooLarge),
            TOO_SLOW => Some(BodyFault::TooSlow),
            _ => None,
        }
    }

    /// Whether the whole body was read.
    pub(crate) fn is_finished(&self) -> bool {
        self.0.load(Ordering::Acquire) == FINISHED
    }

    fn set(&self, value: u8) {
        self.0.store(value, Ordering::Release);
    }
}

/// How a body may be read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BodyLimit {
    /// Most bytes, counted as they come.
    pub(crate) max_bytes: u64,
    /// Whether the client sends the body only once it is asked to (`Expect: 100-continue`).
    pub(crate) expects_continue: bool,
}

impl BodyLimit {
    /// The same body, counted, timed and drained; what becomes of it is told by `flag`.
    pub(crate) fn wrap(self, body: Body, flag: &FaultFlag) -> Body {
        if body.is_empty() {
            flag.set(FINISHED);
            return body;
        }
        Body::from_bytes_stream(Counted {
            inner: Some(body.into_bytes_stream().boxed()),
            limit: self,
            read_bytes: 0,
            window_bytes: 0,
            window: None,
            flag: flag.clone(),
        })
    }
}

struct Counted {
    /// `None` once it has ended or failed.
    inner: Option<BoxStream<'static, io::Result<Bytes>>>,
    limit: BodyLimit,
    read_bytes: u64,
    window_bytes: u64,
    /// Runs from the first read on.
    window: Option<Pin<Box<Sleep>>>,
    flag: FaultFlag,
}

impl Counted {
    fn counted(&mut self, bytes: Bytes) -> io::Result<Bytes> {
        let length = bytes.len() as u64;
        self.read_bytes += length;
        self.window_bytes += length;
        if self.read_bytes > self.limit.max_bytes {
            return Err(self.give_up(TOO_LARGE, "the body is longer than allowed"));
        }
        Ok(bytes)
    }

    fn give_up(&mut self, fault: u8, message: &'static str) -> io::Error {
        self.flag.set(fault);
        self.drain();
        io::Error::other(message)
    }

    /// Whether the sender has been too slow over the window that has just ended.
    fn is_too_slow(&mut self, context: &mut Context<'_>) -> bool {
        let window = self.window.get_or_insert_with(|| Box::pin(tokio::time::sleep(WINDOW)));
        while window.as_mut().poll(context).is_ready() {
            if self.window_bytes < LEAST_BYTES_PER_WINDOW {
                return true;
            }
            self.window_bytes = 0;
            window.as_mut().reset(tokio::time::Instant::now() + WINDOW);
        }
        false
    }

    fn drain(&mut self) {
        let asked = self.window.is_some() || !self.limit.expects_continue;
        if let (Some(rest), true, Ok(runtime)) = (self.inner.take(), asked, tokio::runtime::Handle::try_current()) {
            runtime.spawn(throw_away(rest));
        }
    }
}

impl Stream for Counted {
    type Item = io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Some(inner) = self.inner.as_mut() else {
            return Poll::Ready(None);
        };
        match inner.poll_next_unpin(context) {
            Poll::Ready(Some(Ok(bytes))) => Poll::Ready(Some(self.counted(bytes))),
            Poll::Ready(Some(Err(error))) => {
                self.inner = None;
                Poll::Ready(Some(Err(error)))
            }
            Poll::Ready(None) => {
                self.inner = None;
                self.flag.set(FINISHED);
                Poll::Ready(None)
            }
            Poll::Pending if self.is_too_slow(context) => {
                Poll::Ready(Some(Err(self.give_up(TOO_SLOW, "the body arrives too slowly"))))
            }
            Poll::Pending => Poll::Pending,
        }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.drain();
    }
}

async fn throw_away(mut rest: BoxStream<'static, io::Result<Bytes>>) {
    let read = async {
        let mut dropped_bytes = 0;
        while let Some(Ok(bytes)) = rest.next().await {
            dropped_bytes += bytes.len();
            if dropped_bytes > DRAIN_BYTES {
                break;
            }
        }
    };
    let _ = tokio::time::timeout(DRAIN_TIME, read).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrap(chunks: &[&'static str], max_bytes: u64) -> (Body, FaultFlag) {
        let flag = FaultFlag::default();
        let chunks: Vec<io::Result<Bytes>> = chunks
            .iter()
            .map(|chunk| Ok(Bytes::from_static(chunk.as_bytes())))
            .collect();
        let body = Body::from_bytes_stream(futures_util::stream::iter(chunks));
        (
            BodyLimit {
                max_bytes,
                expects_continue: false,
            }
            .wrap(body, &flag),
            flag,
        )
    }

    #[tokio::test]
    async fn a_body_of_exactly_the_limit_is_read() {
        let (body, flag) = wrap(&["abc", "de"], 5);
        assert_eq!(body.into_vec().await.unwrap(), b"abcde");
        assert!(flag.is_finished() && flag.fault().is_none());
    }

    #[tokio::test]
    async fn one_byte_more_is_refused_and_told() {
        let (body, flag) = wrap(&["abc", "def"], 5);
        assert!(body.into_vec().await.is_err());
        assert_eq!(flag.fault(), Some(BodyFault::TooLarge));
    }

    #[tokio::test(start_paused = true)]
    async fn a_sender_slower_than_a_kibibyte_a_second_is_refused() {
        let flag = FaultFlag::default();
        let drip = futures_util::stream::unfold((), |()| async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            Some((Ok::<_, io::Error>(Bytes::from_static(b"x")), ()))
        });
        let limit = BodyLimit {
            max_bytes: 1 << 20,
            expects_continue: false,
        };
        let start = tokio::time::Instant::now();
        assert!(
            limit
                .wrap(Body::from_bytes_stream(drip), &flag)
                .into_vec()
                .await
                .is_err()
        );
        assert_eq!(flag.fault(), Some(BodyFault::TooSlow));
        assert_eq!(start.elapsed().as_secs(), 30);
    }

    #[tokio::test(start_paused = true)]
    async fn what_nobody_reads_is_drained_unless_the_client_waits_to_be_asked() {
        for (expects_continue, drained) in [(false, true), (true, false)] {
            let (sender, receiver) = tokio::sync::mpsc::channel::<io::Result<Bytes>>(1);
            let body = Body::from_bytes_stream(tokio_stream::wrappers::ReceiverStream::new(receiver));
            let limit = BodyLimit {
                max_bytes: 1,
                expects_continue,
            };
            drop(limit.wrap(body, &FaultFlag::default()));
            let mut accepted = 0;
            while sender.send(Ok(Bytes::from_static(b"rest"))).await.is_ok() && accepted < 3 {
                accepted += 1;
            }
            assert_eq!(accepted > 0, drained);
        }
    }
}
