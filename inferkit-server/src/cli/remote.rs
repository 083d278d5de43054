//! `--url`: a command asks a running server in place of this process, with nothing but a socket, and TLS if need be.

mod connection;

use std::fmt::Write as _;
use std::fs::File;
use std::io;
use std::io::Read;
use std::io::Write;
use std::path::Path;
use std::str::FromStr;

use clap::Args;
use rustls::ClientConfig;
use serde::de::DeserializeOwned;

use self::connection::Disagreement;
use self::connection::Scheme;
use self::connection::connect;
use self::connection::disagreement;
use crate::cli::Failure;

/// The environment variable that holds the server's key.
const KEY: &str = "INFERKIT_API_KEY";

/// Longest answer that is read: four hours of words take some ten megabytes.
const LONGEST_ANSWER: u64 = 1 << 30;

/// Stands between the parts of a form. A recording that holds it is as likely as two equal random numbers of 128 bits.
const BORDER: &str = "inferkit-5b1c06a2f7d94f0e8a3d2b61c97e40d8";

/// Whom a command asks.
#[derive(Debug, Args)]
pub(crate) struct ServerArgs {
    /// Asks the server at this address, such as http://127.0.0.1:8080 or https://host, with the key in INFERKIT_API_KEY;
    /// otherwise the model runs in this process.
    #[arg(long, value_name = "URL")]
    pub(crate) url: Option<ServerUrl>,
}

/// The address of a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ServerUrl {
    scheme: Scheme,
    /// Name and port.
    authority: String,
    /// What stands before the API's routes: nothing, or a path without a slash at its end.
    prefix: String,
}

impl FromStr for ServerUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let Some((scheme, rest)) = Scheme::split(text) else {
            return Err("give an address such as http://127.0.0.1:8080 or https://host".to_owned());
        };
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let is_sound = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'@');
        if authority.is_empty() || !is_sound(authority) || !is_sound(path) {
            return Err("this is no name and port; give an address such as http://127.0.0.1:8080".to_owned());
        }
        // A colon inside of brackets belongs to an address of version 6.
        let has_port = authority.rsplit(']').next().is_some_and(|end| end.contains(':'));
        Ok(Self {
            scheme,
            authority: if has_port {
                authority.to_owned()
            } else {
                format!("{authority}:{}", scheme.port())
            },
            prefix: path.trim_end_matches('/').to_owned(),
        })
    }
}

impl ServerUrl {
    /// Posts a recording and fields as a form; returns the answer.
    ///
    /// # Errors
    /// What the server says is wrong, or that none answers.
    pub(crate) fn post(&self, route: &str, fields: &[(&str, &str)], recording: &Path) -> Result<Vec<u8>, Failure> {
        let key = std::env::var(KEY).ok().filter(|key| !key.is_empty());
        let question = Question {
            key: key.as_deref(),
            route,
            fields,
            recording,
        };
        self.post_with(&question, connection::system)
    }

    /// As [`post`](Self::post), and reads the answer as JSON.
    pub(crate) fn ask<T: DeserializeOwned>(
        &self,
        route: &str,
        fields: &[(&str, &str)],
        recording: &Path,
    ) -> Result<T, Failure> {
        let answer = self.post(route, fields, recording)?;
        serde_json::from_slice(&answer).map_err(|error| {
            let message = format!("{} answers something else than expected: {error}", self.authority);
            Failure::Failed(format!("{message}; is it a server of this version?"))
        })
    }

