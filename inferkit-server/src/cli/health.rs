//! `health`: asks a running server on this machine, with nothing but a socket.

use std::io;
use std::io::Read;
use std::io::Write;
use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::Ipv6Addr;
use std::net::SocketAddr;
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use crate::cli::ConfigFile;
use crate::cli::Failure;
use crate::cli::print;
use crate::config::Bind;

/// Longest wait for any step.
const PATIENCE: Duration = Duration::from_secs(3);
const QUESTION: &[u8] = b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";

pub(crate) fn run(file: &ConfigFile) -> Result<(), Failure> {
    let config = file.load()?;
    let (place, answer) = match &config.server.bind {
        Bind::Tcp(address) => {
            let address = reachable(*address);
            let stream = TcpStream::connect_timeout(&address, PATIENCE);
            if config.server.tls.is_some() {
                stream.map_err(|error| silent(&address.to_string(), &error))?;
                return print("the server takes connections; with TLS no more than that is tried");
            }
            (
                address.to_string(),
                stream.and_then(|stream| {
                    stream.set_read_timeout(Some(PATIENCE))?;
                    stream.set_write_timeout(Some(PATIENCE))?;
                    ask(stream)
                }),
            )
        }
        Bind::Unix(path) => (
            path.display().to_string(),
            UnixStream::connect(path).and_then(|stream| {
                stream.set_read_timeout(Some(PATIENCE))?;
                stream.set_write_timeout(Some(PATIENCE))?;
                ask(stream)
            }),
        ),
    };
    let answer = answer.map_err(|error| silent(&place, &error))?;
    if answer.starts_with("HTTP/1.1 200 ") {
        return print("ok");
    }
    let first = answer.lines().next().unwrap_or_default();
    Err(Failure::Failed(format!(
        "{place} answers {first:?}; look at the server's log"
    )))
}

fn silent(place: &str, error: &io::Error) -> Failure {
    Failure::Failed(format!(
        "nothing answers at {place}: {error}; start the server or correct server.bind"
    ))
}

/// An address that was bound for all interfaces is asked on the local one.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

fn ask(mut stream: impl Read + Write) -> io::Result<String> {
    stream.write_all(QUESTION)?;
    let mut answer = Vec::new();
    stream.take(64 * 1024).read_to_end(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}
