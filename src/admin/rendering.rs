//! Pages that are made for everybody at once: the metrics, the status, the numbers, the latest decisions.
//!
//! With thousands of numbers such a page has megabytes, and making it takes many times as much. So one is made at a
//! time, for all who had asked when it was begun, and no more than half of the time goes into that. Who reads a page
//! holds no part of it: it is kept here, and given out a portion at a time. Only the latest [`bounds::RENDERINGS`] are
//! kept, so that clients who do not read cost nothing but their connections: who has not read the oldest when another
//! is to be made is cut off, after [`bounds::READ_AT_LEAST`].

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll};

use axum::body::{Body, Bytes, HttpBody};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use hyper::body::{Frame, SizeHint};
use tokio::time::{Instant, sleep_until};

use super::ApiProblem;
use crate::core::model::bounds;

/// How much is handed to a connection at once.
const PORTION: usize = 32 << 10;

/// A page that is made again for those who ask. Cheap to clone.
#[derive(Clone, Default)]
pub struct Rendering {
    /// Whoever has it makes the next one.
    turn: Arc<tokio::sync::Mutex<()>>,
    made: Arc<Mutex<Made>>,
}

/// What was made, the latest last.
#[derive(Default)]
struct Made {
    pages: VecDeque<Page>,
    /// When the latest was begun, and when the next may be.
    begun: Option<Instant>,
    next: Option<Instant>,
}

#[derive(Clone)]
struct Page {
    ready: Instant,
    text: Arc<Vec<u8>>,
    /// Those who read it have one each.
    reader: Arc<()>,
}

