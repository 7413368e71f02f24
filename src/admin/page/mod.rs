//! The page: what an operator sees and does in a browser, beside the API.
//!
//! Everything is rendered here, from templates that are checked when this is compiled; style and script are part of the
//! program, nothing comes from another host, and without a script all of it can be read and done. A page says as of
//! when it is, and its clock turns red by itself when nothing new comes: an old page must not look like health.
//!
//! What is read needs a session where the agent can be reached from elsewhere ([`super::auth`]). What is done needs
//! one of an operator, is named on a page of its own before it is done ([`act`]), and goes the way of the API's
//! commands. Links are relative, so that a proxy may put the agent under a path of its own.

mod act;
mod acts;
mod curve;
mod decision;
mod group;
mod journal;
mod live;
mod number;
mod overview;
mod sight;
mod sign_in;
mod spark;
mod standing;
mod trouble;
mod words;

use std::sync::Arc;

use askama::Template;
use axum::Router;
use axum::extract::{FromRequestParts, Path, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{get, post};
use tower_http::set_header::SetResponseHeaderLayer;

use super::auth::Right;
use super::sessions::Session;
use super::{Admin, ApiProblem};
use crate::core::model::time::Time;
pub use live::Live;

/// Nothing from elsewhere, nothing inline, nobody's frame.
pub const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; \
                      connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

/// Every page.
pub fn routes(admin: &Admin) -> Router<Admin> {
    let fixed = |name, value| SetResponseHeaderLayer::overriding(name, HeaderValue::from_static(value));
    Router::new()
        .route("/", get(overview::overview))
        .route("/groups/{name}", get(group::group))
        .route("/numbers/{*number}", get(number::number))
        .route("/decisions/{id}", get(decision::decision))
        .route("/journal", get(journal::journal))
        .route("/act/{verb}", get(act::confirm).post(act::act))
        .route("/sign-out", post(sign_in::sign_out))
        .route("/events", get(live::events))
        .layer(from_fn_with_state(admin.clone(), enter))
        .route("/sign-in", get(sign_in::form).post(sign_in::sign_in))
        .route("/assets/{name}", get(asset))
        .layer(fixed(header::CONTENT_SECURITY_POLICY, POLICY))
        // Without its own address a browser says of our forms that they come from nowhere.
        .layer(fixed(header::REFERRER_POLICY, "same-origin"))
}

/// Who looks, and where.
#[derive(Clone)]
pub struct Visitor {
    pub session: Option<Session>,
    /// How to get from this page to `/`.
    pub root: String,
}

impl Visitor {
    pub fn may_act(&self) -> bool {
        self.session.as_ref().is_some_and(|s| s.holder.right == Right::Act)
    }

    /// Where a page at `path` has its root.
    fn root(path: &str) -> String {
        match path.matches('/').count().saturating_sub(1) {
            0 => "./".to_owned(),
            up => "../".repeat(up),
        }
    }

    fn of(request: &Request, session: Option<Session>) -> Visitor {
        Visitor { session, root: Visitor::root(request.uri().path()) }
    }
}

impl FromRequestParts<Admin> for Visitor {
    type Rejection = PageProblem;

    async fn from_request_parts(parts: &mut Parts, admin: &Admin) -> Result<Visitor, PageProblem> {
        let session = admin.sessions.find(&parts.headers, &parts.extensions);
        Ok(Visitor { session, root: Visitor::root(parts.uri.path()) })
    }
}

/// Lets in whoever may read.
async fn enter(State(admin): State<Admin>, request: Request, next: Next) -> Response {
    let visitor = Visitor::of(&request, admin.sessions.of(&request));
    let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
    if visitor.session.is_none() && is_read && is_from_elsewhere(request.headers()) {
        // A browser sends its cookie with no request that another site's page began. With ours it does.
        let again = Again { root: visitor.root, here: here(&request) };
        return html(StatusCode::OK, &again);
    }
    if visitor.session.is_none() && admin.door.is_open() {
        return sign_in::redirect(&visitor.root, is_read.then(|| here(&request)).as_deref());
    }
    next.run(request).await
}

/// A link on another site's page was followed.
fn is_from_elsewhere(headers: &HeaderMap) -> bool {
    let says = |name: &str, word: &str| headers.get(name).is_some_and(|v| v == word);
    says("sec-fetch-mode", "navigate") && (says("sec-fetch-site", "cross-site") || says("sec-fetch-site", "same-site"))
}

/// The page that is asked for, as seen from the root.
fn here(request: &Request) -> String {
    let path = request.uri().path_and_query().map_or("/", |p| p.as_str());
    path.trim_start_matches('/').to_owned()
}

/// A page that loads the one that was asked for once more.
#[derive(Template)]
#[template(path = "again.html", config = "src/admin/page/askama.toml")]
struct Again {
    root: String,
    here: String,
}

/// What surrounds every page.
#[derive(Template)]
#[template(path = "layout.html", config = "src/admin/page/askama.toml")]
struct Layout<'a> {
    title: &'a str,
    root: &'a str,
    /// HTML.
    body: &'a str,
    session: Option<&'a Session>,
    /// There is a token with which something can be done.
    is_locked: bool,
    said: Option<String>,
    clock: Option<Clock>,
    refresh: Refresh,
}

