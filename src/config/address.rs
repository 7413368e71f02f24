//! What an address may hold, and whether what is sent to it can be read on the way.
//!
//! A fault names the key, the value without what may be secret, and the cure.

use url::Url;

use crate::twilio::is_loopback;

/// An address as a fault shows it: without user and password, query and fragment.
pub fn shown(text: &str) -> String {
    let is_cut = text.find(['?', '#']);
    let text = &text[..is_cut.unwrap_or(text.len())];
    let bare = match text.find("://").map(|i| text.split_at(i + 3)) {
        Some((scheme, rest)) => {
            let (authority, path) = rest.split_at(rest.find(['/', '\\']).unwrap_or(rest.len()));
            match authority.rsplit_once('@') {
                Some((_, host)) => format!("{scheme}…@{host}{path}"),
                None => text.to_owned(),
            }
        }
        // Who knows what it is.
        None if text.contains('@') => "…".to_owned(),
        None => text.to_owned(),
    };
    format!("\"{bare}{}\"", if is_cut.is_some() { "…" } else { "" })
}

/// True if the address, as it is written, names a user, even an empty one.
pub fn has_user(text: &str, url: &Url) -> bool {
    let rest = text.split_once("://").map_or(text, |(_, rest)| rest);
    let authority = rest.split(['/', '\\', '?', '#']).next().unwrap_or_default();
    authority.contains('@') || !url.username().is_empty() || url.password().is_some()
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
            ("https://user:pass@proxy.example.com/x@y", "\"https://…@proxy.example.com/x@y\""),
            ("https://a@b:c@proxy.example.com", "\"https://…@proxy.example.com\""),
            ("https://proxy.example.com?token=secret#x", "\"https://proxy.example.com…\""),
            ("user:pass@proxy.example.com", "\"…\""),
            ("proxy.example.com", "\"proxy.example.com\""),
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
