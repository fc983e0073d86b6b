//! One request.

use std::fmt::Display;

use bytes::Bytes;
use serde_json::Value;
use url::Url;

/// What a request does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Reads.
    Get,
    /// Makes, or does something.
    Post,
    /// Changes.
    Patch,
    /// Puts in a place.
    Put,
    /// Deletes.
    Delete,
}

impl From<Method> for reqwest::Method {
    fn from(method: Method) -> Self {
        match method {
            Method::Get => Self::GET,
            Method::Post => Self::POST,
            Method::Patch => Self::PATCH,
            Method::Put => Self::PUT,
            Method::Delete => Self::DELETE,
        }
    }
}

/// A request to the API.
#[derive(Debug, Clone)]
pub struct Call {
    method: Method,
    path: Vec<String>,
    query: Vec<(&'static str, String)>,
    body: Option<Bytes>,
    is_keyed: bool,
}

impl Call {
    /// A request of this method for the path below `/v1` that these segments make; each is escaped.
    #[must_use]
    pub fn new<S: Display>(method: Method, segments: &[S]) -> Self {
        let path = segments.iter().map(ToString::to_string).collect();
        Self { method, path, query: Vec::new(), body: None, is_keyed: false }
    }

    /// Reads.
    #[must_use]
    pub fn get(segments: &[&dyn Display]) -> Self {
        Self::new(Method::Get, segments)
    }

    /// Makes, or does something.
    #[must_use]
    pub fn post(segments: &[&dyn Display]) -> Self {
        Self::new(Method::Post, segments)
    }

    /// Changes.
    #[must_use]
    pub fn patch(segments: &[&dyn Display]) -> Self {
        Self::new(Method::Patch, segments)
    }

    /// Puts in a place.
    #[must_use]
    pub fn put(segments: &[&dyn Display]) -> Self {
        Self::new(Method::Put, segments)
    }

    /// Deletes.
    #[must_use]
    pub fn delete(segments: &[&dyn Display]) -> Self {
        Self::new(Method::Delete, segments)
    }

    /// With a parameter, where there is a value.
    #[must_use]
    pub fn query(mut self, name: &'static str, value: Option<impl ToString>) -> Self {
        self.query.extend(value.map(|value| (name, value.to_string())));
        self
    }

    /// Whether a parameter narrows what is listed.
    #[must_use]
    pub fn is_filtered(&self) -> bool {
        self.query.iter().any(|(name, _)| name.starts_with("filter["))
    }

    /// With a body.
    #[must_use]
    pub fn json(self, body: &Value) -> Self {
        self.raw(body.to_string())
    }

    /// With a body that is JSON already, and goes out as it is.
    #[must_use]
    pub fn raw(self, body: impl Into<Bytes>) -> Self {
        Self { body: Some(body.into()), ..self }
    }

    /// Its body has idempotency keys, so that doing it twice is the same as once.
    #[must_use]
    pub fn keyed(self) -> Self {
        Self { is_keyed: true, ..self }
    }

    pub(super) const fn method(&self) -> Method {
        self.method
    }

    pub(super) const fn body(&self) -> Option<&Bytes> {
        self.body.as_ref()
    }

    /// Whether doing it twice is the same as once.
    pub(super) fn is_repeatable(&self) -> bool {
        self.is_keyed || matches!(self.method, Method::Get | Method::Put)
    }

    /// Where it goes, below the API's own address.
    pub(super) fn url(&self, base: &Url) -> Url {
        let mut url = base.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            // `http://host`, `http://host/` and `http://host/v1/` all mean the same.
            let has_version = base.path().trim_end_matches('/').ends_with("/v1");
            path.pop_if_empty().extend((!has_version).then_some("v1")).extend(&self.path);
        }
        if !self.query.is_empty() {
            url.query_pairs_mut().extend_pairs(&self.query);
        }
        url
    }
}
