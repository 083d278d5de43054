//! The connection to a server: a socket, with TLS around it for `https://`.
//!
//! Whom to trust is what the system trusts; on Linux `SSL_CERT_FILE` names other issuers.

use std::io;
use std::io::Read;
use std::io::Write;
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use rustls::ClientConnection;
use rustls::StreamOwned;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::ServerName;
use rustls_platform_verifier::BuilderVerifierExt;

/// How a server is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scheme {
    Http,
    Https,
}

impl Scheme {
    /// The scheme of an address, and what stands behind it.
    pub(super) fn split(address: &str) -> Option<(Self, &str)> {
        let https = address.strip_prefix("https://").map(|rest| (Self::Https, rest));
        https.or_else(|| Some((Self::Http, address.strip_prefix("http://")?)))
    }

    /// The port of an address that names none.
    pub(super) const fn port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}

/// What is written goes to the server, what is read comes from it.
pub(super) trait Connection: Read + Write {}

impl<T: Read + Write> Connection for T {}

/// How long a server may take to say something while the two agree on TLS. An answer may take hours.
const PATIENCE: Duration = Duration::from_secs(30);

/// Connects to `authority`, a name or an address and a port.
///
/// # Errors
/// When nobody listens there, or the two do not agree on TLS, of which [`disagreement`] says why.
pub(super) fn connect(
    scheme: Scheme,
    authority: &str,
    trust: impl FnOnce() -> Result<ClientConfig, rustls::Error>,
) -> io::Result<Box<dyn Connection>> {
    let socket = TcpStream::connect(authority)?;
    if scheme == Scheme::Http {
        return Ok(Box::new(socket));
    }
    let config = trust().map_err(io::Error::other)?;
    Ok(Box::new(secured(socket, host(authority), config, PATIENCE)?))
}

/// Agrees on TLS with the server `host`, and makes sure of it.
fn secured(
    mut socket: TcpStream,
    host: &str,
    config: ClientConfig,
    patience: Duration,
) -> io::Result<StreamOwned<ClientConnection, TcpStream>> {
    let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
    let connection = ClientConnection::new(Arc::new(config), name);
    let mut connection = connection.map_err(io::Error::other)?;
    socket.set_read_timeout(Some(patience))?;
    while connection.is_handshaking() {
        connection.complete_io(&mut socket)?;
    }
    socket.set_read_timeout(None)?;
    Ok(StreamOwned::new(connection, socket))
}

/// Trusts whom the system trusts.
///
/// # Errors
/// When the system trusts nobody.
pub(super) fn system() -> Result<ClientConfig, rustls::Error> {
    let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()));
    let builder = builder
        .with_safe_default_protocol_versions()?
        .with_platform_verifier()?;
    Ok(builder.with_no_client_auth())
}

/// Why two sides do not agree on TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Disagreement {
    /// The server's certificate is not trusted.
    Certificate,
    /// The system cannot say whom it trusts.
    Trust,
    /// Who answers does not speak TLS.
    NoTls,
    /// Versions, ciphers, or what the server objects to.
    Other,
}

/// Why a connection failed, if not for want of an answer.
pub(super) fn disagreement(error: &io::Error) -> Option<Disagreement> {
    Some(match error.get_ref()?.downcast_ref()? {
        rustls::Error::InvalidCertificate(_) => Disagreement::Certificate,
        rustls::Error::General(_) => Disagreement::Trust,
        rustls::Error::InvalidMessage(_) => Disagreement::NoTls,
        _ => Disagreement::Other,
    })
}

/// The name or the address without the port; one of version 6 without its brackets.
fn host(authority: &str) -> &str {
    let host = authority.rsplit_once(':').map_or(authority, |(host, _)| host);
    host.strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .unwrap_or(host)
}

#[cfg(test)]
pub(super) mod testing {
    use std::net::SocketAddr;
    use std::net::TcpListener;
    use std::thread::JoinHandle;

    use rustls::RootCertStore;
    use rustls::ServerConfig;
    use rustls::ServerConnection;
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::PrivateKeyDer;
    use rustls::pki_types::pem::PemObject;

    use super::*;

    fn pem(name: &str) -> std::path::PathBuf {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden/tls");
        folder.join(name)
    }

