//! A connection over a stream that takes and gives what the test says.

use std::sync::{Arc, Mutex};
use std::task::{Wake, Waker};

use proptest::collection::vec;
use proptest::prelude::any;
use proptest::{prop_assert_eq, proptest};

use crate::network::frame::MAX_RESPONSE_LEN;
use crate::wire::Segments;

use super::*;

const MAX_FRAME: usize = 1000;

/// What the other side of a stream does next, and what it got.
#[derive(Debug, Default)]
struct Script {
    /// Bytes that writes take, one entry each; none of them: pending. `Err` fails the write.
    takes: VecDeque<io::Result<usize>>,
    /// What reads give, one entry each; none of them: pending. Empty: the end.
    gives: VecDeque<io::Result<Vec<u8>>>,
    /// What flushes come to, one entry each; `None`: pending. Without an entry a flush is done at once.
    flushes: VecDeque<Option<io::Result<()>>>,
    written: Vec<u8>,
    slices: usize,
}

#[derive(Debug, Clone, Default)]
struct Scripted(Arc<Mutex<Script>>);

impl AsyncRead for Scripted {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.0.lock().unwrap().gives.pop_front() {
            Some(given) => Poll::Ready(given.map(|bytes| buffer.put_slice(&bytes))),
            None => Poll::Pending,
        }
    }
}

