//! What faults do to the bytes of an answer and to the connection behind it: decided here, done by the shell.

use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};

use super::action::{Forgery, Loss, Pace};
use super::plan::FaultPlan;
use crate::reaction::Reaction;

/// What a connection does about a request.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Sending {
    /// Empty if nothing is sent.
    pub(crate) bytes: Bytes,
    /// How long after the request the first byte is sent.
    pub(crate) delay: Duration,
    /// `None`: all at once.
    pub(crate) pace: Option<Pace>,
    pub(crate) then: Then,
}

/// What becomes of the connection once the bytes are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Then {
    Close,
    /// The next request is read.
    GoOn,
    /// It stays open, but nothing more is carried out or sent.
    Hang,
    /// Closed by RST.
    Reset,
}

impl FaultPlan {
    /// Turns the reaction of a broker, which must not be [`Reaction::Wait`], into what its connection does.
    pub(crate) fn sending(&self, reaction: Reaction) -> Sending {
        let nothing = |then| Sending { bytes: Bytes::new(), delay: Duration::ZERO, pace: None, then };
        let (frame, delay) = match reaction {
            Reaction::Close | Reaction::Wait { .. } => {
                let is_reset = matches!(self.loss, Some(Loss::ResetAfter | Loss::ResetBefore));
                return nothing(if is_reset { Then::Reset } else { Then::Close });
            }
            Reaction::Hang => return nothing(Then::Hang),
            Reaction::Silence => return nothing(self.end_of_answer()),
            Reaction::Reply { frame, delay } => (frame, delay),
        };
        let mut bytes = self.forgery.as_ref().map_or_else(|| frame.clone(), |forgery| forgery.apply(&frame));
        if let Some(Loss::Cut(length) | Loss::Stall(length)) = self.loss {
            bytes.truncate(length);
        }
        Sending { bytes, delay, pace: self.pace, then: self.end_of_answer() }
    }

    fn end_of_answer(&self) -> Then {
        match self.loss {
            Some(Loss::Cut(_)) => Then::Close,
            Some(Loss::Stall(_)) => Then::Hang,
            _ => Then::GoOn,
        }
    }
}

impl Forgery {
    /// Forges a whole answer, with its length.
    fn apply(&self, frame: &Bytes) -> Bytes {
        match self {
            Self::CorrelationId(by) => with_number(frame, LENGTH_BYTES, *by),
            Self::Garble(seed) => {
                let (head, body) = frame.split_at(frame.len().min(LENGTH_BYTES + CORRELATION_ID_BYTES));
                let mut forged = BytesMut::from(head);
                forged.extend(body.iter().zip(noise(*seed)).map(|(_, noise)| noise));
                forged.freeze()
            }
            Self::Length(by) => with_number(frame, 0, *by),
            Self::Repeat => [frame.as_ref(), frame.as_ref()].concat().into(),
            Self::Replace(bytes) => bytes.clone(),
        }
    }
}

/// Adds to the four bytes of a number at a place.
fn with_number(frame: &Bytes, at: usize, by: i32) -> Bytes {
    let Some((head, rest)) = frame.split_at_checked(at) else { return frame.clone() };
    let Some((number, rest)) = rest.split_first_chunk::<4>() else { return frame.clone() };
    let mut forged = BytesMut::with_capacity(frame.len());
    forged.put_slice(head);
    forged.put_i32(i32::from_be_bytes(*number).wrapping_add(by));
    forged.put_slice(rest);
    forged.freeze()
}

/// Bytes without a pattern: the generator is SplitMix64.
fn noise(seed: u64) -> impl Iterator<Item = u8> {
    let mut state = seed;
    std::iter::repeat_with(move || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)).to_be_bytes()
    })
    .flatten()
}

const LENGTH_BYTES: usize = 4;

const CORRELATION_ID_BYTES: usize = 4;
