//! What came back.

use bytes::Bytes;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::error::ClientError;

/// The body of an answer that is a success.
#[derive(Debug, Clone)]
pub struct Answer {
    body: Bytes,
    as_of: Option<String>,
}

/// One page of a list.
#[derive(Debug, Clone)]
pub struct Page {
    /// Its rows.
    pub items: Vec<Item>,
    /// Where the next page begins, if there is one.
    pub next: Option<String>,
    /// The API's time as it answered, where it tells.
    pub as_of: Option<String>,
}

/// A JSON object as it came.
#[derive(Debug, Clone)]
pub struct Item(Box<RawValue>);

#[derive(Deserialize)]
struct Pages {
    data: Vec<Box<RawValue>>,
    page: Next,
}

#[derive(Deserialize)]
struct Next {
    next: Option<String>,
}

impl Answer {
    pub(super) const fn new(body: Bytes, as_of: Option<String>) -> Self {
        Self { body, as_of }
    }

    /// Whether there is no body (a 204).
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.body.is_empty()
    }

    /// The JSON of the answer.
    pub fn item(&self) -> Result<Item, ClientError> {
        serde_json::from_slice(&self.body).map(Item).map_err(|_| ClientError::NotJson)
    }

    /// The rows of a member that is a list.
    pub fn rows(&self, member: &str) -> Result<Vec<Item>, ClientError> {
        let members: std::collections::HashMap<String, Box<RawValue>> =
            serde_json::from_slice(&self.body).map_err(|_| ClientError::NotJson)?;
        let rows = members.get(member).ok_or(ClientError::NotJson)?;
        let rows: Vec<Box<RawValue>> = serde_json::from_str(rows.get()).map_err(|_| ClientError::NotJson)?;
        Ok(rows.into_iter().map(Item).collect())
    }

    pub(super) fn page(&self) -> Result<Page, ClientError> {
        let pages: Pages = serde_json::from_slice(&self.body).map_err(|_| ClientError::NotJson)?;
        Ok(Page { items: pages.data.into_iter().map(Item).collect(), next: pages.page.next, as_of: self.as_of.clone() })
    }
}

impl Item {
    /// To look into.
    #[must_use]
    pub fn value(&self) -> Value {
        serde_json::from_str(self.0.get()).unwrap_or_default()
    }

    /// A member's text as it came.
    #[must_use]
    pub fn member(&self, name: &str) -> Option<String> {
        let members: std::collections::HashMap<String, &RawValue> = serde_json::from_str(self.0.get()).ok()?;
        members.get(name).map(|raw| raw.get().to_owned())
    }

    /// On one line: line breaks between tokens, which an event's `data` may have, become spaces. Those inside a text are
    /// escapes already, as JSON demands.
    #[must_use]
    pub fn line(&self) -> String {
        self.0.get().replace(['\n', '\r'], " ")
    }
}
