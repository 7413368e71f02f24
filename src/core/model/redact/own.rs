//! Secrets of our own in what others say: whoever was sent one may send it back, and a proxy on the way as well.
//!
//! An error page quotes the path that was asked for, an API the header that it did not like, a mail server the login.
//! So whatever answers, its text goes past the secrets that it was given before it is cut, kept or shown.
//!
//! A run of a secret is left out where it stands as it is. In another writing, percent-encoded, escaped as in JSON or
//! XML, in Base64, in hexadecimal digits, in groups or backwards, nothing of the text is told: where it begins and ends
//! there is not worth finding out.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::secrets::is_told;

/// What is told of a text that has a secret of ours in a writing of its own.
pub const HIDDEN: &str = "(its words are left out: they hold our credentials)";

/// So much of a secret in a row is no accident.
const PIECE: usize = 10;

/// Less in a row is an accident: any four hexadecimal digits are in one of a hundred texts. So many different ones are
/// not: six of them are a quarter of a token in groups of five.
const CRUMB: usize = 4;
const CRUMBS: usize = 6;

/// A shorter secret is in every other text by accident, and whoever knows the text does not know it from there.
const SHORTEST: usize = 4;

/// The secrets that somebody was given.
#[derive(Clone, Default)]
pub struct OwnSecrets {
    /// In small letters, as they are and as a pair of user and password is sent.
    known: Vec<String>,
    /// Letters and digits of what they may look like otherwise.
    writings: Vec<Vec<u8>>,
    /// Letters and digits of the secrets, that may come in pieces.
    pieces: Vec<Vec<u8>>,
}

impl OwnSecrets {
    /// One that stands alone: a token, a key.
    pub fn add(&mut self, secret: &str) {
        if secret.len() < SHORTEST {
            return;
        }
        self.known.push(secret.to_ascii_lowercase());
        self.pieces.push(letters(secret));
        let once = in_base64(secret);
        let twice = once.iter().flat_map(|text| in_base64(text));
        let hexadecimal: String = secret.bytes().map(|b| format!("{b:02x}")).collect();
        self.writings.extend(once.iter().map(|w| letters(w)));
        self.writings.extend(twice.chain([hexadecimal]).map(|w| letters(&w)));
        self.writings.push(letters(secret));
        self.writings.retain(|w| w.len() >= SHORTEST);
    }

    /// A login, with its form in `Authorization: Basic`. The user's name alone is none where there is a password.
    pub fn add_login(&mut self, user: &str, password: &str) {
        self.add(if password.is_empty() { user } else { password });
        let basic = STANDARD.encode(format!("{user}:{password}"));
        self.writings.push(letters(&basic));
        self.known.push(basic.to_ascii_lowercase());
    }

    /// What of a URL is nobody else's business: user and password, and of path, query and fragment what is no word.
    pub fn add_url(&mut self, url: &str) {
        let decoded = |text: &str| unescaped(text, &["%"]);
        let (place, fragment) = url.split_once('#').unwrap_or((url, ""));
        let (place, query) = place.split_once('?').unwrap_or((place, ""));
        let rest = place.split_once("://").map_or(place, |(_, rest)| rest);
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        if let Some((login, _)) = authority.rsplit_once('@') {
            let (user, password) = login.split_once(':').unwrap_or((login, ""));
            self.add_login(user, password);
            if login.contains('%') {
                self.add_login(&decoded(user), &decoded(password));
            }
        }
        let mut before = "";
        for part in path.split('/') {
            // What stands behind `token/` is one, word or not.
            if !is_told(part) || !before.is_empty() && !is_told(before) {
                self.add_part(part, &decoded(part));
            }
            before = part;
        }
        for pair in query.split('&').chain(fragment.split('&')) {
            let value = pair.split_once('=').map_or(pair, |(_, value)| value);
            let is_named = pair.split_once('=').is_some_and(|(name, _)| !is_told(name));
            if is_named || !is_told(value) {
                self.add_part(value, &decoded(value));
            }
        }
    }

    fn add_part(&mut self, part: &str, decoded: &str) {
        self.add(part);
        if decoded != part {
            self.add(decoded);
        }
    }

