//! HTTP/1 with limits: on headers, on their time, and on connections.

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

use super::auth::PeerAddress;
use super::identity::ListenAddress;

/// How long a client may take to send its request's head.
const HEAD_WITHIN: Duration = Duration::from_secs(5);

/// Largest head: request line and headers together.
const LARGEST_HEAD: usize = 16 << 10;

/// Connections at the same time; others wait to be accepted.
const MOST_CONNECTIONS: usize = 128;

/// How long requests under way may take once we stop.
const DRAIN: Duration = Duration::from_secs(3);

/// Serves until `stop`, then lets requests under way end.
pub async fn serve(router: Router, listener: TcpListener, stop: CancellationToken) {
    let graceful = GracefulShutdown::new();
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            Some(_) = connections.join_next() => continue,
            accepted = listener.accept(), if connections.len() < MOST_CONNECTIONS => accepted,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
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
            request.extensions_mut().insert(PeerAddress(peer));
            async move { router.oneshot(request).await }
        });
        let connection = hyper::server::conn::http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_WITHIN)
            .max_buf_size(LARGEST_HEAD)
            .serve_connection(TokioIo::new(stream), service);
        connections.spawn(graceful.watch(connection));
    }
    drop(listener);
    tokio::select! {
        () = graceful.shutdown() => {}
        () = tokio::time::sleep_until(tokio::time::Instant::now() + DRAIN) => {}
    }
}