/// As of when a page is.
struct Clock {
    at: String,
    time: String,
    age_ms: u64,
}

/// How a page that stays open becomes newer.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Refresh {
    /// Its parts come by themselves.
    Parts,
    /// It is fetched again when something has changed.
    Whole,
    /// Not at all: somebody may be writing in it.
    Never,
}

impl Layout<'_> {
    fn is_refreshed(&self) -> bool {
        self.refresh != Refresh::Never
    }

    const fn how(&self) -> &'static str {
        match self.refresh {
            Refresh::Parts => "parts",
            Refresh::Whole => "whole",
            Refresh::Never => "never",
        }
    }

    fn name(&self) -> &str {
        self.session.and_then(|s| s.holder.name.as_deref()).unwrap_or("operator")
    }

    fn reads_alone(&self) -> bool {
        self.session.is_some_and(|s| s.holder.right == Right::Read)
    }

    fn form_key(&self) -> &str {
        self.session.map(|s| &*s.form_key).unwrap_or_default()
    }
}

/// A whole page around `body`.
fn page(admin: &Admin, visitor: &Visitor, title: &str, refresh: Refresh, body: &impl Template) -> Response {
    let body = match body.render() {
        Ok(body) => body,
        Err(error) => return broken(&error),
    };
    let at = admin.status.borrow().at;
    let age_ms = u64::try_from(admin.clock.now().since(at).as_millis()).unwrap_or(u64::MAX);
    let layout = Layout {
        title,
        root: &visitor.root,
        body: &body,
        session: visitor.session.as_ref(),
        is_locked: admin.door.is_locked(),
        said: visitor.session.as_ref().and_then(|s| admin.sessions.take_said(s)),
        clock: Some(Clock { at: at.to_string(), time: words::time_of_day(at), age_ms }),
        refresh,
    };
    html(StatusCode::OK, &layout)
}

/// A page that stays as it is.
pub fn still(admin: &Admin, visitor: &Visitor, title: &str, body: &impl Template) -> Response {
    page(admin, visitor, title, Refresh::Never, body)
}

/// A page without a visitor: the way in, and what was wrong.
fn bare(status: StatusCode, root: &str, title: &str, body: &impl Template) -> Response {
    let body = match body.render() {
        Ok(body) => body,
        Err(error) => return broken(&error),
    };
    let (session, said, clock, refresh) = (None, None, None, Refresh::Never);
    html(status, &Layout { title, root, body: &body, session, is_locked: true, said, clock, refresh })
}

fn html(status: StatusCode, template: &impl Template) -> Response {
    match template.render() {
        Ok(text) => (status, Html(text)).into_response(),
        Err(error) => broken(&error),
    }
}

/// Rendering fails where a value's own text does, which none of ours does.
fn broken(error: &askama::Error) -> Response {
    tracing::error!(%error, "a page cannot be rendered");
    StatusCode::INTERNAL_SERVER_ERROR.into_response()
}

/// What was wrong, as a page.
#[derive(Debug)]
pub struct PageProblem {
    status: StatusCode,
    text: String,
}

impl PageProblem {
    pub fn new(status: StatusCode, text: impl Into<String>) -> PageProblem {
        PageProblem { status, text: text.into() }
    }

    fn at(self, root: &str) -> Response {
        let problem = Problem { text: &self.text, root };
        bare(self.status, root, "That did not work", &problem)
    }
}

impl From<ApiProblem> for PageProblem {
    fn from(problem: ApiProblem) -> PageProblem {
        PageProblem { status: problem.status, text: problem.error }
    }
}

#[derive(Template)]
#[template(path = "problem.html", config = "src/admin/page/askama.toml")]
struct Problem<'a> {
    text: &'a str,
    root: &'a str,
}

impl IntoResponse for PageProblem {
    fn into_response(self) -> Response {
        self.at("/")
    }
}

/// What a path that names something is about.
fn part(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

/// A part of the overview that comes by itself when it has changed.
#[derive(Clone)]
pub struct LivePart {
    id: String,
    /// HTML.
    html: Arc<str>,
    /// Of the page, in which it last changed.
    version: u64,
}

/// When something was, for programs and for people.
struct Moment {
    at: String,
    time: String,
}

impl Moment {
    fn of(at: Time, now: Time) -> Moment {
        Moment { at: at.to_string(), time: words::moment(at, now) }
    }
}

/// Files that pages name.
async fn asset(Path(name): Path<String>) -> Result<Response, PageProblem> {
    let (kind, text) = match name.as_str() {
        "page.css" => ("text/css; charset=utf-8", include_str!("page.css")),
        "page.js" => ("text/javascript; charset=utf-8", include_str!("page.js")),
        _ => return Err(PageProblem::new(StatusCode::NOT_FOUND, "no such page")),
    };
    // As old as the program is, and the next one may have another.
    Ok(([(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, "no-cache")], text).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_finds_its_root_wherever_it_is() {
        for (path, root) in
            [("/", "./"), ("/journal", "./"), ("/numbers/+15005550100", "../"), ("/numbers/AC1/+1500", "../../")]
        {
            assert_eq!(Visitor::root(path), root, "{path}");
        }
    }
}
