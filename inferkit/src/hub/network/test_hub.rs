//! A small hub on this machine: real sockets, real HTTP/1.1, and the faults a real hub has.

use std::io::BufRead;
use std::io::BufReader;
use std::io::Write;
use std::net::TcpListener;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;

use sha2::Digest;
use sha2::Sha256;

use super::content::hexadecimal;

pub(super) const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// What the hub does wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Behaviour {
    Sound,
    /// Files only for a token whose owner has accepted the licence.
    Gated,
    /// Answers each request with a status and an error code.
    Refusing(u16, &'static str),
    /// Breaks off the first body after half of it.
    BreakingOff,
    /// Sends other bytes than announced, always.
    Lying,
    /// Lists each file with a byte more than it has.
    Miscounting,
    /// Sends no byte of a body.
    Stalling,
    /// Sends whoever asks for a file to a store on another host, and names its content itself.
    StoringElsewhere,
    /// Sends whoever asks for a file to another path.
    Renaming,
    /// Sends whole files even where a part was asked for.
    WithoutRanges,
}

pub(super) struct TestHub {
    pub(super) endpoint: String,
    seen: Arc<Mutex<Vec<String>>>,
    stop: Arc<AtomicBool>,
}

struct Site {
    files: Vec<(&'static str, Vec<u8>)>,
    behaviour: Behaviour,
    seen: Arc<Mutex<Vec<String>>>,
    broken: AtomicBool,
}

impl TestHub {
    pub(super) fn start(behaviour: Behaviour, files: &[(&'static str, &[u8])]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let (seen, stop) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
        let files = files.iter().map(|(path, content)| (*path, content.to_vec())).collect();
        let site = Arc::new(Site {
            files,
            behaviour,
            seen: seen.clone(),
            broken: AtomicBool::new(false),
        });
        let stopped = stop.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if stopped.load(Ordering::Relaxed) {
                    return;
                }
                let site = site.clone();
                std::thread::spawn(move || site.answer(stream));
            }
        });
        Self { endpoint, seen, stop }
    }

    /// The requests so far, as `METHOD path [range] [token]`.
    pub(super) fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }
}

impl Drop for TestHub {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        // Wakes the thread that accepts.
        let _ = TcpStream::connect(self.endpoint.trim_start_matches("http://"));
    }
}

impl Site {
    fn answer(&self, mut stream: TcpStream) {
        let (mut line, mut range, mut token) = (String::new(), 0, String::new());
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        if reader.read_line(&mut line).unwrap_or(0) == 0 {
            return;
        }
        loop {
            let mut header = String::new();
            if reader.read_line(&mut header).unwrap_or(0) <= 2 {
                break;
            }
            let header = header.trim().to_owned();
            let lower = header.to_ascii_lowercase();
            if let Some(start) = lower.strip_prefix("range: bytes=") {
                range = start.trim_end_matches('-').parse().unwrap();
            }
            if lower.starts_with("authorization:") {
                token = header["authorization: Bearer ".len()..].to_owned();
            }
        }
        let mut words = line.split_whitespace();
        let (method, path) = (words.next().unwrap_or(""), words.next().unwrap_or("").to_owned());
        let note = format!(
            "{method} {path} {} {token}",
            if range > 0 {
                format!("from {range}")
            } else {
                String::new()
            }
        );
        self.seen
            .lock()
            .unwrap()
            .push(note.split_whitespace().collect::<Vec<_>>().join(" "));
        let _ = self.respond(&mut stream, method, &path, range, &token);
    }

