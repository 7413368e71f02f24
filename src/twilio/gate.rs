//! When a write begins: with its first byte, and not before its connection is there.
//!
//! Between the word that a write may go out and its first byte a connection is made: a name is looked up, a proxy
//! asked, TCP and TLS shake hands. That may take seconds, and whoever says stop meanwhile means this write too. So a
//! [`Gate`] is asked twice: when the request has its place, and once more by the request's body ([`FirstByte::body`]).
//!
//! hyper puts a request's head into a buffer, asks for its body, and only then writes the buffer out, all in one go
//! and to a connection that is there. A body that is an error ends the connection with nothing written. Where there is
//! to be no body, hyper asks whether that is so, at the same place; the answer is then that there is one, which is an
//! error. `tests/it/connecting.rs` holds this against hyper, byte by byte.
//!
//! Promises: no byte of a write goes out unless its gate was asked after the connection was there and said yes; what
//! has not begun when [`FirstByte::end`] is called never begins.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::body::{Body, Bytes, Frame, SizeHint};

/// What may stop a write.
pub trait Gate: Send + Sync + 'static {
    /// Why it does.
    type Stop: Send + 'static;
    /// Kept from the first byte until the request has ended.
    type Begun: Send + 'static;

    /// How long the request may take, or what stands against it. Asked when it has its place among those in flight.
    fn may(&self) -> Result<Duration, Self::Stop>;

    /// Asked right before the first byte goes out.
    fn begin(&self) -> Result<Self::Begun, Self::Stop>;
}

/// Of what nobody stops, and how long it may take.
pub struct Open(pub Duration);

impl Gate for Open {
    type Stop = Infallible;
    type Begun = ();

    fn may(&self) -> Result<Duration, Infallible> {
        Ok(self.0)
    }

    fn begin(&self) -> Result<(), Infallible> {
        Ok(())
    }
}

/// Of one request. What has not begun when this is dropped never begins.
pub struct FirstByte<G: Gate>(Arc<Inner<G>>);

struct Inner<G: Gate> {
    gate: G,
    state: Mutex<State<G>>,
}

enum State<G: Gate> {
    /// Not asked for so far.
    Waits,
    Begun(G::Begun),
    Stopped(G::Stop),
    /// The request has ended: nobody waits for an answer any more.
    Over,
}

/// How far a request came.
pub enum RequestProgress<S> {
    /// Nothing of it was sent, for there was no connection to send it on.
    Unsent,
    /// Nothing of it was sent.
    Stopped(S),
    /// It may have been sent, as a whole or in part.
    Begun,
}

impl<G: Gate> FirstByte<G> {
    pub fn of(gate: G) -> FirstByte<G> {
        FirstByte(Arc::new(Inner { gate, state: Mutex::new(State::Waits) }))
    }

    pub fn may(&self) -> Result<Duration, G::Stop> {
        self.0.gate.may()
    }

    /// The request's body behind its gate: `form`, or none if that is empty.
    pub fn body(&self, form: String) -> impl Body<Data = Bytes, Error = NotSent> + Send + Sync + use<G> {
        Gated {
            inner: self.0.clone(),
            has_begun: OnceLock::new(),
            form: Some(Bytes::from(form)).filter(|f| !f.is_empty()),
        }
    }

    /// The request has ended.
    pub fn end(&self) -> RequestProgress<G::Stop> {
        match std::mem::replace(&mut *self.0.lock(), State::Over) {
            State::Waits | State::Over => RequestProgress::Unsent,
            State::Begun(_) => RequestProgress::Begun,
            State::Stopped(why) => RequestProgress::Stopped(why),
        }
    }
}

impl<G: Gate> Drop for FirstByte<G> {
    fn drop(&mut self) {
        self.end();
    }
}

impl<G: Gate> Inner<G> {
    fn lock(&self) -> std::sync::MutexGuard<'_, State<G>> {
        // Each state is whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin(&self) -> bool {
        let mut state = self.lock();
        if matches!(*state, State::Waits) {
            *state = self.gate.begin().map_or_else(State::Stopped, State::Begun);
        }
        matches!(*state, State::Begun(_))
    }
}

/// Its gate was shut.
#[derive(Debug, thiserror::Error)]
#[error("stopped before it was sent")]
pub struct NotSent;

struct Gated<G: Gate> {
    inner: Arc<Inner<G>>,
    /// Whether the gate was open.
    has_begun: OnceLock<bool>,
    form: Option<Bytes>,
}

impl<G: Gate> Gated<G> {
    fn has_begun(&self) -> bool {
        *self.has_begun.get_or_init(|| self.inner.begin())
    }
}

impl<G: Gate> Body for Gated<G> {
    type Data = Bytes;
    type Error = NotSent;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, NotSent>>> {
        Poll::Ready(match self.has_begun() {
            true => self.form.take().map(|form| Ok(Frame::data(form))),
            false => Some(Err(NotSent)),
        })
    }

    /// Of a request without a body this is the question after it.
    fn is_end_stream(&self) -> bool {
        self.form.is_none() && self.has_begun()
    }

    fn size_hint(&self) -> SizeHint {
        let is_stopped = self.has_begun.get() == Some(&false);
        // A body of no length would not be asked for, and so could not be an error.
        let of_none = u64::from(is_stopped);
        SizeHint::with_exact(self.form.as_ref().map_or(of_none, |form| form.len() as u64))
    }
}
