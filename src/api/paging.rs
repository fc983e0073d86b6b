//! Lists: how much of one is asked for, where to go on, and the answer's shape.

use std::convert::Infallible;

use axum::Json;
use axum::http::header::LINK;
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde::Serialize;
use serde_json::value::to_raw_value;
use sha2::{Digest, Sha256};
use url::form_urlencoded;
use utoipa::{IntoParams, ToSchema};

use super::problem::Problem;
use super::query::{Reader, wrong};
use crate::domain::ids::{DeliveryId, EventId, KeyId, ReplayId, TenantId, WebhookId};
use crate::domain::page::Filling;

const DEFAULT_SIZE: usize = 15;
const MAX_SIZE: usize = 100;
const TAG_BYTES: usize = 8;

/// Which page of a list.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "`Reader::page` reads them; this describes them")]
pub(super) struct Paging {
    /// How many at most: a page of large ones ends early.
    #[param(rename = "page[size]", minimum = 1, maximum = 100, default = 15)]
    size: Option<u8>,
    /// The `page.next` of the page before. It is opaque, and belongs to this list.
    #[param(rename = "page[after]")]
    after: Option<String>,
}

/// A page of a list.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct List<T> {
    /// Newest first, where nothing else is said.
    data: Vec<T>,
    page: PageInfo,
}

/// Where the list goes on.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Page)]
pub(super) struct PageInfo {
    /// How many were asked for.
    size: usize,
    /// What to send as `page[after]` for the next page; `null` on the last one.
    next: Option<String>,
}

/// What a list is ordered by: a number that grows with age or the other way round, and never changes.
pub trait Position: Copy {
    /// As a number.
    fn to_number(self) -> u128;
    /// From that number.
    fn from_number(number: u128) -> Self;
}

macro_rules! positions {
    ($($id:ident),+) => {$(
        impl Position for $id {
            fn to_number(self) -> u128 {
                self.as_u128()
            }

            fn from_number(number: u128) -> Self {
                Self::from_u128(number)
            }
        }
    )+};
}

positions!(TenantId, KeyId, WebhookId, EventId, DeliveryId, ReplayId);

impl Position for u128 {
    fn to_number(self) -> u128 {
        self
    }

    fn from_number(number: u128) -> Self {
        number
    }
}

/// The page of a list that is asked for.
#[derive(Debug)]
pub struct Page<P> {
    size: usize,
    /// Only what comes after this one, in the list's order.
    pub after: Option<P>,
    scope: Scope,
    path: String,
    /// The others that were given, for the link to the next page.
    parameters: Vec<(String, String)>,
}

/// Which list a cursor belongs to: its path, and the tenant that reads it.
#[derive(Debug)]
struct Scope(Vec<u8>);

impl Scope {
    fn new(path: &str, tenant_id: Option<TenantId>) -> Self {
        let tenant = tenant_id.map(|id| id.to_string()).unwrap_or_default();
        Self(format!("tidings cursor|{path}|{tenant}|").into_bytes())
    }

    /// Tells a cursor of this list from any other text. It need not be secret: a cursor opens nothing, each page is read with
    /// the tenant's own id.
    fn tag(&self, number: &[u8]) -> [u8; TAG_BYTES] {
        let digest: [u8; 32] = Sha256::new().chain_update(&self.0).chain_update(number).finalize().into();
        let mut tag = [0; TAG_BYTES];
        tag.copy_from_slice(&digest[..TAG_BYTES]);
        tag
    }

    fn write(&self, number: u128) -> String {
        let number = number.to_be_bytes();
        BASE64_URL_SAFE_NO_PAD.encode([&number[..], &self.tag(&number)].concat())
    }

    fn read(&self, cursor: &str) -> Option<u128> {
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(cursor).ok()?;
        let (number, tag) = bytes.split_first_chunk::<16>()?;
        (tag == self.tag(number)).then(|| u128::from_be_bytes(*number))
    }
}

impl Reader<'_> {
    /// `page[size]` and `page[after]` of a tenant's list, or of a list of the platform's.
    pub fn page<P: Position>(&mut self, tenant_id: impl Into<Option<TenantId>>) -> Result<Page<P>, Problem> {
        let scope = Scope::new(self.uri().path(), tenant_id.into());
        let size = self.take("page[size]", &format!("a number from 1 to {MAX_SIZE}"), |text| {
            let plain = text.bytes().all(|byte| byte.is_ascii_digit());
            text.parse().ok().filter(|size| plain && (1..=MAX_SIZE).contains(size))
        })?;
        let after = match self.text("page[after]") {
            None => None,
            Some(cursor) => Some(scope.read(cursor).ok_or_else(|| {
                wrong("page[after]", "invalid_cursor", "must be the `page.next` of an answer to this same list")
            })?),
        };
        Ok(Page {
            size: size.unwrap_or(DEFAULT_SIZE),
            after: after.map(P::from_number),
            scope,
            path: self.uri().path().to_owned(),
            parameters: self.parameters().filter(|(name, _)| !name.starts_with("page[")).cloned().collect(),
        })
    }
}

impl<P: Position> Page<P> {
    /// How many rows to read: one more than are shown, to know whether the list goes on.
    #[must_use]
    pub fn limit(&self) -> i64 {
        i64::try_from(self.size + 1).unwrap_or(i64::MAX)
    }

    /// The answer, from at most [`Page::limit`] rows. It ends early where they are large: whoever reads them may stop behind the first
    /// that is too much.
    pub fn answer<T, V: Serialize>(
        &self,
        rows: Vec<T>,
        position: impl Fn(&T) -> P,
        mut show: impl FnMut(T) -> V,
    ) -> Response {
        match self.try_answer(rows, position, |row| Ok::<_, Infallible>(show(row))) {
            Ok(answer) => answer,
            Err(never) => match never {},
        }
    }

