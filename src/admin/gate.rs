//! Where others than this machine reach the agent, nobody reads without a token, a signature or a session.
//!
//! Whether it is alive anybody may ask: what looks after processes has no token, and learns nothing else.

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::auth::{Authenticator, PeerAddress};
use super::identity::Signature;
use super::sessions::Sessions;

/// Lets requests pass that need nothing, or bring what they need.
pub async fn admit(
    State((door, sessions)): State<(Authenticator, Sessions)>,
    request: Request,
    next: Next,
) -> Response {
    if !door.is_open() || request.uri().path() == "/-/healthy" || sessions.of(&request).is_some() {
        return next.run(request).await;
    }
    let peer = request.extensions().get::<PeerAddress>().map(|p| p.0);
    let signature = request.extensions().get::<Signature>().cloned();
    match door.of_request(request.headers(), signature, peer).await {
        Ok(_) => next.run(request).await,
        Err(problem) => problem.into_response(),
    }
}
