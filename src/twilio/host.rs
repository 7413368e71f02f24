//! Where Twilio's products live: `{product}.{edge}.{region}.twilio.com`, or all at one address.

use url::Url;

use super::error::{Error, ErrorKind};
use crate::core::model::facts::{API_DOMAIN, HOME_REGION, Region};

/// A part of Twilio's API that has a host of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Product {
    Api,
    Monitor,
    Messaging,
    Routes,
    Trunking,
    Numbers,
    Voice,
    Webhooks,
}

impl Product {
    const fn name(self) -> &'static str {
        match self {
            Product::Api => "api",
            Product::Monitor => "monitor",
            Product::Messaging => "messaging",
            Product::Routes => "routes",
            Product::Trunking => "trunking",
            Product::Numbers => "numbers",
            Product::Voice => "voice",
            Product::Webhooks => "webhooks",
        }
    }
}

/// Where requests go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hosts {
    /// Twilio itself. An edge without a region means `us1`, as in Twilio's own libraries. A region without an edge
    /// means the only one that leads to it, unlike in those: its hosts without one are switched off.
    Twilio { edge: Option<String>, region: Option<String> },
    /// Every product at one address: a simulator or a proxy.
    One(Url),
}

impl Hosts {
    /// The region whose API this is.
    pub fn region(&self) -> &str {
        match self {
            Hosts::Twilio { region: Some(region), .. } => region,
            Hosts::Twilio { region: None, .. } | Hosts::One(_) => HOME_REGION,
        }
    }

    /// The edge by which it is reached, if one is named or needed.
    fn edge(&self) -> Option<&str> {
        match self {
            Hosts::Twilio { edge: Some(edge), .. } => Some(edge),
            Hosts::Twilio { edge: None, region: Some(region) } => match Region::of(region) {
                Region::By(edge) => Some(edge),
                Region::Home | Region::Retired | Region::Unknown => None,
            },
            Hosts::Twilio { edge: None, region: None } | Hosts::One(_) => None,
        }
    }

    /// The host of `product`, and what of the configuration made it so.
    pub fn place(&self, product: Product) -> String {
        let url = self.url(product, "/").ok();
        let host = url.as_ref().and_then(|u| u.host_str()).unwrap_or("no host");
        match (self, self.edge()) {
            (Hosts::One(_), _) => {
                let port = url.as_ref().and_then(|u| u.port()).map_or_else(String::new, |port| format!(":{port}"));
                format!("{host}{port} (twilio.base_url)")
            }
            (Hosts::Twilio { .. }, None) => format!("{host} (region {})", self.region()),
            (Hosts::Twilio { .. }, Some(edge)) => format!("{host} (region {}, edge {edge})", self.region()),
        }
    }

    /// What to do about an error of `product`'s host, with what the region has to do with it.
    pub fn cure(&self, product: Product, error: &Error) -> String {
        let region = self.region();
        let is_elsewhere = region != HOME_REGION;
        let general = error.cure();
        match error.kind {
            ErrorKind::Credentials if is_elsewhere => format!(
                "{general}: the Auth Token and the keys of {region} are others than those of {HOME_REGION}: copy them \
                 from Twilio's Console with {region} chosen as its region, or remove twilio.region if the numbers are \
                 in {HOME_REGION}"
            ),
            ErrorKind::Credentials if matches!(self, Hosts::Twilio { .. }) => {
                format!("{general}; if they are another region's, name it with twilio.region")
            }
            ErrorKind::Unreachable if is_elsewhere && product == Product::Monitor => format!(
                "{general}; Twilio keeps the debugger in {HOME_REGION} alone: without it nobody can judge calls that \
                 {region} processes"
            ),
            ErrorKind::Unreachable if self.edge().is_some() => {
                format!("{general}; check that twilio.edge and twilio.region belong together, or remove both")
            }
            ErrorKind::Credentials
            | ErrorKind::Unreachable
            | ErrorKind::Permission
            | ErrorKind::NotFound
            | ErrorKind::Refused
            | ErrorKind::Conflict
            | ErrorKind::Busy
            | ErrorKind::Server
            | ErrorKind::TimedOut
            | ErrorKind::CutOff
            | ErrorKind::NotTwilio
            | ErrorKind::OldCopy => general.to_owned(),
        }
    }

