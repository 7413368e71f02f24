//! Reading a recorded log: JSON Lines, one entry a line, in the order in which a poller saw them.
//!
//! A line is parsed in one pass when `kind` stands before `resource`, as `record` writes it, and in
//! two otherwise. Whatever is wrong with a line is told with its number, and the next one is read.

use std::borrow::Cow;
use std::fmt;
use std::io::{self, BufRead, Read as _};

use serde::Deserialize;
use serde::de::{Deserializer, Error, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::core::detect::observation::{Observation, Probe, ProbeResult};
use crate::core::model::bounds;
use crate::core::model::id::Resource;
use crate::core::model::id::{CallSid, Channel, E164, MessageSid};
use crate::core::model::redact;
use crate::core::model::time::Time;
use crate::twilio::wire::{self, Listed, Reader, WireRow};

/// A line that cannot be used, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadLine {
    /// From 1.
    pub line: u64,
    pub problem: String,
}

impl fmt::Display for BadLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.problem)
    }
}

/// A line as it was understood.
#[derive(Clone, Debug, PartialEq)]
pub enum RecordedLine {
    Seen(Time, Observation),
    /// Of a number that is not in the configuration.
    Foreign(Time),
}

/// The lines of a recording, one at a time.
pub struct Lines<R> {
    input: R,
    buffer: Vec<u8>,
    /// Lines read so far.
    pub line: u64,
    /// Bytes read so far.
    pub bytes: u64,
}

impl<R: BufRead> Lines<R> {
    pub fn new(input: R) -> Lines<R> {
        Lines { input, buffer: Vec::with_capacity(4096), line: 0, bytes: 0 }
    }

    /// The next line that is not empty; `None` at the end.
    pub fn next(&mut self, reader: Reader<'_>) -> io::Result<Option<Result<RecordedLine, BadLine>>> {
        loop {
            self.buffer.clear();
            let most = bounds::LINE_BYTES as u64 + 1;
            let read = (&mut self.input).take(most).read_until(b'\n', &mut self.buffer)?;
            if read == 0 {
                return Ok(None);
            }
            self.line += 1;
            self.bytes += read as u64;
            if read as u64 == most && self.buffer.last() != Some(&b'\n') {
                self.bytes += skip_line(&mut self.input)?;
                let problem = format!("it has more than {} bytes, which no entry has", bounds::LINE_BYTES);
                return Ok(Some(Err(BadLine { line: self.line, problem })));
            }
            let mut line = self.buffer.as_slice();
            if self.line == 1 {
                line = beginning(line)?;
            }
            if line.trim_ascii().is_empty() {
                continue;
            }
            return Ok(Some(parse(line, reader).map_err(|mut problem| {
                if line.trim_ascii_end().contains(&b'\r') {
                    problem = format!("it has a CR within, as if lines ended in that; they end in LF: {problem}");
                }
                if line.last() != Some(&b'\n') {
                    problem = format!("the file ends within this line: {problem}");
                }
                BadLine { line: self.line, problem }
            })));
        }
    }
}

/// Reads on to the end of a line, and keeps nothing of it. How long that was.
fn skip_line(input: &mut impl BufRead) -> io::Result<u64> {
    let mut skipped = 0;
    loop {
        let there = input.fill_buf()?;
        let (n, is_end) = match memchr::memchr(b'\n', there) {
            Some(at) => (at + 1, true),
            None => (there.len(), there.is_empty()),
        };
        input.consume(n);
        skipped += n as u64;
        if is_end {
            return Ok(skipped);
        }
        if skipped > bounds::UNENDED_BYTES {
            let problem = format!("no line ends within {} MB: this is no recorded log", bounds::UNENDED_BYTES >> 20);
            return Err(io::Error::new(io::ErrorKind::InvalidData, problem));
        }
    }
}

/// The first line without the byte order mark that editors add; an error where no line of the file can be read.
fn beginning(line: &[u8]) -> io::Result<&[u8]> {
    let what = match line {
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] | [_, 0, ..] | [0, _, ..] => "UTF-16: save it as UTF-8",
        [0x1f, 0x8b, ..] => "compressed: unpack it, or pipe it to --events -",
        [0xef, 0xbb, 0xbf, rest @ ..] => return Ok(rest),
        line => return Ok(line),
    };
    Err(io::Error::new(io::ErrorKind::InvalidData, format!("the file is {what}")))
}