    /// `text` of whoever answered, without them. A piece of one is as little to be told, for texts are cut.
    pub fn kept_from(&self, text: &str) -> String {
        let told = without_pieces(text, &self.known);
        // As often as it was escaped: a URL may stand within a URL.
        let mut plain = vec![letters(&told)];
        for marks in [&ESCAPES[..], &MAIL_ESCAPES[..]] {
            let mut text = told.clone();
            for _ in 0..DEEPEST {
                let next = unescaped(&text, marks);
                if next == text {
                    break;
                }
                plain.push(letters(&next));
                text = next;
            }
        }
        let is_there = |plain: &[u8], piece: &[u8]| {
            has(plain, piece) || piece.len() >= PIECE && has(plain, &piece.iter().rev().copied().collect::<Vec<u8>>())
        };
        let is_written = |writing: &Vec<u8>| {
            let mut pieces = writing.windows(PIECE.min(writing.len()));
            pieces.any(|piece| plain.iter().any(|plain| is_there(plain, piece)))
        };
        // In pieces with something else in between: each may be an accident, most of the secret is none.
        let is_crumbled = |secret: &Vec<u8>| {
            let once = plain.get(1).or(plain.first()).map_or(&[][..], Vec::as_slice);
            let backwards: Vec<u8> = once.iter().rev().copied().collect();
            let there = secret.windows(CRUMB).filter(|w| has(once, w) || has(&backwards, w));
            secret.len() >= PIECE && there.count() >= CRUMBS
        };
        if self.writings.iter().any(is_written) || self.pieces.iter().any(is_crumbled) {
            return HIDDEN.to_owned();
        }
        told
    }
}

/// It says how many there are, and none of them.
impl std::fmt::Debug for OwnSecrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "OwnSecrets({})", self.pieces.len())
    }
}

fn has(text: &[u8], piece: &[u8]) -> bool {
    text.windows(piece.len()).any(|w| w == piece)
}

/// Letters and digits alone, small.
fn letters(text: &str) -> Vec<u8> {
    text.bytes().filter(u8::is_ascii_alphanumeric).map(|b| b.to_ascii_lowercase()).collect()
}

/// What stands before two hexadecimal digits of an ASCII character.
const ESCAPES: [&str; 3] = ["%", "\\u00", "\\x"];

/// The same in mail, where the sign stands between names and values elsewhere.
const MAIL_ESCAPES: [&str; 1] = ["="];

/// How often a text is taken for escaped in itself.
const DEEPEST: usize = 4;

/// Three bytes are four letters of Base64, so there are three writings, whatever stands before.
fn in_base64(secret: &str) -> [String; 3] {
    [0, 1, 2].map(|before| {
        let text = STANDARD.encode(format!("{}{secret}", &"   "[..before]));
        // Of the first and the last letters each also holds what stands beside it.
        let end = text.trim_end_matches('=').len().saturating_sub(usize::from(text.ends_with('=')));
        text.get(4..end).unwrap_or_default().to_owned()
    })
}

/// Zeros may stand before its digits.
const LONGEST_ENTITY: usize = 10;

/// The character of `&#x41;` or `&#65;` at the beginning of a text, where that is ASCII, and what comes after it.
fn entity(text: &str) -> Option<(char, &str)> {
    let rest = text.strip_prefix("&#")?;
    let end = rest.bytes().take(LONGEST_ENTITY).position(|b| b == b';')?;
    let (digits, after) = (&rest[..end], &rest[end + 1..]);
    let code = match digits.strip_prefix(['x', 'X']) {
        Some(digits) => u8::from_str_radix(digits, 16),
        None => digits.parse(),
    };
    Some((char::from(code.ok().filter(u8::is_ascii)?), after))
}

/// With `%41`, `\u0041`, `&#x41;` and `&#65;` as what they stand for, where that is ASCII.
fn unescaped(text: &str, marks: &[&str]) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let found = marks.iter().find_map(|mark| {
            let after = rest.strip_prefix(mark)?;
            let byte = u8::from_str_radix(after.get(..2)?, 16).ok().filter(u8::is_ascii)?;
            Some((char::from(byte), &after[2..]))
        });
        let (c, after) = found.or_else(|| entity(rest)).unwrap_or((c, &rest[c.len_utf8()..]));
        out.push(c);
        rest = after;
    }
    out
}

