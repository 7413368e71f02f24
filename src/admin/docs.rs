//! The documentation and the runbooks that alerts and dashboards link to, as the agent was built with them: they are
//! there whenever it is, and say what this version does. A browser is given a page, everything else the Markdown.

use askama::Template;
use axum::extract::{Path, State};
use axum::http::header::{ACCEPT, CONTENT_SECURITY_POLICY, CONTENT_TYPE, VARY};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use pulldown_cmark::{CowStr, Event, Options, Parser, Tag, TagEnd, html};

use super::page::{self, Visitor};
use super::{Admin, ApiProblem};
use crate::docs;

#[derive(Template)]
#[template(source = "<article class=\"docs\">{{ body|safe }}</article>", ext = "html")]
struct Article {
    /// HTML that was made of text of ours alone.
    body: String,
}

/// The page as whoever asks takes it.
fn answer(admin: &Admin, visitor: &Visitor, accepted: &HeaderMap, title: &str, markdown: &str) -> Response {
    let is_browser = accepted.get(ACCEPT).and_then(|a| a.to_str().ok()).is_some_and(|a| a.contains("text/html"));
    let mut response = if is_browser {
        let body = Article { body: as_html(markdown) };
        page::still(admin, visitor, title, &body)
    } else {
        ([(CONTENT_TYPE, "text/plain; charset=utf-8")], markdown.to_owned()).into_response()
    };
    let headers = response.headers_mut();
    headers.insert(VARY, HeaderValue::from_static("accept"));
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(page::POLICY));
    response
}

/// Pages name each other by their files, as they lie in the repository; here they are named without the ending.
fn as_html(markdown: &str) -> String {
    let events = Parser::new_ext(markdown, Options::ENABLE_TABLES).map(|event| {
        if let Event::Start(Tag::Link { link_type, dest_url, title, id }) = event {
            let to = dest_url.replacen(".md", "", usize::from(!dest_url.contains("://")));
            Event::Start(Tag::Link { link_type, dest_url: CowStr::from(to), title, id })
        } else {
            event
        }
    });
    let mut events: Vec<Event> = events.collect();
    // So that a link leads to a part of a page.
    for at in 0..events.len() {
        let words = heading(&events[at..]);
        if let (Event::Start(Tag::Heading { id, .. }), Some(words)) = (&mut events[at], words) {
            *id = Some(CowStr::from(docs::anchor(&words)));
        }
    }
    let mut out = String::new();
    html::push_html(&mut out, events.into_iter());
    // A table that is wider than the window scrolls by itself.
    out.replace("<table>", "<div class=\"scroll\"><table>").replace("</table>", "</table></div>")
}

/// The words of the heading that begins here.
fn heading(events: &[Event]) -> Option<String> {
    let (Event::Start(Tag::Heading { .. }), inside) = events.split_first()? else { return None };
    let inside = inside.iter().take_while(|e| !matches!(e, Event::End(TagEnd::Heading(_))));
    let words = inside.filter_map(|e| if let Event::Text(text) | Event::Code(text) = e { Some(&**text) } else { None });
    Some(words.collect())
}

/// `GET /docs/`: all pages, one a line.
pub async fn list(State(admin): State<Admin>, visitor: Visitor, headers: HeaderMap) -> Response {
    answer(&admin, &visitor, &headers, "Pages", &docs::list())
}

/// `GET /docs/{name}`, with or without `.md`.
pub async fn doc(
    State(admin): State<Admin>,
    visitor: Visitor,
    headers: HeaderMap,
    Path(name): Path<String>,
) -> Result<Response, ApiProblem> {
    let Some(text) = docs::page(&name) else {
        let near = docs::near(&name).map_or_else(String::new, |near| format!("; did you mean {near}?"));
        return Err(ApiProblem::new(StatusCode::NOT_FOUND, format!("no page of this name: /docs/ lists them{near}")));
    };
    Ok(answer(&admin, &visitor, &headers, &name, text))
}

/// `GET /runbooks/`: all of them, one a line.
pub async fn runbooks() -> Response {
    let lines: String = docs::RUNBOOKS.iter().map(|(name, _)| format!("/runbooks/{name}\n")).collect();
    ([(CONTENT_TYPE, "text/plain; charset=utf-8")], lines).into_response()
}

/// `GET /runbooks/{name}`, with or without `.md`.
pub async fn runbook(
    State(admin): State<Admin>,
    visitor: Visitor,
    headers: HeaderMap,
    Path(name): Path<String>,
) -> Result<Response, ApiProblem> {
    let found = docs::runbook(&name).map(|text| answer(&admin, &visitor, &headers, &name, text));
    found.ok_or_else(|| ApiProblem::new(StatusCode::NOT_FOUND, "no runbook of this name: /runbooks/ lists them"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_link_to_pages_and_not_to_files() {
        let html = as_html("[a](probes.md#hear) [b](https://x.example/y.md)\n\n| a | b |\n|---|---|\n| 1 | `<2>` |\n");
        assert!(html.contains("href=\"probes#hear\"") && html.contains("https://x.example/y.md"), "{html}");
        let html = html + &as_html("## RB301: a `b`\n\n## What it *is*\n");
        assert!(html.contains("<h2 id=\"RB301\">") && html.contains("<h2 id=\"what-it-is\">"), "{html}");
        assert!(html.contains("<td><code>&lt;2&gt;</code></td>") && html.contains("class=\"scroll\""), "{html}");
    }
}