/// Understands one line. The error quotes little of the line, and no number that is not ours: lines hold callers'.
pub fn parse(line: &[u8], reader: Reader<'_>) -> Result<RecordedLine, String> {
    understood(line, reader).map_err(|problem| redact::told(&problem, reader.roster))
}

fn understood(line: &[u8], reader: Reader<'_>) -> Result<RecordedLine, String> {
    let text = std::str::from_utf8(line).map_err(|e| format!("not UTF-8: {e}"))?;
    let raw: RawLine<'_> = serde_json::from_str(text).map_err(|e| json_problem(&e, text, 0))?;
    let seen_at = raw.seen_at.ok_or("seen_at is missing: when did a poller see this?")?;
    let at: Time = seen_at.parse().map_err(|_| format!("seen_at = {seen_at:?} is not an RFC 3339 instant"))?;
    let kind = raw.kind.ok_or("kind is missing: call, message, alert, probe or number")?;
    let mut resource = raw.resource.ok_or("resource is missing")?;
    if let Body::Raw(raw) = resource {
        let from = raw.get().as_ptr().addr() - text.as_ptr().addr();
        resource = kind.parse(raw.get()).map_err(|e| json_problem(&e, text, from))?;
    }
    let row = match resource {
        Body::Call(raw) => {
            Some(convert::<wire::Calls>(&raw, reader)?.map_or(Observation::OthersCall, Observation::Call))
        }
        Body::Message(raw) => convert::<wire::Messages>(&raw, reader)?.map(Observation::Message),
        Body::Alert(raw) => convert::<wire::Alerts>(&raw, reader)?.map(Observation::Alert),
        Body::Probe(raw) => {
            let probe = raw.convert(at)?;
            reader.is_ours(probe.number).then_some(Observation::Probe(probe))
        }
        Body::Number(raw) => {
            let number = wire::number(raw).map_err(|bad| bad.to_string())?.record;
            reader.is_ours(number.number).then(|| Observation::Number(Box::new(number)))
        }
        Body::Raw(_) => None,
    };
    Ok(row.map_or(RecordedLine::Foreign(at), |observation| RecordedLine::Seen(at, observation)))
}

fn convert<L: Listed>(raw: &L::Raw<'_>, reader: Reader<'_>) -> Result<Option<L::Item>, String> {
    match L::convert(raw, reader) {
        Ok(WireRow::Ours(item)) => Ok(Some(item)),
        Ok(WireRow::NotOurs(_)) => Ok(None),
        Err(bad) => Err(format!("resource.{bad}")),
    }
}

/// serde's own text has the value in it for wrong types, so only kind and place are kept. serde counts bytes, from the
/// beginning of what it was given, which is that of `line` from its byte `from` on; editors count letters.
fn json_problem(e: &serde_json::Error, line: &str, from: usize) -> String {
    let bytes = line.as_bytes().iter().take(from + e.column());
    let column = bytes.filter(|b| **b & 0b1100_0000 != 0b1000_0000).count();
    match e.classify() {
        serde_json::error::Category::Data => {
            let text = e.to_string();
            // Of these two the text has names and nothing else.
            if text.starts_with("missing field") || text.starts_with("unknown kind") {
                text
            } else {
                format!("a value of the wrong type at column {column}")
            }
        }
        serde_json::error::Category::Eof => format!("not JSON: it ends at column {column}"),
        serde_json::error::Category::Syntax | serde_json::error::Category::Io => {
            format!("not JSON at column {column}")
        }
    }
}

#[derive(Clone, Copy)]
enum LineKind {
    Call,
    Message,
    Alert,
    Probe,
    Number,
}

impl LineKind {
    fn from_word<E: Error>(word: &str) -> Result<LineKind, E> {
        match word {
            "call" => Ok(LineKind::Call),
            "message" => Ok(LineKind::Message),
            "alert" => Ok(LineKind::Alert),
            "probe" => Ok(LineKind::Probe),
            "number" => Ok(LineKind::Number),
            _ => Err(E::custom("unknown kind: must be call, message, alert, probe or number")),
        }
    }

    fn parse(self, text: &str) -> serde_json::Result<Body<'_>> {
        let mut d = serde_json::Deserializer::from_str(text);
        self.deserialize(&mut d)
    }

    fn deserialize<'de, D: Deserializer<'de>>(self, d: D) -> Result<Body<'de>, D::Error> {
        Ok(match self {
            LineKind::Call => Body::Call(Box::new(Deserialize::deserialize(d)?)),
            LineKind::Message => Body::Message(Box::new(Deserialize::deserialize(d)?)),
            LineKind::Alert => Body::Alert(Deserialize::deserialize(d)?),
            LineKind::Probe => Body::Probe(Deserialize::deserialize(d)?),
            LineKind::Number => Body::Number(Deserialize::deserialize(d)?),
        })
    }
}