    fn post_with(
        &self,
        question: &Question<'_>,
        trust: impl FnOnce() -> Result<ClientConfig, rustls::Error>,
    ) -> Result<Vec<u8>, Failure> {
        let Question {
            key,
            route,
            fields,
            recording,
        } = *question;
        let unreadable = |error: io::Error| Failure::Failed(format!("{}: {error}", recording.display()));
        let file = File::open(recording).map_err(unreadable)?;
        let length_bytes = file.metadata().map_err(unreadable)?.len();
        let (head, tail) = form(fields);
        let whole = length_bytes + (head.len() + tail.len()) as u64;
        let question = self.question(route, whole, key)?;
        let stream = connect(self.scheme, &self.authority, trust);
        let mut stream = stream.map_err(|error| self.silent(&error))?;
        let written = send(
            &mut stream,
            &[question.as_bytes(), head.as_bytes()],
            file.take(length_bytes),
            &tail,
        );
        // A server that refuses answers before it has read everything.
        let mut answer = Vec::new();
        let read = stream.take(LONGEST_ANSWER).read_to_end(&mut answer);
        // Without a length, only a connection that was closed in order tells that nothing is missing.
        match Answer::read(&answer).filter(|answer| answer.is_measured || read.is_ok()) {
            Some(answer) => answer.content(),
            None => Err(self.silent(
                &written
                    .and(read.map(drop))
                    .err()
                    .unwrap_or_else(|| io::Error::new(io::ErrorKind::UnexpectedEof, "the answer ends early")),
            )),
        }
    }

    fn question(&self, route: &str, length_bytes: u64, key: Option<&str>) -> Result<String, Failure> {
        let Self { authority, prefix, .. } = self;
        let mut question = format!(
            "POST {prefix}{route} HTTP/1.1\r\nhost: {authority}\r\nconnection: close\r\n\
             content-type: multipart/form-data; boundary={BORDER}\r\ncontent-length: {length_bytes}\r\n"
        );
        if let Some(key) = key {
            if !key.bytes().all(|byte| byte.is_ascii_graphic()) {
                let message = format!("{KEY} holds something else than visible characters; correct it");
                return Err(Failure::Usage(message));
            }
            // Writing to a string does not fail.
            let _ = write!(question, "authorization: Bearer {key}\r\n");
        }
        question.push_str("\r\n");
        Ok(question)
    }

    fn silent(&self, error: &io::Error) -> Failure {
        let authority = &self.authority;
        Failure::Failed(match disagreement(error) {
            Some(Disagreement::Certificate) => format!(
                "the certificate of {authority} is not trusted: {error}; add its issuer to those that the system trusts, \
                 or correct --url"
            ),
            Some(Disagreement::Trust) => format!(
                "whom this system trusts cannot be found out: {error}; install its certificates (ca-certificates) or name a \
                 file of them in SSL_CERT_FILE"
            ),
            Some(Disagreement::NoTls) => format!(
                "{authority} does not speak TLS: {error}; correct the port, or write http:// in --url if the server is meant \
                 to be asked without TLS"
            ),
            Some(Disagreement::Other) => {
                format!("{authority} and this program do not agree on TLS: {error}; correct --url or the server")
            }
            None => format!("{authority} does not answer: {error}; start the server or correct --url"),
        })
    }
}

/// A recording and what is to be done with it.
struct Question<'a> {
    key: Option<&'a str>,
    route: &'a str,
    fields: &'a [(&'a str, &'a str)],
    recording: &'a Path,
}

fn send(stream: &mut impl Write, before: &[&[u8]], mut recording: impl Read, behind: &str) -> io::Result<()> {
    for part in before {
        stream.write_all(part)?;
    }
    io::copy(&mut recording, stream)?;
    stream.write_all(behind.as_bytes())
}

/// What stands before the recording in a form, and behind it.
fn form(fields: &[(&str, &str)]) -> (String, String) {
    let mut head = String::new();
    for (name, value) in fields {
        let _ = write!(
            head,
            "--{BORDER}\r\ncontent-disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n"
        );
    }
    // The server knows a recording by its content; its name stays here.
    let _ = write!(
        head,
        "--{BORDER}\r\ncontent-disposition: form-data; name=\"file\"; filename=\"recording\"\r\n\r\n"
    );
    (head, format!("\r\n--{BORDER}--\r\n"))
}

/// A whole answer.
struct Answer {
    status: u16,
    body: Vec<u8>,
    /// Whether it says how long it is.
    is_measured: bool,
}

