//! The server over a real socket: what no client without one can show.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use poem::Endpoint;
use poem::Response;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::*;
use crate::app::App;
use crate::testing;

const HEALTH: &str = "GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n";

struct Running {
    address: SocketAddr,
    app: Arc<App>,
    served: JoinHandle<()>,
}

impl Running {
    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    async fn say(&self, text: &str) -> String {
        let mut stream = self.connect().await;
        stream.write_all(text.as_bytes()).await.unwrap();
        read_all(&mut stream).await
    }
}

/// Starts a server with the limits of `file` on a free port.
async fn start(limits: &str) -> Running {
    let app = testing::app(&format!("[server]\nbind = \"127.0.0.1:0\"\n[limits]\n{limits}")).await;
    let endpoint = app.endpoint();
    start_with(app, endpoint).await
}

async fn start_with(app: Arc<App>, endpoint: impl Endpoint<Output = Response> + 'static) -> Running {
    let listening = listen(&app.config.server).await.unwrap();
    let address = SocketAddr::from(([127, 0, 0, 1], listening.port().unwrap()));
    let served = {
        let app = app.clone();
        tokio::spawn(async move { serve(listening, endpoint, &app.config.limits, app.life()).await })
    };
    Running { address, app, served }
}

async fn read_all(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    let _ = tokio::time::timeout(Duration::from_secs(5), stream.read_to_end(&mut answer))
        .await
        .expect("no end in 5 s");
    String::from_utf8(answer).unwrap()
}

/// Reads until `end` has come.
async fn read_until(stream: &mut TcpStream, end: &str) -> String {
    let mut answer = Vec::new();
    let reading = async {
        while !String::from_utf8_lossy(&answer).contains(end) {
            assert!(stream.read_buf(&mut answer).await.unwrap() > 0, "closed before {end:?}");
        }
    };
    tokio::time::timeout(Duration::from_secs(5), reading)
        .await
        .expect("no end in 5 s");
    String::from_utf8(answer).unwrap()
}

#[tokio::test]
async fn two_requests_go_over_one_connection() {
    let server = start("").await;
    let mut stream = server.connect().await;
    for _ in 0..2 {
        stream.write_all(HEALTH.as_bytes()).await.unwrap();
        let answer = read_until(&mut stream, "\"ok\"}").await;
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    }
}

#[tokio::test]
async fn a_slow_head_is_cut_off_and_told_why() {
    let server = start("head_timeout = 1\n").await;
    let mut stream = server.connect().await;
    let start = Instant::now();
    stream.write_all(b"GET /healthz HT").await.unwrap();
    let answer = read_all(&mut stream).await;
    assert!(
        answer.starts_with("HTTP/1.1 408 ") && answer.contains("request_timeout"),
        "{answer}"
    );
    assert!(start.elapsed() < Duration::from_secs(3));
}

#[tokio::test]
async fn a_client_that_says_nothing_and_an_idle_one_are_closed() {
    let server = start("head_timeout = 1\nidle_timeout = 1\n").await;
    assert_eq!(read_all(&mut server.connect().await).await, "");
    assert!(
        server.say(HEALTH).await.ends_with("{\"status\":\"ok\"}"),
        "answered, then closed"
    );
}

/// An endpoint that never answers and tells when it is dropped.
fn hanging(dropped: oneshot::Sender<()>) -> impl Endpoint<Output = Response> {
    struct Tell(Option<oneshot::Sender<()>>);
    impl Drop for Tell {
        fn drop(&mut self) {
            let _ = self.0.take().map(|sender| sender.send(()));
        }
    }
    let tell = std::sync::Mutex::new(Some(Tell(Some(dropped))));
    poem::endpoint::make(move |_| {
        let tell = tell.lock().unwrap().take();
        async move {
            let _tell = tell;
            std::future::pending::<()>().await;
            Ok::<_, poem::Error>(Response::default())
        }
    })
}

#[tokio::test]
async fn a_handler_is_dropped_when_its_client_leaves() {
    let (sender, dropped) = oneshot::channel();
    let app = testing::app("[server]\nbind = \"127.0.0.1:0\"\n").await;
    let server = start_with(app, hanging(sender)).await;
    let mut stream = server.connect().await;
    stream.write_all(HEALTH.as_bytes()).await.unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    drop(stream);
    tokio::time::timeout(Duration::from_secs(1), dropped)
        .await
        .expect("still running after 1 s")
        .unwrap();
}

