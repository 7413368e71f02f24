//! What is read of others has a bound: of an answer that does not end, or that is larger in memory than it is on the
//! wire, no more is taken than any honest one has, and it costs itself alone.

use std::io::Write as _;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use ringback::clock::Clock;
use ringback::config::text;
use ringback::core::model::bounds;
use ringback::core::model::id::Channel;
use ringback::core::notice::make::{Addresses, NoticeBuilder};
use ringback::core::notice::{NoticeKind, Severity};
use ringback::core::routing::history::RoutingState;
use ringback::notify::{Notifier, NotifierReply, NotifyChannel, Sender};
use secrecy::SecretString;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::agent::DAY;
use crate::probe_trouble::between;
use crate::support::support;
use crate::world::{Folder, World, play};

/// What the two sides' kernels hold of a stream that nobody reads: no more than this by far.
const IN_THE_KERNEL: u64 = 24 << 20;

/// What one hostile server has got rid of.
type Taken = Arc<AtomicU64>;

/// A server on loopback that says `first` and then `again` without end, to whoever connects. It hears nothing.
async fn without_end(servers: &mut JoinSet<()>, first: &'static [u8], again: &'static [u8]) -> (String, Taken) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let taken = Taken::default();
    let count = taken.clone();
    servers.spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            // Whoever posts is heard out first, as far as it fits into one look.
            if first.starts_with(b"HTTP") {
                let _ = stream.read(&mut [0; 65_536]).await;
            }
            let mut next = stream.write_all(first).await;
            let portion = again.repeat(65_536 / again.len());
            while next.is_ok() {
                count.fetch_add(portion.len() as u64, Ordering::Relaxed);
                next = stream.write_all(&portion).await;
            }
        }
    });
    (address, taken)
}

fn notifier(channel: NotifyChannel) -> Notifier {
    Notifier {
        name: "ours".to_owned(),
        channel,
        severities: Severity::ALL.into(),
        groups: Vec::new(),
        per_minute: 20,
        timeout: Duration::from_secs(60),
        through_twilio: None,
    }
}

fn run<T>(test: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(test)
}

/// Tells one notice, and how much of the answer was taken.
async fn tell(channel: NotifyChannel, taken: &Taken) -> (NotifierReply, u64) {
    let sender = Sender::new(Clock::system()).unwrap();
    let builder = NoticeBuilder { roster: Arc::default(), addresses: Addresses::default() };
    let notice = builder.blank(Clock::system().now(), "test", NoticeKind::Test, Severity::Info, "a test");
    let began = Instant::now();
    let reply = sender.send(&notifier(channel), &notice).await;
    assert!(began.elapsed() < Duration::from_secs(50), "it went on until its time was over");
    (reply, taken.load(Ordering::Relaxed))
}

