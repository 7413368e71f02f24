//! Over a socket: what becomes of the connection, and of virtual time meanwhile.

use super::*;
use crate::sim::{ApiFault, ApiFaultKind, ApiFaultScope, EndpointClass};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Serves while `main` asks; gives what `main` gave, after a clean end.
fn served<T>(main: impl AsyncFnOnce(Door, std::net::SocketAddr) -> T) -> T {
    play(one_number(""), async |door| {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let mut tasks = JoinSet::new();
        tasks.spawn(door.sim.clone().serve(listener, stop.clone()));
        let out = main(door, address).await;
        stop.cancel();
        tasks.join_next().await.unwrap().unwrap();
        out
    })
}

/// Sends one request and reads until the server closes the connection.
async fn raw(door: &Door, address: std::net::SocketAddr, request: Request<Body>) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
    let authorization = parts.headers["authorization"].to_str().unwrap();
    let head = format!(
        "{} {} HTTP/1.1\r\nhost: sim.test\r\nconnection: close\r\nauthorization: {authorization}\r\ncontent-length: {}\r\n\r\n",
        parts.method,
        parts.uri,
        body.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(&body).await.unwrap();
    let mut answer = Vec::new();
    let limit = door.clock.timeout(Duration::from_secs(30), stream.read_to_end(&mut answer)).await;
    match limit {
        Ok(_) => String::from_utf8_lossy(&answer).into_owned(),
        Err(_) => "timed out".into(),
    }
}

#[test]
fn a_day_is_served_over_a_socket_without_costing_one() {
    let began = std::time::Instant::now();
    let (answer, stats) = served(async |door, address| {
        door.at(min(120)).await;
        let answer = raw(&door, address, door.request("GET", "Calls.json?PageSize=2", &[])).await;
        (answer, door.sim.stats())
    });
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert_eq!(answer.matches("\r\ndate: ").count(), 1, "{answer}");
    assert!(answer.contains("\r\ndate: Fri, 20 Nov 2026 16:00:00 GMT\r\n"));
    assert_eq!(stats.of("GET calls", "200"), 1);
    assert!(began.elapsed() < Duration::from_secs(20));
}

#[test]
fn an_answer_may_be_lost_though_the_request_was_processed() {
    for (kind, answer) in
        [(ApiFaultKind::Hang, "timed out"), (ApiFaultKind::Cut, "HTTP/1.1 200 OK"), (ApiFaultKind::Drop, "")]
    {
        served(async |door, address| {
            door.sim.fault(ApiFault::new(kind, ApiFaultScope::Class(EndpointClass::NumberUpdate))).unwrap();
            let before = door.clock.now();
            let request = door.request("POST", &door.number_path(NUMBER), &[("VoiceUrl", BIN)]);
            let got = raw(&door, address, request).await;
            assert!(got.starts_with(answer) && (answer.is_empty() == got.is_empty()), "{kind:?}: {got}");
            assert!(!got.ends_with('}'), "{kind:?}: {got}");
            let waited = door.clock.now().since(before).as_secs();
            assert_eq!(waited, if kind == ApiFaultKind::Hang { 30 } else { 0 }, "{kind:?}");
            let url = door.sim.number(NUMBER.parse().unwrap()).unwrap()["voice_url"].clone();
            assert_eq!(url, if kind == ApiFaultKind::Drop { VOICE } else { BIN }, "{kind:?}");
            // The connection's end also ends the update, so that the next one is accepted.
            door.sim.calm();
            door.clock.sleep(min(2)).await;
            let request = door.request("POST", &door.number_path(NUMBER), &[("VoiceUrl", VOICE)]);
            assert!(raw(&door, address, request).await.starts_with("HTTP/1.1 200"), "{kind:?}");
        });
    }
}

#[test]
fn a_slow_body_arrives_whole_in_its_own_time() {
    let (quick, slow, took) = served(async |door, address| {
        door.at(min(10)).await;
        let path = "Calls.json?PageSize=20&StartTime%3C=2026-11-21";
        let get = || raw(&door, address, door.request("GET", path, &[]));
        let quick = get().await;
        let fault =
            ApiFault { takes: Duration::from_secs(20), ..ApiFault::new(ApiFaultKind::Slow, ApiFaultScope::Reads) };
        door.sim.fault(fault).unwrap();
        let before = door.clock.now();
        let slow = get().await;
        (quick, slow, door.clock.now().since(before).as_secs_f64())
    });
    let body = |answer: &str| answer.split_once("\r\n\r\n").unwrap().1.to_owned();
    assert_eq!(body(&quick), body(&slow));
    assert!((20.0..20.3).contains(&took), "{took}");
}

#[test]
fn stopping_ends_what_hangs() {
    let took = served(async |door, address| {
        door.sim.fault(ApiFault { takes: min(600), ..ApiFault::new(ApiFaultKind::Hang, ApiFaultScope::Any) }).unwrap();
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(b"GET /v1/Alerts HTTP/1.1\r\nhost: sim.test\r\n\r\n").await.unwrap();
        while door.sim.stats().of("GET alerts", "hang") == 0 {
            door.clock.sleep(Duration::from_millis(10)).await;
        }
        door.clock.now().since(door.start)
    });
    assert!(took < min(1));
}
