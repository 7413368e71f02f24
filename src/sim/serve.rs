//! The simulator as a server: HTTP/1 on a listener, until it is told to stop.

use std::io;

use axum::Router;
use axum::body::Body;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use super::http::{Abort, Stop};

/// Serves `router` until `stop`; then ends what is under way and returns.
///
/// Knows no clock: its tasks are no participants of virtual time, and what a handler waits for it waits
/// for in its client's place.
pub async fn serve(router: Router, listener: TcpListener, stop: CancellationToken) {
    let graceful = GracefulShutdown::new();
    let mut connections = JoinSet::new();
    loop {
        let stream = tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted,
            Some(_) = connections.join_next() => continue,
        };
        let stream = match stream {
            Ok((stream, _)) => stream,
            // A client that is gone before it is accepted concerns nobody else.
            Err(error) if error.raw_os_error().is_some() => {
                tokio::task::yield_now().await;
                continue;
            }
            // The listener's runtime has ended: it fails every accept from now on.
            Err(_) => break,
        };
        // Small answers must not wait for acknowledgements.
        let _unimportant = stream.set_nodelay(true);
        let (router, stop) = (router.clone(), Stop(stop.clone()));
        let service = service_fn(move |mut request: hyper::Request<Incoming>| {
            let router = router.clone();
            request.extensions_mut().insert(stop.clone());
            async move {
                let response = match router.oneshot(request.map(Body::new)).await {
                    Ok(response) => response,
                    Err(never) => match never {},
                };
                match response.extensions().get::<Abort>() {
                    None => Ok(response),
                    Some(Abort) => Err(io::Error::new(io::ErrorKind::ConnectionAborted, "the scenario says so")),
                }
            }
        });
        let connection = hyper::server::conn::http1::Builder::new()
            .header_read_timeout(None)
            .serve_connection(TokioIo::new(stream), service);
        connections.spawn(graceful.watch(connection));
    }
    graceful.shutdown().await;
    while connections.join_next().await.is_some() {}
}