#[test]
fn of_a_receivers_answer_the_beginning_is_read() {
    run(async {
        let mut servers = JoinSet::new();
        for (head, is_delivered) in [
            (b"HTTP/1.1 200 OK\r\n\r\n".as_slice(), true),
            (b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\n", true),
            (b"HTTP/1.1 503 Busy\r\n\r\n", false),
        ] {
            let (address, taken) = without_end(&mut servers, head, b"and so on, ").await;
            let url = SecretString::from(format!("http://{address}/"));
            let (reply, taken) = tell(NotifyChannel::Slack { url }, &taken).await;
            assert_eq!(matches!(reply, NotifierReply::Delivered(_)), is_delivered, "{reply:?}");
            assert!(reply.text().contains("and so on") && reply.text().len() < 1000);
            assert!(taken < IN_THE_KERNEL, "{taken} bytes");
        }
        // Heads that do not end, of the answer or of the answers before it.
        for first in [b"HTTP/1.1 200 OK\r\n".as_slice(), b"HTTP/1.1 200 O", b"HTTP/1.1 103 Early Hints\r\n\r\n"] {
            let again: &[u8] = if first.ends_with(b"O") { b"K" } else { b"x-more: and more\r\n" };
            let (address, taken) = without_end(&mut servers, first, again).await;
            let url = SecretString::from(format!("http://{address}/"));
            let (reply, taken) = tell(NotifyChannel::Slack { url }, &taken).await;
            assert!(matches!(reply, NotifierReply::Again { .. }) && taken < IN_THE_KERNEL, "{reply:?}, {taken} bytes");
        }
    });
}

#[test]
fn a_mail_server_is_not_heard_out() {
    run(async {
        let mut servers = JoinSet::new();
        // One line without end, lines without end, and the same once it has been greeted.
        for (first, again) in [
            (b"220 ".as_slice(), b"welcome ".as_slice()),
            (b"220-", b"welcome\r\n220-"),
            // As many lines as fit into what a server may say: each made the library look at all of them again.
            (b"220-", b"\r\n220-"),
            (b"220 hello\r\n250-", b"AUTH PLAIN\r\n250-"),
            (b"220 hello\r\n250 ", b"and welcome "),
            (b"", b"\r\n"),
        ] {
            for (scheme, query) in
                [("smtp", ""), ("smtps", ""), ("smtp", "?tls=required"), ("smtp", "?tls=opportunistic")]
            {
                let (address, taken) = without_end(&mut servers, first, again).await;
                let began = Instant::now();
                let mailbox = ringback::notify::email::Mailbox {
                    url: SecretString::from(format!("{scheme}://{address}{query}")),
                    from: "ringback@example.com".parse().unwrap(),
                    to: vec!["ops@example.com".parse().unwrap()],
                };
                let (reply, taken) = tell(NotifyChannel::Email(mailbox), &taken).await;
                assert!(!matches!(reply, NotifierReply::Delivered(_)) && reply.text().len() < 1000, "{reply:?}");
                assert!(taken < IN_THE_KERNEL, "{scheme} {:?}: {taken} bytes", String::from_utf8_lossy(first));
                // One thread does it all: as long as it takes, a core is busy.
                let took = began.elapsed();
                assert!(
                    took < Duration::from_secs(2),
                    "{scheme}{query} {:?}: {took:?}",
                    String::from_utf8_lossy(again)
                );
            }
        }
    });
}

/// What is in the way of the agent's requests for `part` of Twilio.
async fn with_answers(w: &mut World, servers: &mut JoinSet<()>, part: &'static str, answer: Vec<u8>) {
    let answer = Arc::new(answer);
    between(w, servers, move |passing| {
        if passing.path.contains(part) {
            passing.body.clone_from(&answer);
            passing.headers.remove("content-length");
        }
    })
    .await;
}

/// Two bytes on the wire are sixteen times as many in memory, if they are taken for what they say.
fn zeros(bytes: usize) -> String {
    format!("[0{}]", ",0".repeat(bytes / 2))
}

#[test]
fn an_answer_of_many_small_things_is_read_for_what_is_asked_and_nothing_else() {
    let application = "AP00000000000000000000000000000001";
    let day = DAY.replacen(
        "routing = { voice_url = \"https://app.example.com/voice\" }",
        &format!("routing = {{ application = \"{application}\" }}"),
        1,
    ) + &format!(
        "\n[[application]]\nsid = \"{application}\"\nfriendly_name = \"IVR\"\nvoice_url = \
         \"https://app.example.com/voice\"\n"
    );
    let small =
        format!("{{\"sid\":\"{application}\",\"x\":{},\"voice_url\":\"https://a.example.com/\"}}", zeros(40_000));
    let large =
        format!("{{\"sid\":\"{application}\",\"x\":{},\"voice_url\":\"https://a.example.com/\"}}", zeros(6 << 20));
    let deep = format!("{{\"sid\":\"{application}\",\"x\":{}{}}}", "[".repeat(30_000), "]".repeat(30_000));
    for (answer, is_read) in [(small, true), (large, false), (deep, true)] {
        play(&day, async |w| {
            let mut servers = JoinSet::new();
            with_answers(w, &mut servers, "/Applications/", answer.clone().into_bytes()).await;
            let agent = w.start().await.unwrap();
            w.pass(300).await;
            let state = agent.channel(support()[0], Channel::Voice).routing;
            assert_eq!(state == RoutingState::Unread, !is_read, "{} bytes: {state:?}", answer.len());
            agent.stop().await;
        });
    }
}

#[test]
fn a_page_has_no_more_rows_than_a_page_can_have() {
    for (part, key) in
        [("/Calls.json", "calls"), ("/Alerts?", "alerts"), ("/IncomingPhoneNumbers.json", "incoming_phone_numbers")]
    {
        play(DAY, async |w| {
            let mut servers = JoinSet::new();
            let agent_sees = Arc::new(AtomicUsize::new(0));
            let (is_on, rows) = (agent_sees.clone(), format!("{{\"{key}\":[{{}}{}]}}", ",{}".repeat(400_000)));
            between(w, &mut servers, move |passing| {
                if passing.path.contains(part) && is_on.load(Ordering::Relaxed) > 0 {
                    passing.body = rows.clone().into_bytes();
                    passing.headers.remove("content-length");
                }
            })
            .await;
            let agent = w.start().await.unwrap();
            w.pass(300).await;
            let bad = async || agent.sum("ringback_rows_total", &["result=\"bad\""]).await;
            let before = bad().await;
            agent_sees.store(1, Ordering::Relaxed);
            w.pass(300).await;
            // None of them is a row of ours, bad or not: this is no page.
            assert_eq!(bad().await, before, "{part}");
            let (status, said) = agent.get("/-/ready").await;
            assert_eq!(status, 503, "{part}: {said}");
            agent.stop().await;
        });
    }
}

/// From A to B to A, and to ever new pages, with rows and without.
#[test]
fn a_list_that_leads_nowhere_does_not_end_and_is_left() {
    for (is_new, is_empty, most) in [(false, true, 3), (false, false, 3), (true, true, 20), (true, false, 21)] {
        play(DAY, async move |w| {
            let mut servers = JoinSet::new();
            let asked = Arc::new(AtomicU64::new(0));
            let count = asked.clone();
            between(w, &mut servers, move |passing| {
                let Some((list, query)) = passing.path.split_once('?').filter(|(l, _)| l.ends_with("/Calls.json"))
                else {
                    return;
                };
                let nth = count.fetch_add(1, Ordering::Relaxed);
                let token = if is_new { nth.to_string() } else { ["B", "A"][usize::from(!query.contains("A"))].into() };
                let mut page = passing.json().unwrap_or_default();
                if is_empty || page["calls"].as_array().is_none_or(Vec::is_empty) {
                    page = json!({ "calls": [] });
                }
                page["next_page_uri"] = format!("{list}?PageToken={token}").into();
                passing.set(&page);
                passing.status = 200;
                passing.headers.remove("content-length");
            })
            .await;
            let agent = w.start().await.unwrap();
            let before = asked.load(Ordering::Relaxed);
            w.pass(60).await;
            let walks = asked.load(Ordering::Relaxed) - before;
            assert!(walks <= most * 14, "{walks} requests in a minute, new: {is_new}, empty: {is_empty}");
            let failed = agent.sum("ringback_polls_total", &["source=\"calls\"", "result=\"failure\""]).await;
            assert!(failed >= 10.0, "{failed}");
            agent.stop().await;
        });
    }
}

/// Calls without end, all of them new and ours: what cannot be held is not taken in, and the agent is blind.
#[test]
fn more_calls_than_can_be_held_are_none_that_can_be_judged() {
    play(DAY, async |w| {
        let mut servers = JoinSet::new();
        let (made, is_on) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let (count, switch, clock) = (made.clone(), is_on.clone(), w.clock.clone());
        let number = support()[0];
        between(w, &mut servers, move |passing| {
            if passing.path.contains("/Calls.json") && switch.load(Ordering::Relaxed) > 0 {
                let list = passing.path.split('?').next().unwrap().to_owned();
                let first = count.fetch_add(1000, Ordering::Relaxed);
                // Each page leads further back.
                let at = (clock.now() - Duration::from_secs(first / 1000 % 300)).to_timestamp().to_string();
                let row = |i: u64| {
                    format!(
                        "{{\"sid\":\"CA{i:032x}\",\"direction\":\"inbound\",\"to\":\"{number}\",\
                         \"from\":\"+14155550123\",\"status\":\"completed\",\"start_time\":\"{at}\",\"duration\":\"9\"}}"
                    )
                };
                let rows: Vec<String> = (first..first + 1000).map(row).collect();
                let rows = rows.join(",");
                passing.body =
                    format!("{{\"calls\":[{rows}],\"next_page_uri\":\"{list}?PageToken={first}\"}}").into_bytes();
                passing.headers.remove("content-length");
            }
        })
        .await;
        let agent = w.start().await.unwrap();
        w.pass(120).await;
        is_on.store(1, Ordering::Relaxed);
        w.pass(600).await;
        let sent = made.load(Ordering::Relaxed);
        assert!(sent > bounds::log_entries(3) as u64, "{sent}");
        let failed = agent.sum("ringback_polls_total", &["source=\"calls\"", "result=\"failure\""]).await;
        assert!(failed >= 1.0);
        let settled = agent.sum("ringback_calls_total", &[]).await;
        let most = bounds::log_entries(6) as f64;
        assert!(settled <= most, "{settled} of them were judged");
        agent.stop().await;
    });
}

#[test]
fn a_status_is_no_series_of_its_own_unless_http_knows_it() {
    play(DAY, async |w| {
        let mut servers = JoinSet::new();
        let next = Arc::new(AtomicU64::new(0));
        between(w, &mut servers, move |passing| {
            if passing.path.contains("/Messages.json") || passing.path.contains("/Alerts") {
                passing.status = 600 + (next.fetch_add(1, Ordering::Relaxed) % 400) as u16;
            }
        })
        .await;
        let agent = w.start().await;
        if let Ok(agent) = agent {
            w.pass(1200).await;
            let (_, text) = agent.get("/metrics").await;
            let series = text.lines().filter(|l| l.starts_with("ringback_twilio_requests_total")).count();
            assert!(series < 60, "{series} series");
            agent.stop().await;
        }
    });
}

#[test]
fn half_a_request_keeps_nobody_waiting_who_has_a_whole_one() {
    play(DAY, async |w| {
        let agent = w.start().await.unwrap();
        let address = agent.url.trim_start_matches("http://").to_owned();
        let mut halves = Vec::new();
        for i in 0..3 * bounds::CONNECTIONS {
            let mut half = tokio::net::TcpStream::connect(&address).await.unwrap();
            let text: &[u8] = [b"".as_slice(), b"GET /metr", b"GET /metrics HTTP/1.1\r\nhost: x\r\nx-a: "][i % 3];
            half.write_all(text).await.unwrap();
            halves.push(half);
        }
        let began = Instant::now();
        for path in ["/-/healthy", "/metrics", "/api/v1/status"] {
            assert_eq!(agent.get(path).await.0, 200);
        }
        assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
        drop(halves);
        agent.stop().await;
    });
}

#[test]
fn a_file_is_a_file_and_no_larger_than_such_a_file_is() {
    let folder = Folder::new();
    let path = |name: &str| folder.path().join(name);
    let fifo = path("pipe");
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    let began = Instant::now();
    for never in [Path::new("/dev/zero"), &fifo, Path::new("/dev/stdin"), folder.path()] {
        assert!(text::bytes(never, 1 << 20).is_err(), "{}", never.display());
    }
    // What the kernel makes up has no size that could be looked at.
    assert!(text::bytes(Path::new("/proc/self/maps"), 64).is_err());
    std::fs::write(path("large"), vec![b'x'; 2000]).unwrap();
    assert!(text::bytes(&path("large"), 1999).is_err());
    assert_eq!(text::bytes(&path("large"), 2000).unwrap().len(), 2000);
    assert!(text::read(Path::new("/dev/zero"), 1 << 20, "").is_err());
    assert!(began.elapsed() < Duration::from_secs(5));
    // A pipe that somebody writes to, as a shell makes one for a secret.
    let (name, written) = (fifo.clone(), "written by another program");
    let writer = std::thread::spawn(move || {
        std::fs::File::options().write(true).open(name).unwrap().write_all(written.as_bytes()).unwrap();
    });
    assert_eq!(text::read(&fifo, 1 << 20, "").unwrap().unwrap(), written);
    writer.join().unwrap();
}

#[test]
fn a_numbers_file_is_none_that_never_ends() {
    play(DAY, async |w| {
        for name in ["/dev/zero", "/dev/random"] {
            let text = format!(
                "[twilio]\naccount_sid = \"{}\"\nbase_url = \"{}\"\n[[group]]\nname = \"support\"\n\
                 numbers_file = \"{name}\"\n",
                w.sim.scenario().account.sid,
                w.base_url
            );
            let said = w.parse(&text).unwrap_err().to_string();
            assert!(said.contains(name), "{said}");
        }
    });
}

#[test]
fn a_recorded_line_without_end_is_a_bad_line() {
    let folder = Folder::new();
    let (config, events) = (folder.path().join("ringback.toml"), folder.path().join("events.jsonl"));
    let account = "AC00000000000000000000000000000001";
    std::fs::write(
        &config,
        format!("[twilio]\naccount_sid = \"{account}\"\n[[group]]\nname = \"a\"\nnumbers = [\"+15005550100\"]\n"),
    )
    .unwrap();
    let seen = |at: &str, resource: Value| json!({ "seen_at": at, "kind": "call", "resource": resource }).to_string();
    let call = json!({
        "sid": "CA00000000000000000000000000000001", "direction": "inbound", "to": "+15005550100",
        "from": "+14155550123", "status": "completed", "start_time": "2026-11-21T09:00:00Z", "duration": "9"
    });
    let long = "x".repeat(bounds::LINE_BYTES + 5);
    let text =
        format!("{}\n{long}\n{}\n", seen("2026-11-21T09:00:03Z", call.clone()), seen("2026-11-21T09:00:09Z", call));
    std::fs::write(&events, text).unwrap();
    let out = Command::new(env!("CARGO_BIN_EXE_ringback"))
        .args(["replay", "--config"])
        .arg(&config)
        .arg("--events")
        .arg(&events)
        .arg("--decisions")
        .arg(folder.path().join("out.jsonl"))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&out.stderr).into_owned() + &String::from_utf8_lossy(&out.stdout);
    assert!(said.contains("line 2") && said.contains("1048576 bytes"), "{said}");
    assert!(!said.contains("line 3"), "{said}");
}
