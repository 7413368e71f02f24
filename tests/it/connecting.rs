//! A write begins with its first byte: what somebody stops while its connection is being made never goes out, and what
//! goes out is what Twilio expects, byte by byte.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use ringback::caller::CallerKey;
use ringback::clock::Clock;
use ringback::config::Config;
use ringback::core::model::decision::Mode;
use ringback::core::model::id::{NumberSid, ServiceSid};
use ringback::core::model::value::FieldValue;
use ringback::metrics::Metrics;
use ringback::twilio::gate::Gate;
use ringback::twilio::{Client, ErrorKind, UnansweredWrite};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::Notify;
use tokio::task::JoinSet;

use crate::stop::{day_of, number, rollback, start_at};
use crate::world::{BIN, World, play};

/// As many wait to be taken in by a listener of ours: their handshakes are over. Those of all others hang.
const WAITING: usize = 2;

/// A listener that takes nobody in before it is told to, and those who wait there in everybody's place.
async fn full() -> (TcpListener, Vec<TcpStream>) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(u32::try_from(WAITING).unwrap() - 1).unwrap();
    let mut waiting = Vec::new();
    for _ in 0..WAITING {
        waiting.push(TcpStream::connect(listener.local_addr().unwrap()).await.unwrap());
    }
    (listener, waiting)
}

fn client(listener: &TcpListener) -> Client {
    let text = format!(
        "[twilio]\naccount_sid = \"AC00000000000000000000000000000001\"\nbase_url = \"http://{}\"\n[[group]]\n\
         name = \"support\"\nnumbers = [\"+15005550100\"]\n[group.fallback]\nvoice_url = \"{BIN}\"\n",
        listener.local_addr().unwrap()
    );
    let env = HashMap::from([("TWILIO_AUTH_TOKEN", "c0ffee00c0ffee00c0ffee00c0ffee00")]);
    let config = Config::parse(Path::new("ringback.toml"), &text, &env).unwrap_or_else(|e| panic!("{e}"));
    let roster = Arc::new(config.roster.clone());
    let metrics = Metrics::new(&roster, Mode::Auto);
    Client::new(config.twilio.clone(), roster, CallerKey::public(), Clock::system(), metrics).unwrap()
}

/// A person who may say stop, and what is asked of them.
#[derive(Default)]
struct Person {
    says_stop: AtomicBool,
    asked: Notify,
    begun: AtomicUsize,
}

struct Word(Arc<Person>, Duration);

impl Word {
    fn of(person: &Arc<Person>) -> Word {
        Word(person.clone(), Duration::from_secs(30))
    }

    fn answer(&self) -> Result<(), &'static str> {
        if self.0.says_stop.load(Ordering::SeqCst) { Err("held") } else { Ok(()) }
    }
}

impl Gate for Word {
    type Stop = &'static str;
    type Begun = ();

    fn may(&self) -> Result<Duration, &'static str> {
        self.answer()?;
        self.0.asked.notify_one();
        Ok(self.1)
    }

    fn begin(&self) -> Result<(), &'static str> {
        self.answer()?;
        self.0.begun.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Asked {
    Update,
    Join,
    Leave,
}

const ALL: [Asked; 3] = [Asked::Update, Asked::Join, Asked::Leave];

async fn ask(client: &Client, what: Asked, word: Word) -> Result<(), UnansweredWrite<&'static str>> {
    let (number, service) = (NumberSid::from_u128(1), ServiceSid::from_u128(1));
    match what {
        Asked::Update => {
            let form = [("VoiceUrl".to_owned(), FieldValue::from(BIN.to_owned()))];
            client.update_number(number, "+15005550100".parse().unwrap(), &form, word).await.map(drop)
        }
        Asked::Join => client.join_service(service, number, word).await,
        Asked::Leave => client.leave_service(service, number, word).await,
    }
}

