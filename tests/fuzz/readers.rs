//! Everything that reads what others wrote, each reader with what must be true of it whatever it is given.
//!
//! Any bytes are an input. None may panic, and beyond that each reader has properties of its own: what it prints holds
//! no secret and no caller's number, what it writes it reads back, its errors name a place that there is, and what it
//! gives is bounded by what it was given. The fuzz targets (`tests/fuzz/targets`) call these functions with what a
//! coverage-guided search comes to, and `tests/it/corpora.rs` with the inputs that are kept in `tests/fuzz/corpora`, as
//! they are and changed by chance.

mod doors;
mod files;

use std::fmt::{Debug, Display};
use std::path::Path;
use std::str::FromStr;
use std::sync::OnceLock;

use ringback::caller::CallerKey;
use ringback::config::AlertRules;
use ringback::core::detect::observation::Observation;
use ringback::core::model::decision::DecisionId;
use ringback::core::model::foreign::{LONGEST, Line};
use ringback::core::model::id::{AccountSid, CallSid, Channel, E164, GroupName, NumberId, NumberSid, WrittenNumber};
use ringback::core::model::redact::{self, secrets};
use ringback::core::model::roster::Roster;
use ringback::core::model::time::Time;
use ringback::core::model::value::{FieldValue, RawRecord, whole_json};
use ringback::core::model::{address, dialled};
use ringback::core::probe::hearing::{Expectation, Marker, RATE, Recording, judge, listen};
use ringback::core::routing::twiml;
use ringback::core::routing::values::RoutingValues;
use ringback::twilio::error::TwilioErrorBody;
use ringback::twilio::host::{Hosts, Product, next_path};
use ringback::twilio::identity::ExpectedIdentity;
use ringback::twilio::raw::RawRows;
use ringback::twilio::wire::{self, Listed, NumberSids, Reader, WireRow};
use ringback::twilio::{porting, probe, recording, webhook};
use ringback::wav;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

pub use doors::{requests, simulator};
pub use files::{
    call_records, configuration, exports, journal, number_lists, observations, profiles, replays, saved_files,
    scenarios,
};

/// Every reader, by the name of its target and of its corpus.
pub const READERS: &[(&str, fn(&[u8]))] = &[
    ("call_records", call_records),
    ("configuration", configuration),
    ("exports", exports),
    ("journal", journal),
    ("number_lists", number_lists),
    ("observations", observations),
    ("profiles", profiles),
    ("recordings", recordings),
    ("replays", replays),
    ("requests", requests),
    ("saved_files", saved_files),
    ("scenarios", scenarios),
    ("signatures", signatures),
    ("simulator", simulator),
    ("texts", texts),
    ("twilio_answers", twilio_answers),
    ("twilio_pages", twilio_pages),
    ("twiml", twiml),
];

/// Numbers of ours in two countries, one of our test calls, and nobody else's.
const RULES: &str = r#"
[twilio]
account_sid = "AC00000000000000000000000000000001"
[[group]]
name = "support"
numbers = ["+15005550100", "+442079460100"]
channels = ["voice", "messaging"]
[group.fallback]
voice_url = "https://handler.twilio.com/twiml/EH00000000000000000000000000000001"
sms_url = "https://handler.twilio.com/twiml/EH00000000000000000000000000000001"
[group.probe]
from = "+15005550199"
"#;

/// What is no word, and stands wherever a secret may.
const SECRET: &str = "9Zq4x8Kp2M";

fn rules() -> &'static AlertRules {
    static RULES_READ: OnceLock<AlertRules> = OnceLock::new();
    RULES_READ.get_or_init(|| AlertRules::parse(Path::new("ringback.toml"), RULES).unwrap_or_else(|e| panic!("{e}")))
}

fn ours() -> &'static Roster {
    &rules().roster
}