    /// The URL of `path` (with its query, from the root) on `product`'s host.
    ///
    /// Built of the configured address with this path and query put into it, whatever they say, and looked at once
    /// more: credentials go to the configured host and nowhere else.
    pub fn url(&self, product: Product, path: &str) -> Result<Url, NoSuchUrl> {
        let (path, query) = path.split_once('?').map_or((path, None), |(path, query)| (path, Some(query)));
        if !path.starts_with('/') {
            return Err(NoSuchUrl::NoPath);
        }
        let base = self.base(product)?;
        let mut url = base.clone();
        url.set_path(&format!("{}{path}", base.path().trim_end_matches('/')));
        url.set_query(query);
        url.set_fragment(None);
        let place = |u: &Url| (u.scheme().to_owned(), u.host_str().map(str::to_owned), u.port_or_known_default());
        let has_user = !url.username().is_empty() || url.password().is_some();
        if place(&url) == place(&base) && !has_user { Ok(url) } else { Err(NoSuchUrl::Elsewhere) }
    }

    /// The address of `product`'s host.
    fn base(&self, product: Product) -> Result<Url, NoSuchUrl> {
        match self {
            Hosts::Twilio { region, .. } => {
                let name = product.name();
                let host = match (self.edge(), region) {
                    (None, None) => format!("{name}.{API_DOMAIN}"),
                    (Some(edge), None) => format!("{name}.{edge}.{HOME_REGION}.{API_DOMAIN}"),
                    (None, Some(region)) => format!("{name}.{region}.{API_DOMAIN}"),
                    (Some(edge), Some(region)) => format!("{name}.{edge}.{region}.{API_DOMAIN}"),
                };
                Ok(Url::parse(&format!("https://{host}/"))?)
            }
            Hosts::One(base) => Ok(base.clone()),
        }
    }
}

/// A path that makes no URL on the configured host.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoSuchUrl {
    #[error(transparent)]
    Malformed(#[from] url::ParseError),
    #[error("it does not begin with /")]
    NoPath,
    #[error("it leads to another host")]
    Elsewhere,
}