/// A whole request, or what there is of it.
async fn request(from: &mut TcpStream) -> String {
    let mut read = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&read).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length =
                head.lines().find_map(|l| l.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
            if body.len() >= length.unwrap_or(0) {
                return text;
            }
        }
        let mut some = [0; 4096];
        match from.read(&mut some).await {
            Ok(n) if n > 0 => read.extend_from_slice(&some[..n]),
            _ => return text,
        }
    }
}

async fn answer(to: &mut TcpStream, status: &str, body: &str) {
    let head = format!("HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n", body.len());
    let head = if status.starts_with("204") { format!("HTTP/1.1 {status}\r\n\r\n") } else { head };
    to.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
}

const REFUSED: &str = r#"{"code":20001,"message":"no","status":400}"#;

#[tokio::test]
async fn what_is_stopped_while_it_connects_is_never_sent() {
    for (stops, what) in ALL.into_iter().flat_map(|what| [(true, what), (false, what)]) {
        let (listener, waiting) = full().await;
        let (client, person) = (client(&listener), Arc::new(Person::default()));
        let server = async {
            person.asked.notified().await;
            // Were it connected by now, this would be too late.
            for _ in 0..100 {
                tokio::task::yield_now().await;
            }
            person.says_stop.store(stops, Ordering::SeqCst);
            drop(waiting);
            for _ in 0..WAITING {
                listener.accept().await.unwrap();
            }
            let (mut from, _) = listener.accept().await.unwrap();
            let sent = request(&mut from).await;
            if !stops {
                answer(&mut from, "400 Bad Request", REFUSED).await;
            }
            sent
        };
        let (result, sent) = tokio::join!(ask(&client, what, Word::of(&person)), server);
        assert_eq!(person.begun.load(Ordering::SeqCst), usize::from(!stops), "{what:?}");
        if stops {
            assert_eq!(sent, "", "{what:?} after the stop");
            assert!(matches!(result, Err(UnansweredWrite::Stopped("held"))), "{what:?}: {result:?}");
        } else {
            assert!(sent.contains(" HTTP/1.1\r\n"), "{what:?}: {sent}");
            assert!(matches!(result, Err(UnansweredWrite::Failed(e)) if e.kind == ErrorKind::Refused), "{what:?}");
        }
    }
}

/// It is known not to have happened, and so no lost answer.
#[tokio::test]
async fn what_does_not_connect_in_time_was_not_sent() {
    for what in ALL {
        let (listener, waiting) = full().await;
        let (client, person) = (client(&listener), Arc::new(Person::default()));
        let Err(UnansweredWrite::Failed(error)) =
            ask(&client, what, Word(person.clone(), Duration::from_millis(50))).await
        else {
            panic!("{what:?} was answered")
        };
        assert!(error.kind == ErrorKind::Unreachable && !error.is_ambiguous(), "{what:?}: {error}");
        drop(waiting);
        for _ in 0..WAITING {
            listener.accept().await.unwrap();
        }
        // Another request comes by, and nothing of the first does.
        let next = async {
            loop {
                let (mut from, _) = listener.accept().await.unwrap();
                let sent = request(&mut from).await;
                if !sent.is_empty() {
                    answer(&mut from, "400 Bad Request", REFUSED).await;
                    return;
                }
            }
        };
        let (result, ()) = tokio::join!(ask(&client, what, Word::of(&person)), next);
        assert!(matches!(result, Err(UnansweredWrite::Failed(e)) if e.kind == ErrorKind::Refused), "{what:?}");
        assert_eq!(person.begun.load(Ordering::SeqCst), 1, "{what:?}");
    }
}