/// Gives `with` what rows are read with.
fn reading<T>(with: impl FnOnce(Reader<'_>) -> T) -> T {
    let (key, sids) = (CallerKey::public(), NumberSids::default());
    with(Reader { roster: ours(), account: rules().account, key: &key, sids: &sids, carriers: None })
}

/// What is told of others' texts: a bounded line that is an order to nobody and names no number that is not ours.
fn is_told(text: &str) {
    assert!(text.chars().count() <= LONGEST + 200, "{} characters", text.chars().count());
    assert!(!text.chars().any(char::is_control), "{text:?}");
    assert_eq!(redact::kept(text, ours()), text, "it names a number");
}

/// What is written of `value` is read again as the same, and what may be shown of it is of the same form.
fn is_kept<T: Serialize + DeserializeOwned + PartialEq + Debug>(value: &T) {
    let written = whole_json(value).expect("what was read can be written");
    let again: T = serde_json::from_str(&written).unwrap_or_else(|e| panic!("{e}: {written}"));
    assert_eq!(again, *value, "{written}");
    let shown = serde_json::to_string(value).expect("what can be written can be shown");
    serde_json::from_str::<T>(&shown).unwrap_or_else(|e| panic!("{e}: {shown}"));
}

/// What is printed of a value is read as the same.
fn is_stable<T: FromStr<Err: Debug> + Display + PartialEq + Debug>(text: &str) {
    if let Ok(value) = text.parse::<T>() {
        assert_eq!(value.to_string().parse::<T>().expect("what is printed can be read"), value, "{text:?}");
    }
}

/// Line and column of a fault are in the file.
fn is_in(text: &str, (line, column): (usize, usize)) {
    let lines: Vec<&str> = text.split('\n').collect();
    let of = lines.get(line - 1).unwrap_or_else(|| panic!("line {line} of {}", lines.len()));
    assert!((1..=of.chars().count() + 1).contains(&column), "column {column} of line {line}, {of:?}");
}

/// A page of each of Twilio's lists, and the request for the next one.
pub fn twilio_pages(data: &[u8]) {
    page::<wire::Calls>(data);
    page::<wire::Messages>(data);
    page::<wire::Alerts>(data);
    page::<wire::Events>(data);
    page::<wire::Numbers>(data);
    page::<wire::AccountNumbers>(data);
    page::<wire::Applications>(data);
    page::<wire::Services>(data);
    page::<wire::NamedServices>(data);
    page::<wire::ServiceNumbers>(data);
    page::<RawRows<wire::Calls>>(data);
}

fn page<L: Listed<Item: Debug>>(data: &[u8]) {
    reading(|reader| {
        let Ok(page) = wire::page::<L>(data, reader) else { return };
        assert!(page.newest >= page.reaches && page.rows.len() <= data.len());
        for row in &page.rows {
            match row {
                Ok(WireRow::Ours(item)) => assert!(L::time(item) <= page.newest),
                Ok(WireRow::NotOurs(at)) => assert!(*at <= page.newest),
                Err(bad) => {
                    is_told(&bad.problem);
                    is_told(&bad.raw);
                }
            }
        }
        // The day of the date before is remembered, and must not show.
        let said = format!("{:?} {:?}", page.rows, page.next);
        wire::date("Fri, 27 Nov 2026 00:00:00 +0000").expect("it is a date");
        let again = wire::page::<L>(data, reader).expect("it was a page");
        assert_eq!(format!("{:?} {:?}", again.rows, again.next), said);
        page.next.as_deref().inspect(|next| leads_home(next));
    });
}

/// The next page is asked for at the configured address, whatever the one before says.
fn leads_home(uri: &str) {
    let Some(next) = next_path(uri) else { return };
    assert_eq!(next_path(&next).as_deref(), Some(next.as_str()), "{uri:?}");
    let base: url::Url = "http://127.0.0.1:4010/below/".parse().expect("it is a URL");
    let hosts = [(Hosts::One(base), "/below/"), (Hosts::Twilio { edge: None, region: Some("ie1".to_owned()) }, "/")];
    for (hosts, below) in hosts {
        for product in [Product::Api, Product::Monitor, Product::Messaging, Product::Trunking] {
            let home = hosts.url(product, "/").expect("the root is there");
            let url = hosts.url(product, &next).unwrap_or_else(|e| panic!("{next:?}: {e}"));
            let place = |u: &url::Url| (u.scheme().to_owned(), u.host_str().map(str::to_owned), u.port());
            assert_eq!(place(&url), place(&home), "{next:?}");
            assert_eq!((url.username(), url.password(), url.fragment()), ("", None, None), "{next:?}");
            assert!(url.path().starts_with(below), "{next:?} became {url}");
        }
    }
}

/// Answers about one thing, and refusals.
pub fn twilio_answers(data: &[u8]) {
    const NUMBER: NumberSid = NumberSid::from_u128(0x3_7e66_8614);
    const CALL: CallSid = CallSid::from_u128(0x1001);
    let (account, ours) = (rules().account, ours());
    let asked = || ExpectedIdentity::of(account);
    let own: E164 = "+15005550100".parse().expect("it is a number");
    let number = |body: &[u8]| {
        let raw: &RawValue = serde_json::from_slice(body).map_err(|e| e.to_string())?;
        wire::number(raw).map_err(|e| e.to_string())
    };
    if let Ok(read) = asked().sid(NUMBER).number("phone_number", own).one(number)(data) {
        assert_eq!((read.record.sid, read.record.number), (NUMBER, own));
        is_kept(&Observation::Number(Box::new(read.record.clone())));
        for channel in Channel::ALL {
            let Ok(values) = RoutingValues::read(read.raw.whole(), channel) else { continue };
            let kept = values.whole_record().expect("values are plain");
            assert_eq!(RoutingValues::read(&kept, channel).expect("they were written"), values);
            assert!(values.changes_to(&values).is_empty());
        }
    }
    if let Ok(leg) = asked().sid(CALL).one(probe::leg)(data) {
        assert_eq!(leg.sid, CALL);
    }
    let _ = asked().rows("calls", probe::legs)(data);
    let _ = asked().rows("notifications", |body| probe::notifications(body, CALL, ours))(data);
    let _ = asked().one(|body| probe::text(body, "nonce"))(data);
    let _ = asked().rows("messages", |body| probe::texts(body, "nonce"))(data);
    let _ = recording::made_by_us(data, CALL, |n| ours.is_prober(n));
    let _ = asked().belongs("call_sid", CALL).rows("recordings", |body| recording::own(body, CALL))(data);
    let _ = porting::list(data);
    let request = "KW00000000000000000000000000000001".parse().expect("it is a SID");
    if let Err(problem) = porting::request(data, request, account, ours) {
        assert!(problem.len() <= 200, "{problem}");
    }
    if let Ok(regions) = serde_json::from_slice::<wire::RawRegions<'_>>(data) {
        regions.regions(ours).iter().flatten().for_each(|region| is_told(region));
    }
    let _ = serde_json::from_slice::<wire::RawApplication<'_>>(data).map(|raw| raw.convert());
    let _ = serde_json::from_slice::<wire::RawTrunk<'_>>(data).map(|raw| raw.has_recovery());
    let refusal = TwilioErrorBody::parse(data, ours);
    assert!(refusal.message.chars().count() <= 201);
    // Where it was cut, a part of a SID may stand.
    let cut = refusal.message.strip_suffix('…').map(|cut| cut.trim_end_matches(char::is_alphanumeric));
    is_told(cut.unwrap_or(&refusal.message));
}