impl Answer {
    /// Reads an answer behind which the connection was closed; `None` for half of one.
    fn read(bytes: &[u8]) -> Option<Self> {
        let end = bytes.windows(4).position(|border| border == b"\r\n\r\n")?;
        let (head, body) = (std::str::from_utf8(bytes.get(..end)?).ok()?, bytes.get(end + 4..)?);
        let mut lines = head.split("\r\n");
        let status = lines.next()?.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()?;
        let mut length = None;
        for (name, value) in lines.filter_map(|line| line.split_once(':')) {
            match name.to_ascii_lowercase().as_str() {
                "transfer-encoding" if value.trim().eq_ignore_ascii_case("chunked") => {
                    return Some(Self {
                        status,
                        body: unchunked(body)?,
                        is_measured: true,
                    });
                }
                "content-length" => length = value.trim().parse::<usize>().ok(),
                _ => {}
            }
        }
        let body = body.get(..length.unwrap_or(body.len()))?.to_vec();
        Some(Self {
            status,
            body,
            is_measured: length.is_some(),
        })
    }

    /// The body, or what the server says is wrong.
    fn content(self) -> Result<Vec<u8>, Failure> {
        if self.status == 200 {
            return Ok(self.body);
        }
        let told = serde_json::from_slice::<serde_json::Value>(&self.body).ok();
        let message = told.and_then(|body| body["error"]["message"].as_str().map(str::to_owned));
        Err(Failure::Failed(message.unwrap_or_else(|| {
            format!("the server answers {} without a reason; is --url right?", self.status)
        })))
    }
}

/// The content of a body in chunks (RFC 9112, section 7.1); `None` if the last one is missing.
fn unchunked(mut body: &[u8]) -> Option<Vec<u8>> {
    let mut content = Vec::new();
    loop {
        let end = body.windows(2).position(|border| border == b"\r\n")?;
        let size = std::str::from_utf8(body.get(..end)?).ok()?;
        let size = usize::from_str_radix(size.split(';').next()?.trim(), 16).ok()?;
        if size == 0 {
            return Some(content);
        }
        let start = end + 2;
        content.extend_from_slice(body.get(start..start.checked_add(size)?)?);
        body = body.get(start + size + 2..)?;
    }
}

#[cfg(test)]
mod tests {
    use super::connection::testing::knowing;
    use super::connection::testing::serve_once;
    use super::connection::testing::wary;
    use super::*;
    use std::net::TcpListener;

