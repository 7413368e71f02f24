//! JSON as Twilio writes it, read fast: nine bytes in ten of a page are fields that nobody asks for, and most of
//! the others are short text without escapes, which is borrowed.
//!
//! Strings are stepped over many bytes at a time. Text with escapes and numbers, which are rare, go to `serde_json`.
//! Nothing is taken here that `serde_json` would refuse, and whatever is refused here says no more than [`Refused`]:
//! the page is then read again with `serde_json`, which has the last word, and words for it.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::forward_to_deserialize_any;
use serde_json::de::SliceRead;

/// Not JSON, or not what was wanted, or deeper than [`DEEPEST`].
#[derive(Debug)]
pub(super) struct Refused;

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("refused")
    }
}

impl std::error::Error for Refused {}

impl serde::de::Error for Refused {
    fn custom<T: fmt::Display>(_: T) -> Refused {
        Refused
    }
}

/// Lists within lists: a page has five, and the stack has room for more than these.
const DEEPEST: u8 = 64;

/// Reads one document from its beginning.
pub(super) struct Json<'de> {
    /// What has not been read yet.
    rest: &'de [u8],
    depth: u8,
    /// There are some, between values perhaps: Twilio's pages have none.
    has_controls: bool,
}

/// A string's bytes between its quotes.
struct Raw<'de> {
    bytes: &'de [u8],
    has_escapes: bool,
}

impl<'de> Json<'de> {
    pub(super) fn new(text: &'de [u8]) -> Json<'de> {
        Json { rest: text, depth: 0, has_controls: has_controls(text) }
    }

    /// True if nothing follows but space.
    pub(super) fn is_at_end(&mut self) -> bool {
        self.peek().is_none()
    }

    /// The next byte that is no space, which is still to be read.
    fn peek(&mut self) -> Option<u8> {
        loop {
            match self.rest {
                [b' ' | b'\n' | b'\t' | b'\r', rest @ ..] => self.rest = rest,
                [byte, ..] => return Some(*byte),
                [] => return None,
            }
        }
    }

    /// Reads past `byte`, which [`Json::peek`] has seen or which must come next.
    fn pass(&mut self, byte: u8) -> Result<(), Refused> {
        if self.peek() != Some(byte) {
            return Err(Refused);
        }
        self.rest = &self.rest[1..];
        Ok(())
    }

    fn word(&mut self, word: &str) -> Result<(), Refused> {
        self.rest = self.rest.strip_prefix(word.as_bytes()).ok_or(Refused)?;
        Ok(())
    }

    /// Reads a string.
    #[inline]
    fn string(&mut self) -> Result<Raw<'de>, Refused> {
        self.pass(b'"')?;
        let end = memchr::memchr2(b'"', b'\\', self.rest).ok_or(Refused)?;
        if self.rest[end] == b'\\' || self.has_controls {
            return self.rare_string(end);
        }
        let (bytes, rest) = self.rest.split_at(end);
        self.rest = &rest[1..];
        Ok(Raw { bytes, has_escapes: false })
    }

