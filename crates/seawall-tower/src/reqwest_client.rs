//! A `reqwest::Client` under an operation.

use crate::{
    ClientRequest, ClientResponse, Describe, HeldBody, HttpClassify, HttpDescribe, Permits,
    classify_status, describe::may_repeat,
};
use http::HeaderMap;
use reqwest::{Body, Client, Request, RequestBuilder, Response, ResponseBuilderExt};
use seawall::{Attributes, CallerFault, Class, Classify, Error, Failure, Outcome, Timer};
use std::{future::Future, mem};
use tower_layer::Layer;
use tower_service::Service;

/// Sends a request that reqwest has built through a [`ClientLayer`](crate::ClientLayer): `.send_through(&layer)` in place of `.send()`.
///
/// The operation's policies hold for the call to the end of the response's body; reqwest's own timeouts hold for each
/// attempt. A request is sent again as [`HttpDescribe`] says, where its body is not a stream; a refused connection
/// was never sent, so whatever has a copy is sent again. Leave [`reqwest::retry`] as it is: only one layer should
/// repeat requests.
///
/// ```
/// # async fn answered() -> Result<(), Box<dyn std::error::Error>> {
/// use seawall_tower::{ClientLayer, SendThrough, TokioTimer};
/// # let registry = seawall::Registry::builder().preset("production")?.timer(TokioTimer).build();
/// let client = reqwest::Client::new();
/// let prices = ClientLayer::new(registry.operation("prices")?);
/// let price = client.get("http://prices/4").send_through(&prices).await?.text().await?;
/// # let _ = price; Ok(()) }
/// ```
///
/// Where a tower service is wanted, the layer stands around the client: `layer.layer(client)` is a service of
/// `reqwest::Request`.
pub trait SendThrough {
    /// Sends the request through `layer`: a [`ClientLayer`](crate::ClientLayer), or several layers that end in one.
    ///
    /// # Errors
    /// [`Error::Inner`] with reqwest's own error, the last one where there were several attempts; a timeout of the
    /// operation, or a refusal, for which nothing was sent.
    fn send_through<L>(
        self,
        layer: &L,
    ) -> impl Future<Output = Result<Response, Error<reqwest::Error>>> + Send
    where
        L: Layer<Client>,
        L::Service: Service<Request, Response = Response, Error = Error<reqwest::Error>>,
        <L::Service as Service<Request>>::Future: Send;
}

impl SendThrough for RequestBuilder {
    fn send_through<L>(
        self,
        layer: &L,
    ) -> impl Future<Output = Result<Response, Error<reqwest::Error>>> + Send
    where
        L: Layer<Client>,
        L::Service: Service<Request, Response = Response, Error = Error<reqwest::Error>>,
        <L::Service as Service<Request>>::Future: Send,
    {
        // reqwest's client and the layers around it are ready at any time.
        let (client, request) = self.build_split();
        let call = request.map(|request| layer.layer(client).call(request));
        async { call.map_err(Error::Inner)?.await }
    }
}

impl ClientRequest for Request {
    fn headers(&self) -> &HeaderMap {
        self.headers()
    }
    fn headers_mut(&mut self) -> &mut HeaderMap {
        self.headers_mut()
    }
    fn copy(&self) -> Option<Self> {
        self.try_clone()
    }
}

impl<Tm: Timer + Send + Sync + 'static> ClientResponse<Tm> for Response {
    type Held = Self;

    fn hold(self, permits: Permits<Tm>) -> Self {
        // The address is no part of what `http` knows of a response, but for this extension.
        let mut address = http::Response::builder().url(self.url().clone());
        let held = |body| Body::wrap(HeldBody::new(body, permits));
        let mut response = http::Response::<Body>::from(self).map(held);
        if let Some(address) = address.extensions_mut() {
            response.extensions_mut().extend(mem::take(address));
        }
        response.into()
    }
}

/// Classifies by status and headers. A connection that was refused has sent nothing, and a request that cannot be made
/// is its caller's fault; every other error is transient, reqwest's own timeouts included.
impl Classify<Response, reqwest::Error> for HttpClassify {
    fn classify(&self, result: &Result<Response, reqwest::Error>) -> Outcome {
        match result {
            Ok(response) => classify_status(response.status(), response.headers()),
            Err(error) if error.is_builder() => Outcome::CallerFault(CallerFault::Request),
            // Redirected too often: the next attempt would be, too.
            Err(error) if error.is_redirect() => Outcome::failure(Class::Permanent),
            Err(error) => Outcome::Failure(Failure {
                unsent: error.is_connect(),
                ..Failure::new(Class::Transient)
            }),
        }
    }
}

impl Describe<Request> for HttpDescribe {
    fn describe(&self, request: &Request) -> Attributes {
        let repeatable = may_repeat(request.method(), request.headers());
        Attributes { repeatable, ..Attributes::default() }
    }
}
