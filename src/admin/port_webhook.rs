//! Twilio's porting webhook, taken as a doorbell: it makes us look at the Porting API, and is believed in nothing.
//!
//! Twilio does not say how it signs these requests, and what they say of a number is documented by consumers alone. So
//! whoever rings is known by a secret in the address, and what they send is not even read as JSON: what it is about is
//! asked from Twilio. The worst that somebody who has the address can do is one look each
//! [`RUNG_AGAIN`](crate::agent::ports::doorbell::RUNG_AGAIN).

use axum::Extension;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;

use super::auth::PeerAddress;
use super::{Admin, ApiProblem};

/// Rings. The body is read to its bound and dropped, so that whoever sends it is not cut off.
pub async fn ring(
    State(admin): State<Admin>,
    Path(token): Path<String>,
    peer: Option<Extension<PeerAddress>>,
    body: Result<Bytes, BytesRejection>,
) -> Result<StatusCode, ApiProblem> {
    drop(body);
    admin.door.may_ring(&token, peer.map(|p| p.0.0)).await?;
    tracing::debug!("the port webhook rang");
    admin.metrics.port_webhook_rang();
    admin.doorbell.ring();
    Ok(StatusCode::NO_CONTENT)
}
