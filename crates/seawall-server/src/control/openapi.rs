//! The OpenAPI document, made from the endpoints themselves, and the page to browse it.

use super::{Control, problem::ProblemDocument};
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
        Content, InfoBuilder, OpenApi, Ref, RefOr, Required, ResponseBuilder,
        path::{Operation, Parameter, ParameterBuilder, ParameterIn},
        security::{
            ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme,
        },
    },
};
use utoipa_swagger_ui::{Config, SwaggerUi};

/// The errors with which every endpoint may answer, beside its own.
const ANYWHERE: [(&str, &str); 4] = [
    ("401", "No key, or a wrong one"),
    ("403", "The key may only read, or the request comes from another site"),
    ("404", "There is nothing of this name"),
    ("500", "It failed, for no fault of the request"),
];
/// The errors with which endpoints with a body or parameters may answer.
const WITH_INPUT: [(&str, &str); 1] = [("422", "The request is not right; nothing has changed")];
const WITH_BODY: [(&str, &str); 4] = [
    ("400", "The body broke off"),
    ("408", "The body did not come in time"),
    ("413", "The body is longer than 1 MiB"),
    ("415", "The body is not JSON"),
];

/// Errors that an endpoint names because they are its own.
const ITS_OWN: [(&str, &str); 2] = [
    ("409", "What is there stands against it"),
    ("429", "It was asked for too often; `Retry-After` says how long to wait"),
];

/// Every endpoint of a document: its method and path, and its description.
pub(super) fn operations(document: &mut OpenApi) -> impl Iterator<Item = (String, &mut Operation)> {
    document.paths.paths.iter_mut().flat_map(|(path, item)| {
        let all = [
            ("GET", &mut item.get),
            ("PUT", &mut item.put),
            ("POST", &mut item.post),
            ("DELETE", &mut item.delete),
        ];
        all.into_iter()
            .filter_map(move |(method, one)| Some((format!("{method} {path}"), one.as_mut()?)))
    })
}

/// The document with a key of this scope needed everywhere.
pub(super) fn secured(mut document: OpenApi, scope: &str) -> OpenApi {
    for (_, operation) in operations(&mut document) {
        operation.security = Some(vec![SecurityRequirement::new("key", [scope])]);
    }
    document
}

/// The whole OpenAPI document.
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
    for (endpoint, operation) in operations(&mut paths) {
        describe_names(&endpoint, operation);
        describe_errors(operation);
    }
    paths
}

/// Adds the names in the path, but those that the endpoint describes itself.
fn describe_names(endpoint: &str, operation: &mut Operation) {
    let names = endpoint.split('{').skip(1).filter_map(|rest| Some(rest.split_once('}')?.0));
    let parameters = operation.parameters.get_or_insert_with(Vec::new);
    for name in names {
        let known = |one: &RefOr<Parameter>| matches!(one, RefOr::T(one) if one.name == name);
        if !parameters.iter().any(known) {
            let parameter = ParameterBuilder::new()
                .name(name)
                .parameter_in(ParameterIn::Path)
                .required(Required::True)
                .description(Some(format!("The {name}, percent-encoded where it needs to be.")))
                .schema(Some(<String as PartialSchema>::schema()));
            parameters.push(RefOr::T(parameter.build()));
        }
    }
    if parameters.is_empty() {
        operation.parameters = None;
    }
}

/// Adds the errors that any endpoint of its kind may answer, and describes its own.
fn describe_errors(operation: &mut Operation) {
    let has_body = operation.request_body.is_some();
    let has_input = has_body || operation.parameters.is_some();
    let responses = &mut operation.responses.responses;
    for (status, description) in ITS_OWN {
        if responses.contains_key(status) {
            responses.insert(status.to_owned(), problem(description));
        }
    }
    let input = WITH_INPUT.iter().filter(|_| has_input);
    let body = WITH_BODY.iter().filter(|_| has_body);
    for (status, description) in ANYWHERE.iter().chain(input).chain(body) {
        responses.insert((*status).to_owned(), problem(description));
    }
    if responses.contains_key("200") {
        let same = ResponseBuilder::new().description("As it was, by `If-None-Match`").build();
        responses.insert("304".into(), same.into());
    }
}

fn problem(description: &str) -> RefOr<utoipa::openapi::Response> {
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
