//! What the sender connects to: streams that count, that panic, or that never come.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::runtime::Handle;
use tokio::task::coop;

use crate::fence::broken::Bomb;
use crate::network::dialer::ByteStream;
use crate::network::transport::{Connecting, Connector};

/// Counts attempts to connect, and those under way.
#[derive(Debug, Default)]
pub(super) struct Attempts {
    pub(super) made: AtomicUsize,
    pub(super) under_way: Arc<AtomicUsize>,
    pub(super) reads: Arc<AtomicUsize>,
    pub(super) outcome: Outcome,
}

/// What becomes of attempts to connect.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Nothing is decided.
    #[default]
    None,
    /// A stream that throws what throws again.
    Bomb,
    /// A stream that panics when it is used.
    Panic,
    Refused,
    /// It goes on for ever, and only within a runtime.
    Restless,
    /// The attempt panics.
    PanicAtOnce,
    /// A stream that counts how often it is read.
    Counted,
}

/// A stream that counts reads, and does as tokio's do: without a budget it has nothing.
struct Counted(Arc<AtomicUsize>);

impl AsyncRead for Counted {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, _: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        std::task::ready!(coop::poll_proceed(cx)).made_progress();
        self.0.fetch_add(1, Ordering::Relaxed);
        Poll::Pending
    }
}

impl AsyncWrite for Counted {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// A stream that panics.
struct Broken {
    with_bomb: bool,
}

impl AsyncRead for Broken {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, _: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.with_bomb {
            std::panic::panic_any(Bomb);
        }
        panic!("a bug of number {}", 7);
    }
}

impl AsyncWrite for Broken {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl Connector for Attempts {
    fn connect(&self, _: &str, _: u16, _: usize) -> Connecting {
        self.made.fetch_add(1, Ordering::Relaxed);
        match self.outcome {
            Outcome::None => {}
            outcome @ (Outcome::Bomb | Outcome::Panic) => {
                return Box::pin(async move {
                    let stream: Box<dyn ByteStream> =
                        Box::new(Broken { with_bomb: outcome == Outcome::Bomb });
                    Ok(stream)
                });
            }
            Outcome::Refused => return Box::pin(async { Err(io::ErrorKind::ConnectionRefused.into()) }),
            Outcome::Restless => {
                return Box::pin(std::future::poll_fn(|cx| {
                    let _runtime = Handle::current();
                    cx.waker().wake_by_ref();
                    Poll::Pending
                }));
            }
            Outcome::PanicAtOnce => {
                return Box::pin(async { panic!("OS can't spawn worker thread") });
            }
            Outcome::Counted => {
                let reads = Arc::clone(&self.reads);
                return Box::pin(async move {
                    let stream: Box<dyn ByteStream> = Box::new(Counted(reads));
                    Ok(stream)
                });
            }
        }
        let under_way = UnderWay::new(&self.under_way);
        Box::pin(async move {
            let _under_way = under_way;
            std::future::pending().await
        })
    }
}

struct UnderWay(Arc<AtomicUsize>);

impl UnderWay {
    fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(count))
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
