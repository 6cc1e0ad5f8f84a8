//! Connections to servers, in the clear or by TLS.
//!
//! A certificate must be one for the host, signed by an authority of the system or of `caFile`. `sslVerify=False` takes
//! any certificate, self-signed ones too: then nobody can read along who only listens, but whoever can put themselves
//! in between can. Files are read at each try, so a renewed certificate needs no restart.

use super::settings::{Identity, Settings, Tls};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use tokio_rustls::rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem};
use tokio_rustls::rustls::{self, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

/// A connection, whatever it goes through.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    #[error("cannot connect: {0}")]
    Away(io::Error),
    #[error("cannot connect: no answer within {0:?}")]
    Late(Duration),
    #[error("its certificate is not accepted: {0}; give its authority as caFile, or sslVerify=False if you must")]
    Certificate(rustls::Error),
    #[error("cannot speak TLS with it: {0}; is this the port for TLS?")]
    Handshake(io::Error),
    #[error("cannot speak TLS: {0}")]
    Setup(rustls::Error),
    #[error("cannot check certificates for \"{0}\", which is no name of a host")]
    Name(String),
    #[error("cannot read {option} {}: {why}", path.display())]
    File { option: &'static str, path: PathBuf, why: pem::Error },
}

/// Connects; gives up after the limit.
pub async fn connect(settings: &Settings) -> Result<Box<dyn Stream>, ConnectError> {
    let limit = settings.limits.connect;
    tokio::time::timeout(limit, open(settings)).await.unwrap_or(Err(ConnectError::Late(limit)))
}

async fn open(settings: &Settings) -> Result<Box<dyn Stream>, ConnectError> {
    let tcp = TcpStream::connect((settings.host.as_str(), settings.port)).await.map_err(ConnectError::Away)?;
    // Lines are short and should not wait for company; a system that cannot do so is only a little slower.
    tcp.set_nodelay(true).ok();
    match &settings.access.tls {
        None => Ok(Box::new(tcp)),
        Some(tls) => {
            let name = ServerName::try_from(settings.host.clone());
            let name = name.map_err(|_| ConnectError::Name(settings.host.clone()))?;
            let tls = tls.clone();
            // Many small files are read. A panic in it is one of ours, to be contained like any.
            let config = tokio::task::spawn_blocking(move || configure(&tls)).await;
            let config = config.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))?;
            let connector = TlsConnector::from(Arc::new(config));
            Ok(Box::new(connector.connect(name, tcp).await.map_err(handshake_failed)?))
        }
    }
}

fn handshake_failed(error: io::Error) -> ConnectError {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match inner {
        Some(problem @ rustls::Error::InvalidCertificate(_)) => ConnectError::Certificate(problem.clone()),
        _ => ConnectError::Handshake(error),
    }
}

fn configure(tls: &Tls) -> Result<ClientConfig, ConnectError> {
    // Named here, not installed for the whole process: whoever else speaks TLS chooses alike or has its own.
    let provider = Arc::new(aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(Arc::clone(&provider));
    let config = config.with_safe_default_protocol_versions().map_err(ConnectError::Setup)?;
    let config = match tls.verify {
        true => config.with_root_certificates(authorities(tls.ca_file.as_deref())?),
        false => config.dangerous().with_custom_certificate_verifier(Arc::new(AnyCertificate(provider))),
    };
    match &tls.identity {
        None => Ok(config.with_no_client_auth()),
        Some(identity) => {
            let (certificates, key) = own_certificate(identity)?;
            config.with_client_auth_cert(certificates, key).map_err(ConnectError::Setup)
        }
    }
}

/// Those of the system, as far as they can be read, and those of the file.
fn authorities(ca_file: Option<&Path>) -> Result<RootCertStore, ConnectError> {
    let mut store = RootCertStore::empty();
    store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if let Some(path) = ca_file {
        for certificate in certificates("caFile", path)? {
            store.add(certificate).map_err(ConnectError::Setup)?;
        }
    }
    Ok(store)
}

fn own_certificate(
    identity: &Identity,
) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), ConnectError> {
    let key = PrivateKeyDer::from_pem_file(&identity.key_file).map_err(unreadable("keyFile", &identity.key_file))?;
    Ok((certificates("certFile", &identity.cert_file)?, key))
}

fn certificates(option: &'static str, path: &Path) -> Result<Vec<CertificateDer<'static>>, ConnectError> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_file_iter(path).and_then(Iterator::collect);
    match found {
        Ok(found) if found.is_empty() => Err(unreadable(option, path)(pem::Error::NoItemsFound)),
        found => found.map_err(unreadable(option, path)),
    }
}

fn unreadable(option: &'static str, path: &Path) -> impl FnOnce(pem::Error) -> ConnectError {
    move |why| ConnectError::File { option, path: path.to_owned(), why }
}

/// Takes any certificate, but only from somebody who has its key.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