/// Forms have a length, and what has no body says nothing of one: no chunks.
#[tokio::test]
async fn a_write_goes_out_in_one_piece_of_known_length() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (client, person) = (client(&listener), Arc::new(Person::default()));
    let service = "Services/MG00000000000000000000000000000001/PhoneNumbers";
    let number = "PN00000000000000000000000000000001";
    for what in ALL {
        let server = async {
            let (mut from, _) = listener.accept().await.unwrap();
            let sent = request(&mut from).await;
            answer(&mut from, if what == Asked::Leave { "204 No Content" } else { "400 Bad Request" }, REFUSED).await;
            sent
        };
        let client = client.clone();
        let (result, sent) = tokio::join!(ask(&client, what, Word::of(&person)), server);
        let (head, body) = sent.split_once("\r\n\r\n").unwrap();
        let (line, headers) = head.split_once("\r\n").unwrap();
        let headers = headers.to_ascii_lowercase();
        let length = headers.lines().find_map(|l| l.strip_prefix("content-length: ")).map(str::to_owned);
        let (wanted, form) = match what {
            Asked::Update => (
                format!(
                    "POST /2010-04-01/Accounts/AC00000000000000000000000000000001/IncomingPhoneNumbers/{number}.json"
                ),
                format!("VoiceUrl={}", BIN.replace(':', "%3A").replace('/', "%2F")),
            ),
            Asked::Join => (format!("POST /v1/{service}"), format!("PhoneNumberSid={number}")),
            Asked::Leave => (format!("DELETE /v1/{service}/{number}"), String::new()),
        };
        assert_eq!((line, body), (format!("{wanted} HTTP/1.1").as_str(), form.as_str()));
        assert_eq!(length, Some(form.len().to_string()).filter(|_| what != Asked::Leave), "{headers}");
        assert!(!headers.contains("transfer-encoding"), "{headers}");
        assert_eq!(headers.contains("content-type: application/x-www-form-urlencoded"), what != Asked::Leave);
        assert_eq!(result.is_ok(), what == Asked::Leave, "{what:?}: {result:?}");
    }
}

/// On a connection that is kept from before: what has begun there is not sent again on another, and what has not begun
/// is.
#[tokio::test]
async fn a_connection_that_is_closed_costs_no_second_write() {
    for (what, takes_it) in ALL.into_iter().flat_map(|what| [(what, false), (what, true)]) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (client, person) = (client(&listener), Arc::new(Person::default()));
        let server = async {
            let (mut from, _) = listener.accept().await.unwrap();
            request(&mut from).await;
            answer(&mut from, "400 Bad Request", REFUSED).await;
            let first = if takes_it { request(&mut from).await } else { String::new() };
            drop(from);
            let (mut from, _) = listener.accept().await.unwrap();
            let second = request(&mut from).await;
            answer(&mut from, "400 Bad Request", REFUSED).await;
            (first, second)
        };
        let asking = async {
            let _refused = ask(&client, what, Word::of(&person)).await;
            // Where the server closes it, that is seen before the next request.
            for _ in 0..100 {
                tokio::task::yield_now().await;
            }
            let second = ask(&client, what, Word::of(&person)).await;
            let begun = person.begun.load(Ordering::SeqCst);
            if takes_it {
                let Err(UnansweredWrite::Failed(lost)) = second else { panic!("{what:?} was answered") };
                assert!(lost.is_ambiguous(), "{what:?}: {lost}");
                let _refused = ask(&client, what, Word::of(&person)).await;
            }
            assert_eq!(begun, 2, "{what:?}");
        };
        let ((first, second), ()) = tokio::join!(server, asking);
        assert_eq!((first.is_empty(), second.is_empty()), (!takes_it, false), "{what:?}");
    }
}

const COUNT: usize = 12;

/// Requests that may be at Twilio at the same time.
const AT_ONCE: usize = 8;

/// Looks at the agent until its writes are under way, each of which takes a request to it.
const TRIES: usize = 200;

/// A way to the simulator on which every request makes a connection of its own. At the first write that comes by it
/// takes in nobody any more, and keeps that write, until it is opened.
struct Way {
    url: String,
    is_shut: AtomicBool,
    changed: Notify,
    was_shut: AtomicBool,
}

