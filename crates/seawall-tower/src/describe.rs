//! Describes requests to the policies, which never see a request itself.

use http::{HeaderMap, Method, Request};
use seawall::Attributes;

/// Describes a request to the policies: whether it may be sent again, who makes it, what it costs, and its deadline.
/// Functions `Fn(&Q) -> Attributes` are descriptions.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot describe a `{Q}` to the policies",
    label = "not a description of `{Q}`",
    note = "a description is a closure `|request: &{Q}| Attributes {{ … }}`, `AnyRequest`, or of HTTP requests \
            `HttpDescribe`"
)]
pub trait Describe<Q> {
    /// The attributes of `request`.
    fn describe(&self, request: &Q) -> Attributes;
}

impl<Q, F: Fn(&Q) -> Attributes> Describe<Q> for F {
    fn describe(&self, request: &Q) -> Attributes {
        self(request)
    }
}

/// Describes every request as one that may be sent again, without a key.
#[derive(Clone, Copy, Debug, Default)]
pub struct AnyRequest;

impl<Q> Describe<Q> for AnyRequest {
    fn describe(&self, _: &Q) -> Attributes {
        Attributes::default()
    }
}

/// Describes an HTTP request: it may be sent again if its method is idempotent (`GET`, `HEAD`, `OPTIONS`, `TRACE`, `PUT`,
/// `DELETE`; RFC 9110, 9.2.2) or it carries an `idempotency-key`.
#[derive(Clone, Copy, Debug, Default)]
pub struct HttpDescribe;

impl<B> Describe<Request<B>> for HttpDescribe {
    fn describe(&self, request: &Request<B>) -> Attributes {
        let repeatable = may_repeat(request.method(), request.headers());
        Attributes { repeatable, ..Attributes::default() }
    }
}

/// Whether a request with this method and these headers may be sent again.
pub(crate) fn may_repeat(method: &Method, headers: &HeaderMap) -> bool {
    // A tunnel is no request that a key could make the same again.
    let keyed = headers.contains_key("idempotency-key") && method != Method::CONNECT;
    method.is_idempotent() || keyed
}
