//! URLs as people and other programs may see them: whose they are, and as much of the path as says where it leads.
//!
//! A secret can stand in every part of a URL. User, password and query are left out; of a fragment there stays what
//! Twilio's own connection overrides are; of a path, words. What is no word, such as a token, is an ellipsis. So two
//! URLs that differ may look the same, and whoever compares them says so.

use std::borrow::Cow;

use super::numbers::{ends_url, replaced};
use crate::model::foreign;

/// Stands for what is not shown.
const HIDDEN: &str = "…";

/// Stands for a telephone number.
pub(super) const NUMBER: &str = "(…)";

/// A URL for people: without secrets and without any number, for whom a handler forwards to is nobody's business.
pub fn shown_url(url: &str) -> String {
    bare(&replaced(&foreign::line(url, foreign::LONGEST), |_| true, |_| NUMBER.to_owned()))
}

/// What a field of a number has, for people: a URL as such, a SID or a word as it is, and nothing of what is neither.
pub fn value(value: &str) -> String {
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
    let letters = value.bytes().filter(u8::is_ascii_alphabetic).count();
    let is_word = value.len() <= 20 && letters + value.matches(['-', '_']).count() == value.len();
    let is_sid =
        value.len() == 34 && value.bytes().all(is_plain) && value.bytes().take(2).all(|b| b.is_ascii_uppercase());
    if value.contains("://") {
        shown_url(value)
    } else if is_word || is_sid {
        value.to_owned()
    } else {
        let scheme = ["sip:", "sips:", "tel:"].into_iter().find(|scheme| value.starts_with(scheme));
        format!("{}{NUMBER}", scheme.unwrap_or_default())
    }
}

/// A URL as it may be shown. Numbers in it are another matter.
fn bare(url: &str) -> String {
    let (place, fragment) = url.split_at(url.find('#').unwrap_or(url.len()));
    let (place, query) = place.split_at(place.find('?').unwrap_or(place.len()));
    let (scheme, rest) = place.split_at(place.find("://").map_or(0, |i| i + 3));
    let (authority, path) = rest.split_at(rest.find(['/', '\\']).unwrap_or(rest.len()));
    let scheme = scheme.to_ascii_lowercase();
    let known = scheme.trim_end_matches("://").bytes().all(|b| b.is_ascii_lowercase()) && scheme.len() <= 12;
    let scheme = if known { scheme } else { format!("{HIDDEN}://") };
    let host = host(authority, &scheme);
    let path: Vec<&str> = path.split(['/', '\\']).collect();
    let path: Vec<&str> = path
        .iter()
        .enumerate()
        .map(|(i, part)| if is_told(part) && (i == 0 || !names_a_secret(path[i - 1])) { part } else { HIDDEN })
        .collect();
    let query = if query.is_empty() { String::new() } else { format!("?{HIDDEN}") };
    let fragment = if is_override(fragment) { fragment.to_owned() } else { format!("#{HIDDEN}") };
    format!("{scheme}{host}{}{query}{fragment}", path.join("/"))
}

/// The host and its port, in lower case, without the port that goes without saying.
fn host(authority: &str, scheme: &str) -> String {
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host).to_ascii_lowercase();
    let usual = match scheme {
        "https://" => ":443",
        "http://" => ":80",
        _ => "",
    };
    let host = host.strip_suffix(usual).unwrap_or(&host);
    let (name, port) = match host.rsplit_once(':') {
        Some((name, port)) if port.len() <= 5 && port.bytes().all(|b| b.is_ascii_digit()) => (name, Some(port)),
        // What is no port is the beginning of a password, of a text that was cut off.
        Some(_) if !host.ends_with(']') => (HIDDEN, None),
        Some(_) | None => (host, None),
    };
    let is_ip6 = name.starts_with('[') && name.ends_with(']') && name.len() <= 41;
    let is_part = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_' | '(' | ')' | '…');
    let is_host = is_ip6 || name.chars().all(is_part) && name.chars().count() <= 253 && !name.ends_with('…');
    let name = if is_host { name } else { HIDDEN };
    port.map_or_else(|| name.to_owned(), |port| format!("{name}:{port}"))
}

/// Words that go before a secret, or have one in them.
const NAMES: [&str; 8] = ["secret", "token", "passw", "apikey", "api_key", "api-key", "credential", "signature"];

fn names_a_secret(word: &str) -> bool {
    let word = word.to_ascii_lowercase();
    NAMES.iter().any(|name| word.contains(name)) || ["pass", "pwd", "key", "auth", "sig"].contains(&word.as_str())
}

