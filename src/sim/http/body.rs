//! Bodies that do not arrive as they should: in drips, or not to the end.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::body::{Body, Bytes, Frame, SizeHint};
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;

/// The connection is to close; what was given before must have left first.
#[derive(Clone, Copy)]
enum Break {
    Soon,
    Now,
}

/// A body that pauses before each piece, and may break off after the last.
pub struct Trickle {
    clock: Clock,
    stop: CancellationToken,
    pause: Duration,
    pieces: VecDeque<Bytes>,
    promised: u64,
    /// How it ends, if not well.
    breaks_off: Option<Break>,
    waiting: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

impl Trickle {
    /// All of `body`, in drips that take `takes` together.
    pub fn slow(body: Vec<u8>, takes: Duration, clock: Clock, stop: CancellationToken) -> Trickle {
        const DRIPS: usize = 10;
        let (promised, body) = (body.len() as u64, Bytes::from(body));
        let size = body.len().div_ceil(DRIPS).max(1);
        let pieces = (0..body.len()).step_by(size).map(|i| body.slice(i..body.len().min(i + size))).collect();
        Trickle { clock, stop, pause: takes / DRIPS as u32, pieces, promised, breaks_off: None, waiting: None }
    }

    /// The first half of `body`, and then nothing.
    pub fn cut(body: Vec<u8>, clock: Clock, stop: CancellationToken) -> Trickle {
        let half = Bytes::from(body.clone()).slice(..body.len() / 2);
        let promised = body.len() as u64;
        Trickle {
            clock,
            stop,
            pause: Duration::ZERO,
            pieces: [half].into(),
            promised,
            breaks_off: Some(Break::Soon),
            waiting: None,
        }
    }
}

impl Body for Trickle {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let this = &mut *self;
        if this.pieces.is_empty() {
            return match this.breaks_off {
                None => Poll::Ready(None),
                Some(Break::Soon) => {
                    // An error would overtake what still waits to be written; a pause does not.
                    this.breaks_off = Some(Break::Now);
                    cx.waker().wake_by_ref();
                    Poll::Pending
                }
                Some(Break::Now) => {
                    let broken = io::Error::new(io::ErrorKind::ConnectionAborted, "the scenario cuts this answer");
                    Poll::Ready(Some(Err(broken)))
                }
            };
        }
        if !this.pause.is_zero() {
            let waiting = this.waiting.get_or_insert_with(|| {
                let (clock, stop, pause) = (this.clock.clone(), this.stop.clone(), this.pause);
                Box::pin(async move {
                    clock.wait(Some(clock.now() + pause), stop.cancelled()).await;
                })
            });
            if waiting.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            this.waiting = None;
        }
        Poll::Ready(this.pieces.pop_front().map(|piece| Ok(Frame::data(piece))))
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.promised)
    }
}
