//! Streams to a mail server: one that ends after so many bytes, TLS over it, and above both what is really said, which
//! ends after so many lines.

#![expect(deprecated, reason = "lettre has no other door to its TLS over a stream of ours")]

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_io::{AsyncRead as _, AsyncWrite as _};
use lettre::transport::smtp::Error;
use lettre::transport::smtp::client::{AsyncNetworkStream, AsyncTokioStream, TlsParameters};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use crate::core::model::bounds;

/// A connection on which the other side is heard for [`bounds::MAIL_BYTES`] and no longer.
#[derive(Debug)]
pub struct Bounded {
    stream: TcpStream,
    left: usize,
}

impl Bounded {
    pub const fn new(stream: TcpStream) -> Bounded {
        Bounded { stream, left: bounds::MAIL_BYTES }
    }
}

impl AsyncTokioStream for Bounded {
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.stream.peer_addr()
    }
}

impl AsyncRead for Bounded {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.left == 0 {
            return Poll::Ready(Err(too_much()));
        }
        let room = into.remaining().min(self.left);
        let mut part = ReadBuf::new(into.initialize_unfilled_to(room));
        ready!(Pin::new(&mut self.stream).poll_read(cx, &mut part))?;
        let read = part.filled().len();
        into.advance(read);
        self.left -= read;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Bounded {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// TLS from the start, over a stream of ours.
#[derive(Debug)]
pub struct Encrypted(AsyncNetworkStream);

impl Encrypted {
    pub async fn over(stream: Bounded, tls: TlsParameters) -> Result<Encrypted, Error> {
        let mut stream = AsyncNetworkStream::use_existing_tokio1(Box::new(stream));
        stream.upgrade_tls(tls).await?;
        Ok(Encrypted(stream))
    }
}

impl AsyncTokioStream for Encrypted {
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.0.peer_addr()
    }
}

impl AsyncRead for Encrypted {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let read = ready!(Pin::new(&mut self.0).poll_read(cx, into.initialize_unfilled()))?;
        into.advance(read);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Encrypted {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_close(cx)
    }
}

/// What a mail server says once it can be understood: [`bounds::MAIL_SAID`] and [`bounds::MAIL_LINES`], and no more.
#[derive(Debug)]
pub struct Spoken<S> {
    stream: S,
    /// What it is taken to have said first.
    first: &'static [u8],
    bytes: usize,
    lines: usize,
}

impl<S> Spoken<S> {
    pub const fn new(stream: S) -> Spoken<S> {
        Spoken { stream, first: b"", bytes: bounds::MAIL_SAID, lines: bounds::MAIL_LINES }
    }

    /// Of a server that has greeted us already, which it does once, and whose greeting somebody waits for.
    pub fn greeted(stream: S) -> Spoken<S> {
        let mut spoken = Spoken::new(stream);
        spoken.first = b"220 ready\r\n";
        spoken
    }
}

impl<S: AsyncTokioStream> AsyncTokioStream for Spoken<S> {
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.stream.peer_addr()
    }
}

impl<S: AsyncTokioStream> AsyncRead for Spoken<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if !self.first.is_empty() {
            let (part, rest) = self.first.split_at(self.first.len().min(into.remaining()));
            into.put_slice(part);
            self.first = rest;
            return Poll::Ready(Ok(()));
        }
        let before = into.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, into))?;
        let said = &into.filled()[before..];
        let lines = memchr::memchr_iter(b'\n', said).count();
        match (self.bytes.checked_sub(said.len()), self.lines.checked_sub(lines)) {
            (Some(bytes), Some(lines)) => {
                (self.bytes, self.lines) = (bytes, lines);
                Poll::Ready(Ok(()))
            }
            (None, _) | (_, None) => Poll::Ready(Err(too_much())),
        }
    }
}

impl<S: AsyncTokioStream> AsyncWrite for Spoken<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

pub fn too_much() -> io::Error {
    io::Error::other("the mail server says more than any does")
}
