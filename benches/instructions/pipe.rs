//! A broker at the other end of a connection that takes no time and no sockets.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use kafka_mock::sans_io::{Brokers, Reaction};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

pub(crate) const PORT: u16 = 9092;

/// Has the only broker answer a frame, which begins with its length.
pub(crate) fn answer(brokers: &mut Brokers, mut frame: Bytes) -> Bytes {
    frame.advance(4);
    match brokers.handle(0, frame, Duration::ZERO) {
        Reaction::Reply { frame, .. } => frame,
        other => panic!("{other:?}: {:?}", brokers.refusals()),
    }
}

/// One broker, up, with a topic.
pub(crate) fn brokers(topic: &str, partitions: i32) -> Brokers {
    let mut brokers = Brokers::new(1);
    brokers.broker_up(0, PORT).expect("the broker exists");
    brokers.create_topic(topic, partitions, 1).expect("the topic is new");
    brokers
}

/// The producer's end of a connection.
#[derive(Debug)]
pub(crate) struct Pipe {
    brokers: Arc<Mutex<Brokers>>,
    to_broker: BytesMut,
    answers: VecDeque<Bytes>,
}

impl Pipe {
    pub(crate) fn new(brokers: Arc<Mutex<Brokers>>) -> Self {
        Self { brokers, to_broker: BytesMut::new(), answers: VecDeque::new() }
    }

    fn next_frame(&mut self) -> Option<Bytes> {
        let length = u32::from_be_bytes(*self.to_broker.first_chunk()?) as usize + 4;
        (self.to_broker.len() >= length).then(|| self.to_broker.split_to(length).freeze())
    }
}

impl AsyncWrite for Pipe {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.to_broker.extend_from_slice(bytes);
        while let Some(frame) = self.next_frame() {
            let answer = answer(&mut self.brokers.lock().expect("no thread panicked"), frame);
            self.answers.push_back(answer);
        }
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for Pipe {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        // The sender writes and reads in one go, so no task needs to be woken for what is written later.
        let Some(answer) = self.answers.front_mut() else { return Poll::Pending };
        let len = answer.len().min(buffer.remaining());
        buffer.put_slice(&answer.split_to(len));
        if answer.is_empty() {
            self.answers.pop_front();
        }
        Poll::Ready(Ok(()))
    }
}
