//! The vault: the one place where a webhook's secrets are sealed and opened.
//!
//! What is sealed is bound to its tenant, its webhook and its kind, so that a ciphertext moved elsewhere in the database does
//! not open there.

use crate::domain::ids::{TenantId, WebhookId};
use crate::domain::secret::{MasterKeys, Sealed, Secret, SecretError};

/// What a secret is for; also the word for it in the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Signs requests.
    Signing,
    /// Goes along with each request.
    Token,
    /// The webhook's own headers, of which some may be credentials.
    Headers,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Signing, Self::Token, Self::Headers];

    /// The kind that a word in SQL names.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }

    /// The word in SQL.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Signing => "signing",
            Self::Token => "token",
            Self::Headers => "headers",
        }
    }
}

/// Seals a secret of a webhook.
pub fn seal(
    keys: &MasterKeys,
    tenant_id: TenantId,
    webhook_id: WebhookId,
    kind: Kind,
    secret: &Secret,
) -> Result<Sealed, SecretError> {
    keys.seal(secret, &place(tenant_id, webhook_id, kind), rand::random())
}

/// Opens a secret of a webhook.
pub fn open(
    keys: &MasterKeys,
    tenant_id: TenantId,
    webhook_id: WebhookId,
    kind: Kind,
    sealed: &Sealed,
) -> Result<Secret, SecretError> {
    keys.open(sealed, &place(tenant_id, webhook_id, kind))
}

/// Seals a webhook's own headers, names and values.
pub fn seal_headers(
    keys: &MasterKeys,
    tenant_id: TenantId,
    webhook_id: WebhookId,
    headers: &[(String, String)],
) -> Result<Sealed, SecretError> {
    let text = serde_json::to_string(headers).map_err(|_| SecretError::Corrupt)?;
    seal(keys, tenant_id, webhook_id, Kind::Headers, &text.into())
}

/// Opens a webhook's own headers, where it has any.
pub fn open_headers(
    keys: &MasterKeys,
    tenant_id: TenantId,
    webhook_id: WebhookId,
    sealed: Option<&Sealed>,
) -> Result<Vec<(String, String)>, SecretError> {
    use secrecy::ExposeSecret;
    let Some(sealed) = sealed else { return Ok(Vec::new()) };
    let text = open(keys, tenant_id, webhook_id, Kind::Headers, sealed)?;
    serde_json::from_str(text.expose_secret()).map_err(|_| SecretError::Corrupt)
}

/// Stands for the value of a header that does not open, where it is shown.
pub const UNREADABLE: &str = "[unreadable]";

/// A webhook's own headers to look at. Where they do not open, as those of these names: one webhook's must not hide all others, and
/// whoever is to send them again has to find it.
#[must_use]
pub fn show_headers(
    keys: &MasterKeys,
    tenant_id: TenantId,
    webhook_id: WebhookId,
    sealed: Option<&Sealed>,
    names: &[String],
) -> Vec<(String, String)> {
    open_headers(keys, tenant_id, webhook_id, sealed).unwrap_or_else(|error| {
        tracing::warn!(%tenant_id, %webhook_id, %error, "webhook.headers_unreadable");
        names.iter().map(|name| (name.clone(), UNREADABLE.to_owned())).collect()
    })
}

/// Seals once more, with the key that seals now, what any of the keys sealed.
pub fn reseal(
    keys: &MasterKeys,
    tenant_id: TenantId,
    webhook_id: WebhookId,
    kind: Kind,
    sealed: &Sealed,
) -> Result<Sealed, SecretError> {
    seal(keys, tenant_id, webhook_id, kind, &open(keys, tenant_id, webhook_id, kind, sealed)?)
}

fn place(tenant_id: TenantId, webhook_id: WebhookId, kind: Kind) -> Vec<u8> {
    format!("{tenant_id}|{webhook_id}|{}", kind.as_str()).into_bytes()
}
