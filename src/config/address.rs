//! What an address may hold, and whether what is sent to it can be read on the way.
//!
//! A fault names the key, the value without what may be secret, and the cure.

use url::Url;

use crate::core::model::redact::secrets::is_told;
use crate::twilio::is_loopback;

/// An address as a fault shows it: without user and password, query and fragment, and of the path words alone.
pub fn shown(text: &str) -> String {
    let is_cut = text.find(['?', '#']);
    let text = &text[..is_cut.unwrap_or(text.len())];
    let (scheme, rest) = text.split_at(text.find("://").map_or(0, |i| i + 3));
    let (authority, path) = rest.split_at(rest.find(['/', '\\']).unwrap_or(rest.len()));
    let path: String = path
        .split_inclusive(['/', '\\'])
        .map(|part| {
            let word = part.trim_end_matches(['/', '\\']);
            format!("{}{}", if is_told(word) { word } else { "…" }, &part[word.len()..])
        })
        .collect();
    let bare = match authority.rsplit_once('@') {
        // Who knows what it is.
        _ if scheme.is_empty() && text.contains('@') => "…".to_owned(),
        Some((_, host)) => format!("{scheme}…@{host}{path}"),
        None => format!("{scheme}{authority}{path}"),
    };
    format!("\"{bare}{}\"", if is_cut.is_some() { "…" } else { "" })
}

/// True if the address, as it is written, names a user, even an empty one.
pub fn has_user(text: &str, url: &Url) -> bool {
    let rest = text.split_once("://").map_or(text, |(_, rest)| rest);
    let authority = rest.split(['/', '\\', '?', '#']).next().unwrap_or_default();
    authority.contains('@') || !url.username().is_empty() || url.password().is_some()
}

/// Why people, or other programs, would take the address for another host's than it is; the rest of a sentence.
pub fn misleads(text: &str, url: &Url) -> Option<String> {
    let host = url.host_str().unwrap_or_default();
    if text.trim().contains(|c: char| c == '\\' || c.is_control() || c.is_whitespace()) {
        return Some(
            "a backslash or a blank stands in it, of which programs make different hosts: remove it".to_owned(),
        );
    }
    // A name and a password are as they are. What is before an @ without a password is taken for the host.
    let is_port = |text: &str| text.len() <= 5 && text.bytes().all(|b| b.is_ascii_digit());
    let user = url.username().to_ascii_lowercase();
    let user = user.split("%2f").next().unwrap_or_default();
    // An account of a mail server is an address itself.
    let is_host = !user.contains("%40") && (user.contains('.') || user == "localhost" || user.contains("%5b"));
    (is_host && url.password().is_none_or(is_port)).then(|| {
        format!("what stands before the @ looks like a host and is a user's name, and the host is {host:?}: remove it")
    })
}

/// True if whoever is on the way reads what is sent there: not encrypted, and not to this machine alone.
pub fn is_in_the_clear(url: &Url) -> bool {
    let is_plain = match url.scheme() {
        "http" => true,
        "smtp" => !url.query_pairs().any(|(k, v)| k == "tls" && matches!(&*v, "required" | "opportunistic")),
        _ => false,
    };
    is_plain && !is_loopback(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_secret_is_not_shown() {
        for (text, is) in [
            ("https://proxy.example.com:8443/twilio", "\"https://proxy.example.com:8443/twilio\""),
            ("https://user:pass@proxy.example.com/x@y", "\"https://…@proxy.example.com/…\""),
            ("https://a@b:c@proxy.example.com", "\"https://…@proxy.example.com\""),
            ("https://proxy.example.com?token=secret#x", "\"https://proxy.example.com…\""),
            ("user:pass@proxy.example.com", "\"…\""),
            ("proxy.example.com", "\"proxy.example.com\""),
            ("hooks.example.com/services/T024BE7LD/xoxSECRET1234abcd", "\"hooks.example.com/services/…/…\""),
            ("htps://hooks.example.com/services/T024BE7LD/", "\"htps://hooks.example.com/services/…/\""),
        ] {
            assert_eq!(shown(text), is);
        }
    }

    #[test]
    fn what_is_on_the_way_in_the_clear() {
        let clear = |text: &str| is_in_the_clear(&text.parse().unwrap());
        for text in
            ["http://example.com", "http://10.0.0.1:80", "http://127.0.0.1.example.com", "http://0.0.0.0", "smtp://m.x"]
        {
            assert!(clear(text), "{text}");
        }
        for text in [
            "https://example.com",
            "http://127.0.0.1:4010",
            "http://127.8.8.8",
            "http://[::1]:80",
            "http://localhost",
            "smtps://m.x",
            "smtp://m.x:587?tls=required",
        ] {
            assert!(!clear(text), "{text}");
        }
    }

    #[test]
    fn a_user_is_no_host() {
        let does = |text: &str| misleads(text, &text.parse().unwrap());
        for text in [
            "https://evil.com@127.0.0.1/",
            "https://evil.com:443@127.0.0.1/",
            "https://evil.com%2Fx@127.0.0.1/",
            "https://127.0.0.1@evil.com",
            "https://localhost@evil.com",
            "https://localhost:4010@evil.com",
            "https://handler.twilio.com@evil.com/twiml/EH0",
            "https://evil.com\\@127.0.0.1/",
            "https://evil.com\t@127.0.0.1/",
            "smtp://mail.example.com@evil.com",
        ] {
            assert!(does(text).is_some(), "{text}");
        }
        for text in [
            "https://x.org/a@b.c",
            "https://user@x.org",
            "https://jane.doe:secret@x.org",
            "smtps://ann%40x.org:secret@mail.x.org",
            "smtps://ann%40x.org@mail.x.org",
        ] {
            assert_eq!(does(text), None, "{text}");
        }
    }

    #[test]
    fn a_user_is_one_in_any_writing() {
        let has = |text: &str| has_user(text, &text.parse().unwrap());
        for text in ["http://a@x.org", "http://a:b@x.org", "http://:b@x.org", "http://@x.org", "http://a%40b@x.org/"] {
            assert!(has(text), "{text}");
        }
        for text in ["http://x.org", "http://x.org/@a", "http://x.org?a@b", "http://x.org#a@b"] {
            assert!(!has(text), "{text}");
        }
    }
}
