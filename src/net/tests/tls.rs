//! HTTPS: who is believed.

use std::io::Write;
use std::sync::{Arc, Mutex};

use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::receiver::{Receiver, Seen, Step, answers, play};
use super::{local, send};
use crate::domain::outcome::Class;
use crate::net::{Config, ConfigError, Sender};

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";

/// Answers 200 behind a certificate of its own making; gives back its port and the certificate in PEM form.
async fn self_signed(name: &str) -> (u16, String) {
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed([name.to_owned()]).expect("a certificate");
    let key = PrivateKeyDer::Pkcs8(signing_key.serialize_der().into());
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key)
        .expect("a key for the certificate");
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("bound").port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            if let Ok(mut stream) = acceptor.accept(stream).await {
                let _ = play(&mut stream, &answers(OK), &Mutex::new(Seen::default())).await;
            }
        }
    });
    (port, cert.pem())
}

fn trusting(pem: &str) -> (tempfile::NamedTempFile, Config) {
    let mut file = tempfile::NamedTempFile::new().expect("a file");
    file.write_all(pem.as_bytes()).expect("written");
    let config = Config { extra_ca_file: Some(file.path().to_owned()), ..local() };
    (file, config)
}

#[tokio::test]
async fn a_certificate_that_no_authority_vouches_for_is_refused() {
    let (port, _) = self_signed("localhost").await;
    let outcome = send(&Sender::new(&local()).expect("a sender"), &format!("https://localhost:{port}/")).await;
    assert_eq!(outcome.class, Class::Tls, "{outcome:?}");
    assert!(outcome.error.expect("a story").contains("UnknownIssuer"));
}

#[tokio::test]
async fn an_extra_authority_is_believed_for_the_names_it_vouches_for() {
    let (port, pem) = self_signed("localhost").await;
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

#[test]
fn a_file_that_is_no_authority_stops_the_start() {
    let (_file, config) = trusting("not a certificate");
    assert!(matches!(Sender::new(&config), Err(ConfigError::ParseCa { .. })));
    let missing = Config { extra_ca_file: Some("/nowhere/ca.pem".into()), ..Config::default() };
    assert!(matches!(Sender::new(&missing), Err(ConfigError::ReadCa { .. })));
}
