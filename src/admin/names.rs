//! Whom a request means, and on whose page it was made: what a browser can be made to send is refused.
//!
//! A web page may send requests to this machine. It cannot read the answers, unless it makes its own host's name point
//! here (DNS rebinding): then the browser takes us for the page's own server. So the `Host` of a request must be a
//! name of ours: a loopback name or address, the address that it came to, or one that the configuration names
//! (`agent.public_url`, `agent.hosts`). Programs that send no `Host` are no browsers.
//!
//! Browsers say on whose page a request was made (`Sec-Fetch-Site`, `Origin`). Those of another site's page are
//! refused, also of other programs on this machine, whose pages are of the same "site". Links that people follow are
//! none.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::ApiProblem;
use super::identity::ListenAddress;

/// Names by which we are asked for, beside those of the loopback interface: in lower case, without a port.
#[derive(Debug, Clone, Default)]
pub struct OwnNames(pub Arc<[String]>);

impl OwnNames {
    /// `listen`: the address of the connection.
    fn has(&self, host: &str, listen: Option<IpAddr>) -> bool {
        let host = host.to_ascii_lowercase();
        let name = host.strip_suffix('.').unwrap_or(&host);
        if let Ok(ip) = name.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>() {
            return ip.is_loopback() || Some(ip) == listen || self.0.iter().any(|own| own == name);
        }
        name == "localhost" || name.ends_with(".localhost") || self.0.iter().any(|own| own == name)
    }
}

/// Every `Host` that a request names; `None` if one cannot be read.
fn hosts(request: &Request) -> Option<Vec<Authority>> {
    let named = request.headers().get_all(header::HOST).iter().map(|v| v.to_str().ok()?.parse().ok());
    let in_line = request.uri().authority().cloned().map(Some);
    named.chain(in_line).collect()
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).map(|v| v.to_str().unwrap_or("?"))
}

/// What of a stranger's text is shown.
fn shown(text: &str) -> String {
    text.chars().filter(|c| c.is_ascii_graphic()).take(100).collect()
}

fn refused(request: &Request, names: &OwnNames) -> Option<ApiProblem> {
    let listen = request.extensions().get::<ListenAddress>().map(|a| a.0.ip());
    let Some(hosts) = hosts(request) else {
        return Some(ApiProblem::new(StatusCode::BAD_REQUEST, "the Host header cannot be read"));
    };
    if let Some(host) = hosts.iter().find(|h| !names.has(h.host(), listen)) {
        let name = shown(host.host());
        let text = format!(
            "{name} is not a name of this agent: ask for it by its address, or, if that is its name at a proxy, add it \
             to agent.hosts"
        );
        return Some(ApiProblem::new(StatusCode::MISDIRECTED_REQUEST, text));
    }
    let headers = request.headers();
    let foreign = |what: &str| {
        ApiProblem::new(StatusCode::FORBIDDEN, format!("this was sent by a page of {what}, and is refused"))
    };
    let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
    let is_link = is_read && text(headers, "sec-fetch-mode") == Some("navigate");
    match text(headers, "sec-fetch-site") {
        None | Some("same-origin" | "none") => {}
        Some(_) if is_link => {}
        Some(_) => return Some(foreign("another site")),
    }
    let origin = text(headers, "origin")?;
    let is_own = origin.split_once("://").and_then(|(_, rest)| rest.parse::<Authority>().ok()).is_some_and(|origin| {
        // The page that we have served ourselves, by the name by which it was asked for.
        let is_asked_for = hosts.iter().any(|host| host.as_str().eq_ignore_ascii_case(origin.as_str()));
        // A proxy may ask for us by another name than its own.
        is_asked_for || names.0.iter().any(|own| own.eq_ignore_ascii_case(origin.host()))
    });
    (!is_own).then(|| foreign(&shown(origin)))
}

/// Answers only what is meant for us, and no other site's page.
pub async fn check(State(names): State<OwnNames>, request: Request, next: Next) -> Response {
    match refused(&request, &names) {
        Some(problem) => problem.into_response(),
        None => next.run(request).await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Body;

    fn answer(method: &str, headers: &[(&str, &str)]) -> Option<StatusCode> {
        let mut request = Request::builder().method(method).uri("/api/v1/hold");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut request = request.body(Body::empty()).unwrap();
        request.extensions_mut().insert(ListenAddress("10.1.2.3:9466".parse().unwrap()));
        let names = OwnNames(["ringback.example.com".to_owned()].into());
        refused(&request, &names).map(|problem| problem.into_response().status())
    }

    #[test]
    fn names_of_ours() {
        for host in [
            "127.0.0.1:9466",
            "127.8.8.8",
            "localhost:9466",
            "LOCALHOST.:1",
            "[::1]:9466",
            "10.1.2.3",
            "ringback.example.com",
            "Ringback.Example.Com:443",
            "me.localhost",
        ] {
            assert_eq!(answer("POST", &[("host", host)]), None, "{host}");
        }
        assert_eq!(answer("GET", &[]), None, "no browser");
        for host in
            ["evil.example:9466", "0.0.0.0:9466", "10.1.2.4", "127.0.0.1.evil.example", "localhost.evil.example"]
        {
            for method in ["GET", "POST"] {
                assert_eq!(answer(method, &[("host", host)]), Some(StatusCode::MISDIRECTED_REQUEST), "{host}");
            }
        }
        let two = [("host", "localhost"), ("host", "evil.example")];
        assert_eq!(answer("GET", &two), Some(StatusCode::MISDIRECTED_REQUEST));
        assert_eq!(answer("GET", &[("host", "a b")]), Some(StatusCode::BAD_REQUEST));
    }

    #[test]
    fn pages_of_others() {
        let host = ("host", "localhost:9466");
        let no = Some(StatusCode::FORBIDDEN);
        for (method, said, is) in [
            ("POST", ("origin", "http://localhost:9466"), None),
            ("POST", ("origin", "http://localhost:3000"), no),
            ("POST", ("origin", "https://evil.example"), no),
            ("POST", ("origin", "null"), no),
            ("POST", ("sec-fetch-site", "cross-site"), no),
            ("POST", ("sec-fetch-site", "same-site"), no),
            ("POST", ("sec-fetch-site", "same-origin"), None),
            ("POST", ("sec-fetch-site", "none"), None),
            ("GET", ("sec-fetch-site", "cross-site"), no),
        ] {
            assert_eq!(answer(method, &[host, said]), is, "{method} {said:?}");
        }
        let link = [host, ("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "navigate")];
        assert_eq!((answer("GET", &link), answer("POST", &link)), (None, no));
    }
}