/// `text` with a sign in the place of each run of what is in `known`, [`PIECE`] bytes and more of it in a row, or all
/// of one that is shorter.
fn without_pieces(text: &str, known: &[String]) -> String {
    let bytes = text.to_ascii_lowercase().into_bytes();
    let mut is_secret = vec![false; bytes.len()];
    for secret in known.iter().map(String::as_bytes) {
        let piece = PIECE.min(secret.len());
        for (i, w) in bytes.windows(piece).enumerate() {
            if has(secret, w) {
                is_secret[i..i + piece].fill(true);
            }
        }
    }
    let mut told = String::with_capacity(text.len());
    let mut was_secret = false;
    for (i, c) in text.char_indices() {
        let is = is_secret[i];
        match (is, was_secret) {
            (true, true) => {}
            (true, false) => told.push('…'),
            (false, _) => told.push(c),
        }
        was_secret = is;
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_url(url: &str) -> OwnSecrets {
        let mut own = OwnSecrets::default();
        own.add_url(url);
        own
    }

    /// All that comes back of a secret in some writing is told in none of them.
    fn assert_hidden(own: &OwnSecrets, secret: &str) {
        let percent: String = secret.bytes().map(|b| format!("%{b:02X}")).collect();
        let json: String = secret.chars().map(|c| format!("\\u{:04x}", c as u32)).collect();
        let xml: String = secret.bytes().map(|b| format!("&#x{b:x};")).collect();
        let decimal: String = secret.bytes().map(|b| format!("&#{b};")).collect();
        let mail: String = secret.bytes().map(|b| format!("={b:02X}")).collect();
        let hexadecimal: String = secret.bytes().map(|b| format!("{b:02x}")).collect();
        for said in [
            percent.replace('%', "%2525"),
            decimal,
            mail,
            STANDARD.encode(format!("x{}", STANDARD.encode(format!("user:{secret}")))),
            secret.to_owned(),
            secret.to_ascii_uppercase(),
            percent.replace('%', "%25"),
            percent,
            json,
            xml,
            hexadecimal,
            STANDARD.encode(secret),
            STANDARD.encode(format!("x{secret}")),
            STANDARD.encode(format!("xy{secret}!")),
            base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(format!("{{\"key\":\"{secret}\"}}")),
        ] {
            let told = own.kept_from(&format!("Cannot POST {said} <here>"));
            assert!(!told.contains(&said) && (told == HIDDEN || told.contains('…')), "{secret} in {said}: {told}");
        }
    }

    #[test]
    fn what_of_a_url_is_secret_is_told_in_no_writing() {
        let slack = of_url("https://hooks.slack.com/services/T024BE7LD/B01ABCDEF/xoxSECRETsecret1234abcd");
        assert_hidden(&slack, "xoxSECRETsecret1234abcd");
        assert_hidden(&slack, "T024BE7LD/B01ABCDEF/xoxSECRETsecret1234abcd");
        let told = slack.kept_from("Cannot POST /services/T024BE7LD/B01ABCDEF/xoxSECRETsecret1234abcd");
        assert_eq!(told, "Cannot POST /services/…/…/…");
        let login = of_url("https://am:S3cretAm@alerts.example.com/api?token=q1w2e3r4#k=v9v8v7v6");
        for secret in ["S3cretAm", "am:S3cretAm", "q1w2e3r4", "v9v8v7v6"] {
            assert_hidden(&login, secret);
        }
        assert!(!login.kept_from("authorization: Basic YW06UzNjcmV0QW0=").contains("YW06"));
        // As it stands in the configuration, and as it is sent.
        let escaped = of_url("https://u:p%40ss%3Aword9@h.example/x");
        for secret in ["p%40ss%3Aword9", "p@ss:word9"] {
            assert_hidden(&escaped, secret);
        }
        // A user's name that stands alone is a token.
        assert_hidden(&of_url("https://t0kent0ken@h.example/"), "t0kent0ken");
    }

    #[test]
    fn what_is_a_word_is_no_secret() {
        let own = of_url("https://apikey:Sup3rS3cret@hooks.example.com/v1/alerts?tls=required");
        for said in ["POST /v1/alerts: apikey required", "HTTP 404: no such page at hooks.example.com", ""] {
            assert_eq!(own.kept_from(said), said);
        }
        assert_eq!(OwnSecrets::default().kept_from("anything"), "anything");
    }
}
