//! Where the server listens: an address, with TLS or without, or a Unix socket.

use std::io;
use std::os::unix::fs::FileTypeExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::path::PathBuf;

use poem::listener::Acceptor;
use poem::listener::AcceptorExt;
use poem::listener::BoxAcceptor;
use poem::listener::IntoTlsConfigStream;
use poem::listener::Listener;
use poem::listener::RustlsCertificate;
use poem::listener::RustlsConfig;
use poem::listener::TcpListener;
use poem::listener::UnixListener;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use crate::config::Bind;
use crate::config::ServerSettings;
use crate::config::TlsSettings;

/// Who may connect to a Unix socket: owner and group.
const SOCKET_MODE: u32 = 0o660;

/// Why the server cannot listen.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ListenError {
    /// The address or socket is taken or not allowed.
    #[error("cannot listen on {address}: {source}; stop what uses it, or choose another with --bind")]
    Bind {
        /// The address.
        address: String,
        /// Why.
        source: io::Error,
    },

    /// A file of the TLS settings cannot be read.
    #[error("{}: {source}; correct [server.tls]", path.display())]
    TlsFile {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },

    /// Certificate and key are no pair.
    #[error("{} and its key cannot be used: {source}; give a PEM chain and its private key", path.display())]
    Tls {
        /// The certificate.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// A listener, and what belongs to it.
pub struct Listening {
    pub(crate) acceptor: BoxAcceptor,
    /// Takes new certificates.
    tls: Option<mpsc::Sender<RustlsConfig>>,
    socket: Option<SocketFile>,
}

impl std::fmt::Debug for Listening {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Listening")
            .field("addresses", &self.addresses())
            .finish_non_exhaustive()
    }
}

impl Listening {
    /// The addresses that are listened on, with the port that port 0 became.
    pub fn addresses(&self) -> Vec<String> {
        self.acceptor.local_addr().iter().map(ToString::to_string).collect()
    }

    /// The first port that is listened on.
    pub fn port(&self) -> Option<u16> {
        self.acceptor
            .local_addr()
            .iter()
            .find_map(|address| Some(address.as_socket_addr()?.port()))
    }

    /// Where new certificates are sent to, if there is TLS.
    pub fn certificates(&self) -> Option<mpsc::Sender<RustlsConfig>> {
        self.tls.clone()
    }

    /// The acceptor, and what has to live as long.
    pub(crate) fn split(self) -> (BoxAcceptor, Option<SocketFile>) {
        (self.acceptor, self.socket)
    }
}

/// A socket in the file system; removed when dropped.
#[derive(Debug)]
pub(crate) struct SocketFile(PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Begins to listen.
///
/// # Errors
/// When the address is taken or the TLS files cannot be used.
pub async fn listen(settings: &ServerSettings) -> Result<Listening, ListenError> {
    match &settings.bind {
        Bind::Unix(path) => listen_unix(path).await,
        Bind::Tcp(address) => {
            let failed = |source| ListenError::Bind {
                address: address.to_string(),
                source,
            };
            let listener = TcpListener::bind(*address);
            let Some(tls) = &settings.tls else {
                let acceptor = listener.into_acceptor().await.map_err(failed)?.boxed();
                return Ok(Listening {
                    acceptor,
                    tls: None,
                    socket: None,
                });
            };
            let (sender, receiver) = mpsc::channel(4);
            // Cannot be full: nobody else has the sender yet.
            let _ = sender.try_send(tls_config(tls)?);
            let acceptor = listener
                .rustls(ReceiverStream::new(receiver))
                .into_acceptor()
                .await
                .map_err(failed)?
                .boxed();
            Ok(Listening {
                acceptor,
                tls: Some(sender),
                socket: None,
            })
        }
    }
}

async fn listen_unix(path: &Path) -> Result<Listening, ListenError> {
    let failed = |source| ListenError::Bind {
        address: format!("unix:{}", path.display()),
        source,
    };
    let is_socket = std::fs::symlink_metadata(path).is_ok_and(|about| about.file_type().is_socket());
    if is_socket && tokio::net::UnixStream::connect(path).await.is_err() {
        // Left behind by a process that has ended without removing it.
        std::fs::remove_file(path).map_err(failed)?;
    }
    let permissions = std::fs::Permissions::from_mode(SOCKET_MODE);
    let acceptor = UnixListener::bind(path.to_owned())
        .with_permissions(permissions)
        .into_acceptor()
        .await;
    let acceptor = acceptor.map_err(failed)?.boxed();
    Ok(Listening {
        acceptor,
        tls: None,
        socket: Some(SocketFile(path.to_owned())),
    })
}

/// Reads certificate and key, and tries them.
///
/// # Errors
/// When a file cannot be read, or the two are no pair.
pub fn tls_config(tls: &TlsSettings) -> Result<RustlsConfig, ListenError> {
    let read = |path: &Path| {
        std::fs::read(path).map_err(|source| ListenError::TlsFile {
            path: path.to_owned(),
            source,
        })
    };
    let (cert, key) = (read(&tls.cert_file)?, read(&tls.key_file)?);
    let config = || {
        let certificate = RustlsCertificate::new().cert(cert.clone()).key(key.clone());
        RustlsConfig::new().fallback(certificate)
    };
    // poem only logs a configuration that comes by a stream and cannot be used; this tries it first.
    let tried = config().into_stream().map(drop);
    tried.map_err(|source| ListenError::Tls {
        path: tls.cert_file.clone(),
        source,
    })?;
    Ok(config())
}
