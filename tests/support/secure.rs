//! A receiver behind TLS that speaks HTTP/2.

use std::convert::Infallible;
use std::io::Write as _;
use std::sync::{Arc, Mutex};

use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{HeaderMap, Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::PrivateKeyDer;
use tempfile::NamedTempFile;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// Takes everything with 200.
pub struct Secure {
    /// As `localhost`.
    pub url: String,
    /// Its certificate, to be believed.
    pub certificate: NamedTempFile,
    received: Arc<Mutex<Vec<HeaderMap>>>,
}

impl Secure {
    pub async fn start() -> Self {
        let key = rcgen::KeyPair::generate().expect("a key");
        let names = rcgen::CertificateParams::new(["localhost".to_owned()]).expect("a name");
        let signed = names.self_signed(&key).expect("a certificate");
        let mut certificate = NamedTempFile::new().expect("a file");
        certificate.write_all(signed.pem().as_bytes()).expect("written");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(vec![signed.der().clone()], PrivateKeyDer::Pkcs8(key.serialize_der().into()))
            .expect("a key for the certificate");
        config.alpn_protocols = vec![b"h2".to_vec()];
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("https://localhost:{}/", listener.local_addr().expect("an address").port());
        let received = Arc::<Mutex<Vec<HeaderMap>>>::default();
        tokio::spawn(serve(listener, TlsAcceptor::from(Arc::new(config)), Arc::clone(&received)));
        Self { url, certificate, received }
    }

    /// The headers of each request that arrived.
    pub fn received(&self) -> Vec<HeaderMap> {
        self.received.lock().unwrap().clone()
    }
}

async fn serve(listener: TcpListener, acceptor: TlsAcceptor, received: Arc<Mutex<Vec<HeaderMap>>>) {
    while let Ok((stream, _)) = listener.accept().await {
        let (acceptor, received) = (acceptor.clone(), Arc::clone(&received));
        tokio::spawn(async move {
            let Ok(stream) = acceptor.accept(stream).await else { return };
            let answer = service_fn(move |request: Request<Incoming>| {
                received.lock().unwrap().push(request.headers().clone());
                async { Ok::<_, Infallible>(Response::new(String::new())) }
            });
            let http = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
            // It ends when the sender does.
            drop(http.serve_connection(TokioIo::new(stream), answer).await);
        });
    }
}