impl Way {
    fn to(w: &World, servers: &mut JoinSet<()>) -> Arc<Way> {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let listener = socket.listen(u32::try_from(WAITING).unwrap() - 1).unwrap();
        let way = Arc::new(Way {
            url: format!("http://{}", listener.local_addr().unwrap()),
            is_shut: AtomicBool::new(false),
            changed: Notify::new(),
            was_shut: AtomicBool::new(false),
        });
        let (serving, to) = (way.clone(), w.base_url.trim_start_matches("http://").to_owned());
        servers.spawn(async move {
            let (mut ways, mut waiting) = (JoinSet::new(), JoinSet::new());
            loop {
                let changed = serving.changed.notified();
                if serving.is_shut.load(Ordering::SeqCst) {
                    for _ in 0..WAITING {
                        let url = serving.url.trim_start_matches("http://").to_owned();
                        waiting.spawn(async move {
                            let _in_everybodys_place = TcpStream::connect(url).await;
                            std::future::pending::<()>().await;
                        });
                    }
                    changed.await;
                    waiting.abort_all();
                    continue;
                }
                tokio::select! {
                    taken = listener.accept() => {
                        ways.spawn(serving.clone().one(taken.unwrap().0, to.clone()));
                    }
                    () = changed => {}
                }
            }
        });
        way
    }

    async fn one(self: Arc<Way>, mut from: TcpStream, to: String) {
        let asked = request(&mut from).await;
        let Some((line, rest)) = asked.split_once("\r\n") else { return };
        let is_write = line.starts_with("POST ") && line.contains("/IncomingPhoneNumbers/PN");
        if is_write && !self.was_shut.swap(true, Ordering::SeqCst) {
            self.is_shut.store(true, Ordering::SeqCst);
            self.changed.notify_waiters();
        }
        while self.is_shut.load(Ordering::SeqCst) {
            let changed = self.changed.notified();
            if self.is_shut.load(Ordering::SeqCst) {
                changed.await;
            }
        }
        let mut there = TcpStream::connect(to).await.unwrap();
        there.write_all(format!("{line}\r\nConnection: close\r\n{rest}").as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        there.read_to_end(&mut answer).await.unwrap();
        let _gone = from.write_all(&answer).await;
    }

    async fn until_shut(&self) {
        loop {
            let changed = self.changed.notified();
            if self.is_shut.load(Ordering::SeqCst) {
                return;
            }
            changed.await;
        }
    }

    fn open(&self) {
        self.is_shut.store(false, Ordering::SeqCst);
        self.changed.notify_waiters();
    }
}

/// Numbers that point at the fallback.
fn swapped(w: &World) -> Vec<String> {
    let is = |n: &String| w.sim.number(n.parse().unwrap()).is_some_and(|n| n["voice_url"] == BIN);
    (0..COUNT).map(number).filter(is).collect()
}

/// The acknowledgement of a stop names the writes that had begun; no other is done after it.
#[test]
fn a_stop_names_what_had_begun_and_nothing_else_is_written() {
    let hold = ("hold", json!({"all": true, "reason": "stop", "seconds": 3600}));
    let observe = ("mode", json!({"mode": "observe", "reason": "stop"}));
    for stop in [Some(hold), Some(observe), None] {
        play(&day_of(COUNT), async |w| {
            let mut servers = JoinSet::new();
            let way = Way::to(w, &mut servers);
            let agent = start_at(w, COUNT, &way.url, AT_ONCE).await;
            rollback(&agent).await;
            // Until as many as may are under way: those that are not the first wait for a connection.
            w.clock.wait(None, way.until_shut()).await;
            for _ in 0..TRIES {
                if agent.metric("ringback_twilio_requests_in_flight").await >= Some(AT_ONCE as f64) {
                    break;
                }
            }
            let said = match &stop {
                Some((verb, words)) => {
                    let (status, said) = agent.post(verb, words.clone()).await;
                    assert_eq!(status, 200, "{said}");
                    said["done"].as_str().unwrap().to_owned()
                }
                None => String::new(),
            };
            way.open();
            w.pass(120).await;
            let swapped = swapped(w);
            if stop.is_some() {
                assert!(swapped.len() <= 1 + WAITING && said.contains(" had begun before"), "{swapped:?}, {said}");
                for number in &swapped {
                    assert!(said.contains(number.as_str()), "{number} was written after: {said}");
                }
            } else {
                assert_eq!(swapped.len(), COUNT);
            }
            agent.stop().await;
        });
    }
}
