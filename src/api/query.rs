//! What follows the `?`: parameters that a handler reads one by one. Whatever nobody read is refused by name.

use axum::extract::FromRequestParts;
use axum::http::Uri;
use axum::http::request::Parts;
use url::form_urlencoded;

use super::problem::Problem;
use super::{Api, kinds};
use crate::actions::Fault;

/// The parameters of a request, percent-decoded, each name at most once.
#[derive(Debug)]
pub struct Query {
    uri: Uri,
    parameters: Vec<(String, String)>,
}

/// Reads parameters for [`Query::read`].
#[derive(Debug)]
pub struct Reader<'q> {
    query: &'q Query,
    read: Vec<&'static str>,
}

impl FromRequestParts<Api> for Query {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &Api) -> Result<Self, Problem> {
        Self::of(&parts.uri)
    }
}

/// For paths without parameters: whatever is there is refused by name.
#[derive(Debug, Clone, Copy)]
pub struct NoQuery;

impl FromRequestParts<Api> for NoQuery {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &Api) -> Result<Self, Problem> {
        Query::of(&parts.uri)?.read(|_| Ok(Self))
    }
}

impl Query {
    /// Takes a URI's query apart.
    pub fn of(uri: &Uri) -> Result<Self, Problem> {
        let raw = uri.query().unwrap_or_default().as_bytes();
        let parameters: Vec<(String, String)> = form_urlencoded::parse(raw).into_owned().collect();
        for (index, (name, _)) in parameters.iter().enumerate() {
            if parameters[..index].iter().any(|(earlier, _)| earlier == name) {
                return Err(wrong(name, "duplicate_parameter", "is given more than once"));
            }
        }
        Ok(Self { uri: uri.clone(), parameters })
    }

    /// Lets `read` take what it knows, then refuses what is left.
    pub fn read<'q, T>(&'q self, read: impl FnOnce(&mut Reader<'q>) -> Result<T, Problem>) -> Result<T, Problem> {
        let mut reader = Reader { query: self, read: Vec::new() };
        let value = read(&mut reader)?;
        match self.parameters.iter().find(|(name, _)| !reader.read.contains(&name.as_str())) {
            Some((name, _)) => {
                let known = reader.read.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
                let known = if known.is_empty() { "none".to_owned() } else { known };
                Err(wrong(name, "unknown_parameter", &format!("is no parameter of this path, which has {known}")))
            }
            None => Ok(value),
        }
    }
}

impl<'q> Reader<'q> {
    pub(super) fn uri(&self) -> &'q Uri {
        &self.query.uri
    }

    pub(super) fn parameters(&self) -> impl Iterator<Item = &'q (String, String)> {
        self.query.parameters.iter()
    }

    /// The text of a parameter, where it is there.
    pub fn text(&mut self, name: &'static str) -> Option<&'q str> {
        self.read.push(name);
        let found = self.query.parameters.iter().find(|(own, _)| own == name);
        found.map(|(_, value)| value.as_str())
    }

    /// A parameter, where it is there; `expected` continues "must be" for one that `parse` does not know.
    pub fn take<T>(
        &mut self,
        name: &'static str,
        expected: &str,
        parse: impl FnOnce(&'q str) -> Option<T>,
    ) -> Result<Option<T>, Problem> {
        match self.text(name) {
            None => Ok(None),
            Some(text) => match parse(text) {
                Some(value) => Ok(Some(value)),
                None => Err(wrong(name, "invalid_value", &format!("must be {expected}"))),
            },
        }
    }

    /// `true` or `false`.
    pub fn flag(&mut self, name: &'static str) -> Result<Option<bool>, Problem> {
        self.take(name, "`true` or `false`", |text| text.parse().ok())
    }
}

/// A parameter that is at fault.
pub(super) fn wrong(name: &str, code: &'static str, detail: &str) -> Problem {
    let name: String = name.chars().take(100).collect();
    Problem::new(kinds::INVALID_QUERY, format!("`{name}` {detail}")).with_errors(vec![Fault::new(name, code, detail)])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(text: &str) -> Query {
        Query::of(&format!("/v1/webhooks?{text}").parse().expect("a URI")).expect(text)
    }

    #[test]
    fn brackets_and_escapes_are_read() {
        for text in ["filter[is_active]=true&a=b%20c", "filter%5Bis_active%5D=true&a=b+c"] {
            let read =
                query(text).read(|reader| Ok((reader.flag("filter[is_active]")?, reader.text("a").map(str::to_owned))));
            assert_eq!(read.expect(text), (Some(true), Some("b c".to_owned())));
        }
    }

    #[test]
    fn what_nobody_reads_is_refused_by_name() {
        let told = query("limit=5").read(|reader| reader.flag("flag")).expect_err("unknown").told();
        assert_eq!((&told["status"], &told["errors"][0]["pointer"]), (&400.into(), &"limit".into()));
        assert!(told["detail"].as_str().is_some_and(|detail| detail.contains("`flag`")), "{told}");
        assert!(query("flag=yes").read(|reader| reader.flag("flag")).is_err());
        assert!(Query::of(&"/?a=1&a=2".parse().expect("a URI")).is_err());
    }
}
