//! A socket that gives up on a peer that is too slow, in either direction.

use std::io;
use std::io::ErrorKind;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Context;
use std::task::Poll;
use std::time::Duration;

use tokio::io::AsyncRead;
use tokio::io::AsyncWrite;
use tokio::io::ReadBuf;
use tokio::time::Sleep;

use crate::error::ApiError;
use crate::serve::clock::Clock;

/// A socket with a clock on it.
pub(crate) struct Watched<T> {
    inner: T,
    clock: Arc<Clock>,
    write_timeout: Duration,
    reading: Pin<Box<Sleep>>,
    /// Runs while the peer takes nothing.
    writing: Option<Pin<Box<Sleep>>>,
}

impl<T: AsyncRead + AsyncWrite + Unpin> Watched<T> {
    pub(crate) fn new(inner: T, clock: Arc<Clock>, write_timeout: Duration) -> Self {
        Self {
            inner,
            clock,
            write_timeout,
            reading: Box::pin(tokio::time::sleep(Duration::ZERO)),
            writing: None,
        }
    }

    /// Whether the peer has been quiet for too long; else wakes the task when that may be so.
    fn is_overdue(&mut self, context: &mut Context<'_>) -> bool {
        let Some(deadline) = self.clock.deadline() else {
            return false;
        };
        if self.reading.deadline() != deadline {
            self.reading.as_mut().reset(deadline);
        }
        self.reading.as_mut().poll(context).is_ready()
    }

    /// Tells a client whose head is late, as far as it listens; hyper would close without a word.
    fn tell_timeout(&mut self, context: &mut Context<'_>) {
        if self.clock.owes_an_answer() {
            let answer = late_head();
            let _ = Pin::new(&mut self.inner).poll_write(context, answer.as_bytes());
            let _ = Pin::new(&mut self.inner).poll_flush(context);
        }
    }

    /// Gives up on a peer that has taken nothing for too long.
    fn watch_write<R>(&mut self, polled: Poll<io::Result<R>>, context: &mut Context<'_>) -> Poll<io::Result<R>> {
        if polled.is_ready() {
            self.writing = None;
            return polled;
        }
        let timeout = self.write_timeout;
        let writing = self
            .writing
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(timeout)));
        if writing.as_mut().poll(context).is_ready() {
            return Poll::Ready(Err(io::Error::new(
                ErrorKind::TimedOut,
                "the client takes nothing of its answer",
            )));
        }
        Poll::Pending
    }
}

fn late_head() -> String {
    let body = ApiError::new("request_timeout", "the head of the request arrives too slowly").to_json();
    let length = body.len();
    format!(
        "HTTP/1.1 408 Request Timeout\r\ncontent-type: application/json\r\nconnection: close\r\n\
         content-length: {length}\r\n\r\n{body}"
    )
}

impl<T: AsyncRead + AsyncWrite + Unpin> AsyncRead for Watched<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.inner).poll_read(context, buffer);
        if buffer.filled().len() > before {
            self.clock.bytes_came();
        }
        // Checked after bytes too: a head that drips must not outrun its clock.
        if self.is_overdue(context) {
            self.tell_timeout(context);
            return Poll::Ready(Err(io::Error::new(ErrorKind::TimedOut, "the client is too slow")));
        }
        polled
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Watched<T> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.inner).poll_write(context, bytes);
        self.watch_write(polled, context)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.inner).poll_flush(context);
        self.watch_write(polled, context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.inner).poll_shutdown(context);
        self.watch_write(polled, context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.inner).poll_write_vectored(context, buffers);
        self.watch_write(polled, context)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;
    use tokio::io::AsyncWriteExt;
    use tokio::time::Instant;

    use super::*;

    fn pair() -> (tokio::io::DuplexStream, Watched<tokio::io::DuplexStream>, Arc<Clock>) {
        let (client, server) = tokio::io::duplex(256);
        let clock = Arc::new(Clock::new(Duration::from_secs(10), Duration::from_secs(75)));
        (
            client,
            Watched::new(server, clock.clone(), Duration::from_mins(1)),
            clock,
        )
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_that_drips_is_cut_off_and_told_why() {
        let (mut client, mut server, _) = pair();
        let reading = tokio::spawn(async move {
            let start = Instant::now();
            let mut buffer = [0; 16];
            while server.read(&mut buffer).await.is_ok() {}
            start.elapsed()
        });
        for _ in 0..20 {
            if client.write_all(b"x").await.is_err() {
                break;
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        assert_eq!(reading.await.unwrap().as_secs(), 10);
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.unwrap();
        assert!(
            answer.starts_with("HTTP/1.1 408 ") && answer.contains("request_timeout"),
            "{answer}"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn an_idle_connection_is_closed_without_a_word() {
        let (mut client, mut server, clock) = pair();
        clock.request_began(false);
        clock.request_ended();
        let (start, mut buffer) = (Instant::now(), [0; 16]);
        assert!(server.read(&mut buffer).await.is_err());
        assert_eq!(start.elapsed().as_secs(), 75);
        drop(server);
        let mut answer = Vec::new();
        client.read_to_end(&mut answer).await.unwrap();
        assert!(answer.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_reader_that_takes_nothing_is_given_up() {
        let (_client, mut server, _) = pair();
        let start = Instant::now();
        assert_eq!(
            server.write_all(&[0; 1000]).await.unwrap_err().kind(),
            ErrorKind::TimedOut
        );
        assert_eq!(start.elapsed().as_secs(), 60);
    }
}