    /// Reads on from `end`, a string's first quote or backslash.
    #[cold]
    fn rare_string(&mut self, mut end: usize) -> Result<Raw<'de>, Refused> {
        let whole = self.rest;
        let mut has_escapes = false;
        while whole[end] == b'\\' {
            has_escapes = true;
            end += escape(&whole[end + 1..]).ok_or(Refused)?;
            end += memchr::memchr2(b'"', b'\\', &whole[end..]).ok_or(Refused)?;
        }
        let bytes = &whole[..end];
        self.rest = &whole[end + 1..];
        if has_controls(bytes) { Err(Refused) } else { Ok(Raw { bytes, has_escapes }) }
    }

    fn text<V: Visitor<'de>>(&mut self, visitor: V) -> Result<V::Value, Refused> {
        let whole = self.rest;
        let Raw { bytes, has_escapes } = self.string()?;
        if has_escapes {
            return literal(&whole[..bytes.len() + 2], |d| d.deserialize_str(visitor));
        }
        visitor.visit_borrowed_str(std::str::from_utf8(bytes).map_err(|_| Refused)?)
    }

    /// What looks like a number: all up to where none goes on.
    fn number(&mut self) -> &'de [u8] {
        let is_part = |c: &u8| matches!(c, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E');
        let end = self.rest.iter().position(|c| !is_part(c)).unwrap_or(self.rest.len());
        let (literal, rest) = self.rest.split_at(end);
        self.rest = rest;
        literal
    }

    /// Reads an object or array whose items `read` reads.
    fn nested<T>(
        &mut self,
        open: u8,
        close: u8,
        read: impl FnOnce(Items<'_, 'de>) -> Result<T, Refused>,
    ) -> Result<T, Refused> {
        self.pass(open)?;
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err(Refused);
        }
        let value = read(Items { json: self, close, is_first: true })?;
        self.depth -= 1;
        self.pass(close)?;
        Ok(value)
    }

    /// Reads a value that nobody asks for.
    fn skip(&mut self) -> Result<(), Refused> {
        match self.peek().ok_or(Refused)? {
            b'"' => self.string().map(drop),
            b'n' => self.word("null"),
            b't' => self.word("true"),
            b'f' => self.word("false"),
            b'{' => self.nested(b'{', b'}', |mut items| {
                while items.has_next()? {
                    items.json.string()?;
                    items.json.pass(b':')?;
                    items.json.skip()?;
                }
                Ok(())
            }),
            b'[' => self.nested(b'[', b']', |mut items| {
                while items.has_next()? {
                    items.json.skip()?;
                }
                Ok(())
            }),
            _ => serde_json::from_slice::<IgnoredAny>(self.number()).map(drop).map_err(|_| Refused),
        }
    }
}

/// Has `serde_json` read one value.
fn literal<'de, T>(
    text: &'de [u8],
    read: impl FnOnce(&mut serde_json::Deserializer<SliceRead<'de>>) -> Result<T, serde_json::Error>,
) -> Result<T, Refused> {
    let mut json = serde_json::Deserializer::from_slice(text);
    let value = read(&mut json).map_err(|_| Refused)?;
    json.end().map_err(|_| Refused)?;
    Ok(value)
}

/// True if there are control characters among them: in a string there may be none.
fn has_controls(bytes: &[u8]) -> bool {
    bytes.iter().fold(false, |any, byte| any | (*byte < b' '))
}

/// How long an escape is, with its backslash, of which `after` is what follows.
fn escape(after: &[u8]) -> Option<usize> {
    match after {
        [b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't', ..] => Some(2),
        [b'u', digits @ ..] => digits.first_chunk::<4>()?.iter().all(u8::is_ascii_hexdigit).then_some(6),
        _ => None,
    }
}

