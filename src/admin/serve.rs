//! HTTP/1 with limits: on headers, on their time, and on connections.
//!
//! Whoever comes is accepted: where there are too many connections, the oldest one gives way on which nothing is being
//! done. So nobody who holds connections without a word, or does not read his answers, keeps an operator out.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::task::{AbortHandle, JoinSet};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use super::auth::PeerAddress;
use super::identity::ListenAddress;

/// How long a client may take to send its request's head.
const HEAD_WITHIN: Duration = Duration::from_secs(5);

/// Largest head: request line and headers together.
const LARGEST_HEAD: usize = 16 << 10;

/// Connections at the same time; others wait to be accepted, if on all of them something is being done.
const MOST_CONNECTIONS: usize = 128;

/// A request that is being answered on a connection.
struct UnderWay {
    requests: Arc<AtomicUsize>,
    ended: Arc<Notify>,
}

impl UnderWay {
    fn begin(requests: &Arc<AtomicUsize>, ended: &Arc<Notify>) -> UnderWay {
        requests.fetch_add(1, Ordering::Relaxed);
        UnderWay { requests: requests.clone(), ended: ended.clone() }
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.requests.fetch_sub(1, Ordering::Relaxed);
        self.ended.notify_one();
    }
}

/// How long requests under way may take once we stop.
const DRAIN: Duration = Duration::from_secs(3);

/// Serves until `stop`, then lets requests under way end.
pub async fn serve(router: Router, listener: TcpListener, stop: CancellationToken) {
    let graceful = GracefulShutdown::new();
    let mut connections = JoinSet::new();
    // Oldest first.
    let mut idle: VecDeque<(AbortHandle, Arc<AtomicUsize>)> = VecDeque::new();
    let ended = Arc::new(Notify::new());
    loop {
        if connections.len() >= MOST_CONNECTIONS {
            idle.retain(|(connection, _)| !connection.is_finished());
            let is_idle = |(_, requests): &(AbortHandle, Arc<AtomicUsize>)| requests.load(Ordering::Relaxed) == 0;
            if let Some((connection, _)) = idle.iter().position(is_idle).and_then(|ix| idle.remove(ix)) {
                connection.abort();
            }
        }
        let accepted = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            Some(_) = connections.join_next() => continue,
            () = ended.notified(), if connections.len() >= MOST_CONNECTIONS => continue,
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
        let requests = Arc::<AtomicUsize>::default();
        let (own, ends) = (requests.clone(), ended.clone());
        let service = service_fn(move |request: hyper::Request<Incoming>| {
            let router = router.clone();
            let mut request = request.map(Body::new);
            request.extensions_mut().insert(ListenAddress(address));
            request.extensions_mut().insert(PeerAddress(peer));
            let under_way = UnderWay::begin(&own, &ends);
            async move {
                let answer = router.oneshot(request).await;
                drop(under_way);
                answer
            }
        });
        let connection = hyper::server::conn::http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_WITHIN)
            .max_buf_size(LARGEST_HEAD)
            .serve_connection(TokioIo::new(stream), service);
        idle.retain(|(connection, _)| !connection.is_finished());
        idle.push_back((connections.spawn(graceful.watch(connection)), requests));
    }
    drop(listener);
    tokio::select! {
        () = graceful.shutdown() => {}
        () = tokio::time::sleep_until(tokio::time::Instant::now() + DRAIN) => {}
    }
}