/// What a webhook answers, as Twilio reads it: the header's first line, and the body below it.
pub fn twiml(data: &[u8]) {
    let (head, body) = split(data, b'\n');
    let head = String::from_utf8_lossy(head);
    let document = twiml::TwimlDocument { content_type: &head, body, is_too_large: false };
    for channel in Channel::ALL {
        let effect = twiml::read(document, channel, ours());
        assert_eq!(effect, twiml::read(document, channel, ours()));
        if let twiml::Effect::Redirects { url, .. } = &effect {
            assert!(!url.is_empty());
        }
    }
    let (verbs, plays) = (twiml::leads_on(document), twiml::plays_alone(document));
    let said = verbs.iter().map(|(verb, url)| verb.len() + url.len()).chain(plays.iter().map(String::len));
    let said: usize = said.sum();
    // Entities may stand for more than they are, and for no more than a bound.
    assert!(said <= 2 * (body.len() + (1 << 20)), "{said} bytes of {}", body.len());
}

/// A recording of a test call, and sounds of any shape.
pub fn recordings(data: &[u8]) {
    if let Ok(recording) = wav::read(data) {
        assert!(recording.channels().iter().map(Vec::len).sum::<usize>() <= data.len());
        heard(&recording);
    }
    // What there is, over and over: few inputs are long enough for anything to be heard.
    let (head, body) = data.split_at(data.len().min(2));
    let sample = |pair: &[u8]| i16::from_le_bytes([pair[0], *pair.get(1).unwrap_or(&0)]);
    let samples: Vec<i16> = body.chunks(2).map(sample).collect();
    let length = usize::from(head.first().copied().unwrap_or(0)) * 64;
    let looped: Vec<i16> = samples.iter().copied().cycle().take(if samples.is_empty() { 0 } else { length }).collect();
    let other = looped.iter().rev().copied().take(usize::from(head.get(1).copied().unwrap_or(0)) * 64).collect();
    heard(&Recording::new(RATE, vec![looped, other]).expect("it is short enough"));
}

