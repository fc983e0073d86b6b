//! What narrows a list, as its form and its links have it.

use std::ops::Deref;

use axum::http::StatusCode;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use url::form_urlencoded::Serializer;

use super::acts::done;
use crate::console::caller::{Caller, Refusal};
use crate::console::form::Typed;
use crate::console::nouns::List;

/// Entries of a list on a page.
const SIZE: &str = "25";
/// The name of the cursor in a page's own query.
const AFTER: &str = "after";

/// A page's query: a value for each filter, and where the page begins.
#[derive(Debug, Default, Deserialize)]
#[serde(transparent)]
pub(in crate::console) struct Filters(Typed);

impl Deref for Filters {
    type Target = Typed;

    fn deref(&self) -> &Typed {
        &self.0
    }
}

impl Filters {
    /// The same list of the API, with these of the filters. Which values are good, the API says.
    pub(in crate::console) fn path(&self, list: &str, names: &[&str]) -> String {
        let mut query = Serializer::new(String::new());
        query.append_pair("page[size]", SIZE);
        for (name, value) in self.set(names) {
            query.append_pair(&format!("filter[{name}]"), value);
        }
        if !self.of(AFTER).is_empty() {
            query.append_pair("page[after]", self.of(AFTER));
        }
        format!("{list}?{}", query.finish())
    }

    /// A page of a list of the API, with these of the filters.
    pub(in crate::console) async fn list<T: DeserializeOwned>(
        &self,
        caller: &Caller,
        list: &str,
        names: &[&str],
    ) -> Result<List<T>, Refusal> {
        match caller.read(&self.path(list, names)).await {
            Err(refusal) if refusal.status() == StatusCode::BAD_REQUEST => Ok(List::refused(refusal)),
            answer => answer,
        }
    }

    /// The query of the page that follows, with the same filters.
    pub(in crate::console) fn next(&self, names: &[&str], cursor: &str) -> String {
        let mut query = Serializer::new(String::new());
        query.extend_pairs(self.set(names));
        query.append_pair(AFTER, cursor).finish()
    }

    /// What was just done, where a button or a form led here.
    pub(in crate::console) fn done(&self) -> Option<&'static str> {
        done(self.of("done"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_filters_with_a_value_are_asked_for() {
        let pairs = [("state", "dead"), ("event", " a b&c "), ("webhook_id", ""), ("other", "x"), (AFTER, "cur+")];
        let filters = Filters(pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).into_iter().collect());
        let names = ["state", "event", "webhook_id"];
        assert_eq!(
            filters.path("/v1/deliveries", &names),
            "/v1/deliveries?page%5Bsize%5D=25&filter%5Bstate%5D=dead&filter%5Bevent%5D=a+b%26c&page%5Bafter%5D=cur%2B"
        );
        assert_eq!(filters.next(&names, "n&t"), "state=dead&event=a+b%26c&after=n%26t");
        assert_eq!(Filters::default().path("/v1/events", &names), "/v1/events?page%5Bsize%5D=25");
    }
}
