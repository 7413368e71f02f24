//! HTTP/1 with limits: on headers, on their time, on how slowly an answer may be read, and on connections.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, Id, JoinSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use super::auth::PeerAddress;
use super::identity::ListenAddress;
use super::impatient::{ClientPatience, Impatient};
use super::tls::Tls;
use crate::core::model::bounds;

/// How long requests under way may take once we stop.
const DRAIN: Duration = Duration::from_secs(3);

/// Serves until `stop`, then lets requests under way end.
pub async fn serve(router: Router, listener: TcpListener, stop: CancellationToken) {
    serve_over(None, router, listener, stop).await;
}

/// The same over TLS, but for this machine itself, which may do without.
pub async fn serve_over(tls: Option<Tls>, router: Router, listener: TcpListener, stop: CancellationToken) {
    let graceful = GracefulShutdown::new();
    let mut connections = JoinSet::new();
    let patience = Arc::new(ClientPatience::new(bounds::READ_WITHIN, bounds::READ_WITHIN_CROWDED));
    let mut seats: HashMap<Id, (AbortHandle, Arc<Seat>)> = HashMap::new();
    let (began, mut failures) = (Instant::now(), 0u32);
    loop {
        let accepted = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            Some(ended) = connections.join_next_with_id() => {
                seats.remove(&ended.map_or_else(|e| e.id(), |(id, _)| id));
                continue;
            }
            accepted = listener.accept(), if connections.len() <= bounds::CONNECTIONS => accepted,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => {
                failures = 0;
                accepted
            }
            // The listener's runtime has ended: it fails every accept from now on.
            Err(error) if error.raw_os_error().is_none() => break,
            Err(error) => {
                // Out of file descriptors, or a client that went away: the next one may do better.
                failures += 1;
                if failures.is_power_of_two() {
                    tracing::warn!(%error, failures, "cannot accept a connection");
                }
                give_up_idle(&seats);
                tokio::time::sleep_until(Instant::now() + ACCEPT_AGAIN).await;
                continue;
            }
        };
        // Where the client has found us: a proof of who we are holds for no other address.
        let Ok(address) = stream.local_addr() else { continue };
        if connections.len() >= bounds::CONNECTIONS {
            give_up_idle(&seats);
        }
        let router = router.clone();
        let seat = Arc::new(Seat { began, idle_since: AtomicU64::new(0) });
        seat.rests();
        let at_work = seat.clone();
        let service = service_fn(move |request: hyper::Request<Incoming>| {
            let router = router.clone();
            let mut request = request.map(Body::new);
            request.extensions_mut().insert(ListenAddress(address));
            request.extensions_mut().insert(PeerAddress(peer));
            let seat = at_work.clone();
            async move {
                seat.works();
                let answer = router.oneshot(request).await;
                seat.rests();
                answer
            }
        });
        let mut http = hyper::server::conn::http1::Builder::new();
        http.timer(TokioTimer::new()).header_read_timeout(bounds::HEAD_WITHIN).max_buf_size(bounds::HEAD_BYTES);
        let abort = match tls.as_ref().map(Tls::acceptor) {
            None => {
                let stream = TokioIo::new(Impatient::new(stream, patience.clone()));
                connections.spawn(graceful.watch(http.serve_connection(stream, service)))
            }
            Some(acceptor) => {
                let (watcher, patience) = (graceful.watcher(), patience.clone());
                let is_here = peer.ip() == address.ip() || peer.ip().is_loopback();
                connections.spawn(async move {
                    if is_here && !speaks_tls(&stream).await {
                        let stream = TokioIo::new(Impatient::new(stream, patience));
                        return watcher.watch(http.serve_connection(stream, service)).await;
                    }
                    let shaken = acceptor.accept(Impatient::new(stream, patience));
                    // Who speaks something else, or not at all, is left without a word.
                    let Some(Ok(stream)) = within(bounds::HEAD_WITHIN, shaken).await else { return Ok(()) };
                    watcher.watch(http.serve_connection(TokioIo::new(stream), service)).await
                })
            }
        };
        seats.insert(abort.id(), (abort, seat));
    }
    drop(listener);
    tokio::select! {
        () = graceful.shutdown() => {}
        () = tokio::time::sleep_until(Instant::now() + DRAIN) => {}
    }
}

/// True if a connection begins as TLS does: with a handshake.
async fn speaks_tls(stream: &TcpStream) -> bool {
    let mut first = [0u8; 1];
    matches!(within(bounds::HEAD_WITHIN, stream.peek(&mut first)).await, Some(Ok(1)) if first[0] == 0x16)
}

/// What comes of it in time; connections live in the machine's own.
async fn within<T>(limit: Duration, what: impl Future<Output = T>) -> Option<T> {
    tokio::select! {
        done = what => Some(done),
        () = tokio::time::sleep_until(Instant::now() + limit) => None,
    }
}

/// After an accept that failed. Until then some connections may have ended.
const ACCEPT_AGAIN: Duration = Duration::from_millis(20);

/// A connection's place: since when it has asked for nothing.
struct Seat {
    began: Instant,
    /// In microseconds; [`BUSY`] while a request is being answered.
    idle_since: AtomicU64,
}

const BUSY: u64 = u64::MAX;

impl Seat {
    fn rests(&self) {
        self.idle_since.store(self.began.elapsed().as_micros() as u64, Relaxed);
    }

    fn works(&self) {
        self.idle_since.store(BUSY, Relaxed);
    }
}

/// Ends the connection that has asked for nothing for longest: whoever comes with a request is not kept waiting by
/// those who bring none, or half of one.
fn give_up_idle(seats: &HashMap<Id, (AbortHandle, Arc<Seat>)>) {
    let idle = |(abort, seat): &'_ (AbortHandle, Arc<Seat>)| {
        let since = seat.idle_since.load(Relaxed);
        (since != BUSY && !abort.is_finished()).then(|| (since, abort.clone()))
    };
    if let Some((_, abort)) = seats.values().filter_map(idle).min_by_key(|(since, _)| *since) {
        abort.abort();
    }
}
