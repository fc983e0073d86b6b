//! HTTPS: who is believed.

use std::io::Write;
use std::sync::{Arc, Mutex};

use rcgen::{CertificateParams, KeyPair, date_time_ymd};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::receiver::{Receiver, Seen, Step, answers, play};
use super::{local, send};
use crate::domain::outcome::Class;
use crate::net::{Config, ConfigError, Sender};

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";

/// What is wrong with a certificate.
type Change = fn(&mut CertificateParams);

/// Plays a script behind a certificate of its own making.
pub(super) struct Server {
    pub(super) port: u16,
    /// The certificate.
    pub(super) pem: String,
    seen: Arc<Mutex<Seen>>,
}

impl Server {
    /// As `localhost`, with a certificate that is good if it is believed, speaking these protocols.
    pub(super) async fn start(script: Vec<Step>, protocols: &[&[u8]]) -> Self {
        Self::with(script, protocols, |_| ()).await
    }

    async fn with(script: Vec<Step>, protocols: &[&[u8]], change: Change) -> Self {
        let (acceptor, pem) = acceptor_with(protocols, change);
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("bound").port();
        let seen = Arc::new(Mutex::new(Seen::default()));
        let shared = Arc::clone(&seen);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                shared.lock().expect("seen").connections += 1;
                let (acceptor, script, shared) = (acceptor.clone(), script.clone(), Arc::clone(&shared));
                tokio::spawn(async move {
                    if let Ok(mut stream) = acceptor.accept(stream).await {
                        let _ = play(&mut stream, &script, &shared).await;
                    }
                });
            }
        });
        Self { port, pem, seen }
    }

    pub(super) fn connections(&self) -> usize {
        self.seen.lock().expect("seen").connections
    }
}

/// Takes connections as `localhost`, and the certificate that this must be believed with.
pub(super) fn acceptor(protocols: &[&[u8]]) -> (TlsAcceptor, String) {
    acceptor_with(protocols, |_| ())
}

fn acceptor_with(protocols: &[&[u8]], change: Change) -> (TlsAcceptor, String) {
    let mut params = CertificateParams::new(["localhost".to_owned()]).expect("a name");
    change(&mut params);
    let key = KeyPair::generate().expect("a key");
    let cert = params.self_signed(&key).expect("a certificate");
    let mut config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], PrivateKeyDer::Pkcs8(key.serialize_der().into()))
        .expect("a key for the certificate");
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    (TlsAcceptor::from(Arc::new(config)), cert.pem())
}

/// The port and the certificate of a server for a name.
async fn self_signed() -> (u16, String) {
    let server = Server::start(answers(OK), &[]).await;
    (server.port, server.pem)
}

pub(super) fn trusting(pem: &str) -> (tempfile::NamedTempFile, Config) {
    let mut file = tempfile::NamedTempFile::new().expect("a file");
    file.write_all(pem.as_bytes()).expect("written");
    let config = Config { extra_ca_file: Some(file.path().to_owned()), ..local() };
    (file, config)
}

#[tokio::test]
async fn a_certificate_that_no_authority_vouches_for_is_refused() {
    let (port, _) = self_signed().await;
    let outcome = send(&Sender::new(&local()).expect("a sender"), &format!("https://localhost:{port}/")).await;
    assert_eq!(outcome.class, Class::Tls, "{outcome:?}");
    assert!(outcome.error.expect("a story").contains("UnknownIssuer"));
}

#[tokio::test]
async fn an_extra_authority_is_believed_for_the_names_it_vouches_for() {
    let (port, pem) = self_signed().await;
    let (_file, config) = trusting(&pem);
    let sender = Sender::new(&config).expect("a sender");
    let outcome = send(&sender, &format!("https://localhost:{port}/")).await;
    assert_eq!(outcome.class, Class::Success, "{outcome:?}");
    let outcome = send(&sender, &format!("https://other.localhost:{port}/")).await;
    assert_eq!(outcome.class, Class::Tls, "{outcome:?}");
}

