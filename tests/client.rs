//! The client of the REST API: what it sends, when it repeats that, and how it tells what goes wrong.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::any;

use tidings::client::{Call, Client, ClientError, Given, Place};

async fn serve(router: Router) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move { axum::serve(listener, router).await });
    format!("http://{address}")
}

fn place(url: &str, key: Option<&str>) -> Place {
    let key = key.map(|key| Given { value: key.into(), origin: "TIDINGS_KEY".into() });
    Place { url: Given { value: url.into(), origin: "--api".into() }, key, tenant: None }
}

fn client(url: &str, key: Option<&str>) -> Client {
    Client::new(place(url, key)).expect("a client")
}

async fn busy_twice(State(asked): State<Arc<AtomicUsize>>) -> Response {
    match asked.fetch_add(1, Ordering::Relaxed) {
        0 => (StatusCode::SERVICE_UNAVAILABLE, [("retry-after", "0")]).into_response(),
        1 => (StatusCode::TOO_MANY_REQUESTS, [("retry-after", "0")]).into_response(),
        _ => "{\"n\": 1e2,\n \"a\": 1}".into_response(),
    }
}

#[tokio::test]
async fn it_has_patience_and_hands_json_on_as_it_came() {
    let asked = Arc::new(AtomicUsize::new(0));
    let url = serve(Router::new().fallback(any(busy_twice)).with_state(Arc::clone(&asked))).await;
    let answer = client(&url, None).send(Call::get(&[&"events"])).await.expect("an answer");
    assert_eq!(answer.item().expect("JSON").line(), "{\"n\": 1e2,  \"a\": 1}");
    assert_eq!(asked.swap(0, Ordering::Relaxed), 3);
    // It may have been done.
    assert!(client(&url, None).send(Call::post(&[&"events"])).await.is_err());
    assert_eq!(asked.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn paths_and_parameters_are_escaped_and_the_key_is_sent() {
    let echo = |uri: Uri, headers: HeaderMap| async move {
        let key = headers["authorization"].to_str().expect("text").to_owned();
        axum::Json(serde_json::json!({"uri": uri.to_string(), "key": key}))
    };
    let url = serve(Router::new().fallback(any(echo))).await;
    for base in ["", "/", "/v1", "/v1/"] {
        let client = client(&format!("{url}{base}"), Some(" tk_live_1\n"));
        let call = Call::get(&[&"dialects", &"a/b?c"]).query("filter[from]", Some("1+1")).query("x", None::<u8>);
        let seen = client.send(call).await.expect("an answer").item().expect("JSON").value();
        assert_eq!(seen["uri"], "/v1/dialects/a%2Fb%3Fc?filter%5Bfrom%5D=1%2B1", "{base}");
        assert_eq!(seen["key"], "Bearer tk_live_1");
    }
}

#[tokio::test]
async fn whatever_goes_wrong_is_a_sentence() {
    let problem = r#"{"status": 401, "code": "unauthenticated", "detail": "no", "request_id": "req_1"}"#;
    let routes = Router::new()
        .route("/v1/moved", any(|| async { (StatusCode::MOVED_PERMANENTLY, [("location", "https://a.example/")]) }))
        .route("/v1/locked", any(move || async move { (StatusCode::UNAUTHORIZED, problem) }))
        .fallback(any(|| async { "<html>" }));
    let url = serve(routes).await;
    let told = async |key: Option<&str>, path: &str| {
        let answer = client(&url, key).send(Call::get(&[&path])).await;
        let error = answer.and_then(|answer| answer.item()).expect_err(path);
        error.to_string().replace(&url, "http://tidings")
    };
    insta::assert_snapshot!(
        [
            told(None, "locked").await,
            told(Some("tk_live_1"), "locked").await,
            told(None, "moved").await,
            told(None, "page").await,
        ]
        .join("\n---\n")
    );

    let gone = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port").local_addr().expect("an address");
    let error = client(&format!("http://{gone}"), None).send(Call::get(&[&"x"])).await.expect_err("nobody there");
    assert!(error.to_string().contains("(from --api): Connection refused"), "{error}");
    for wrong in ["", "127.0.0.1:8080", "ftp://a.example", "http://a:b@c.example", "http://a.example/?x"] {
        assert!(matches!(Client::new(place(wrong, None)), Err(ClientError::BadUrl(_))), "{wrong}");
    }
    assert!(matches!(Client::new(place(&url, Some("a\nb"))), Err(ClientError::BadKey(_))));
}

#[test]
fn a_key_in_clear_text_is_noticed() {
    for (url, exposed) in [("http://10.0.0.1", true), ("https://10.0.0.1", false), ("http://[::1]:1", false)] {
        assert_eq!(client(url, Some("tk_live_1")).is_exposed(), exposed, "{url}");
    }
    assert!(!client("http://10.0.0.1", None).is_exposed());
}
