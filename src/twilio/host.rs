//! Where Twilio's products live: `{product}.{edge}.{region}.twilio.com`, or all at one address.

use url::Url;

/// A part of Twilio's API that has a host of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Product {
    Api,
    Monitor,
    Messaging,
    Routes,
}

impl Product {
    const fn name(self) -> &'static str {
        match self {
            Product::Api => "api",
            Product::Monitor => "monitor",
            Product::Messaging => "messaging",
            Product::Routes => "routes",
        }
    }
}

/// Where requests go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hosts {
    /// Twilio itself. An edge without a region means `us1`, as in Twilio's own libraries.
    Twilio { edge: Option<String>, region: Option<String> },
    /// Every product at one address: a simulator or a proxy.
    One(Url),
}

impl Hosts {
    /// The region whose API this is.
    pub fn region(&self) -> &str {
        match self {
            Hosts::Twilio { region: Some(region), .. } => region,
            Hosts::Twilio { region: None, .. } | Hosts::One(_) => "us1",
        }
    }

    /// The URL of `path` (with its query, from the root) on `product`'s host.
    ///
    /// Only the path of what Twilio calls the next page is ever used: credentials go to the
    /// configured host and nowhere else.
    pub fn url(&self, product: Product, path: &str) -> Result<Url, url::ParseError> {
        match self {
            Hosts::Twilio { edge, region } => {
                let name = product.name();
                let host = match (edge, region) {
                    (None, None) => format!("{name}.twilio.com"),
                    (Some(edge), None) => format!("{name}.{edge}.us1.twilio.com"),
                    (None, Some(region)) => format!("{name}.{region}.twilio.com"),
                    (Some(edge), Some(region)) => format!("{name}.{edge}.{region}.twilio.com"),
                };
                Url::parse(&format!("https://{host}{path}"))
            }
            Hosts::One(base) => Url::parse(&format!("{}{path}", base.as_str().trim_end_matches('/'))),
        }
    }
}

/// Path and query of the next page, from a host-relative or an absolute address.
pub fn next_path(uri: &str) -> Option<String> {
    if uri.starts_with('/') && !uri.starts_with("//") {
        return Some(uri.to_owned());
    }
    let url = Url::parse(uri).ok()?;
    Some(url.query().map_or_else(|| url.path().to_owned(), |q| format!("{}?{q}", url.path())))
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
        assert_eq!(host(None, Some("ie1")), "https://monitor.ie1.twilio.com/v1/Alerts");
        assert_eq!(host(Some("dublin"), Some("ie1")), "https://monitor.dublin.ie1.twilio.com/v1/Alerts");
    }

    #[test]
    fn a_next_page_never_leads_to_another_host() {
        let hosts = Hosts::One(Url::parse("http://127.0.0.1:4010/").unwrap());
        for uri in ["/v1/Alerts?Page=1&PageToken=PANO1", "https://evil.example.com/v1/Alerts?Page=1&PageToken=PANO1"] {
            let url = hosts.url(Product::Monitor, &next_path(uri).unwrap()).unwrap();
            assert_eq!(url.as_str(), "http://127.0.0.1:4010/v1/Alerts?Page=1&PageToken=PANO1");
        }
        assert_eq!(next_path("//evil.example.com/x"), None);
        assert_eq!(next_path("not a url"), None);
    }
}
