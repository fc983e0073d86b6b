//! Calls of the REST API beside the load: what a person would do before and after.

use std::net::SocketAddr;

use secrecy::ExposeSecret;
use serde_json::Value;

use crate::cli::Failure;
use crate::cli::bench::load::Connection;
use crate::domain::secret::Secret;

/// Somebody with the platform key.
#[derive(Debug)]
pub(in crate::cli) struct Caller {
    connection: Connection,
    authority: String,
    key: Secret,
}

impl Caller {
    pub(super) fn new(address: SocketAddr, authority: &str, key: &Secret) -> Self {
        Self { connection: Connection::new(address), authority: authority.to_owned(), key: key.clone() }
    }

    /// Asks for something that must be there.
    pub(in crate::cli) async fn get(&mut self, path: &str) -> Result<Value, Failure> {
        self.call("GET", path, None, None).await
    }

    /// Posts, for a tenant where one is given.
    pub(in crate::cli) async fn post(
        &mut self,
        path: &str,
        tenant: Option<&str>,
        body: Option<&Value>,
    ) -> Result<Value, Failure> {
        self.call("POST", path, tenant, body).await
    }

    /// Deletes.
    pub(in crate::cli) async fn delete(&mut self, path: &str) -> Result<Value, Failure> {
        self.call("DELETE", path, None, None).await
    }

    async fn call(
        &mut self,
        method: &str,
        path: &str,
        tenant: Option<&str>,
        body: Option<&Value>,
    ) -> Result<Value, Failure> {
        let body = body.map(Value::to_string);
        let mut request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {}\r\n",
            self.authority,
            self.key.expose_secret()
        );
        if let Some(tenant) = tenant {
            request.extend(["Tidings-Tenant: ", tenant, "\r\n"]);
        }
        if let Some(body) = &body {
            let length = body.len().to_string();
            request.extend(["Content-Type: application/json\r\nContent-Length: ", &length, "\r\n"]);
        }
        request.extend(["\r\n", body.as_deref().unwrap_or_default()]);
        let answer = self.connection.exchange(request.as_bytes()).await;
        let answer = answer.map_err(|error| Failure::told(format!("{method} {path} got no answer: {error}")))?;
        let json: Value = serde_json::from_slice(answer.body).unwrap_or_default();
        if answer.status < 300 {
            return Ok(json);
        }
        Err(Failure::told(format!("{method} {path} was answered {}: {}", answer.status, reason(&json))))
    }
}

/// What a problem says is wrong.
fn reason(problem: &Value) -> String {
    let text = |json: &Value, member: &str| json.get(member).and_then(Value::as_str).map(str::to_owned);
    let errors = problem.get("errors").and_then(Value::as_array).into_iter().flatten();
    let errors = errors.filter_map(|error| Some(format!("{} {}", text(error, "pointer")?, text(error, "detail")?)));
    let whole = text(problem, "detail").or_else(|| text(problem, "title"));
    whole.into_iter().chain(errors).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_is_told_with_each_of_its_errors() {
        let problem = serde_json::json!({
            "title": "Invalid", "detail": "one thing is wrong", "errors": [{"pointer": "/url", "detail": "must be HTTPS"}],
        });
        assert_eq!(reason(&problem), "one thing is wrong; /url must be HTTPS");
        assert_eq!(reason(&Value::Null), "");
    }
}
