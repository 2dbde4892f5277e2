//! Dialers and streams that misbehave in every place where they are called.

use std::error::Error;
use std::pin::pin;
use std::sync::Mutex;
use std::task::Waker;

use crate::fence::broken::Bomb;

use super::super::Dialing;
use super::*;

/// Where a dialer or its stream misbehaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Dial,
    Dialing,
    DialError,
    Read,
    ReadError,
    TakeBack,
    Swap,
    Write,
    WriteTooMuch,
    Flush,
    Nowhere,
}

/// Throws when it is dropped, too.
#[derive(Debug)]
struct Hostile {
    place: Place,
}

impl Hostile {
    fn new(place: Place) -> Self {
        Self { place }
    }

    fn throw_if(&self, place: Place) {
        if self.place == place {
            std::panic::panic_any(Bomb);
        }
    }
}

impl Dialer for Hostile {
    fn dial(&self, _: DialTarget) -> Dialing<'_> {
        self.throw_if(Place::Dial);
        let place = self.place;
        Box::pin(async move {
            if place == Place::Dialing {
                std::panic::panic_any(Bomb);
            }
            if place == Place::DialError {
                return Err(io::Error::new(io::ErrorKind::HostUnreachable, Self::new(place)));
            }
            let stream: Box<dyn ByteStream> = Box::new(Self::new(place));
            Ok(stream)
        })
    }
}

impl fmt::Display for Hostile {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        std::panic::panic_any(Bomb)
    }
}

impl Error for Hostile {}

impl Drop for Hostile {
    fn drop(&mut self) {
        // A panic during another one ends the process, whatever is done about it.
        if !std::thread::panicking() {
            std::panic::panic_any(Bomb);
        }
    }
}

impl AsyncRead for Hostile {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.throw_if(Place::Read);
        match self.place {
            Place::ReadError => return Poll::Ready(Err(io::Error::other(Self::new(self.place)))),
            Place::TakeBack => buffer.clear(),
            Place::Swap => *buffer = ReadBuf::new(Vec::leak(vec![7; 3])),
            _ => buffer.put_slice(b"ok"),
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Hostile {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.throw_if(Place::Write);
        let excess = if self.place == Place::WriteTooMuch { 100 } else { 0 };
        Poll::Ready(Ok(bytes.len() + excess))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.throw_if(Place::Flush);
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.throw_if(Place::Flush);
        Poll::Ready(Ok(()))
    }

    fn is_write_vectored(&self) -> bool {
        self.throw_if(Place::Write);
        false
    }
}

fn ready<T>(poll: Poll<T>) -> T {
    match poll {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("it waits"),
    }
}

fn cx() -> Context<'static> {
    Context::from_waker(Waker::noop())
}

fn connect(place: Place) -> io::Result<Box<dyn ByteStream>> {
    let dialer = FencedDialer::new(Box::new(Hostile::new(place)), TcpConnector::default());
    ready(dialer.connect("kafka-1", 9092, 0).as_mut().poll(&mut cx()))
}

fn read(place: Place, before: &[u8]) -> io::Result<Vec<u8>> {
    let mut stream = connect(place)?;
    let mut bytes = [0; 8];
    let mut buffer = ReadBuf::new(&mut bytes);
    buffer.put_slice(before);
    ready(Pin::new(&mut stream).poll_read(&mut cx(), &mut buffer))?;
    Ok(buffer.filled().to_vec())
}

fn write(place: Place) -> io::Result<usize> {
    let mut stream = connect(place)?;
    let slices = [IoSlice::new(b"one"), IoSlice::new(b"two")];
    let vectored = ready(Pin::new(&mut stream).poll_write_vectored(&mut cx(), &slices));
    let plain = ready(Pin::new(&mut stream).poll_write(&mut cx(), b"three"));
    assert_eq!(vectored.is_ok(), plain.is_ok());
    let flushed = ready(Pin::new(&mut stream).poll_flush(&mut cx()));
    let shut_down = ready(Pin::new(&mut stream).poll_shutdown(&mut cx()));
    assert_eq!(flushed.is_ok(), shut_down.is_ok());
    assert!(!stream.is_write_vectored());
    flushed?;
    vectored
}

#[test]
fn what_is_dropped_may_panic() {
    assert_eq!(read(Place::Nowhere, b"a ").unwrap(), b"a ok");
    assert_eq!(write(Place::Nowhere).unwrap(), 3);
}

#[test]
fn panic_is_an_error_of_the_connection() {
    for place in [Place::Dial, Place::Dialing] {
        assert_eq!(connect(place).err().unwrap().to_string(), "the dialer has panicked: no message");
    }
    assert_eq!(read(Place::Read, b"").unwrap_err().to_string(), "the dialer has panicked: no message");
    for place in [Place::Write, Place::Flush] {
        assert_eq!(write(place).unwrap_err().to_string(), "the dialer has panicked: no message");
    }
}

#[test]
fn error_that_cannot_be_printed_is_an_error_that_can() {
    let connecting = connect(Place::DialError).err().unwrap();
    let reading = read(Place::ReadError, b"").unwrap_err();

    for error in [connecting, reading] {
        assert_eq!(error.to_string(), "the dialer has panicked: no message");
    }
}

#[test]
fn error_of_the_system_is_passed_on_as_it_is() {
    let dialer =
        super::super::dial_with(|_| async { Err::<tokio::io::Empty, _>(io::Error::from_raw_os_error(111)) });
    let dialer = FencedDialer::new(Box::new(dialer), TcpConnector::default());

    let error = ready(dialer.connect("kafka-1", 9092, 0).as_mut().poll(&mut cx())).err().unwrap();

    assert_eq!(error.raw_os_error(), Some(111));
}

#[test]
fn bytes_that_were_not_given_do_not_count_as_written() {
    let error = write(Place::WriteTooMuch).unwrap_err().to_string();

    assert!(error.starts_with("the dialer's stream has written "), "{error}");
}

#[test]
fn bytes_that_were_read_cannot_be_taken_back() {
    for place in [Place::TakeBack, Place::Swap] {
        let error = read(place, b"a ").unwrap_err().to_string();

        assert_eq!(error, "the dialer's stream has taken bytes back", "{place:?}");
    }
}

#[test]
fn target_is_what_the_producer_wants_to_connect_to() {
    let targets = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&targets);
    let dialer = super::super::dial_with(move |target: DialTarget| {
        seen.lock().unwrap().push(target);
        async { Ok(tokio::io::empty()) }
    });
    let dialer = FencedDialer::new(Box::new(Arc::new(dialer)), TcpConnector::default());

    let connecting = dialer.connect("::1", 9093, 4);
    assert!(targets.lock().unwrap().is_empty());
    ready(pin!(connecting).poll(&mut cx())).unwrap();

    let targets = targets.lock().unwrap();
    let found: Vec<_> =
        targets.iter().map(|target| (target.host(), target.port(), target.attempt())).collect();
    assert_eq!(found, [("::1", 9093, 4)]);
}