    fn respond(&self, to: &mut TcpStream, method: &str, path: &str, range: usize, token: &str) -> std::io::Result<()> {
        if let Behaviour::Refusing(status, code) = self.behaviour {
            return refuse(to, status, code);
        }
        if path.starts_with("/api/whoami-v2") {
            return match token {
                "hf_accepted_token" => json(to, r#"{"name":"ada","type":"user"}"#),
                _ => refuse(to, 401, ""),
            };
        }
        if let (Some((_, name)), Behaviour::StoringElsewhere | Behaviour::Renaming) =
            (path.split_once("/resolve/"), self.behaviour)
        {
            let name = name.rsplit('/').next().unwrap_or("");
            return self.redirect(to, name);
        }
        if let Some(name) = path.strip_prefix("/store/") {
            return match self.files.iter().find(|(path, _)| *path == name) {
                Some((_, content)) => self.file(to, method, content, range),
                None => refuse(to, 403, ""),
            };
        }
        if !path.contains("/owner/name") {
            return refuse(to, 401, "RepoNotFound");
        }
        if path.starts_with("/api/models/owner/name/revision/main") {
            return json(to, &format!(r#"{{"id":"owner/name","sha":"{COMMIT}"}}"#));
        }
        if path.starts_with("/api/models/owner/name/revision") {
            return refuse(to, 404, "RevisionNotFound");
        }
        if path.starts_with("/api/models/owner/name/tree") {
            let more = usize::from(self.behaviour == Behaviour::Miscounting);
            let entry = |(path, content): &(&str, Vec<u8>)| {
                let size = content.len() + more;
                format!(r#"{{"type":"file","oid":"x","size":{size},"path":"{path}"}}"#)
            };
            let entries: Vec<String> = self.files.iter().map(entry).collect();
            return json(to, &format!("[{}]", entries.join(",")));
        }
        let Some((_, content)) = self.files.iter().find(|(name, _)| path.ends_with(&format!("/{name}"))) else {
            return refuse(to, 404, "EntryNotFound");
        };
        match (self.behaviour, token) {
            (Behaviour::Gated, "hf_accepted_token") => self.file(to, method, content, range),
            (Behaviour::Gated, "hf_unknown_token") => refuse(to, 401, ""),
            (Behaviour::Gated, "") => refuse(to, 401, "GatedRepo"),
            (Behaviour::Gated, _) => refuse(to, 403, "GatedRepo"),
            _ => self.file(to, method, content, range),
        }
    }

    fn redirect(&self, to: &mut TcpStream, name: &str) -> std::io::Result<()> {
        let Some((_, content)) = self.files.iter().find(|(path, _)| *path == name) else {
            return refuse(to, 404, "EntryNotFound");
        };
        let (etag, size) = (hexadecimal(&Sha256::digest(content)), content.len());
        let host = match self.behaviour {
            // The same machine by another name.
            Behaviour::StoringElsewhere => format!("http://localhost:{}", to.local_addr()?.port()),
            _ => String::new(),
        };
        let named = if host.is_empty() {
            String::new()
        } else {
            format!("X-Linked-Etag: \"{etag}\"\r\nX-Linked-Size: {size}\r\n")
        };
        write!(
            to,
            "HTTP/1.1 307 Elsewhere\r\nLocation: {host}/store/{name}\r\n{named}Content-Length: 0\r\nConnection: close\r\n\r\n"
        )
    }

    fn file(&self, to: &mut TcpStream, method: &str, content: &[u8], range: usize) -> std::io::Result<()> {
        let etag = hexadecimal(&Sha256::digest(content));
        let range = if self.behaviour == Behaviour::WithoutRanges {
            0
        } else {
            range
        };
        let (status, extra) = if range > 0 {
            let total = content.len();
            (
                "206 Partial Content",
                format!("Content-Range: bytes {range}-{}/{total}\r\n", total - 1),
            )
        } else {
            ("200 OK", String::new())
        };
        let body = &content[range..];
        let length = body.len();
        write!(
            to,
            "HTTP/1.1 {status}\r\nETag: \"{etag}\"\r\nX-Repo-Commit: {COMMIT}\r\n{extra}Content-Length: {length}\r\nConnection: close\r\n\r\n"
        )?;
        if method == "HEAD" {
            return Ok(());
        }
        match self.behaviour {
            Behaviour::BreakingOff if !self.broken.swap(true, Ordering::Relaxed) => to.write_all(&body[..length / 2]),
            Behaviour::Lying => to.write_all(&vec![b'?'; length]),
            Behaviour::Stalling => {
                std::thread::sleep(std::time::Duration::from_secs(3));
                Ok(())
            }
            _ => to.write_all(body),
        }
    }
}

fn json(to: &mut TcpStream, body: &str) -> std::io::Result<()> {
    let length = body.len();
    write!(
        to,
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    )
}

fn refuse(to: &mut TcpStream, status: u16, code: &str) -> std::io::Result<()> {
    let code = if code.is_empty() {
        String::new()
    } else {
        format!("X-Error-Code: {code}\r\n")
    };
    write!(
        to,
        "HTTP/1.1 {status} Refused\r\n{code}Content-Length: 0\r\nConnection: close\r\n\r\n"
    )
}