impl AsyncWrite for Scripted {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut script = self.0.lock().unwrap();
        script.slices = script.slices.max(slices.len());
        let Some(take) = script.takes.pop_front() else { return Poll::Pending };
        let bytes: Vec<u8> = slices.iter().flat_map(|slice| slice.iter().copied()).collect();
        Poll::Ready(take.map(|take| {
            let taken = take.min(bytes.len());
            script.written.extend_from_slice(&bytes[..taken]);
            taken
        }))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.0.lock().unwrap().flushes.pop_front() {
            None => Poll::Ready(Ok(())),
            Some(None) => Poll::Pending,
            Some(Some(result)) => Poll::Ready(result),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// What a connection reported.
#[derive(Debug, PartialEq, Eq)]
enum Event {
    Frame(Vec<u8>),
    Written(i32),
}

struct Bench {
    connection: Connection,
    script: Arc<Mutex<Script>>,
}

impl Bench {
    fn new() -> Self {
        let stream = Scripted::default();
        let script = Arc::clone(&stream.0);
        Self { connection: Connection::new(Box::new(stream), MAX_FRAME), script }
    }

    fn transmit(&mut self, correlation_id: i32, segments: &[&[u8]]) {
        let segments = Segments::of(segments.iter().map(|segment| Bytes::copy_from_slice(segment)));
        self.connection.transmit(Frame { correlation_id, segments });
    }

    fn take(&self, bytes: usize) {
        self.script.lock().unwrap().takes.push_back(Ok(bytes));
    }

    fn give(&self, bytes: &[u8]) {
        self.script.lock().unwrap().gives.push_back(Ok(bytes.to_vec()));
    }

    fn poll_with(&mut self, waker: &Waker) -> (Vec<Event>, io::Result<()>) {
        let mut events = Vec::new();
        let result = self.connection.poll(&mut Context::from_waker(waker), &mut |event| {
            events.push(match event {
                ConnectionEvent::Frame(frame) => Event::Frame(frame.to_vec()),
                ConnectionEvent::Written { correlation_id } => Event::Written(correlation_id),
            });
            true
        });
        (events, result.map(drop))
    }

    fn poll(&mut self) -> Vec<Event> {
        let (events, result) = self.poll_with(Waker::noop());
        result.unwrap();
        events
    }

    fn written(&self) -> Vec<u8> {
        self.script.lock().unwrap().written.clone()
    }
}

fn frame(body: &[u8]) -> Vec<u8> {
    [&i32::try_from(body.len()).unwrap().to_be_bytes(), body].concat()
}

/// As with TLS: what a stream has taken may lie in its buffer.
#[test]
fn request_is_written_when_the_stream_is_flushed() {
    let mut bench = Bench::new();
    bench.transmit(1, &[b"first"]);
    bench.transmit(2, &[b"second"]);
    bench.take(usize::MAX);
    bench.script.lock().unwrap().flushes.extend([None, None]);

    assert_eq!(bench.poll(), []);
    assert_eq!(bench.poll(), []);
    assert_eq!(bench.poll(), [Event::Written(1), Event::Written(2)]);
    assert_eq!(bench.poll(), []);
}

/// Half of it may have left before the flush failed.
#[test]
fn request_that_a_stream_has_taken_counts_as_sent_even_if_the_flush_fails() {
    let mut bench = Bench::new();
    bench.transmit(1, &[b"first"]);
    bench.transmit(2, &[b"second"]);
    bench.transmit(3, &[b"third"]);
    bench.take(6);
    bench.script.lock().unwrap().flushes.push_back(Some(Err(io::ErrorKind::ConnectionReset.into())));

    let (events, result) = bench.poll_with(Waker::noop());

    assert_eq!(events, []);
    assert_eq!(result.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
    assert_eq!(bench.connection.first_unsent(), Some(3));
}

#[test]
fn frames_are_written_together_and_reported_one_by_one() {
    let mut bench = Bench::new();
    bench.transmit(1, &[b"head", b"batch", b"tail"]);
    bench.transmit(2, &[b"second"]);

    bench.take(usize::MAX);

    assert_eq!(bench.poll(), [Event::Written(1), Event::Written(2)]);
    assert_eq!(bench.written(), b"headbatchtailsecond");
    assert_eq!(bench.poll(), []);
}

#[test]
fn frame_counts_as_written_with_its_last_byte_and_as_begun_with_its_first() {
    let mut bench = Bench::new();
    bench.transmit(1, &[b"ab", b"", b"c"]);
    bench.transmit(2, &[b"d"]);
    bench.transmit(3, &[b"e"]);
    assert_eq!((bench.poll(), bench.connection.first_unsent()), (vec![], Some(1)));

    bench.take(1);
    assert_eq!((bench.poll(), bench.connection.first_unsent()), (vec![], Some(2)));
    bench.take(1);
    assert_eq!((bench.poll(), bench.connection.first_unsent()), (vec![], Some(2)));
    bench.take(1);
    assert_eq!((bench.poll(), bench.connection.first_unsent()), (vec![Event::Written(1)], Some(2)));
    bench.take(1);
    assert_eq!((bench.poll(), bench.connection.first_unsent()), (vec![Event::Written(2)], Some(3)));
    bench.take(1);
    assert_eq!((bench.poll(), bench.connection.first_unsent()), (vec![Event::Written(3)], None));
}

#[test]
fn requests_behind_the_one_that_failed_are_known_as_unsent() {
    let mut bench = Bench::new();
    for id in 1..=3 {
        bench.transmit(id, &[b"1234"]);
    }
    bench.take(6);
    bench.script.lock().unwrap().takes.push_back(Err(io::ErrorKind::BrokenPipe.into()));

    let (events, result) = bench.poll_with(Waker::noop());

    assert_eq!(events, [Event::Written(1)]);
    assert_eq!(result.unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    assert_eq!(bench.connection.first_unsent(), Some(3));
}

#[test]
fn answers_that_have_come_count_though_writing_fails() {
    let mut bench = Bench::new();
    bench.transmit(1, &[b"1234"]);
    bench.give(&frame(b"answer"));
    bench.script.lock().unwrap().takes.push_back(Err(io::ErrorKind::BrokenPipe.into()));

    let (events, result) = bench.poll_with(Waker::noop());

    assert_eq!(events, [Event::Frame(b"answer".to_vec())]);
    assert_eq!(result.unwrap_err().kind(), io::ErrorKind::BrokenPipe);
}

#[test]
fn stream_that_takes_nothing_is_broken() {
    let mut bench = Bench::new();
    bench.transmit(1, &[b"1234"]);
    bench.take(0);

    let (_, result) = bench.poll_with(Waker::noop());

    assert_eq!(result.unwrap_err().kind(), io::ErrorKind::WriteZero);
}

#[test]
fn more_slices_than_one_write_takes_are_written_in_order() {
    let mut bench = Bench::new();
    let segments: Vec<_> = (0..=255_u8).map(|byte| [byte]).collect();
    let segments: Vec<&[u8]> = segments.iter().map(<[u8; 1]>::as_slice).collect();
    bench.transmit(1, &segments);

    (0..4).for_each(|_| bench.take(usize::MAX));

    assert_eq!(bench.poll(), [Event::Written(1)]);
    assert!(bench.written().into_iter().eq(0..=255));
    assert_eq!(bench.script.lock().unwrap().slices, MAX_SLICES);
}

#[test]
fn frames_are_found_wherever_the_bytes_are_cut() {
    let mut bench = Bench::new();
    let bytes = [frame(b"one"), frame(b""), frame(&[7; 500])].concat();
    for chunk in bytes.chunks(5) {
        bench.give(chunk);
    }

    let events: Vec<_> = std::iter::repeat_with(|| bench.poll()).take(20).flatten().collect();

    let expected = [&b"one"[..], b"", &[7; 500]].map(|frame| Event::Frame(frame.to_vec()));
    assert_eq!(events, expected);
}

#[test]
fn frames_in_front_of_the_end_are_reported() {
    let mut bench = Bench::new();
    bench.give(&frame(b"last"));
    bench.give(b"");

    let (events, result) = bench.poll_with(Waker::noop());

    assert_eq!(events, [Event::Frame(b"last".to_vec())]);
    assert_eq!(result.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
}

#[test]
fn length_that_is_none_ends_the_connection() {
    for length in [-1, i32::try_from(MAX_FRAME).unwrap() + 1, i32::from_be_bytes(*b"HTTP")] {
        let mut bench = Bench::new();
        bench.give(&length.to_be_bytes());

        let (events, result) = bench.poll_with(Waker::noop());

        assert_eq!(events, []);
        assert!(result.is_err(), "{length}");
    }
}

#[derive(Default)]
struct FlagWaker(std::sync::atomic::AtomicBool);

impl Wake for FlagWaker {
    fn wake(self: Arc<Self>) {
        self.0.store(true, std::sync::atomic::Ordering::Relaxed);
    }
}

#[test]
fn connection_with_much_to_read_lets_others_have_their_turn_and_comes_back() {
    let mut bench = Bench::new();
    for _ in 0..=READS_PER_POLL {
        bench.give(&frame(b"x"));
    }
    let woken = Arc::new(FlagWaker::default());

    let (events, result) = bench.poll_with(&Waker::from(Arc::clone(&woken)));

    result.unwrap();
    assert_eq!(events.len(), READS_PER_POLL);
    assert!(woken.0.load(std::sync::atomic::Ordering::Relaxed));
    assert_eq!(bench.poll().len(), 1);
}

proptest! {
    #[test]
    fn every_byte_is_written_once_and_in_order(
        frames in vec(vec(vec(any::<u8>(), 0..6), 0..5), 1..20),
        takes in vec(1..20_usize, 400),
    ) {
        let mut bench = Bench::new();
        // A frame begins with its length, so it is never empty.
        let frames: Vec<Vec<Vec<u8>>> =
            frames.into_iter().map(|frame| [vec![vec![9; 4]], frame].concat()).collect();
        for (id, frame) in (0..).zip(&frames) {
            bench.transmit(id, &frame.iter().map(Vec::as_slice).collect::<Vec<_>>());
        }

        let mut events = Vec::new();
        for take in takes {
            bench.take(take);
            events.extend(bench.poll());
            let done = i32::try_from(events.len()).unwrap();
            let written: usize = frames[..events.len()].iter().flatten().map(Vec::len).sum();
            let is_begun = bench.written().len() > written;
            let unsent = Some(done + i32::from(is_begun)).filter(|id| frames.len() > usize::try_from(*id).unwrap());
            prop_assert_eq!(bench.connection.first_unsent(), unsent);
        }

        prop_assert_eq!(bench.written(), frames.concat().concat());
        prop_assert_eq!(events, (0..).map(Event::Written).take(frames.len()).collect::<Vec<_>>());
    }
}

/// Polls a connection to a peer that sends `bytes`, and that is known once it has sent `handshake` frames.
fn take_in(bytes: &[u8], handshake: usize) -> (Vec<usize>, io::Result<()>) {
    let stream = Scripted::default();
    stream.0.lock().unwrap().gives.extend(bytes.chunks(READ_BUFFER_LEN).map(|chunk| Ok(chunk.to_vec())));
    let mut connection = Connection::new(Box::new(stream), MAX_RESPONSE_LEN);
    let mut frames = Vec::new();
    let mut result = Ok(false);
    while matches!(result, Ok(false)) {
        result = connection.poll(&mut Context::from_waker(Waker::noop()), &mut |event| {
            if let ConnectionEvent::Frame(frame) = event {
                frames.push(frame.len());
            }
            frames.len() >= handshake
        });
    }
    (frames, result.map(drop))
}

#[test]
fn peer_that_is_not_known_yet_cannot_make_a_connection_hold_more_than_a_mebibyte() {
    let most = 1024 * 1024;
    let (longest, longer) = (frame(&vec![7; most]), frame(&vec![7; most + 1]));

    let (frames, result) = take_in(&longest, 2);
    assert_eq!(frames, [most]);
    result.unwrap();
    for header in [&longer[..4], &64_000_000_i32.to_be_bytes()] {
        let (frames, result) = take_in(header, 1);
        assert!(frames.is_empty());
        let text = result.unwrap_err().to_string();
        assert!(text.contains("exceeds the limit of 1048576, which holds until"), "{text}");
    }

    // An answer may lie right behind the one that ends the handshake.
    let (frames, result) = take_in(&[frame(b"it is you"), longer].concat(), 1);
    assert_eq!(frames, [9, most + 1]);
    result.unwrap();
}
