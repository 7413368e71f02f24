//! A report's material as text: one piece a line, each with a digest of its own, so that a changed byte is named.
//!
//! A line is a digest, a space, and JSON. Behind the digest stand four digits for each of the piece's fields: where the
//! line is not what it was, they say which field. Sections that are large are packed, some thousand lines to a block;
//! then the block is named. Nothing in the text ends an HTML element: `<` is written as JSON's `\u003c`.

use std::fmt;
use std::io::{Read as _, Write as _};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use flate2::Compression;
use flate2::read::DeflateDecoder;
use flate2::write::DeflateEncoder;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::material::{FORM, Material};
use crate::store::journal::sha256;

/// A part of the material in the text of a report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MaterialSection {
    pub name: &'static str,
    pub text: String,
}

/// Something that is not as it was written, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// For a reader: `journal record 12, field shown`.
    pub place: String,
    pub what: String,
}

impl Damage {
    pub fn new(place: impl Into<String>, what: impl Into<String>) -> Damage {
        Damage { place: place.into(), what: what.into() }
    }
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.what)
    }
}

/// The sections in their order.
pub const SECTIONS: [&str; 9] =
    ["head", "groups", "numbers", "journal", "told", "outcomes", "again", "other", "entries"];

/// A section of more bytes than this is packed.
const PLAIN: usize = 400_000;

/// Lines in one packed block.
const BLOCK: usize = 4000;

/// Digits of a line's digest. It finds accidents; the chain and the text that is made again find the rest.
const DIGITS: usize = 16;

/// Digits for each field.
const FIELD_DIGITS: usize = 4;

/// A packed block has no more than this when it is unpacked.
const UNPACKED: u64 = 64 << 20;

fn digest(text: &str) -> String {
    sha256(text.as_bytes())[..DIGITS].to_owned()
}

/// Each field of a piece with its digits.
fn fields(json: &str) -> Vec<(String, String)> {
    let Ok(fields) = serde_json::from_str::<Map<String, Value>>(json) else { return Vec::new() };
    let digits = |name: &str, value: &Value| {
        sha256(format!("{}\n{name}\n{value}", name.len()).as_bytes())[..FIELD_DIGITS].to_owned()
    };
    fields.iter().map(|(name, value)| (name.clone(), digits(name, value))).collect()
}

/// JSON of which no part ends an element of HTML.
fn json<T: Serialize>(piece: &T) -> String {
    // Everything here is text, numbers and lists of these: none of it can fail to be written.
    serde_json::to_string(piece).unwrap_or_default().replace('<', "\\u003c")
}

/// JSON behind its digests.
fn line(json: &str) -> String {
    let of_fields: String = fields(json).into_iter().map(|(_, digits)| digits).collect();
    format!("{}{of_fields} {json}\n", digest(json))
}

fn section<'a, T: Serialize + 'a>(name: &'static str, pieces: impl IntoIterator<Item = &'a T>) -> MaterialSection {
    let lines: Vec<String> = pieces.into_iter().map(json).collect();
    if lines.iter().map(String::len).sum::<usize>() <= PLAIN {
        return MaterialSection { name, text: lines.iter().map(|json| line(json)).collect() };
    }
    // A digest cannot be packed, and one for the block is enough to find a changed byte.
    let block = |lines: &[String]| {
        let packed = pack(&lines.join("\n"));
        format!("{} {packed}\n", digest(&packed))
    };
    MaterialSection { name, text: format!("packed\n{}", lines.chunks(BLOCK).map(block).collect::<String>()) }
}

fn pack(text: &str) -> String {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::best());
    // Into memory.
    let packed = encoder.write_all(text.as_bytes()).and_then(|()| encoder.finish()).unwrap_or_default();
    BASE64.encode(packed)
}

fn unpack(packed: &str) -> Option<String> {
    let bytes = BASE64.decode(packed).ok()?;
    let mut text = String::new();
    DeflateDecoder::new(bytes.as_slice()).take(UNPACKED).read_to_string(&mut text).ok()?;
    Some(text)
}

/// The material as text.
pub fn write(m: &Material) -> Vec<MaterialSection> {
    vec![
        section("head", [&m.head]),
        section("groups", &m.groups),
        section("numbers", &m.numbers),
        section("journal", &m.journal),
        section("told", &m.told),
        section("outcomes", [&m.outcomes]),
        section("again", &m.again),
        section("other", &m.other),
        section("entries", &m.taken),
    ]
}

