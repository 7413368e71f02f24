//! A connection that ends when its client does not read what it asked for.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep_until};

use crate::core::model::bounds;

/// How long clients are waited for, by how many there are.
#[derive(Debug)]
pub struct ClientPatience {
    connections: AtomicUsize,
    usual: Duration,
    crowded: Duration,
}

impl ClientPatience {
    pub const fn new(usual: Duration, crowded: Duration) -> ClientPatience {
        ClientPatience { connections: AtomicUsize::new(0), usual, crowded }
    }

    fn now(&self) -> Duration {
        if self.connections.load(Relaxed) > bounds::CROWDED { self.crowded } else { self.usual }
    }
}

/// A connection. While it can be written to no further its client's time runs; reading at [`bounds::READ_RATE`] stops
/// that, and less does not.
pub struct Impatient {
    stream: TcpStream,
    patience: Arc<ClientPatience>,
    /// Set while there is something to be written that the client does not take.
    waiting: Option<Waiting>,
}

struct Waiting {
    /// When it began, later by what was read since.
    since: Instant,
    /// How many are connected is looked at now and then.
    look: Pin<Box<Sleep>>,
}

/// Between two looks.
const LOOK: Duration = Duration::from_millis(250);

impl Impatient {
    pub fn new(stream: TcpStream, patience: Arc<ClientPatience>) -> Impatient {
        patience.connections.fetch_add(1, Relaxed);
        Impatient { stream, patience, waiting: None }
    }

    /// Goes by what a write came to.
    fn judge(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        match written {
            Poll::Ready(Ok(n)) => {
                if let Some(waiting) = &mut self.waiting {
                    waiting.since += Duration::from_secs(1).mul_f64(n as f64 / bounds::READ_RATE as f64);
                }
                self.waiting.take_if(|waiting| waiting.since >= Instant::now());
                Poll::Ready(Ok(n))
            }
            Poll::Ready(Err(e)) => Poll::Ready(Err(e)),
            Poll::Pending => {
                let now = Instant::now();
                let begin = || Waiting { since: now, look: Box::pin(sleep_until(now + LOOK)) };
                let waiting = self.waiting.get_or_insert_with(begin);
                loop {
                    if waiting.since + self.patience.now() <= Instant::now() {
                        return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
                    }
                    ready!(waiting.look.as_mut().poll(cx));
                    waiting.look.as_mut().reset(Instant::now() + LOOK);
                }
            }
        }
    }
}

impl Drop for Impatient {
    fn drop(&mut self) {
        self.patience.connections.fetch_sub(1, Relaxed);
    }
}

impl AsyncRead for Impatient {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, into)
    }
}

impl AsyncWrite for Impatient {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.judge(cx, written)
    }
    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, parts);
        self.judge(cx, written)
    }
    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;
    use crate::clock::Clock;

    /// Writes without end to a client that reads `portion` bytes each 20 ms, and says how much and how long.
    fn write_to(patience: Duration, portion: usize, within: Duration) -> (usize, Duration, Option<io::ErrorKind>) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
            let ours = Arc::new(ClientPatience::new(patience, Duration::ZERO));
            let mut ours = Impatient::new(listener.accept().await.unwrap().0, ours);
            let began = Instant::now();
            let mut written = 0;
            let write = async {
                loop {
                    match ours.write(&[b'x'; 65_536]).await {
                        Ok(n) => written += n,
                        Err(e) => break e.kind(),
                    }
                }
            };
            let read = async {
                let mut into = vec![0; portion];
                loop {
                    Clock::system().sleep(Duration::from_millis(20)).await;
                    if portion > 0 {
                        client.read_exact(&mut into).await.unwrap();
                    }
                }
            };
            let clock = Clock::system();
            let end = clock.timeout(within, async {
                tokio::select! {
                    end = write => end,
                    () = read => unreachable!("it reads without end"),
                }
            });
            let end = end.await.ok();
            (written, began.elapsed(), end)
        })
    }

    #[test]
    fn a_client_that_does_not_read_is_left_and_one_that_reads_is_not() {
        let patience = Duration::from_millis(600);
        let (written, after, end) = write_to(patience, 0, Duration::from_secs(60));
        assert_eq!(end, Some(io::ErrorKind::TimedOut));
        assert!(after >= patience && written < 64 << 20, "{written} bytes in {after:?}");
        // Some hundred bytes a second.
        let (.., end) = write_to(patience, 10, Duration::from_secs(60));
        assert_eq!(end, Some(io::ErrorKind::TimedOut), "a trickle is not reading");
        let (.., end) = write_to(patience, 400_000, Duration::from_secs(2));
        assert_eq!(end, None, "it reads, if not as fast as we write");
    }
}
