//! The page, embedded in the binary: no file to install, no outside address.

use super::problem;
use axum::{
    extract::Path,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};

#[derive(rust_embed::RustEmbed)]
#[folder = "assets/"]
struct Assets;

/// The content security policy: only our own scripts, styles and connections, and no page may frame ours.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
     img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Answers `GET /dashboard`.
pub(super) async fn index() -> Response {
    serve("index.html")
}

/// Answers `GET /dashboard/{file}`.
pub(super) async fn file(Path(file): Path<String>) -> Response {
    serve(&file)
}

fn serve(file: &str) -> Response {
    let Some(asset) = Assets::get(file) else {
        let detail = format!("the dashboard has no file {file:?}");
        return problem(StatusCode::NOT_FOUND, "Not found", &detail).into();
    };
    let headers = [
        (header::CONTENT_TYPE, kind(file)),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-cache"),
    ];
    (headers, asset.data).into_response()
}

fn kind(file: &str) -> &'static str {
    match file.rsplit('.').next() {
        Some("html") => "text/html; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("svg") => "image/svg+xml",
        _ => "application/octet-stream",
    }
}
