//! Query parameters: an endpoint takes those that its description names, and refuses others, since a name that means
//! nothing is most likely a mistake.

use super::problem::wrong;
use axum::{
    extract::{MatchedPath, Request, State},
    middleware::Next,
    response::Response,
};
use http::Method;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};
use utoipa::openapi::{
    OpenApi, RefOr,
    path::{Operation, ParameterIn, PathItem},
};

/// The parameters of each endpoint, by its method and path.
#[derive(Clone)]
pub(super) struct Known(Arc<BTreeMap<(MethodName, String), BTreeSet<String>>>);

/// A method's name; [`Method`] itself has no order.
type MethodName = String;

impl Known {
    /// The parameters that the description of an endpoint names.
    pub(super) fn of(document: &OpenApi) -> Self {
        let mut all = BTreeMap::new();
        for (path, item) in &document.paths.paths {
            for (method, operation) in operations(item) {
                all.insert((method.to_string(), path.clone()), names(operation));
            }
        }
        Self(Arc::new(all))
    }
}

fn operations(item: &PathItem) -> impl Iterator<Item = (Method, &Operation)> {
    let all = [
        (Method::GET, &item.get),
        (Method::PUT, &item.put),
        (Method::POST, &item.post),
        (Method::DELETE, &item.delete),
        (Method::PATCH, &item.patch),
    ];
    all.into_iter().filter_map(|(method, operation)| Some((method, operation.as_ref()?)))
}

fn names(operation: &Operation) -> BTreeSet<String> {
    // Parameters stand where they are described, never behind a reference.
    let all = operation.parameters.iter().flatten().filter_map(|one| match one {
        RefOr::T(one) => Some(one),
        RefOr::Ref(_) => None,
    });
    let in_query = all.filter(|one| matches!(one.parameter_in, ParameterIn::Query));
    in_query.map(|one| one.name.clone()).collect()
}

/// Refuses what an endpoint has no parameter for.
pub(super) async fn refuse_unknown(
    State(known): State<Known>,
    path: MatchedPath,
    request: Request,
    next: Next,
) -> Response {
    // Who asks for the head alone asks the same.
    let method = if request.method() == Method::HEAD { &Method::GET } else { request.method() };
    let names = known.0.get(&(method.to_string(), path.as_str().to_owned()));
    let query = request.uri().query().unwrap_or("").as_bytes();
    let mut given = form_urlencoded::parse(query);
    let unknown = given.find(|(name, _)| !names.is_some_and(|names| names.contains(&**name)));
    let Some((name, _)) = unknown else { return next.run(request).await };
    let there_are = match names.filter(|names| !names.is_empty()) {
        Some(names) => {
            format!("there are: {}", names.iter().cloned().collect::<Vec<_>>().join(", "))
        }
        None => "there are none".to_owned(),
    };
    let name: String = name.chars().take(100).collect();
    wrong(&name, &format!("there is no parameter {name:?} here; {there_are}")).into()
}