/// What one piece of a section is called.
fn named(section: &str, nth: usize) -> String {
    match section {
        "journal" => format!("journal record {nth}"),
        "told" => format!("notice {nth}"),
        "again" => format!("recomputed decision {nth}"),
        "entries" => format!("entry {nth}"),
        "numbers" => format!("number {nth}"),
        "groups" => format!("group {nth}"),
        other => other.to_owned(),
    }
}

/// Reads one section; what is wrong with it is added to `damages`.
fn pieces<T: DeserializeOwned>(name: &str, text: &str, damages: &mut Vec<Damage>) -> Vec<T> {
    let mut all = Vec::new();
    let mut take = |place: String, json: &str, damages: &mut Vec<Damage>| match serde_json::from_str(json) {
        Ok(piece) => all.push(piece),
        Err(e) => damages.push(Damage::new(place, format!("it cannot be read: {e}"))),
    };
    if let Some(blocks) = text.strip_prefix("packed\n") {
        for (nth, block) in blocks.lines().enumerate() {
            let first = nth * BLOCK + 1;
            let place = format!("{name}, pieces {first} to {} (packed)", first + BLOCK - 1);
            match block.split_once(' ') {
                Some((is, packed)) if digest(packed) == is => match unpack(packed) {
                    Some(text) => {
                        text.lines().enumerate().for_each(|(i, json)| take(named(name, first + i), json, damages));
                    }
                    None => damages.push(Damage::new(place, "it cannot be unpacked")),
                },
                _ => damages.push(Damage::new(place, "it is not what it was")),
            }
        }
        return all;
    }
    for (nth, line) in text.lines().enumerate() {
        let place = named(name, nth + 1);
        let Some((digits, json)) = line.split_once(' ') else {
            damages.push(Damage::new(place, "its line is none of ours"));
            continue;
        };
        let (whole, of_fields) = digits.split_at_checked(DIGITS).unwrap_or((digits, ""));
        let now = fields(json);
        let is_now: String = now.iter().map(|(_, digits)| digits.as_str()).collect();
        if digest(json) != whole || is_now != of_fields {
            damages.push(which(&place, json, &now, of_fields));
        } else {
            take(place, json, damages);
        }
    }
    all
}

/// Which field of a changed line it is.
fn which(place: &str, json: &str, now: &[(String, String)], then: &str) -> Damage {
    if now.is_empty() {
        let why = serde_json::from_str::<Value>(json).err().map_or_else(String::new, |e| format!(": {e}"));
        return Damage::new(place, format!("its line is not what it was{why}"));
    }
    let then: Vec<&str> =
        (0..then.len() / FIELD_DIGITS).filter_map(|i| then.get(i * FIELD_DIGITS..(i + 1) * FIELD_DIGITS)).collect();
    let changed: Vec<&str> =
        now.iter().zip(&then).filter(|((_, is), was)| is != *was).map(|((name, _), _)| name.as_str()).collect();
    match changed.as_slice() {
        _ if then.len() != now.len() => Damage::new(place, "it has other fields than it had"),
        [] => Damage::new(place, "its digest is not what it was"),
        [one] => Damage::new(format!("{place}, field {one}"), "it is not what it was"),
        many => Damage::new(format!("{place}, fields {}", many.join(", ")), "they are not what they were"),
    }
}

/// The material that these sections hold, each by its name.
pub fn read(text_of: impl Fn(&str) -> Option<String>) -> Result<Material, Vec<Damage>> {
    let mut damages = Vec::new();
    let mut text = |name: &str| {
        text_of(name).unwrap_or_else(|| {
            damages.push(Damage::new(name, "it is missing"));
            String::new()
        })
    };
    let [head, groups, numbers, journal, told, outcomes, again, other, entries] = SECTIONS.map(&mut text);
    let head = pieces("head", &head, &mut damages).pop();
    let outcomes = pieces("outcomes", &outcomes, &mut damages).pop();
    let groups = pieces("groups", &groups, &mut damages);
    let numbers = pieces("numbers", &numbers, &mut damages);
    let journal = pieces("journal", &journal, &mut damages);
    let told = pieces("told", &told, &mut damages);
    let again = pieces("again", &again, &mut damages);
    let other = pieces("other", &other, &mut damages).pop();
    let taken = pieces("entries", &entries, &mut damages);
    let (Some(head), Some(outcomes)) = (head, outcomes) else {
        damages.push(Damage::new("head", "whom and what the report is about cannot be read"));
        return Err(damages);
    };
    let m = Material { head, groups, numbers, journal, told, outcomes, again, other, taken };
    if m.head.form != FORM {
        damages
            .push(Damage::new("head, field form", "another version of Ringback wrote the file: verify it with that"));
    }
    if damages.is_empty() { Ok(m) } else { Err(damages) }
}
