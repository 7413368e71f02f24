//! HTTP/1 with limits: on headers, on their time, on how slowly an answer may be read, and on connections.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use super::identity::ListenAddress;
use super::impatient::{Impatient, Patience};
use crate::core::model::bounds;

/// How long requests under way may take once we stop.
const DRAIN: Duration = Duration::from_secs(3);

/// Serves until `stop`, then lets requests under way end.
pub async fn serve(router: Router, listener: TcpListener, stop: CancellationToken) {
    let graceful = GracefulShutdown::new();
    let mut connections = JoinSet::new();
    let patience = Arc::new(Patience::new(bounds::READ_WITHIN, bounds::READ_WITHIN_CROWDED));
    loop {
        let accepted = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            Some(_) = connections.join_next() => continue,
            accepted = listener.accept(), if connections.len() < bounds::CONNECTIONS => accepted,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            // The listener's runtime has ended: it fails every accept from now on.
            Err(error) if error.raw_os_error().is_none() => break,
            Err(error) => {
                // Out of file descriptors, or a client that went away: the next one may do better.
                tracing::warn!(%error, "cannot accept a connection");
                tokio::task::yield_now().await;
                continue;
            }
        };
        // Where the client has found us: a proof of who we are holds for no other address.
        let Ok(address) = stream.local_addr() else { continue };
        let router = router.clone();
        let service = service_fn(move |request: hyper::Request<Incoming>| {
            let router = router.clone();
            let mut request = request.map(Body::new);
            request.extensions_mut().insert(ListenAddress(address));
            async move { router.oneshot(request).await }
        });
        let connection = hyper::server::conn::http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(bounds::HEAD_WITHIN)
            .max_buf_size(bounds::HEAD_BYTES)
            .serve_connection(TokioIo::new(Impatient::new(stream, patience.clone())), service);
        connections.spawn(graceful.watch(connection));
    }
    drop(listener);
    tokio::select! {
        () = graceful.shutdown() => {}
        () = tokio::time::sleep_until(tokio::time::Instant::now() + DRAIN) => {}
    }
}
