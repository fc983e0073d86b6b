//! Section `telemetry` of the configuration.

use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;

use http::{HeaderName, HeaderValue};
use serde::{Deserialize, Deserializer};
use url::{Position, Url};

/// Where numbers and traces go. Every key may be left out.
#[derive(Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// `telemetry.metrics_listen`: a socket for `/metrics` alone; without it, `/metrics` is on the API's.
    #[serde(deserialize_with = "address")]
    pub metrics_listen: Option<SocketAddr>,
    /// `telemetry.otlp_endpoint`: the collector of traces, OTLP over HTTP; without it, there are none.
    #[serde(deserialize_with = "url")]
    pub otlp_endpoint: Option<Url>,
    /// `telemetry.otlp_headers`: headers for the collector, `name=value` each.
    pub otlp_headers: Vec<String>,
    /// `telemetry.sampling_ratio`: of the requests that carry no decision of their own, the share that is traced, 0 to 1.
    pub sampling_ratio: f64,
}

impl Default for Config {
    fn default() -> Self {
        Self { metrics_listen: None, otlp_endpoint: None, otlp_headers: Vec::new(), sampling_ratio: 1.0 }
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A header's value may be a credential, and so may a query.
        let Self { metrics_listen, otlp_endpoint, otlp_headers, sampling_ratio } = self;
        f.debug_struct("Config")
            .field("metrics_listen", metrics_listen)
            .field("otlp_endpoint", &otlp_endpoint.as_ref().map(|url| &url[..Position::AfterPath]))
            .field("otlp_headers", &otlp_headers.len())
            .field("sampling_ratio", sampling_ratio)
            .finish()
    }
}

/// What is said of an endpoint that is none.
const NO_URL: &str = "must be an http:// or https:// URL, such as http://127.0.0.1:4318";

impl Config {
    /// Checks what the types cannot say; the error names the key, and nothing of a header's value or of the endpoint.
    pub fn validate(&self) -> Result<(), String> {
        if let Some(url) = &self.otlp_endpoint {
            if !(matches!(url.scheme(), "http" | "https") && url.has_host()) {
                return Err(format!("`telemetry.otlp_endpoint` {NO_URL}"));
            }
            // It would be shown in full, and not be sent.
            if !url.username().is_empty() || url.password().is_some() {
                return Err(
                    "`telemetry.otlp_endpoint` must hold no user and no password: credentials go into `telemetry.otlp_headers`"
                        .into(),
                );
            }
        }
        if !(0.0..=1.0).contains(&self.sampling_ratio) {
            return Err(format!("`telemetry.sampling_ratio` is {}; it must be from 0 to 1", self.sampling_ratio));
        }
        // What the exporter cannot read, it leaves out.
        let is_good = |(name, value): (&str, Option<&str>)| {
            HeaderName::from_str(name).is_ok() && value.is_some_and(|value| HeaderValue::from_str(value).is_ok())
        };
        if let Some(before) = self.headers().position(|header| !is_good(header)) {
            return Err(format!(
                "`telemetry.otlp_headers`: number {} must be of the form name=value, such as x-api-key=secret; a name has no spaces, and a value no control characters",
                before + 1
            ));
        }
        Ok(())
    }

    /// Names and values; `None` where there is no `=`.
    pub(super) fn headers(&self) -> impl Iterator<Item = (&str, Option<&str>)> {
        self.otlp_headers.iter().map(|header| match header.split_once('=') {
            Some((name, value)) => (name.trim(), Some(value.trim())),
            None => (header.trim(), None),
        })
    }
}

fn address<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<SocketAddr>, D::Error> {
    let text = String::deserialize(deserializer)?;
    text.trim().parse().map(Some).map_err(|_| {
        serde::de::Error::custom(format_args!("`{text}` is not an IP address and a port, such as 127.0.0.1:9090"))
    })
}

fn url<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Url>, D::Error> {
    let text = String::deserialize(deserializer)?;
    let url = Url::parse(text.trim()).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    // The text is not told: it may hold a password.
    url.map(Some).ok_or_else(|| serde::de::Error::custom(NO_URL))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_work_is_refused_and_no_value_of_a_header_is_told() {
        let told = |text: &str| toml::from_str::<Config>(text).map_err(|error| error.to_string())?.validate();
        assert_eq!(told("otlp_endpoint = 'http://collector:4318'\nsampling_ratio = 0.5"), Ok(()));
        assert_eq!(told("otlp_headers = ['x-api-key = a b=c', 'Authorization=Bearer x']"), Ok(()));
        for (text, key) in [
            ("otlp_endpoint = 'grpc://collector:4317'", "otlp_endpoint"),
            ("otlp_endpoint = 'http://user:hunter2@collector:4318'", "telemetry.otlp_headers"),
            ("otlp_endpoint = 'http://hunter2@collector:4318'", "telemetry.otlp_headers"),
            ("sampling_ratio = 1.5", "telemetry.sampling_ratio"),
            ("sampling_ratio = nan", "telemetry.sampling_ratio"),
            ("otlp_headers = ['hunter2']", "`telemetry.otlp_headers`: number 1"),
            ("otlp_headers = ['=hunter2']", "`telemetry.otlp_headers`: number 1"),
            ("otlp_headers = ['a=b', 'x api key=hunter2']", "`telemetry.otlp_headers`: number 2"),
            (r#"otlp_headers = ["a=hunter2\u0001"]"#, "`telemetry.otlp_headers`: number 1"),
        ] {
            let error = told(text).expect_err(text);
            assert!(error.contains(key) && !error.contains("hunter2"), "{error}");
        }
        let text = "otlp_headers = ['x=hunter2']\notlp_endpoint = 'http://collector/traces?key=hunter2#hunter2'";
        let config: Config = toml::from_str(text).expect("a config");
        let shown = format!("{config:?}");
        assert!(shown.contains("http://collector/traces") && !shown.contains("hunter2"), "{shown}");
    }
}
