//! The accept loop, and the end of it.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioExecutor;
use hyper_util::rt::TokioIo;
use hyper_util::rt::TokioTimer;
use hyper_util::server::conn::auto::Builder;
use poem::Endpoint;
use poem::EndpointExt;
use poem::Response;
use poem::http::HeaderValue;
use poem::http::Version;
use poem::http::header;
use poem::http::uri::Scheme;
use poem::listener::Acceptor;
use poem::web::LocalAddr;
use poem::web::RemoteAddr;
use tokio::io::AsyncRead;
use tokio::io::AsyncWrite;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

use crate::config::Limits;
use crate::life::Life;
use crate::middleware::WhileAnswering;
use crate::serve::Listening;
use crate::serve::clock::Clock;
use crate::serve::watched::Watched;

/// Pause after a failed accept: out of file descriptors, others need time to close.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// hyper's own bound of a head; the front's is lower and answers in words.
const MAX_HEAD_BUFFER: usize = 64 * 1024;
/// Requests at a time on one connection of HTTP/2.
const MAX_STREAMS: u32 = 100;
/// Time that ended streams have to say so.
const FAREWELL: Duration = Duration::from_secs(1);
/// How long open connections are kept when the server stops and nothing runs, so that a request which is
/// on its way is told to go elsewhere instead of finding its connection closed.
const LAST_REQUESTS: Duration = Duration::from_secs(1);

/// Where a connection comes from.
#[derive(Clone)]
struct Peer {
    local: LocalAddr,
    remote: RemoteAddr,
    scheme: Scheme,
}

/// Serves `app` until the process's life stops, then lets what runs finish in its time.
///
/// Until then, and for at least a second, connections that are open stay so: a request that comes on one
/// of them is the front's to refuse, and its answer is the connection's last.
pub async fn serve(
    listening: Listening,
    app: impl Endpoint<Output = Response> + 'static,
    limits: &Limits,
    life: &Life,
) {
    let (mut acceptor, socket_file) = listening.split();
    let server = Arc::new(Server {
        app: Box::new(app.boxed()),
        builder: builder(),
        limits: limits.clone(),
        stopping: life.stopping(),
        closing: CancellationToken::new(),
        requests: TaskTracker::new(),
        refused: AtomicU64::new(0),
    });
    let (connections, slots) = (TaskTracker::new(), Arc::new(Semaphore::new(limits.max_connections)));
    let stopping = life.stopping();
    loop {
        let accepted = tokio::select! {
            accepted = acceptor.accept() => accepted,
            () = stopping.cancelled() => break,
        };
        let Ok((socket, local, remote, scheme)) = accepted else {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let Ok(slot) = slots.clone().try_acquire_owned() else {
            server.count_refused();
            continue;
        };
        let server = server.clone();
        connections.spawn(async move {
            server.connection(socket, Peer { local, remote, scheme }).await;
            drop(slot);
        });
    }
    drop((acceptor, socket_file));
    connections.close();
    let ended = server.finish(&connections);
    if tokio::time::timeout(limits.shutdown_timeout, ended).await.is_err() {
        tracing::warn!(
            connections = connections.len(),
            "requests outlast limits.shutdown_timeout and are ended"
        );
        life.end();
        server.closing.cancel();
        let _ = tokio::time::timeout(FAREWELL, connections.wait()).await;
    }
}

struct Server {
    app: Box<poem::endpoint::BoxEndpoint<'static, Response>>,
    builder: Builder<TokioExecutor>,
    limits: Limits,
    /// Cancelled when an answer is to be the last of its connection.
    stopping: CancellationToken,
    /// Cancelled when connections close that nothing runs on.
    closing: CancellationToken,
    requests: TaskTracker,
    refused: AtomicU64,
}

fn builder() -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .max_buf_size(MAX_HEAD_BUFFER)
        .header_read_timeout(None);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(64 * 1024);
    builder
}

impl Server {
    /// Returns once all connections have ended: those that nothing runs on are closed when no request is
    /// left on any of them.
    async fn finish(&self, connections: &TaskTracker) {
        self.requests.close();
        let quiet = async { tokio::join!(tokio::time::sleep(LAST_REQUESTS), self.requests.wait()) };
        tokio::select! {
            _ = quiet => {}
            () = connections.wait() => {}
        }
        self.closing.cancel();
        connections.wait().await;
    }

    async fn connection(self: Arc<Self>, socket: impl AsyncRead + AsyncWrite + Send + Unpin + 'static, peer: Peer) {
        let clock = Arc::new(Clock::new(self.limits.head_timeout, self.limits.idle_timeout));
        let socket = Watched::new(socket, clock.clone(), self.limits.write_timeout);
        let server = self.clone();
        let service = service_fn(move |request| {
            let (server, clock, peer) = (server.clone(), clock.clone(), peer.clone());
            async move { Ok::<_, Infallible>(server.answer(request, &clock, peer).await) }
        });
        let connection = self
            .builder
            .serve_connection_with_upgrades(TokioIo::new(socket), service);
        tokio::pin!(connection);
        tokio::select! {
            // Over: awaiting it again would keep its handler alive.
            _ = &mut connection => {}
            () = self.closing.cancelled() => {
                connection.as_mut().graceful_shutdown();
                let _ = connection.await;
            }
        }
    }

    async fn answer(
        &self,
        request: hyper::Request<Incoming>,
        clock: &Arc<Clock>,
        peer: Peer,
    ) -> hyper::Response<http_body_util::combinators::BoxBody<bytes::Bytes, std::io::Error>> {
        let is_http2 = request.version() >= Version::HTTP_2;
        clock.request_began(is_http2);
        let in_flight = WhileAnswering::new(InFlight {
            clock: clock.clone(),
            _counted: self.requests.token(),
        });
        let mut request = poem::Request::from((request, peer.local, peer.remote, peer.scheme));
        request.set_data(in_flight);
        let mut response = self.app.get_response(request).await;
        if self.stopping.is_cancelled() && !is_http2 {
            let close = HeaderValue::from_static("close");
            response.headers_mut().insert(header::CONNECTION, close);
        }
        response.into()
    }

    fn count_refused(&self) {
        let refused = 1 + self.refused.fetch_add(1, Ordering::Relaxed);
        if refused.is_power_of_two() {
            tracing::warn!(refused, "connections beyond limits.max_connections were closed");
        }
    }
}

/// A request that is at work on a connection.
struct InFlight {
    clock: Arc<Clock>,
    _counted: TaskTrackerToken,
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.clock.request_ended();
    }
}
