//! The way in and out: a token is entered once, and the browser keeps a session ([`crate::admin::sessions`]).
//!
//! A wrong token is a guess as it is for the API, and is slowed like one; the right one always opens.

use askama::Template;
use axum::Form;
use axum::extract::rejection::FormRejection;
use axum::extract::{Query, State};
use axum::http::{Extensions, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;

use super::{PageProblem, Visitor, bare};
use crate::admin::Admin;
use crate::admin::auth::PeerAddress;

/// Where to go from the form, as seen from the root.
#[derive(Deserialize, Default)]
#[serde(default)]
pub struct Way {
    next: String,
}

impl Way {
    /// A page of ours; the first one if it is none. What a link from elsewhere says is not followed to elsewhere.
    fn page(&self) -> &str {
        let next = self.next.as_str();
        let is_ours = next.is_empty() || next.starts_with(|c: char| c.is_ascii_lowercase() || c == '?');
        let path = next.split(['?', '#']).next().unwrap_or_default();
        if is_ours && !path.contains([':', '\\']) && !next.chars().any(|c| c.is_control() || c == ' ') {
            next
        } else {
            ""
        }
    }
}

#[derive(Template)]
#[template(path = "sign_in.html", config = "src/admin/page/askama.toml")]
struct Page<'a> {
    next: &'a str,
    problem: Option<&'a str>,
    is_locked: bool,
}

/// The form.
pub async fn form(State(admin): State<Admin>, visitor: Visitor, Query(way): Query<Way>) -> Response {
    if visitor.session.is_some() {
        return go(&format!("{}{}", visitor.root, way.page()));
    }
    shown(&admin, &way, StatusCode::OK, None)
}

fn shown(admin: &Admin, way: &Way, status: StatusCode, problem: Option<&str>) -> Response {
    let page = Page { next: way.page(), problem, is_locked: admin.door.is_locked() };
    bare(status, "./", "Sign in", &page)
}

/// What the form sends.
#[derive(Deserialize)]
pub struct Given {
    token: String,
    #[serde(default)]
    next: String,
}

/// Opens a session for whoever has a token.
pub async fn sign_in(
    State(admin): State<Admin>,
    extensions: Extensions,
    given: Result<Form<Given>, FormRejection>,
) -> Response {
    let Ok(Form(Given { token, next })) = given else {
        return shown(&admin, &Way::default(), StatusCode::BAD_REQUEST, Some("The form could not be read: try again."));
    };
    let way = Way { next };
    let peer = extensions.get::<PeerAddress>().map(|p| p.0);
    let holder = match admin.door.of_token(token.trim().as_bytes(), peer).await {
        Ok(holder) => holder,
        Err(problem) if problem.status == StatusCode::TOO_MANY_REQUESTS => {
            let text = "That is no token of this agent, and there were many wrong ones: the right one always opens.";
            let mut response = shown(&admin, &way, StatusCode::TOO_MANY_REQUESTS, Some(text));
            if problem.closes {
                response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
            return response;
        }
        Err(_) => {
            let text = "That is no token of this agent. Nothing was opened.";
            return shown(&admin, &way, StatusCode::UNAUTHORIZED, Some(text));
        }
    };
    tracing::info!(name = holder.name.as_deref().unwrap_or("operator"), "somebody has signed in to the page");
    let Some(cookie) = admin.sessions.open(holder, &extensions) else {
        let text = "This machine gives no random numbers: no session can be opened.";
        return PageProblem::new(StatusCode::SERVICE_UNAVAILABLE, text).into_response();
    };
    with_cookie(go(&format!("./{}", way.page())), &cookie)
}

/// What a form of a session's brings beside its own fields.
#[derive(Deserialize)]
pub struct FormKey {
    form_key: String,
}

/// Ends the session.
pub async fn sign_out(
    State(admin): State<Admin>,
    visitor: Visitor,
    extensions: Extensions,
    key: Result<Form<FormKey>, FormRejection>,
) -> Response {
    let Some(session) = visitor.session else { return go("./sign-in") };
    if !key.is_ok_and(|Form(key)| session.is_form_of(&key.form_key)) {
        return foreign().into_response();
    }
    let cookie = admin.sessions.close(&session, &extensions);
    with_cookie(go("./sign-in"), &cookie)
}

/// A form that this session's pages did not have.
pub fn foreign() -> PageProblem {
    let text = "This form is not of your session: nothing was done. Open the page again and repeat it there.";
    PageProblem::new(StatusCode::FORBIDDEN, text)
}

/// To the form, and from there back.
pub fn redirect(root: &str, next: Option<&str>) -> Response {
    match next {
        Some(next) if !next.is_empty() => go(&format!("{root}sign-in?next={}", super::part(next))),
        Some(_) | None => go(&format!("{root}sign-in")),
    }
}

/// To another page.
pub fn go(to: &str) -> Response {
    match HeaderValue::from_str(to) {
        Ok(to) => (StatusCode::SEE_OTHER, [(header::LOCATION, to)]).into_response(),
        Err(_) => StatusCode::BAD_REQUEST.into_response(),
    }
}

fn with_cookie(mut response: Response, cookie: &str) -> Response {
    if let Ok(cookie) = HeaderValue::from_str(cookie) {
        response.headers_mut().insert(header::SET_COOKIE, cookie);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_led_elsewhere() {
        let page = |next: &str| Way { next: next.to_owned() }.page().to_owned();
        for own in ["", "journal", "numbers/+15005550100", "numbers/%2B15005550100?x=a:b", "?all", "act/hold?group=x"] {
            assert_eq!(page(own), own);
        }
        for other in [
            "//evil.example",
            "/evil",
            "https://evil.example",
            "javascript:alert(1)",
            "\\\\evil",
            "a\\b",
            "..",
            "a\r\nb",
        ] {
            assert_eq!(page(other), "", "{other}");
        }
    }
}