#[tokio::test]
async fn a_refused_body_is_read_away_so_that_the_answer_arrives() {
    let server = start("max_json_bytes = 1024\n").await;
    let body = "x".repeat(4 << 20);
    let head = "POST /api/admin/models/qwen/load HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n";
    let mut stream = server.connect().await;
    let request = format!("{head}content-length: {}\r\n\r\n{body}", body.len());
    let (mut reader, mut writer) = stream.split();
    let mut answer = Vec::new();
    let (written, read) = tokio::join!(writer.write_all(request.as_bytes()), reader.read_to_end(&mut answer));
    written.expect("the client can send all of its body");
    read.expect("the answer is not reset");
    let answer = String::from_utf8(answer).unwrap();
    assert!(
        answer.starts_with("HTTP/1.1 413 ") && answer.contains("payload_too_large"),
        "{answer}"
    );
    assert!(answer.contains("connection: close"), "{answer}");
}

#[tokio::test]
async fn a_chunked_body_is_counted_and_its_rest_is_no_request() {
    let server = start("max_json_bytes = 1024\n").await;
    let chunk = format!("800\r\n{}\r\n", "x".repeat(0x800));
    let request = format!(
        "POST /api/admin/models/qwen/load HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
         transfer-encoding: chunked\r\n\r\n{chunk}{chunk}0\r\n\r\n{HEALTH}"
    );
    let answer = server.say(&request).await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    assert_eq!(
        answer.matches("HTTP/1.1 ").count(),
        1,
        "one answer, then the end: {answer}"
    );
}

#[tokio::test]
async fn what_the_http_layer_cannot_read_is_refused_and_a_long_head_is_told_why() {
    let server = start("").await;
    assert!(server.say("NONSENSE\r\n\r\n").await.starts_with("HTTP/1.1 400 "));
    let long = format!(
        "GET /healthz HTTP/1.1\r\nhost: localhost\r\nx: {}\r\nconnection: close\r\n\r\n",
        "y".repeat(20_000)
    );
    let answer = server.say(&long).await;
    assert!(
        answer.starts_with("HTTP/1.1 431 ") && answer.contains("headers_too_large"),
        "{answer}"
    );
    let many = "a: b\r\n".repeat(150);
    assert!(
        server
            .say(&format!("GET /healthz HTTP/1.1\r\n{many}\r\n"))
            .await
            .starts_with("HTTP/1.1 431 ")
    );
    let hostless = server.say("GET /version HTTP/1.1\r\nconnection: close\r\n\r\n").await;
    assert!(
        hostless.starts_with("HTTP/1.1 400 ") && hostless.contains("Host"),
        "{hostless}"
    );
}

#[tokio::test]
async fn connections_beyond_the_limit_are_closed_at_once() {
    let server = start("max_connections = 1\n").await;
    let mut first = server.connect().await;
    first.write_all(HEALTH.as_bytes()).await.unwrap();
    read_until(&mut first, "\"ok\"}").await;
    let mut second = server.connect().await;
    let _ = second.write_all(HEALTH.as_bytes()).await;
    let mut answer = Vec::new();
    // Closed with the request unread, which the kernel may tell as a reset.
    let _ = second.read_to_end(&mut answer).await;
    assert!(answer.is_empty());
    drop(first);
    tokio::time::sleep(Duration::from_millis(100)).await;
    let last = "GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    assert!(
        server.say(last).await.starts_with("HTTP/1.1 200 "),
        "the place is free again"
    );
}

#[tokio::test]
async fn a_stopping_server_finishes_what_runs_and_takes_nothing_new() {
    let app = testing::app("[server]\nbind = \"127.0.0.1:0\"\n").await;
    let slow = poem::endpoint::make(|_| async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        Ok::<_, poem::Error>(Response::builder().body("slow"))
    });
    let server = start_with(app, slow).await;
    let mut running = server.connect().await;
    running.write_all(HEALTH.as_bytes()).await.unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    server.app.life().stop();
    assert!(read_all(&mut running).await.ends_with("slow"));
    tokio::time::timeout(Duration::from_secs(2), server.served)
        .await
        .expect("the server has ended")
        .unwrap();
    assert!(
        TcpStream::connect(server.address).await.is_err(),
        "nobody listens any more"
    );
}

/// Answers like the server, but for one path that takes its time.
fn slow_beside(app: &Arc<App>) -> impl Endpoint<Output = Response> + 'static {
    let served = Arc::new(app.endpoint());
    poem::endpoint::make(move |request| {
        let served = served.clone();
        async move {
            if request.uri().path() == "/slow" {
                tokio::time::sleep(Duration::from_millis(400)).await;
                return Ok(Response::builder().body("slow"));
            }
            served.call(request).await
        }
    })
}

