//! A caller of the API who keeps every answer, to be searched for secrets later.

use std::fmt::Write as _;
use std::net::SocketAddr;

use reqwest::{Client, Method, RequestBuilder};
use serde_json::Value;

use super::canary::{Canaries, canary};

/// Members of answers that show a secret, and where: the registration of a webhook, the rotation of its secret, and the
/// creation of an API key. There are no others.
const SHOWN_ONCE: [(&str, &str, &str); 4] = [
    ("POST", "/v1/webhooks", "signing_secret"),
    ("POST", "/v1/webhooks", "token"),
    ("POST", "/v1/webhooks/*/rotate", "signing_secret"),
    ("POST", "/v1/api-keys", "key"),
];

pub struct Witness {
    pub canaries: Canaries,
    /// What is a tenant's own, and no operator's: data, paths of URLs, what receivers answer.
    pub private: Canaries,
    /// What was answered, under a heading each, without what may be shown once.
    pub answers: String,
    address: SocketAddr,
    client: Client,
    shown: usize,
}

impl Witness {
    pub fn new(address: SocketAddr) -> Self {
        drop(rustls::crypto::ring::default_provider().install_default());
        let client = Client::builder().no_proxy().build().expect("a client");
        Self {
            canaries: Canaries::default(),
            private: Canaries::default(),
            answers: String::new(),
            address,
            client,
            shown: 0,
        }
    }

    pub fn request(&self, method: &Method, path: &str) -> RequestBuilder {
        self.client.request(method.clone(), format!("http://{}{path}", self.address))
    }

    /// Secrets that were shown where they may be.
    pub const fn shown(&self) -> usize {
        self.shown
    }

    /// A text that only its tenant may see.
    pub fn private(&mut self, word: &str) -> String {
        let text = canary(word);
        self.private.plant(word, &text);
        text
    }

    pub async fn call(&mut self, method: Method, path: &str, key: &str, body: Option<Value>) -> (u16, Value) {
        let mut request = self.request(&method, path).bearer_auth(key);
        if let Some(body) = body {
            request = request.json(&body);
        }
        self.send(&method, path, request).await
    }

    /// What is answered to anybody.
    pub async fn text(&mut self, path: &str) -> (u16, String) {
        let response = self.request(&Method::GET, path).send().await.expect("an answer");
        (response.status().as_u16(), response.text().await.expect("a text"))
    }

    /// Sends it, keeps the answer, and watches from now on for the secrets that it was the one to show.
    pub async fn send(&mut self, method: &Method, path: &str, request: RequestBuilder) -> (u16, Value) {
        let response = request.send().await.expect("an answer");
        let (status, headers) = (response.status().as_u16(), format!("{:?}", response.headers()));
        let mut text = response.text().await.expect("a text");
        let answer: Value = serde_json::from_str(&text).unwrap_or_default();
        if status < 300 {
            for (_, _, member) in SHOWN_ONCE.iter().filter(|(verb, at, _)| *verb == method.as_str() && fits(at, path)) {
                if let Some(secret) = answer[member].as_str() {
                    text = text.replacen(secret, "", 1);
                    self.canaries.plant(&format!("{member} of {method} {path}"), secret);
                    self.shown += 1;
                }
            }
        }
        let without_query = path.split('?').next().unwrap_or_default();
        writeln!(self.answers, "\n== {method} {without_query}: {status} {headers}\n{text}").expect("a text");
        (status, answer)
    }
}

/// Whether a path is of a kind, in which `*` stands for an id.
fn fits(kind: &str, path: &str) -> bool {
    let path = path.split('?').next().unwrap_or_default();
    let (kind, path): (Vec<_>, Vec<_>) = (kind.split('/').collect(), path.split('/').collect());
    kind.len() == path.len() && kind.iter().zip(path).all(|(kind, part)| *kind == "*" || *kind == part)
}