/// True of a part of a path that tells where it leads and nothing else: words, versions, short counts, Twilio's SIDs,
/// and numbers, which were looked at before.
pub fn is_told(part: &str) -> bool {
    let is_number = part == NUMBER || part.strip_prefix('+').unwrap_or(part).bytes().all(|b| b.is_ascii_digit());
    let sid = part.as_bytes();
    let is_sid = sid.len() == 34
        && sid[..2].iter().all(u8::is_ascii_uppercase)
        && sid[2..].iter().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(b));
    is_sid
        || is_number && (part.len() <= 5 || part.len() >= 8)
        || !names_a_secret(part) && part.len() <= 48 && part.split(['-', '_', '.', '~']).all(is_word)
}

fn is_word(word: &str) -> bool {
    let letters = word.trim_end_matches(|c: char| c.is_ascii_digit());
    let digits = word.len() - letters.len();
    let is_lower = |b: &u8| b.is_ascii_lowercase();
    // One that is written together has a few capitals: `incomingCall`, `IncomingPhoneNumbers`.
    let capitals = letters.bytes().filter(u8::is_ascii_uppercase).count();
    let is_spelt = letters.bytes().all(|b| b.is_ascii_alphabetic())
        && letters.len() <= 20
        && (capitals <= 3
            && (capitals == 0 || letters.len() <= 3 || letters.bytes().filter(is_lower).count() >= 3 * capitals)
            || letters.len() <= 3);
    match (letters.len(), digits) {
        (0, digits) => digits <= 4,
        (_, 0) => is_spelt,
        // `v1`, `voice2`
        (length, digits) => is_spelt && length <= 5 && digits <= 2,
    }
}

/// True of a fragment that says how Twilio is to connect, and of none.
/// <https://www.twilio.com/docs/usage/webhooks/webhooks-connection-overrides>
fn is_override(fragment: &str) -> bool {
    let Some(pairs) = fragment.strip_prefix('#') else { return true };
    let is_value = |value: &str| {
        let is_number = |v: &str| v.len() <= 6 && v.bytes().all(|b| b.is_ascii_digit());
        let is_word = |v: &str| v.len() <= 10 && v.bytes().all(|b| b.is_ascii_lowercase());
        value.split(',').all(|v| is_number(v) || is_word(v) || matches!(v, "4xx" | "5xx"))
    };
    let is_pair = |(key, value): (&str, &str)| {
        matches!(key, "ct" | "rt" | "tt" | "rc" | "rp" | "sni" | "e" | "edge") && is_value(value)
    };
    pairs.split('&').all(|pair| pair.split_once('=').is_some_and(is_pair))
}

/// A text whose URLs are as they may be shown, and that has neither user and password nor what it says is a secret.
pub(super) fn without(text: &str) -> Cow<'_, str> {
    if !text.contains([':', '=', '%']) {
        return Cow::Borrowed(text);
    }
    let (mut out, mut rest) = (String::with_capacity(text.len()), text);
    while let Some(at) = rest.find(|c| !ends_url(c)) {
        let (before, word) = rest.split_at(at);
        let (word, after) = word.split_at(word.find(ends_url).unwrap_or(word.len()));
        out.push_str(before);
        out.push_str(&shown(word));
        rest = after;
    }
    out.push_str(rest);
    Cow::Owned(out)
}

/// A word of a text, which may be a URL or have one in it.
fn shown(word: &str) -> Cow<'_, str> {
    if let Some(slashes) = word.find("://") {
        let is_scheme = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.');
        let start = word[..slashes]
            .rfind(|c| !is_scheme(c))
            .map_or(0, |i| i + word[i..].chars().next().map_or(1, char::len_utf8));
        // What ends a sentence, or a bracket around the URL, is not its own.
        let own = word.trim_end_matches([',', '.', ';', ')', ']', '}', ':']);
        let end = own.len().max(slashes + 3);
        return Cow::Owned(format!("{}{}{}", named(&word[..start]), bare(&word[start..end]), &word[end..]));
    }
    let lower = word.to_ascii_lowercase();
    // The same in JSON, or percent-encoded.
    if let Some(at) = [":\\/\\/", "%3a%2f%2f", "%253a"].iter().filter_map(|s| lower.find(s)).min() {
        return Cow::Owned(format!("{}:{HIDDEN}", &word[..at]));
    }
    match (word.split_once(':'), word.rsplit_once('@')) {
        (Some((first, _)), Some((user, host))) if first.len() < user.len() => {
            let scheme = if ["sip", "sips"].contains(&first) { format!("{first}:") } else { String::new() };
            Cow::Owned(format!("{scheme}{HIDDEN}@{host}"))
        }
        _ => named(word),
    }
}

