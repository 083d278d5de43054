//! What does the gateway add to a request, and what does an open stream cost?
//!
//! Starts the server in a process of its own with a model that answers at once, and asks it from this
//! one over loopback: whole answers at a fixed rate over 200 connections, then 2,000 streams held open.
//!
//!     cargo run --release -p inferkit-benches --bin gateway

use std::collections::BTreeMap;
use std::error::Error;
use std::net::SocketAddr;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use inferkit::ModelPolicy;
use inferkit::ModelRegistry;
use inferkit_benches::Echo;
use inferkit_benches::Figures;
use inferkit_benches::cpu_seconds;
use inferkit_benches::resident_bytes;
use inferkit_server::app::App;
use inferkit_server::config::Sources;
use inferkit_server::config::load;
use inferkit_server::platform::Platform;
use inferkit_server::serve::listen;
use inferkit_server::serve::serve;
use tokio::io::AsyncBufReadExt;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::io::BufReader;
use tokio::net::TcpStream;
use tokio::process::Child;
use tokio::process::Command;

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

const CONNECTIONS: usize = 200;
const RATES: [f64; 3] = [200.0, 1000.0, 4000.0];
const SECONDS: f64 = 5.0;
const STREAMS: usize = 2000;
const HELD: Duration = Duration::from_secs(10);

#[tokio::main]
async fn main() -> Outcome<()> {
    if std::env::args().nth(1).as_deref() == Some("serve") {
        return serve_echo().await;
    }
    let (mut server, address) = start().await?;
    for path in ["/healthz", "/v1/chat/completions"] {
        for rate in RATES {
            let figures = ask_at_rate(address, path, rate).await?;
            println!(
                "{path:22} {rate:5.0} requests/s over {CONNECTIONS} connections: p50 {:.3} ms, p99 {:.3} ms, n {}",
                figures.median(),
                figures.quantile(0.99),
                figures.count(),
            );
        }
    }
    hold_streams(&server, address).await?;
    server.kill().await?;
    Ok(())
}

/// The server under test: one model that answers at once, one that pauses in the middle.
async fn serve_echo() -> Outcome<()> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("inferkit.toml");
    let models = folder.path().join("models");
    std::fs::create_dir(&models)?;
    std::fs::write(
        &file,
        format!(
            "[server]\nbind = \"127.0.0.1:0\"\n[limits]\nmax_connections = 4096\n[log]\nlevel = \"warn\"\n\
             [storage]\noffline = true\nmodels_dir = {:?}\n",
            models.display().to_string(),
        ),
    )?;
    let config = load(&Sources {
        named_file: Some(file),
        ..Sources::default()
    })?;
    let registry = ModelRegistry::builder().build()?;
    registry
        .register("echo", Arc::new(Echo::default()), ModelPolicy::default())
        .await?;
    let pausing = Echo { pause: Some(HELD * 3) };
    registry
        .register("pausing", Arc::new(pausing), ModelPolicy::default())
        .await?;
    let listening = listen(&config.server).await?;
    let platform = Platform::start(&config, &BTreeMap::new())?;
    let app = App::with_registry(config, registry, platform);
    println!("{}", listening.addresses().join(" "));
    serve(listening, app.endpoint(), &app.config.limits, app.life()).await;
    Ok(())
}

async fn start() -> Outcome<(Child, SocketAddr)> {
    let mut server = Command::new(std::env::current_exe()?)
        .arg("serve")
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let output = server.stdout.take().ok_or("the server has no output")?;
    let line = BufReader::new(output)
        .lines()
        .next_line()
        .await?
        .ok_or("the server said nothing")?;
    let address = line.rsplit('/').next().unwrap_or_default().parse()?;
    Ok((server, address))
}

