//! Who we are to Twilio: an account with its Auth Token, or with an API key.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::{ExposeSecret as _, SecretString};

use crate::core::model::id::AccountSid;

#[derive(Clone, Debug)]
pub struct Credentials {
    pub account: AccountSid,
    pub secret: Secret,
}

/// `Debug` prints the secrets as `[REDACTED]`.
#[derive(Clone, Debug)]
pub enum Secret {
    /// May do everything, and signs webhooks.
    AuthToken(SecretString),
    /// `SK…` and its secret. Cannot check or make webhook signatures.
    ApiKey { sid: String, secret: SecretString },
}

impl Credentials {
    /// User name of HTTP basic authentication.
    pub fn username(&self) -> String {
        match &self.secret {
            Secret::AuthToken(_) => self.account.to_string(),
            Secret::ApiKey { sid, .. } => sid.clone(),
        }
    }

    pub const fn password(&self) -> &SecretString {
        match &self.secret {
            Secret::AuthToken(token) => token,
            Secret::ApiKey { secret, .. } => secret,
        }
    }

    /// `text` of whoever answered, without our secret: a proxy may send back what it was sent. A piece of it is as
    /// little to be told, for texts are cut. Where it stands in another writing, escaped, in groups, backwards or in
    /// Base64, nothing of the text is told.
    pub fn kept_from(&self, text: &str) -> String {
        let secret = self.password().expose_secret();
        let basic = STANDARD.encode(format!("{}:{secret}", self.username()));
        let known = [secret.to_ascii_lowercase(), basic.to_ascii_lowercase()];
        let told = without_pieces(text, &known);
        // Three bytes are four letters of Base64, so there are three writings, whatever stands before.
        let encoded = [0, 1, 2].map(|before| STANDARD.encode(format!("{}{secret}", &"   "[..before]))[4..].to_owned());
        let others = known.iter().chain(&encoded).map(|k| letters(k)).collect::<Vec<_>>();
        let plain = letters(&unescaped(&told));
        let backwards: Vec<u8> = plain.iter().rev().copied().collect();
        if others.iter().any(|k| k.windows(PIECE).any(|w| has(&plain, w) || has(&backwards, w))) {
            return HIDDEN.to_owned();
        }
        // In pieces with something else in between: each may be an accident, most of the secret is none.
        let crumbs = letters(secret);
        let crumbs: Vec<&[u8]> = crumbs.windows(CRUMB).collect();
        let there = crumbs.iter().filter(|w| has(&plain, w) || has(&backwards, w)).count();
        if there >= CRUMBS {
            return HIDDEN.to_owned();
        }
        told
    }
}

/// What is told of a text that has our secret in a writing of its own.
const HIDDEN: &str = "(its words are left out: they hold our credentials)";

fn has(text: &[u8], piece: &[u8]) -> bool {
    text.windows(piece.len()).any(|w| w == piece)
}

/// Letters and digits alone, small.
fn letters(text: &str) -> Vec<u8> {
    text.bytes().filter(u8::is_ascii_alphanumeric).map(|b| b.to_ascii_lowercase()).collect()
}

/// With `%41`, `\u0041` and `&#x41;` as what they stand for, where that is ASCII.
fn unescaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let found = [("%", 2), ("\\u00", 2), ("\\x", 2), ("&#x", 2)].into_iter().find_map(|(mark, digits)| {
            let after = rest.strip_prefix(mark)?;
            let byte = u8::from_str_radix(after.get(..digits)?, 16).ok().filter(u8::is_ascii)?;
            Some((char::from(byte), &after[digits..]))
        });
        let (c, after) = found.unwrap_or((c, &rest[c.len_utf8()..]));
        out.push(c);
        rest = after;
    }
    out
}

/// `text` with a sign in the place of each run of what is in `known`, [`PIECE`] bytes and more of it in a row.
fn without_pieces(text: &str, known: &[String]) -> String {
    let bytes = text.to_ascii_lowercase().into_bytes();
    let mut is_secret = vec![false; bytes.len()];
    for (i, piece) in bytes.windows(PIECE).enumerate() {
        if known.iter().any(|k| has(k.as_bytes(), piece)) {
            is_secret[i..i + PIECE].fill(true);
        }
    }
    let mut told = String::with_capacity(text.len());
    for (i, c) in text.char_indices() {
        match (is_secret[i], i > 0 && is_secret[i - 1]) {
            (true, true) => {}
            (true, false) => told.push('…'),
            (false, _) => told.push(c),
        }
    }
    told
}

/// So much of a secret in a row is no accident.
const PIECE: usize = 10;

/// Less in a row is an accident: any four hexadecimal digits are in one of a hundred texts. So many different ones are
/// not: six of them are a quarter of a token in groups of five.
const CRUMB: usize = 4;
const CRUMBS: usize = 6;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_that_comes_back_is_not_told() {
        let token = "0f1e2d3c4b5a6978279a4b6c3d1e8f50";
        let account: AccountSid = "AC00000000000000000000000000000001".parse().unwrap();
        let credentials = Credentials { account, secret: Secret::AuthToken(token.into()) };
        let basic = STANDARD.encode(format!("{account}:{token}"));
        for said in [
            format!("bad token {token}, sorry"),
            format!("Authorization: Basic {basic}"),
            format!("BAD TOKEN {}", token.to_ascii_uppercase()),
            format!("cut off {}", &token[..14]),
        ] {
            let told = credentials.kept_from(&said);
            assert!(told.contains('…') && !told.to_lowercase().contains(&token[2..12]), "{told}");
            assert!(!told.contains(&basic[60..70]), "{told}");
        }
        let grouped: Vec<&str> = (0..8).map(|i| &token[i * 4..i * 4 + 4]).collect();
        for said in [
            grouped.join(" "),
            grouped.join(":"),
            grouped.join(" and "),
            format!("{} then {} then {}", &token[..9], &token[9..18], &token[18..]),
            format!("first {}, {} last", &token[..7], &token[20..25]),
            token.bytes().map(|b| format!("%{b:02X}")).collect(),
            token.bytes().map(|b| format!("\\u00{b:02x}")).collect(),
            token.chars().rev().collect(),
            STANDARD.encode(token),
            STANDARD.encode(format!("x{token}")),
            STANDARD.encode(format!("{{\"{token}\"}}")),
        ] {
            let told = credentials.kept_from(&format!("you sent {said}!"));
            // In the Basic form's own place it is masked like that.
            assert!(told == HIDDEN || told.contains('…') && told.len() < said.len(), "{said}: {told}");
        }
        for said in ["Authenticate", "No such number ü: PN00000000000000000000000000000001", ""] {
            assert_eq!(credentials.kept_from(said), said);
        }
    }
}