#[tokio::test]
async fn a_receiver_that_does_not_speak_tls_fails_as_tls() {
    let sender = Sender::new(&local()).expect("a sender");
    for script in [
        vec![Step::Write(b"HTTP/1.1 400 Bad Request\r\n\r\n".into()), Step::Hang],
        vec![Step::Write(vec![0; 64]), Step::Hang],
    ] {
        let receiver = Receiver::start(script).await;
        let outcome = send(&sender, &format!("https://{}/", receiver.address)).await;
        assert_eq!(outcome.class, Class::Tls, "{outcome:?}");
    }
    let hanging = Receiver::start(vec![Step::Hang]).await;
    assert_eq!(send(&sender, &format!("https://{}/", hanging.address)).await.class, Class::Timeout);
}

/// Certificates that are believed, but not good.
#[tokio::test]
async fn a_certificate_out_of_its_time_or_for_another_name_is_refused() {
    let changes: [(&str, Change, &str); 3] = [
        ("expired", |params| params.not_after = date_time_ymd(2020, 1, 1), "expired"),
        ("not yet good", |params| params.not_before = date_time_ymd(3000, 1, 1), "not valid yet"),
        (
            "another's",
            |params| *params = CertificateParams::new(["other.test".to_owned()]).expect("a name"),
            "not valid for name",
        ),
    ];
    for (what, change, story) in changes {
        let server = Server::with(answers(OK), &[], change).await;
        let (_file, config) = trusting(&server.pem);
        let outcome =
            send(&Sender::new(&config).expect("a sender"), &format!("https://localhost:{}/", server.port)).await;
        assert_eq!(outcome.class, Class::Tls, "{what}: {outcome:?}");
        assert!(outcome.error.as_ref().is_some_and(|error| error.contains(story)), "{what}: {outcome:?}");
    }
}

#[tokio::test]
async fn a_handshake_that_is_too_old_or_breaks_fails_as_tls() {
    let alert = |description: u8| Step::Write(vec![21, 3, 2, 0, 2, 2, description]);
    // TLS 1.1 chosen by the server: version, random, no session, a suite, no compression.
    let hello = [&[22, 3, 2, 0, 42, 2, 0, 0, 38, 3, 2][..], &[7; 32], &[0, 0xc0, 0x13, 0]].concat();
    let sender = Sender::new(&local()).expect("a sender");
    for (what, script, class) in [
        ("knows only TLS 1.1", vec![Step::ReadSome, alert(70), Step::Hang], Class::Tls),
        ("chooses TLS 1.1", vec![Step::ReadSome, Step::Write(hello.clone()), Step::Hang], Class::Tls),
        ("has no suite in common", vec![Step::ReadSome, alert(40)], Class::Tls),
        ("wants a certificate", vec![Step::ReadSome, alert(116)], Class::Tls),
        ("closes amid the handshake", vec![Step::ReadSome, Step::Write(hello[..20].to_vec())], Class::Tls),
        ("resets amid the handshake", vec![Step::ReadSome, Step::Reset], Class::Tls),
        (
            "stalls amid the handshake",
            vec![Step::ReadSome, Step::Write(hello[..20].to_vec()), Step::Hang],
            Class::Timeout,
        ),
        (
            "never ends a record",
            vec![
                Step::ReadSome,
                Step::Write(vec![22, 3, 3, 0xff, 0xff]),
                Step::Repeat(&[0; 4_096], std::time::Duration::ZERO),
            ],
            Class::Tls,
        ),
    ] {
        let receiver = Receiver::start(script).await;
        let outcome = send(&sender, &format!("https://{}/", receiver.address)).await;
        assert_eq!(outcome.class, class, "{what}: {outcome:?}");
        assert!(outcome.duration < super::TIMEOUT * 2, "{what}: {outcome:?}");
    }
}

#[test]
fn a_file_that_is_no_authority_stops_the_start() {
    let (_file, config) = trusting("not a certificate");
    assert!(matches!(Sender::new(&config), Err(ConfigError::ParseCa { .. })));
    let missing = Config { extra_ca_file: Some("/nowhere/ca.pem".into()), ..Config::default() };
    assert!(matches!(Sender::new(&missing), Err(ConfigError::ReadCa { .. })));
}