fn request(address: SocketAddr, path: &str, model: &str, stream: bool) -> String {
    let head = format!("{path} HTTP/1.1\r\nhost: {address}\r\n");
    if path == "/healthz" {
        return format!("GET {head}\r\n");
    }
    let body = format!(r#"{{"model":"{model}","messages":[{{"role":"user","content":"Hi"}}],"stream":{stream}}}"#);
    format!(
        "POST {head}content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// Milliseconds of whole answers that are asked for at `rate` a second, evenly over all connections.
///
/// The time counts from when a request was due, so that waiting behind a slow one is not lost.
async fn ask_at_rate(address: SocketAddr, path: &'static str, rate: f64) -> Outcome<Figures> {
    let begin = Instant::now() + Duration::from_millis(200);
    let gap = Duration::from_secs_f64(CONNECTIONS as f64 / rate);
    let mut askers = Vec::new();
    for place in 0..CONNECTIONS {
        let offset = gap.mul_f64(place as f64 / CONNECTIONS as f64);
        askers.push(tokio::spawn(async move {
            let mut socket = TcpStream::connect(address).await?;
            socket.set_nodelay(true)?;
            let request = request(address, path, "echo", false);
            let mut buffer = vec![0; 16 * 1024];
            let mut times = Vec::new();
            let mut due = begin + offset;
            while due < begin + Duration::from_secs_f64(SECONDS) {
                tokio::time::sleep_until(due.into()).await;
                // The timer's own grain (a millisecond) is not the server's.
                let sent = Instant::now();
                socket.write_all(request.as_bytes()).await?;
                read_answer(&mut socket, &mut buffer).await?;
                times.push(sent.elapsed().as_secs_f64() * 1000.0);
                due += gap;
            }
            Outcome::Ok(times)
        }));
    }
    let mut all = Vec::new();
    for asker in askers {
        all.extend(asker.await??);
    }
    Ok(Figures::new(all))
}

/// Reads one answer with a content length.
async fn read_answer(socket: &mut TcpStream, buffer: &mut [u8]) -> Outcome<()> {
    let mut filled = 0;
    loop {
        let read = socket
            .read(buffer.get_mut(filled..).ok_or("the answer is too long")?)
            .await?;
        filled += read;
        let text = std::str::from_utf8(buffer.get(..filled).unwrap_or_default())?;
        if read == 0 {
            return Err(format!("the server closed the connection: {text}").into());
        }
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            continue;
        };
        if !head.starts_with("HTTP/1.1 200") {
            return Err(format!("not an answer: {text}").into());
        }
        let length = head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-length")
                .then(|| value.trim().parse::<usize>().ok())?
        });
        if body.len() >= length.ok_or("the answer has no length")? {
            return Ok(());
        }
    }
}

async fn hold_streams(server: &Child, address: SocketAddr) -> Outcome<()> {
    let process = server.id().ok_or("the server has ended")?;
    let before = resident_bytes(process)?;
    let request = request(address, "/v1/chat/completions", "pausing", true);
    let mut sockets = Vec::with_capacity(STREAMS);
    for _ in 0..STREAMS {
        let mut socket = TcpStream::connect(address).await?;
        socket.write_all(request.as_bytes()).await?;
        sockets.push(socket);
    }
    let mut buffer = vec![0; 16 * 1024];
    for socket in &mut sockets {
        let mut seen = String::new();
        while !seen.contains("Hello") {
            let read = socket.read(&mut buffer).await?;
            seen.push_str(std::str::from_utf8(buffer.get(..read).unwrap_or_default())?);
            if read == 0 {
                return Err(format!("a stream ended early: {seen}").into());
            }
        }
    }
    let (cpu, held) = (cpu_seconds(process)?, resident_bytes(process)?);
    tokio::time::sleep(HELD).await;
    let idle = (cpu_seconds(process)? - cpu) / HELD.as_secs_f64();
    println!(
        "{STREAMS} streams held open: {:.1} KiB each, {:.2} % of one core",
        (held - before) as f64 / 1024.0 / STREAMS as f64,
        idle * 100.0,
    );
    Ok(())
}
