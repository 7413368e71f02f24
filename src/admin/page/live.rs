//! What has changed on the overview, sent to whoever looks: server-sent events.
//!
//! The parts of the page are rendered once for each state of the agent, whoever many look, and each has the version in
//! which it last changed. A browser is sent those that are newer than what it has, at most once a second; when it comes
//! again after an interruption it says what it had. One that is beyond the bound is told to come again, and reads the
//! page as one without a script does.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use hyper::body::Frame;
use serde::Deserialize;
use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore, watch};

use super::{LivePart, overview};
use crate::admin::{Admin, ApiProblem, sessions};
use crate::agent::publish::status::Status;
use crate::core::model::time::Time;

/// Who may look at the same time; each holds a connection.
const VIEWERS: usize = 32;

/// Between two events of one browser's.
const EVERY: Duration = Duration::from_secs(1);

/// What the overview consists of. Cheap to clone.
#[derive(Clone)]
pub struct Live {
    /// Tells this process's versions from those of another.
    process: Arc<str>,
    made: Arc<Mutex<Made>>,
    viewers: Arc<Semaphore>,
}

#[derive(Default)]
struct Made {
    of: Option<Time>,
    version: u64,
    parts: Vec<LivePart>,
}

/// The page as it is.
pub struct LivePage {
    pub version: String,
    pub parts: Vec<LivePart>,
    number: u64,
}

impl Default for Live {
    fn default() -> Live {
        let process: String = sessions::random().unwrap_or_default().chars().take(8).collect();
        Live { process: process.into(), made: Arc::default(), viewers: Arc::new(Semaphore::new(VIEWERS)) }
    }
}

impl Live {
    /// Renders the parts, unless they are those of this state already.
    pub async fn seen(&self, admin: &Admin) -> LivePage {
        let mut made = self.made.lock().await;
        let status = admin.status.borrow().clone();
        if made.of != Some(status.at) {
            let Made { version, parts: before, .. } = std::mem::take(&mut *made);
            let version = version + 1;
            let parts = overview::parts(&status, &admin.recent, &admin.roster).into_iter().enumerate();
            let part = |(i, (id, html)): (usize, (String, askama::Result<String>))| {
                let html = html.unwrap_or_else(|_| "This part cannot be shown.".to_owned());
                match before.get(i).filter(|known| known.id == id && *known.html == *html) {
                    Some(known) => known.clone(),
                    None => LivePart { id, html: html.into(), version },
                }
            };
            *made = Made { of: Some(status.at), version, parts: parts.map(part).collect() };
        }
        LivePage {
            version: format!("{}-{}", self.process, made.version),
            parts: made.parts.clone(),
            number: made.version,
        }
    }

    /// The version that a browser has; none of ours if it is another process's.
    fn version(&self, said: &str) -> u64 {
        let of = |(process, version): (&str, &str)| (process == &*self.process).then(|| version.parse().ok()).flatten();
        said.split_once('-').and_then(of).unwrap_or(0)
    }
}

/// What a browser has already.
#[derive(Deserialize, Default)]
#[serde(default)]
pub struct Has {
    after: String,
}

/// `GET /events`.
pub async fn events(State(admin): State<Admin>, Query(has): Query<Has>, headers: HeaderMap) -> Response {
    let Ok(seat) = admin.live.viewers.clone().try_acquire_owned() else {
        let text = "too many look at the same time: come again";
        return ApiProblem::new(StatusCode::SERVICE_UNAVAILABLE, text).into_response();
    };
    let last = headers.get("last-event-id").and_then(|v| v.to_str().ok()).unwrap_or(&has.after);
    let version = admin.live.version(last);
    let viewer = Viewer { status: admin.status.clone(), admin, version, sent: None, _seat: seat };
    let mut response = Body::new(Events { next: Box::pin(next(viewer)) }).into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("text/event-stream"));
    response
}

struct Viewer {
    admin: Admin,
    status: watch::Receiver<Arc<Status>>,
    version: u64,
    /// Of which instant the latest event was.
    sent: Option<Time>,
    _seat: OwnedSemaphorePermit,
}

/// The next event, and who gets the one after it; `None` once the agent stops.
async fn next(mut viewer: Viewer) -> Option<(Bytes, Viewer)> {
    while let Some(sent) = viewer.sent {
        viewer.status.changed().await.ok()?;
        // The engine ticks every second: what is left out now comes with the next one.
        if viewer.status.borrow_and_update().at >= sent + EVERY {
            break;
        }
    }
    let at = viewer.status.borrow_and_update().at;
    let seen = viewer.admin.live.seen(&viewer.admin).await;
    let parts: serde_json::Map<String, serde_json::Value> = seen
        .parts
        .iter()
        .filter(|part| part.version > viewer.version)
        .map(|part| (part.id.clone(), (*part.html).into()))
        .collect();
    let age = viewer.admin.clock.now().since(at).as_millis();
    let time = super::words::time_of_day(at);
    let data =
        serde_json::json!({ "at": at, "time": time, "age": u64::try_from(age).unwrap_or(u64::MAX), "parts": parts });
    let text = format!("retry: 2000\nid: {}\ndata: {data}\n\n", seen.version);
    (viewer.version, viewer.sent) = (seen.number, Some(at));
    Some((text.into(), viewer))
}

type Next = Pin<Box<dyn Future<Output = Option<(Bytes, Viewer)>> + Send>>;

/// Events without end.
struct Events {
    next: Next,
}

impl HttpBody for Events {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, std::convert::Infallible>>> {
        match std::task::ready!(self.next.as_mut().poll(cx)) {
            Some((bytes, viewer)) => {
                self.next = Box::pin(next(viewer));
                Poll::Ready(Some(Ok(Frame::data(bytes))))
            }
            None => {
                self.next = Box::pin(std::future::pending());
                Poll::Ready(None)
            }
        }
    }
}
