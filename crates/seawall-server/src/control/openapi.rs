//! The OpenAPI document, made from the endpoints themselves, and the page to browse it.

use super::{Control, answer::ProblemDocument};
use axum::{
    Router,
    http::{HeaderValue, header},
    routing::get,
};
use std::sync::Arc;
use tower_http::set_header::SetResponseHeaderLayer;
use utoipa::{
    PartialSchema,
    openapi::{
        Content, InfoBuilder, OpenApi, Ref, ResponseBuilder,
        path::Operation,
        security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme},
    },
};
use utoipa_swagger_ui::{Config, SwaggerUi};

/// What every endpoint may answer, beside its own.
const ANYWHERE: [(&str, &str); 4] = [
    ("401", "No key, or a wrong one"),
    ("403", "The key may only read, or the request comes from another site"),
    ("404", "There is nothing of this name"),
    ("500", "It failed, for no fault of the request"),
];
/// What endpoints with a body or parameters may answer.
const WITH_INPUT: [(&str, &str); 1] = [("422", "The request is not right; nothing has changed")];
const WITH_BODY: [(&str, &str); 4] = [
    ("400", "The body broke off"),
    ("408", "The body did not come in time"),
    ("413", "The body is longer than 1 MiB"),
    ("415", "The body is not JSON"),
];

/// The whole document.
pub(super) fn document(mut paths: OpenApi) -> OpenApi {
    paths.info = InfoBuilder::new()
        .title("Seawall")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(
            "Circuit breakers, retries, limits and their configuration: seen and changed.",
        ))
        .build();
    let components = paths.components.get_or_insert_with(Default::default);
    components.schemas.insert("ProblemDocument".into(), ProblemDocument::schema());
    let mut nested = Vec::new();
    <ProblemDocument as utoipa::ToSchema>::schemas(&mut nested);
    components.schemas.extend(nested);
    let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build();
    let key = ApiKey::Header(ApiKeyValue::new("X-API-Key"));
    components.security_schemes.insert("key".into(), SecurityScheme::ApiKey(key).into());
    components.security_schemes.insert("bearer".into(), SecurityScheme::Http(bearer).into());
    for item in paths.paths.paths.values_mut() {
        let operations = [&mut item.get, &mut item.put, &mut item.post, &mut item.delete];
        operations.into_iter().flatten().for_each(complete);
    }
    paths
}

/// Adds what any endpoint of its kind may answer.
fn complete(operation: &mut Operation) {
    let has_body = operation.request_body.is_some();
    let has_input = has_body || operation.parameters.as_ref().is_some_and(|all| !all.is_empty());
    let input = WITH_INPUT.iter().filter(|_| has_input);
    let body = WITH_BODY.iter().filter(|_| has_body);
    for (status, description) in ANYWHERE.iter().chain(input).chain(body) {
        operation.responses.responses.insert((*status).to_owned(), problem(description));
    }
    for (status, response) in &mut operation.responses.responses {
        // Errors of an endpoint's own have the same form.
        if status.starts_with(['4', '5'])
            && let utoipa::openapi::RefOr::T(response) = response
        {
            let content = std::mem::take(&mut response.content);
            let renamed = content.into_iter().map(|(kind, content)| {
                let kind = if kind == "application/json" {
                    "application/problem+json".into()
                } else {
                    kind
                };
                (kind, content)
            });
            response.content = renamed.collect();
        }
    }
    let tagged = operation.responses.responses.contains_key("200");
    if tagged {
        let same = ResponseBuilder::new().description("As it was, by `If-None-Match`").build();
        operation.responses.responses.insert("304".into(), same.into());
    }
}

fn problem(description: &str) -> utoipa::openapi::RefOr<utoipa::openapi::Response> {
    let schema = Ref::from_schema_name("ProblemDocument");
    ResponseBuilder::new()
        .description(description)
        .content("application/problem+json", Content::new(Some(schema)))
        .build()
        .into()
}

/// The page's own styles are partly inline; scripts are not, and nothing comes from elsewhere.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; connect-src 'self'; \
     img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The document and the page, which need no key: they say nothing of the server's state.
pub(super) fn pages(document: &OpenApi) -> Router<Control> {
    let text: Arc<str> = document.to_json().unwrap_or_default().into();
    let json =
        move || async move { ([(header::CONTENT_TYPE, "application/json")], text.to_string()) };
    let config = Config::from("/internal/openapi.json")
        .try_it_out_enabled(true)
        .persist_authorization(false);
    let page: Router<Control> = SwaggerUi::new("/internal/docs").config(config).into();
    let guard = SetResponseHeaderLayer::overriding(
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static(POLICY),
    );
    Router::new().route("/internal/openapi.json", get(json)).merge(page.layer(guard))
}