enum Body<'a> {
    Call(Box<wire::RawCall<'a>>),
    Message(Box<wire::RawMessage<'a>>),
    Alert(wire::RawAlert<'a>),
    Probe(RawProbe<'a>),
    Number(&'a RawValue),
    /// The kind was not known yet.
    Raw(&'a RawValue),
}

struct RawLine<'a> {
    seen_at: Option<Cow<'a, str>>,
    kind: Option<LineKind>,
    resource: Option<Body<'a>>,
}

impl<'de: 'a, 'a> Deserialize<'de> for RawLine<'a> {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<RawLine<'a>, D::Error> {
        struct V;
        struct Resource(LineKind);

        impl<'de> serde::de::DeserializeSeed<'de> for Resource {
            type Value = Body<'de>;
            fn deserialize<D: Deserializer<'de>>(self, d: D) -> Result<Body<'de>, D::Error> {
                self.0.deserialize(d)
            }
        }

        impl<'de> Visitor<'de> for V {
            type Value = RawLine<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object with seen_at, kind and resource")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<RawLine<'de>, A::Error> {
                let mut line = RawLine { seen_at: None, kind: None, resource: None };
                while let Some(key) = map.next_key::<Cow<'de, str>>()? {
                    match (key.as_ref(), line.kind) {
                        ("seen_at", _) => line.seen_at = Some(map.next_value::<BorrowedText<'de>>()?.0),
                        ("kind", _) => {
                            line.kind = Some(LineKind::from_word(&map.next_value::<BorrowedText<'de>>()?.0)?);
                        }
                        ("resource", Some(kind)) => line.resource = Some(map.next_value_seed(Resource(kind))?),
                        ("resource", None) => line.resource = Some(Body::Raw(map.next_value()?)),
                        _ => {
                            map.next_value::<IgnoredAny>()?;
                        }
                    }
                }
                Ok(line)
            }
        }

        d.deserialize_map(V)
    }
}

#[derive(Deserialize)]
struct BorrowedText<'a>(#[serde(borrow)] Cow<'a, str>);

/// A probe's line: `{"number":"+1…","channel":"voice","result":"failure","reason":"webhook",
/// "origin":"twilio","sid":"CA…","started_at":"…"}`. `reason` goes with a failure; `origin`, `sid` and
/// `started_at` may be left out.
#[derive(Deserialize)]
struct RawProbe<'a> {
    #[serde(borrow)]
    number: Cow<'a, str>,
    #[serde(borrow)]
    channel: Cow<'a, str>,
    #[serde(borrow)]
    result: Cow<'a, str>,
    #[serde(borrow, default)]
    reason: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    origin: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    sid: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    started_at: Option<Cow<'a, str>>,
}

impl RawProbe<'_> {
    fn convert(&self, seen_at: Time) -> Result<Probe, String> {
        let result = match (self.result.as_ref(), &self.reason) {
            ("success", _) => ProbeResult::Success,
            ("error", _) => ProbeResult::Error,
            ("failure", Some(label)) => {
                ProbeResult::Failure(label.parse().map_err(|e| format!("resource.reason: {e}"))?)
            }
            ("failure", None) => return Err("resource.reason is missing: why did the probe fail?".to_owned()),
            (other, _) => return Err(format!("resource.result = {other:?}: must be success, failure or error")),
        };
        let entry = match &self.sid {
            None => None,
            Some(sid) if sid.starts_with("CA") => sid.parse::<CallSid>().map(Resource::Call).map(Some).map_err(told)?,
            Some(sid) => sid.parse::<MessageSid>().map(Resource::Message).map(Some).map_err(told)?,
        };
        let started_at = match &self.started_at {
            None => seen_at,
            Some(text) => {
                text.parse().map_err(|_| format!("resource.started_at = {text:?} is not an RFC 3339 instant"))?
            }
        };
        let origin = crate::caller::CallerKey::public().hash(self.origin.as_deref().unwrap_or("twilio"));
        Ok(Probe {
            number: self.number.parse::<E164>().map_err(told)?,
            channel: self.channel.parse::<Channel>().map_err(told)?,
            started_at,
            origin,
            entry,
            result,
            grace: None,
            unseen: None,
        })
    }
}

fn told(e: crate::core::model::id::BadId) -> String {
    format!("resource: {e}")
}