#[tokio::test]
async fn a_stopping_server_tells_new_requests_on_open_connections_to_go_elsewhere() {
    let app = testing::app("[server]\nbind = \"127.0.0.1:0\"\n").await;
    let endpoint = slow_beside(&app);
    let server = start_with(app, endpoint).await;
    let (mut kept, mut quiet, mut running) = (server.connect().await, server.connect().await, server.connect().await);
    for stream in [&mut kept, &mut quiet] {
        stream.write_all(HEALTH.as_bytes()).await.unwrap();
        let answer = read_until(stream, "\"ok\"}").await;
        assert!(!answer.contains("connection: close"), "{answer}");
    }
    running
        .write_all(b"GET /slow HTTP/1.1\r\nhost: localhost\r\n\r\n")
        .await
        .unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    server.app.life().stop();
    tokio::time::sleep(Duration::from_millis(50)).await;

    kept.write_all(b"GET /v1/models HTTP/1.1\r\nhost: localhost\r\n\r\n")
        .await
        .unwrap();
    let answer = read_all(&mut kept).await;
    assert!(
        answer.starts_with("HTTP/1.1 503 ") && answer.contains("server_shutting_down"),
        "{answer}"
    );
    assert!(
        answer.contains("retry-after: 5") && answer.contains("connection: close"),
        "{answer}"
    );
    let answer = read_all(&mut running).await;
    assert!(
        answer.ends_with("slow") && answer.contains("connection: close"),
        "what runs ends, and its connection with it: {answer}"
    );
    assert_eq!(
        read_all(&mut quiet).await,
        "",
        "an idle connection is closed at the end"
    );
    tokio::time::timeout(Duration::from_secs(2), server.served)
        .await
        .expect("the server has ended")
        .unwrap();
}

#[tokio::test]
async fn what_outlasts_the_shutdown_is_ended() {
    let (sender, dropped) = oneshot::channel();
    let app = testing::app("[server]\nbind = \"127.0.0.1:0\"\n[limits]\nshutdown_timeout = 0\n").await;
    let server = start_with(app, hanging(sender)).await;
    let mut stream = server.connect().await;
    stream.write_all(HEALTH.as_bytes()).await.unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    server.app.life().stop();
    tokio::time::timeout(Duration::from_secs(3), server.served)
        .await
        .expect("the server has ended")
        .unwrap();
    assert!(server.app.life().ending().is_cancelled());
    drop((stream, dropped));
}

#[tokio::test]
async fn a_unix_socket_is_served_and_removed_at_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("inferkit.sock");
    let app = testing::app(&format!("[server]\nbind = \"unix:{}\"\n", path.display())).await;
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    let listening = listen(&app.config.server)
        .await
        .expect("a socket that was left behind is replaced");
    let in_use = listen(&app.config.server).await.unwrap_err();
    assert!(
        matches!(in_use, ListenError::Bind { .. }),
        "a socket in use is not: {in_use}"
    );
    assert!(in_use.to_string().contains("choose another with --bind"), "{in_use}");
    let served = {
        let app = app.clone();
        tokio::spawn(async move { serve(listening, app.endpoint(), &app.config.limits, app.life()).await })
    };
    let mut stream = tokio::net::UnixStream::connect(&path).await.unwrap();
    stream
        .write_all(b"GET /version HTTP/1.1\r\nhost: any.example\r\nconnection: close\r\n\r\n")
        .await
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(
        answer.starts_with("HTTP/1.1 200 "),
        "no Host check on a socket: {answer}"
    );
    app.life().stop();
    served.await.unwrap();
    assert!(!path.exists());
}

#[tokio::test]
async fn tls_files_that_cannot_be_used_are_told_before_listening() {
    let folder = tempfile::tempdir().unwrap();
    let (cert, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
    let file = format!("[server]\nbind = \"127.0.0.1:0\"\n[server.tls]\ncert_file = {cert:?}\nkey_file = {key:?}\n");
    let app = testing::app(&file).await;
    let missing = listen(&app.config.server).await.unwrap_err();
    assert!(
        matches!(&missing, ListenError::TlsFile { path, .. } if *path == cert),
        "{missing}"
    );
    std::fs::write(&cert, "no certificate").unwrap();
    std::fs::write(&key, "no key").unwrap();
    let unusable = listen(&app.config.server).await.unwrap_err();
    assert!(
        matches!(&unusable, ListenError::Tls { .. }) && unusable.to_string().contains("PEM"),
        "{unusable}"
    );
}