    fn certificate() -> CertificateDer<'static> {
        CertificateDer::from_pem_file(pem("certificate.pem")).unwrap()
    }

    /// Trusts the certificate of [`serve_once`].
    pub(in super::super) fn knowing() -> Result<ClientConfig, rustls::Error> {
        let mut roots = RootCertStore::empty();
        roots.add(certificate()).unwrap();
        trusting(roots)
    }

    /// Trusts nobody.
    pub(in super::super) fn wary() -> Result<ClientConfig, rustls::Error> {
        trusting(RootCertStore::empty())
    }

    fn trusting(roots: RootCertStore) -> Result<ClientConfig, rustls::Error> {
        let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()));
        let builder = builder.with_safe_default_protocol_versions()?;
        Ok(builder.with_root_certificates(roots).with_no_client_auth())
    }

    /// A server with TLS that answers `answer` to the first one who asks, once it has heard `last`.
    pub(in super::super) fn serve_once(
        answer: &'static str,
        last: &'static str,
    ) -> (SocketAddr, JoinHandle<io::Result<String>>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let builder = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()));
        let builder = builder
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth();
        let key = PrivateKeyDer::from_pem_file(pem("key.pem")).unwrap();
        let config = Arc::new(builder.with_single_cert(vec![certificate()], key).unwrap());
        let server = std::thread::spawn(move || {
            let (socket, _) = listener.accept()?;
            let mut stream = StreamOwned::new(ServerConnection::new(config).unwrap(), socket);
            let (mut heard, mut piece) = (Vec::new(), [0; 1024]);
            while !heard.ends_with(last.as_bytes()) {
                let count = stream.read(&mut piece)?;
                if count == 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                heard.extend_from_slice(&piece[..count]);
            }
            stream.write_all(answer.as_bytes())?;
            stream.conn.send_close_notify();
            stream.flush()?;
            Ok(String::from_utf8_lossy(&heard).into_owned())
        });
        (address, server)
    }
}

#[cfg(test)]
mod tests {
    use super::testing::knowing;
    use super::testing::serve_once;
    use super::testing::wary;
    use super::*;

    #[test]
    fn a_trusted_server_is_spoken_to_through_tls_by_name_and_by_address() {
        for host in ["localhost", "127.0.0.1"] {
            let (address, server) = serve_once("well", "how?");
            let authority = format!("{host}:{}", address.port());
            let mut connection = connect(Scheme::Https, &authority, knowing).unwrap();
            connection.write_all(b"how?").unwrap();
            let mut answer = String::new();
            connection.read_to_string(&mut answer).unwrap();
            assert_eq!(
                (answer.as_str(), server.join().unwrap().unwrap().as_str()),
                ("well", "how?")
            );
        }
    }

    #[test]
    fn a_certificate_of_nobody_who_is_trusted_and_one_of_another_name_are_refused() {
        let (address, server) = serve_once("", "x");
        let refused = connect(Scheme::Https, &address.to_string(), wary).err().unwrap();
        assert_eq!(disagreement(&refused), Some(Disagreement::Certificate), "{refused}");
        assert!(server.join().unwrap().is_err(), "nothing was said");
        let (address, server) = serve_once("", "x");
        let socket = TcpStream::connect(address).unwrap();
        let refused = secured(socket, "other.example", knowing().unwrap(), PATIENCE);
        let refused = refused.err().unwrap();
        assert_eq!(disagreement(&refused), Some(Disagreement::Certificate), "{refused}");
        assert!(server.join().unwrap().is_err(), "nothing was said");
    }

    #[test]
    fn a_server_that_says_nothing_is_not_waited_for_without_end() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let socket = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let refused = secured(socket, "localhost", knowing().unwrap(), Duration::from_millis(20));
        assert_eq!(disagreement(&refused.err().unwrap()), None);
    }

    #[test]
    fn hosts_are_told_from_ports() {
        assert_eq!(host("a.example:443"), "a.example");
        assert_eq!(host("127.0.0.1:8080"), "127.0.0.1");
        assert_eq!(host("[::1]:443"), "::1");
    }

    #[test]
    fn schemes_have_their_ports() {
        let split = |address| Scheme::split(address).map(|(scheme, rest)| (scheme.port(), rest));
        assert_eq!(split("http://a"), Some((80, "a")));
        assert_eq!(split("https://a/b"), Some((443, "a/b")));
        assert_eq!(split("ftp://a"), None);
    }
}