    /// As [`Page::answer`], where showing a row can fail.
    pub fn try_answer<T, V: Serialize, E>(
        &self,
        rows: Vec<T>,
        position: impl Fn(&T) -> P,
        mut show: impl FnMut(T) -> Result<V, E>,
    ) -> Result<Response, E> {
        let (mut data, mut filling) = (Vec::new(), Filling::default());
        let (mut last, mut goes_on) = (None, false);
        for row in rows {
            goes_on = data.len() == self.size;
            if goes_on {
                break;
            }
            let place = position(&row);
            let shown = match to_raw_value(&show(row)?) {
                Ok(shown) => shown,
                Err(error) => return Ok(Problem::internal(error).into_response()),
            };
            goes_on = !filling.takes(shown.get().len());
            if goes_on {
                break;
            }
            data.push(shown);
            last = Some(place);
        }
        let next = last.filter(|_| goes_on).map(|last| self.scope.write(last.to_number()));
        let link = next.as_deref().map(|next| [(LINK, self.link(next))]);
        let body = Json(List { data, page: PageInfo { size: self.size, next } });
        Ok(match link {
            Some(link) => (link, body).into_response(),
            None => body.into_response(),
        })
    }

    fn link(&self, next: &str) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(&self.parameters);
        query.append_pair("page[size]", &self.size.to_string()).append_pair("page[after]", next);
        format!("<{}?{}>; rel=\"next\"", self.path, query.finish())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::api::query::Query;

    const TENANT: TenantId = TenantId::from_u128(1);

    fn page(uri: &str, tenant_id: TenantId) -> Result<Page<u128>, Problem> {
        let query = Query::of(&uri.parse().expect("a URI")).expect(uri);
        query.read(|reader| {
            reader.text("filter[a]");
            reader.page(tenant_id)
        })
    }

    #[tokio::test]
    async fn a_list_is_walked_by_its_links() {
        let mut uri = "/v1/things?filter[a]=x%26y&page[size]=2".to_owned();
        let mut seen = Vec::new();
        for _ in 0..3 {
            let page = page(&uri, TENANT).expect("a page");
            let rows: Vec<u128> = (page.after.map_or(0, |after| after + 1)..5).take(3).collect();
            let response = page.answer(rows, |row| *row, |row| Value::from(u64::try_from(row).unwrap_or(99)));
            let link = response.headers().get(LINK).map(|link| link.to_str().expect("ASCII").to_owned());
            let body = axum::body::to_bytes(response.into_body(), 9_999).await.expect("a body");
            let body: Value = serde_json::from_slice(&body).expect("JSON");
            seen.extend(body["data"].as_array().expect("data").clone());
            assert_eq!(link.is_some(), body["page"]["next"].is_string());
            let Some(link) = link else { break };
            assert!(link.ends_with(">; rel=\"next\"") && link.contains("filter%5Ba%5D=x%26y"), "{link}");
            uri = link[1..link.find('>').expect("an end")].to_owned();
        }
        assert_eq!(seen, [0, 1, 2, 3, 4]);
    }

    proptest::proptest! {
        #[test]
        fn a_cursor_is_good_for_its_own_list_and_tenant_and_no_other_text_is(
            number: u128,
            tenant: u128,
            other: u128,
            text in "[A-Za-z0-9_-]{0,40}|\\PC{0,30}",
            (at, with) in (0_usize..200, "[A-Za-z0-9_-]"),
        ) {
            let own = Scope::new("/v1/things", Some(TenantId::from_u128(tenant)));
            let cursor = own.write(number);
            proptest::prop_assert_eq!(own.read(&cursor), Some(number));
            proptest::prop_assert_eq!(Scope::new("/v1/others", Some(TenantId::from_u128(tenant))).read(&cursor), None);
            proptest::prop_assert_eq!(Scope::new("/v1/things", None).read(&cursor), None);
            let another = Scope::new("/v1/things", Some(TenantId::from_u128(other)));
            proptest::prop_assert_eq!(another.read(&cursor).is_some(), tenant == other);
            proptest::prop_assert!(own.read(&text).is_none_or(|_| text == cursor), "{text}");
            let mut tampered = cursor.clone();
            let at = at % cursor.len();
            tampered.replace_range(at..=at, &with);
            proptest::prop_assert_eq!(own.read(&tampered).is_some(), tampered == cursor, "{}", tampered);
        }
    }

    #[test]
    fn sizes_and_cursors_of_elsewhere_are_refused() {
        for size in ["0", "-1", "101", "abc", "", "+5", "1e1", "99999999999999999999999"] {
            assert!(page(&format!("/v1/things?page[size]={size}"), TENANT).is_err(), "{size}");
        }
        let cursor = Scope::new("/v1/things", Some(TENANT)).write(7);
        let at = |path: &str, cursor: &str, tenant| page(&format!("{path}?page[after]={cursor}"), tenant);
        assert_eq!(at("/v1/things", &cursor, TENANT).expect("its own").after, Some(7));
        assert!(at("/v1/others", &cursor, TENANT).is_err(), "another list's");
        assert!(at("/v1/things", &cursor, TenantId::from_u128(2)).is_err(), "another tenant's");
        let tampered = format!("B{}", &cursor[1..]);
        for cursor in [tampered.as_str(), "", "x", "%00", &cursor[1..]] {
            assert!(at("/v1/things", cursor, TENANT).is_err(), "{cursor}");
        }
    }
}
