//! Style, script and icon. Their links name their content's digest, so a browser keeps them until they change.

use std::sync::LazyLock;

use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use sha2::{Digest, Sha256};

use super::PATH;

/// A file that pages link to.
pub(super) struct Asset {
    /// Below the console's own.
    pub(super) path: &'static str,
    media_type: &'static str,
    text: &'static str,
}

pub(super) const STYLE: Asset =
    Asset { path: "/style.css", media_type: "text/css; charset=utf-8", text: include_str!("assets/style.css") };
pub(super) const SCRIPT: Asset =
    Asset { path: "/script.js", media_type: "text/javascript; charset=utf-8", text: include_str!("assets/script.js") };
pub(super) const ICON: Asset =
    Asset { path: "/icon.svg", media_type: "image/svg+xml", text: include_str!("assets/icon.svg") };

/// What the links end with.
static VERSION: LazyLock<String> = LazyLock::new(|| {
    let digest = [&STYLE, &SCRIPT, &ICON].iter().fold(Sha256::new(), |digest, asset| digest.chain_update(asset.text));
    hex::encode(&digest.finalize()[..4])
});

/// Where an asset is, as it is now.
pub(super) fn link(asset: &Asset) -> String {
    format!("{PATH}{}?{}", asset.path, *VERSION)
}

pub(super) async fn style() -> Response {
    answer(&STYLE)
}

pub(super) async fn script() -> Response {
    answer(&SCRIPT)
}

pub(super) async fn icon() -> Response {
    answer(&ICON)
}

fn answer(asset: &Asset) -> Response {
    let kept = "public, max-age=31536000, immutable";
    ([(CONTENT_TYPE, asset.media_type), (CACHE_CONTROL, kept)], asset.text).into_response()
}