/// A word without the value of what is named a secret: `token=…`.
fn named(word: &str) -> Cow<'_, str> {
    if !word.contains('=') {
        return Cow::Borrowed(word);
    }
    let part = |part: &str| match part.split_once('=') {
        Some((name, value)) if names_a_secret(name.trim_matches(['?', '(', '[', '{'])) && !value.is_empty() => {
            format!("{name}={HIDDEN}")
        }
        Some(_) | None => part.to_owned(),
    };
    Cow::Owned(word.split('&').map(part).collect::<Vec<_>>().join("&"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_shown_with_no_part_that_may_be_secret() {
        for (whole, shown) in [
            ("https://app.example.com/voice", "https://app.example.com/voice"),
            ("HTTPS://App.Example.com:443/voice/", "https://app.example.com/voice/"),
            ("http://127.0.0.1:8080/a-b/c_d.php", "http://127.0.0.1:8080/a-b/c_d.php"),
            ("https://[2001:db8::1]:8443/v1/voice2", "https://[2001:db8::1]:8443/v1/voice2"),
            ("https://u:p@ss@h.example/v?token=x#y", "https://h.example/v?…#…"),
            (
                "https://h/v#rc=2&rp=4xx,5xx,ct&ct=2000&e=ashburn,dublin&sni=y",
                "https://h/v#rc=2&rp=4xx,5xx,ct&ct=2000&e=ashburn,dublin&sni=y",
            ),
            ("https://h/v#rc=s3cr3t", "https://h/v#…"),
            ("https://h/v#token=x", "https://h/v#…"),
            ("https://h/", "https://h/"),
            ("https://h", "https://h"),
            // Paths: words stay, and what is none does not.
            ("https://h/2010-04-01/incomingCall/42", "https://h/2010-04-01/incomingCall/42"),
            (
                "https://h/twiml/EH00000000000000000000000014155551",
                "https://h/twiml/EH00000000000000000000000014155551",
            ),
            (
                "https://hooks.example/services/T024BE7LD/B01/x9Zq81kLmNopQrStUvWx",
                "https://hooks.example/services/…/B01/…",
            ),
            ("https://h/3f2504e0-4f89-11d3-9a0c-0305e82c3301/voice", "https://h/…/voice"),
            ("https://h/hunter2/voice", "https://h/…/voice"),
            ("https://h/token/abc/voice;sid=abc", "https://h/…/…/…"),
            ("https://h/mysecret/PASSWORD/aBcDeFgHiJ", "https://h/…/…/…"),
            ("https://h/%73ecret/a b/\u{fc}ber/u:p@h", "https://h/…/…/…/…"),
            ("https://h\\user:p4ss@x/v", "https://h/…/v"),
            // Cut off within user and password.
            ("https://user:p4", "https://…"),
            ("https://user:p4…", "https://…"),
            ("https://user…", "https://…"),
            ("https://h/v:p4", "https://h/…"),
            ("s3cr3t://h/v", "…://h/v"),
        ] {
            assert_eq!(bare(whole), shown, "{whole}");
        }
    }

    #[test]
    fn a_text_has_no_secret_in_any_url_and_none_that_is_named() {
        for (text, told) in [
            ("see https://h/docs/errors/21211.", "see https://h/docs/errors/21211."),
            ("(https://u:p@h/v?x=1), and", "(https://h/v?…), and"),
            ("\"https://u:p@h/v\":\"http://u:p@i\"", "\"https://h/v\":\"http://i\""),
            ("Msg=11200&url=https://u:p@h/v?t=1", "Msg=11200&url=https://h/v?…"),
            ("url=https%3A%2F%2Fu%3Ap%40h%2Fv x", "url=https:… x"),
            ("https:\\/\\/u:p@h x", "https:… x"),
            ("to sip:alice:p4ss@h;x=1 now", "to sip:…@h;x=1 now"),
            ("user:p4ss@h/v", "…@h/v"),
            ("token=abc&x=1 password=, auth=y2", "token=…&x=1 password=… auth=…"),
            ("a@b.example wrote x=1 at 06:01", "a@b.example wrote x=1 at 06:01"),
            ("no secrets here", "no secrets here"),
        ] {
            assert_eq!(without(text), told, "{text}");
        }
    }
}