/// Path and query of the next page, from a host-relative or an absolute address; `None` of anything else. What host
/// an absolute one names is of no account: [`Hosts::url`] has its own.
pub fn next_path(uri: &str) -> Option<String> {
    let is_plain = |uri: &str| !uri.contains(|c: char| c.is_control() || c.is_whitespace() || c == '\\');
    let url = match uri.strip_prefix('/') {
        Some(rest) if is_plain(uri) && !rest.starts_with('/') => Url::parse("https://next.invalid/").ok()?.join(uri),
        Some(_) => return None,
        None => Url::parse(uri),
    }
    .ok()?;
    let is_path = matches!(url.scheme(), "http" | "https")
        && url.host().is_some()
        && is_plain(uri)
        && !url.path().starts_with("//");
    is_path.then(|| url.query().map_or_else(|| url.path().to_owned(), |q| format!("{}?{q}", url.path())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edge_and_region_make_the_host() {
        let host = |edge: Option<&str>, region: Option<&str>| {
            let hosts = Hosts::Twilio { edge: edge.map(Into::into), region: region.map(Into::into) };
            hosts.url(Product::Monitor, "/v1/Alerts").unwrap().to_string()
        };
        assert_eq!(host(None, None), "https://monitor.twilio.com/v1/Alerts");
        assert_eq!(host(Some("dublin"), None), "https://monitor.dublin.us1.twilio.com/v1/Alerts");
        assert_eq!(host(None, Some("us1")), "https://monitor.us1.twilio.com/v1/Alerts");
        assert_eq!(host(None, Some("ie1")), "https://monitor.dublin.ie1.twilio.com/v1/Alerts");
        assert_eq!(host(None, Some("au1")), "https://monitor.sydney.au1.twilio.com/v1/Alerts");
        assert_eq!(host(Some("dublin"), Some("ie1")), "https://monitor.dublin.ie1.twilio.com/v1/Alerts");
    }

    #[test]
    fn an_error_names_host_region_and_edge_and_what_they_have_to_do_with_it() {
        let twilio = |region: Option<&str>| Hosts::Twilio { edge: None, region: region.map(Into::into) };
        let said = |hosts: &Hosts, product, kind| {
            let error = Error {
                kind,
                endpoint: "list_numbers",
                status: None,
                code: None,
                message: String::new(),
                request_id: None,
                retry_after: None,
            };
            format!("{}: {}", hosts.place(product), hosts.cure(product, &error))
        };
        let ireland = twilio(Some("ie1"));
        let wrong = said(&ireland, Product::Api, ErrorKind::Credentials);
        assert!(wrong.starts_with("api.dublin.ie1.twilio.com (region ie1, edge dublin): check TWILIO_"), "{wrong}");
        assert!(wrong.contains("with ie1 chosen") && wrong.contains("remove twilio.region"), "{wrong}");
        let absent = said(&ireland, Product::Monitor, ErrorKind::Unreachable);
        assert!(absent.starts_with("monitor.dublin.ie1.twilio.com (region ie1, edge dublin): check the"), "{absent}");
        assert!(absent.contains("the debugger in us1 alone"), "{absent}");
        let absent = said(&ireland, Product::Api, ErrorKind::Unreachable);
        assert!(absent.contains("twilio.edge and twilio.region belong together"), "{absent}");
        let home = said(&twilio(None), Product::Api, ErrorKind::Credentials);
        assert!(home.starts_with("api.twilio.com (region us1): "), "{home}");
        assert!(home.contains("if they are another region's"), "{home}");
        let one = Hosts::One(Url::parse("http://127.0.0.1:4010/").unwrap());
        let said = said(&one, Product::Api, ErrorKind::Credentials);
        assert!(said.starts_with("127.0.0.1:4010 (twilio.base_url): ") && !said.contains("another region's"), "{said}");
    }

    #[test]
    fn a_next_page_never_leads_to_another_host() {
        let one = Hosts::One(Url::parse("http://127.0.0.1:4010/").unwrap());
        let below = Hosts::One(Url::parse("https://proxy.example.com/twilio/").unwrap());
        let twilio = Hosts::Twilio { edge: None, region: None };
        let home = [
            (&one, "http://127.0.0.1:4010"),
            (&below, "https://proxy.example.com/twilio"),
            (&twilio, "https://monitor.twilio.com"),
        ];
        for uri in [
            "/v1/Alerts?Page=1&PageToken=PANO1",
            "https://monitor.twilio.com/v1/Alerts?Page=1&PageToken=PANO1",
            "https://evil.example.com/v1/Alerts?Page=1&PageToken=PANO1",
            "HTTP://evil.example.com:99/v1/Alerts?Page=1&PageToken=PANO1#there",
            "https://user:pass@evil.example.com/v1/Alerts?Page=1&PageToken=PANO1",
            "https:@evil.example.com/v1/Alerts?Page=1&PageToken=PANO1",
        ] {
            for (hosts, base) in home {
                let url = hosts.url(Product::Monitor, &next_path(uri).unwrap()).unwrap();
                assert_eq!(url.as_str(), format!("{base}/v1/Alerts?Page=1&PageToken=PANO1"), "{uri}");
            }
        }
        for uri in [
            "",
            "not a url",
            "evil.example.com/x",
            "@evil.example.com/x",
            ":@evil.example.com/x",
            ".evil.example.com/x",
            "//evil.example.com/x",
            "///evil.example.com/x",
            "/\\evil.example.com/x",
            "\\/evil.example.com/x",
            "\\\\evil.example.com/x",
            "/\t/evil.example.com/x",
            "\t//evil.example.com/x",
            "https://evil.example.com\\@monitor.twilio.com/x",
            "https://monitor.twilio.com//evil.example.com/x",
            "x:@evil.example.com/x",
            "x:evil.example.com/x",
            "x://@evil.example.com/x",
            "javascript:@evil.example.com/x",
            "mailto:a@evil.example.com/x",
            "data:@evil.example.com/x",
            "file:///etc/passwd",
            "ftp://evil.example.com/x",
            "blob:https://evil.example.com/x",
        ] {
            assert_eq!(next_path(uri), None, "{uri:?}");
        }
    }

    /// Whatever path it is asked for.
    #[test]
    fn a_path_never_makes_another_host() {
        let one = Hosts::One(Url::parse("http://127.0.0.1:4010").unwrap());
        let twilio = Hosts::Twilio { edge: None, region: None };
        for path in [
            "@evil.example.com/x",
            ":99/x",
            ":@evil.example.com/x",
            ".evil.example.com/x",
            "//evil.example.com/x",
            "/\\evil.example.com/x",
            "/@evil.example.com/x",
            "/..//evil.example.com/x",
            "/x#@evil.example.com",
            "?@evil.example.com/x",
            "\\evil.example.com",
            "https://evil.example.com/x",
            "",
        ] {
            for (hosts, host, port) in [(&one, "127.0.0.1", 4010), (&twilio, "api.twilio.com", 443)] {
                if let Ok(url) = hosts.url(Product::Api, path) {
                    assert_eq!((url.host_str(), url.port_or_known_default()), (Some(host), Some(port)), "{path:?}");
                    assert_eq!((url.username(), url.password(), url.fragment()), ("", None, None), "{path:?}");
                }
                assert_eq!(hosts.url(Product::Api, path).is_ok(), path.starts_with('/'), "{path:?}");
            }
        }
        let url = one.url(Product::Api, "/2010-04-01/x.json?StartTime%3E=2026-11-21&To=%2B1").unwrap();
        assert_eq!(url.as_str(), "http://127.0.0.1:4010/2010-04-01/x.json?StartTime%3E=2026-11-21&To=%2B1");
        let url = one.url(Product::Routes, "/v2/PhoneNumbers/%2B15005550100").unwrap();
        assert_eq!(url.as_str(), "http://127.0.0.1:4010/v2/PhoneNumbers/%2B15005550100");
    }
}
