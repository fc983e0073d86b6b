//! Whom to believe: TLS 1.2 or newer, certificates always verified, the system's authorities and those of the configuration.

use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

use crate::net::config::{Config, ConfigError};

/// HTTP/2 where the receiver can, else HTTP/1.1.
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// The TLS settings of all connections.
pub(in crate::net) fn client_config(config: &Config) -> Result<ClientConfig, ConfigError> {
    let mut roots = RootCertStore::empty();
    // What of the system's list cannot be read is left out, as every other program does.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let (added, _) = roots.add_parsable_certificates(extra_authorities(config)?);
    if let (Some(path), 0) = (&config.extra_ca_file, added) {
        return Err(ConfigError::ParseCa { path: path.clone() });
    }
    if roots.is_empty() {
        return Err(ConfigError::NoAuthorities);
    }
    // Other clients in the process (traces, the API's own) take the default; whoever came first has set one that serves as well.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let versions = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let mut client = versions.with_root_certificates(roots).with_no_client_auth();
    client.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).into();
    Ok(client)
}

fn extra_authorities(config: &Config) -> Result<Vec<CertificateDer<'static>>, ConfigError> {
    let Some(path) = config.extra_ca_file.clone() else { return Ok(Vec::new()) };
    let pem = std::fs::read(&path).map_err(|source| ConfigError::ReadCa { path: path.clone(), source })?;
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    match certificates {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        _ => Err(ConfigError::ParseCa { path }),
    }
}