fn heard(recording: &Recording) {
    let found = listen(recording);
    assert_eq!(found, listen(recording), "the same sounds the same");
    assert!(found.sounds.is_sorted_by_key(|s| s.span.from));
    for sound in &found.sounds {
        let samples = recording.channels()[sound.channel].len();
        assert!(sound.span.from <= sound.span.to && sound.span.to as usize <= samples, "{sound:?} of {samples}");
    }
    for marker in [Marker::Tone(1000), "dtmf:42".parse().expect("it is a marker")] {
        let wanted = Expectation { min_duration: Some(found.duration), speech: true, marker: Some(marker) };
        let _ = judge(&found, &wanted);
    }
}

/// A request that is signed as Twilio signs, and looked at by the simulator, which has its own way.
pub fn signatures(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let mut parts = text.split('\n');
    let query = parts.next().unwrap_or_default();
    let form: std::collections::BTreeMap<&str, &str> = parts.filter_map(|pair| pair.split_once('=')).collect();
    let mut form: Vec<(&str, &str)> = form.into_iter().collect();
    let token = "51b077ed51b077ed51b077ed51b077ed";
    let query: String = url::form_urlencoded::byte_serialize(query.as_bytes()).collect();
    let url = format!("{}?{query}", doors::BIN);
    let signed = webhook::signature(token, &url, &form);
    assert_eq!(signed.len(), 28, "{signed}");
    form.reverse();
    assert_eq!(webhook::signature(token, &url, &form), signed, "in whatever order");
    assert_ne!(webhook::signature("another", &url, &form), signed);
    assert_eq!(doors::asks_bin(&query, &form, &signed), 200);
    assert_eq!(doors::asks_bin(&format!("{query}x"), &form, &signed), 403);
}

fn split(data: &[u8], at: u8) -> (&[u8], &[u8]) {
    match data.iter().position(|b| *b == at) {
        Some(i) => (&data[..i], &data[i + 1..]),
        None => (&[], data),
    }
}

/// Texts of others: numbers, names, addresses, sentences.
pub fn texts(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    is_stable::<E164>(&text);
    is_stable::<AccountSid>(&text);
    is_stable::<CallSid>(&text);
    is_stable::<WrittenNumber>(&text);
    is_stable::<GroupName>(&text);
    is_stable::<DecisionId>(&text);
    is_stable::<Time>(&text);
    is_stable::<Marker>(&text);
    if let Ok(id) = text.parse::<NumberId>() {
        assert_eq!(id.key().parse(), Ok(id));
    }
    let kept = redact::kept(&text, ours());
    assert_eq!(redact::kept(&kept, ours()), kept, "nothing is left out twice");
    assert!(redact::is_kept_of(&kept, &text), "{kept:?} of {text:?}");
    is_told(&redact::told(&text, ours()));
    let line = Line::new(&text);
    assert_eq!(Line::new(line.as_str()), line);
    let codes = ours().calling_codes();
    address::party(&text, codes, |n| ours().has(n));
    address::reach(&text, codes, |n| ours().has(n), |_| true);
    address::is_withheld(&text);
    dialled::within(&text, codes);
    dialled::is_formed(&text);
    leads_home(&text);
    let shown = secrets::shown_url(&text);
    assert_eq!(secrets::shown_url(&shown), shown, "what is shown is shown so again");
    // A secret in each place where one may stand, with anything around it.
    let (one, two) = split(data, b'\n');
    let [one, two] = [one, two].map(|part| String::from_utf8_lossy(part).into_owned());
    for url in [
        format!("https://u{one}:{SECRET}{two}@h.example/v"),
        format!("https://{SECRET}@h.example/{one}"),
        format!("https://h.example/{one}?t{two}={SECRET}"),
        format!("https://h.example/{one}#{SECRET}{two}"),
        format!("https://h.example/v/{SECRET}/{one}"),
        format!("sip:{one}:{SECRET}@h.example"),
    ] {
        let value = FieldValue::from(url.as_str());
        let record = RawRecord::from(serde_json::json!({ "voice_url": &url, "x": [&url] }).to_string());
        let json = serde_json::to_string(&(&value, &record)).expect("both can be shown");
        for shown in [value.to_string(), format!("{value:?} {record:?}"), json] {
            assert!(!shown.contains(SECRET), "{url:?} became {shown:?}");
        }
    }
}