impl<'de> Deserializer<'de> for &mut Json<'de> {
    type Error = Refused;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refused> {
        match self.peek().ok_or(Refused)? {
            b'"' => self.text(visitor),
            b'n' => self.word("null").and_then(|()| visitor.visit_unit()),
            b't' => self.word("true").and_then(|()| visitor.visit_bool(true)),
            b'f' => self.word("false").and_then(|()| visitor.visit_bool(false)),
            b'{' => self.nested(b'{', b'}', |items| visitor.visit_map(items)),
            b'[' => self.nested(b'[', b']', |items| visitor.visit_seq(items)),
            _ => literal(self.number(), |d| d.deserialize_any(visitor)),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refused> {
        match self.peek() {
            Some(b'n') => self.word("null").and_then(|()| visitor.visit_none()),
            Some(_) | None => visitor.visit_some(self),
        }
    }

    /// A field's name is compared, and need not be text for that.
    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refused> {
        let Raw { bytes, has_escapes } = self.string()?;
        if has_escapes { Err(Refused) } else { visitor.visit_borrowed_bytes(bytes) }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refused> {
        self.skip()?;
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct
        newtype_struct seq tuple tuple_struct map struct enum
    }
}

/// The items of an object or array.
struct Items<'a, 'de> {
    json: &'a mut Json<'de>,
    close: u8,
    is_first: bool,
}

impl Items<'_, '_> {
    /// Reads past the comma before the next item; false if there is none.
    fn has_next(&mut self) -> Result<bool, Refused> {
        let is_first = std::mem::replace(&mut self.is_first, false);
        if self.json.peek() == Some(self.close) {
            return Ok(false);
        }
        if !is_first {
            self.json.pass(b',')?;
        }
        Ok(true)
    }
}

impl<'de> MapAccess<'de> for Items<'_, 'de> {
    type Error = Refused;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Refused> {
        if self.has_next()? { seed.deserialize(&mut *self.json).map(Some) } else { Ok(None) }
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, Refused> {
        self.json.pass(b':')?;
        seed.deserialize(&mut *self.json)
    }
}

impl<'de> SeqAccess<'de> for Items<'_, 'de> {
    type Error = Refused;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Refused> {
        if self.has_next()? { seed.deserialize(&mut *self.json).map(Some) } else { Ok(None) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde::Deserialize;
    use serde_json::Value;

    use super::*;

    fn read<'de, T: Deserialize<'de>>(text: &'de [u8]) -> Option<T> {
        let mut json = Json::new(text);
        T::deserialize(&mut json).ok().filter(|_| json.is_at_end())
    }

    /// Pieces of JSON, most of them right.
    fn piece() -> impl Strategy<Value = &'static [u8]> {
        let pieces: [&[u8]; 44] = [
            b"{",
            b"}",
            b"[",
            b"]",
            b",",
            b":",
            b"\"",
            b" ",
            b"\n",
            b"\"a\"",
            b"\"sid\":",
            b"{\"b\":",
            b"null",
            b"true",
            b"false",
            b"nul",
            b"0",
            b"-1",
            b"17",
            b"1.5",
            b"1e3",
            b"1e999",
            b"01",
            b"+1",
            b".5",
            b"-",
            b"\\",
            b"\\n",
            b"\\\"",
            b"\\/",
            b"\\u00e9",
            b"\\ud83d\\ude00",
            b"\\ud83d",
            b"\\u12",
            b"\\x",
            b"\x01",
            b"\x1f",
            b"\x7f",
            b"\xff",
            "\u{e9}".as_bytes(),
            b"Sat, 28 Nov 2026 06:01:02 +0000",
            b"[]",
            b"{}",
            b"\"\"",
        ];
        prop::sample::select(pieces.to_vec())
    }

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            any::<String>().prop_map(Value::from),
            "[ -~]{0,100}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 40, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                prop::collection::btree_map(any::<String>(), inner, 0..6)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    fn same(text: &[u8]) {
        let shown = String::from_utf8_lossy(text);
        assert_eq!(read::<Value>(text), serde_json::from_slice(text).ok(), "{shown}");
        assert_eq!(
            read::<IgnoredAny>(text).is_some(),
            serde_json::from_slice::<IgnoredAny>(text).is_ok(),
            "ignored: {shown}"
        );
    }

    proptest! {
        #[test]
        fn what_it_reads_is_what_serde_json_reads(value in value(), pretty in any::<bool>()) {
            let text = if pretty { serde_json::to_vec_pretty(&value) } else { serde_json::to_vec(&value) }.unwrap();
            same(&text);
        }

        #[test]
        fn what_it_refuses_is_what_serde_json_refuses(
            value in value(),
            at in any::<prop::sample::Index>(),
            pieces in prop::collection::vec(piece(), 1..8),
            cut in any::<bool>(),
        ) {
            let mut text = serde_json::to_vec(&value).unwrap();
            let at = at.index(text.len() + 1);
            let rest = text.split_off(at);
            text.extend(pieces.concat());
            same(&text);
            if !cut {
                text.extend(rest);
                same(&text);
            }
            same(&pieces.concat());
        }
    }

    #[test]
    fn what_is_too_deep_is_refused() {
        let nested = |depth: usize| ["[".repeat(depth), "]".repeat(depth)].concat();
        same(nested(usize::from(DEEPEST)).as_bytes());
        assert!(read::<IgnoredAny>(nested(usize::from(DEEPEST) + 1).as_bytes()).is_none());
        assert!(read::<IgnoredAny>(nested(1_000_000).as_bytes()).is_none());
    }
}