    /// Posts to a server that answers `answer` to whatever it is asked; returns what came back, and what it was sent.
    fn posted(answer: &'static str, key: Option<&str>) -> (Result<String, String>, String) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url: ServerUrl = format!("http://{}/behind/", listener.local_addr().unwrap())
            .parse()
            .unwrap();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut heard = Vec::new();
            let mut piece = [0; 1024];
            while !heard.ends_with(b"--\r\n") {
                let count = stream.read(&mut piece).unwrap();
                assert!(count > 0, "the question ends early");
                heard.extend_from_slice(&piece[..count]);
            }
            stream.write_all(answer.as_bytes()).unwrap();
            String::from_utf8_lossy(&heard).into_owned()
        });
        (asked(&url, key, connection::system), server.join().unwrap())
    }

    /// What comes back of a small recording.
    fn asked(
        url: &ServerUrl,
        key: Option<&str>,
        trust: impl FnOnce() -> Result<ClientConfig, rustls::Error>,
    ) -> Result<String, String> {
        let folder = tempfile::tempdir().unwrap();
        let recording = folder.path().join("talk.wav");
        std::fs::write(&recording, b"RIFF sound").unwrap();
        let question = Question {
            key,
            route: "/api/audio/transcribe",
            fields: &[("model", "canary")],
            recording: &recording,
        };
        let text = url
            .post_with(&question, trust)
            .map(|body| String::from_utf8(body).unwrap());
        text.map_err(|failure| failure.to_string())
    }

    #[test]
    fn a_server_with_tls_is_asked_like_any_other() {
        let (address, server) = serve_once("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}", "--\r\n");
        let url = format!("https://localhost:{}", address.port()).parse().unwrap();
        assert_eq!(asked(&url, Some("secret"), knowing).as_deref(), Ok("{}"));
        let heard = server.join().unwrap().unwrap();
        assert!(
            heard.contains("authorization: Bearer secret") && heard.contains("RIFF sound"),
            "{heard}"
        );
    }

    #[test]
    fn a_certificate_that_is_not_trusted_is_told_and_nothing_is_sent() {
        let (address, server) = serve_once("", "--\r\n");
        let url = format!("https://{address}").parse().unwrap();
        let failure = asked(&url, Some("secret"), wary).unwrap_err();
        assert!(
            failure.contains("is not trusted") && failure.contains("add its issuer"),
            "{failure}"
        );
        assert!(server.join().unwrap().is_err(), "the server heard no question");
    }

    #[test]
    fn a_system_that_trusts_nobody_is_no_server_that_does_not_answer() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("https://{}", listener.local_addr().unwrap()).parse().unwrap();
        let nobody = || Err(rustls::Error::General("no certificates were found".to_owned()));
        let failure = asked(&url, None, nobody).unwrap_err();
        assert!(
            failure.contains("no certificates were found") && failure.contains("SSL_CERT_FILE"),
            "{failure}"
        );
    }

    #[test]
    fn a_server_without_tls_is_told_from_one_that_does_not_answer() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("https://{}", listener.local_addr().unwrap()).parse().unwrap();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let _ = stream.read(&mut [0; 16 * 1024]).unwrap();
            stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").unwrap();
        });
        let failure = asked(&url, None, knowing).unwrap_err();
        server.join().unwrap();
        assert!(
            failure.contains("does not speak TLS") && failure.contains("http://"),
            "{failure}"
        );
    }

    #[test]
    fn a_recording_goes_out_as_a_form_with_the_key() {
        let (answer, heard) = posted("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", Some("secret"));
        assert_eq!(answer.as_deref(), Ok("{}"));
        let (head, body) = heard.split_once("\r\n\r\n").unwrap();
        assert!(
            head.starts_with("POST /behind/api/audio/transcribe HTTP/1.1\r\n"),
            "{head}"
        );
        assert!(head.contains("authorization: Bearer secret"), "{head}");
        assert!(head.contains(&format!("content-length: {}", body.len())), "{head}");
        assert!(
            body.contains("name=\"model\"\r\n\r\ncanary\r\n") && body.contains("RIFF sound\r\n--"),
            "{body}"
        );
        let url: ServerUrl = "http://a".parse().unwrap();
        assert!(url.question("/", 0, Some("a\r\nb")).is_err(), "a key of two lines");
    }

    #[test]
    fn an_answer_in_chunks_is_put_together() {
        let chunks = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=1\r\nde\r\n0\r\n\r\n";
        assert_eq!(posted(chunks, None).0.as_deref(), Ok("abcde"));
    }

    #[test]
    fn what_the_server_says_is_wrong_is_told() {
        let refusal = "HTTP/1.1 404 Not Found\r\n\r\n{\"error\":{\"message\":\"The model 'x' does not exist.\"}}";
        assert_eq!(posted(refusal, None).0.unwrap_err(), "The model 'x' does not exist.");
        let silent = posted("HTTP/1.1 502 Bad Gateway\r\n\r\nsorry", None).0.unwrap_err();
        assert!(silent.contains("502 without a reason"), "{silent}");
    }

    #[test]
    fn half_an_answer_is_none() {
        for half in [
            "",
            "HTTP/1.1 200 OK\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nabc",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nffffffffffffffff\r\nabc",
        ] {
            let failure = posted(half, None).0.unwrap_err();
            assert!(failure.contains("does not answer"), "{half:?}: {failure}");
        }
    }

    #[test]
    fn an_address_is_name_port_and_path() {
        let read = |text: &str| text.parse::<ServerUrl>().map(|url| (url.authority, url.prefix));
        let expected = |authority: &str, prefix: &str| Ok((authority.to_owned(), prefix.to_owned()));
        assert_eq!(read("http://127.0.0.1:8080"), expected("127.0.0.1:8080", ""));
        assert_eq!(read("http://host/ai/"), expected("host:80", "/ai"));
        assert_eq!(read("http://[::1]"), expected("[::1]:80", ""));
        assert_eq!(read("https://host/ai"), expected("host:443", "/ai"));
        assert_eq!(read("http://[::1]:9000/"), expected("[::1]:9000", ""));
        for wrong in [
            "ftp://host",
            "host:80",
            "http://",
            "http://a b",
            "http://me@host",
            "http://host/a b",
        ] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