impl Rendering {
    /// The page as it is now or is going to be, made by `make` if it is not being made for others.
    pub async fn answer(
        &self,
        content_type: &'static str,
        make: impl Future<Output = Result<Vec<u8>, ApiProblem>> + Send + 'static,
    ) -> Response {
        let asked = Instant::now();
        let turn = self.turn.clone().lock_owned().await;
        let page = match self.begun_since(asked) {
            Some(page) => Ok(page),
            None => {
                let rendering = self.clone();
                // Whoever asked may go away: what was begun for all is made to its end, and alone.
                #[expect(clippy::disallowed_methods, reason = "it ends by itself, and must not end with who asked")]
                let making = tokio::spawn(async move {
                    let _turn = turn;
                    rendering.has_room().await;
                    let begun = Instant::now();
                    Ok(rendering.keep(begun, make.await?))
                });
                making.await.unwrap_or_else(|e| Err(problem(&e)))
            }
        };
        match page {
            Ok(page) => {
                let portions =
                    Portions { left: page.text.len(), page: Arc::downgrade(&page.text), _reader: page.reader };
                let mut response = Body::new(portions).into_response();
                response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
                response
            }
            Err(problem) => problem.into_response(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Made> {
        // Plain data, valid after any panic.
        self.made.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begun_since(&self, asked: Instant) -> Option<Page> {
        let made = self.lock();
        made.pages.back().filter(|_| made.begun >= Some(asked)).cloned()
    }

    /// Waits until another page may be made.
    async fn has_room(&self) {
        let until = {
            let made = self.lock();
            let is_full = made.pages.len() >= bounds::RENDERINGS;
            // The page itself is one of them.
            let oldest = made.pages.front().filter(|page| is_full && Arc::strong_count(&page.reader) > 1);
            made.next.max(oldest.map(|page| page.ready + bounds::READ_AT_LEAST))
        };
        if let Some(until) = until {
            sleep_until(until).await;
        }
        let mut made = self.lock();
        while made.pages.len() >= bounds::RENDERINGS {
            made.pages.pop_front();
        }
    }

    fn keep(&self, begun: Instant, text: Vec<u8>) -> Page {
        let ready = Instant::now();
        let page = Page { ready, text: Arc::new(text), reader: Arc::new(()) };
        let mut made = self.lock();
        made.begun = Some(begun);
        made.next = Some(ready + ready.duration_since(begun));
        made.pages.retain(|page| Arc::strong_count(&page.reader) > 1);
        made.pages.push_back(page.clone());
        page
    }
}

/// Makes a page where no task waits for the thread.
pub async fn apart<E: std::fmt::Display + Send + 'static>(
    make: impl FnOnce() -> Result<Vec<u8>, E> + Send + 'static,
) -> Result<Vec<u8>, ApiProblem> {
    match tokio::task::spawn_blocking(make).await {
        Ok(Ok(page)) => Ok(page),
        Ok(Err(e)) => Err(problem(&e)),
        Err(e) => Err(problem(&e)),
    }
}

fn problem(e: &impl std::fmt::Display) -> ApiProblem {
    ApiProblem::new(StatusCode::INTERNAL_SERVER_ERROR, e.to_string())
}

/// A page on its way to one client.
struct Portions {
    page: Weak<Vec<u8>>,
    left: usize,
    _reader: Arc<()>,
}

/// The page was given up for newer ones before the client had read it.
#[derive(Debug, thiserror::Error)]
#[error("it was read too slowly")]
struct TooSlow;

impl HttpBody for Portions {
    type Data = Bytes;
    type Error = TooSlow;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, TooSlow>>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        let Some(page) = self.page.upgrade() else { return Poll::Ready(Some(Err(TooSlow))) };
        let rest = &page[page.len() - self.left..];
        // A copy: a part of the page would keep all of it.
        let portion = Bytes::copy_from_slice(&rest[..rest.len().min(PORTION)]);
        self.left -= portion.len();
        Poll::Ready(Some(Ok(Frame::data(portion))))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left as u64)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use super::*;
    use crate::clock::Clock;

    fn page(made: &Arc<AtomicUsize>, bytes: usize) -> impl Future<Output = Result<Vec<u8>, ApiProblem>> + use<> {
        let made = made.clone();
        async move {
            made.fetch_add(1, Ordering::Relaxed);
            Clock::system().sleep(Duration::from_millis(20)).await;
            Ok(vec![b'x'; bytes])
        }
    }

    async fn read(response: Response) -> Result<usize, axum::Error> {
        axum::body::to_bytes(response.into_body(), usize::MAX).await.map(|b| b.len())
    }

    fn run<T>(test: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(test)
    }

    #[test]
    fn all_who_have_asked_share_one_and_nobody_gets_an_older_one() {
        run(async {
            let (rendering, made) = (Rendering::default(), Arc::new(AtomicUsize::new(0)));
            let mut all = tokio::task::JoinSet::new();
            for _ in 0..200 {
                let (rendering, page) = (rendering.clone(), page(&made, 100_000));
                all.spawn(async move { read(rendering.answer("text/plain", page).await).await.unwrap() });
            }
            while let Some(bytes) = all.join_next().await {
                assert_eq!(bytes.unwrap(), 100_000);
            }
            // The first one's, and one for all who came while it was being made.
            assert!(made.load(Ordering::Relaxed) <= 2, "{made:?}");
            let before = made.load(Ordering::Relaxed);
            rendering.answer("text/plain", page(&made, 1)).await;
            assert_eq!(made.load(Ordering::Relaxed), before + 1, "it is as it is now");
        });
    }

    #[test]
    fn who_goes_away_leaves_no_second_one_in_the_making() {
        run(async {
            let (rendering, made) = (Rendering::default(), Arc::new(AtomicUsize::new(0)));
            let is_one = Arc::new(AtomicUsize::new(0));
            for _ in 0..20 {
                let one = is_one.clone();
                let make = async move {
                    assert_eq!(one.fetch_add(1, Ordering::SeqCst), 0, "two at once");
                    Clock::system().sleep(Duration::from_millis(5)).await;
                    one.fetch_sub(1, Ordering::SeqCst);
                    Ok(Vec::new())
                };
                let gone =
                    Clock::system().timeout(Duration::from_millis(1), rendering.answer("text/plain", make)).await;
                drop(gone);
            }
            assert_eq!(rendering.answer("text/plain", page(&made, 1)).await.status(), StatusCode::OK);
        });
    }

    #[test]
    fn who_does_not_read_holds_no_page() {
        run(async {
            let (rendering, made) = (Rendering::default(), Arc::new(AtomicUsize::new(0)));
            let mut unread = VecDeque::new();
            let began = Instant::now();
            for _ in 0..bounds::RENDERINGS + 1 {
                unread.push_back(rendering.answer("text/plain", page(&made, 1 << 20)).await);
            }
            assert!(began.elapsed() >= bounds::READ_AT_LEAST, "there was time to read it");
            assert_eq!(rendering.lock().pages.len(), bounds::RENDERINGS);
            assert!(read(unread.pop_front().unwrap()).await.is_err(), "the oldest is cut off");
            for response in unread {
                assert_eq!(read(response).await.unwrap(), 1 << 20);
            }
            let began = Instant::now();
            rendering.answer("text/plain", page(&made, 1)).await;
            assert!(began.elapsed() < bounds::READ_AT_LEAST, "nobody reads, and nobody is waited for");
        });
    }
}
