//! What a hostile broker sends in place of an answer.

use rand::RngExt;
use rand::rngs::StdRng;

use crate::answers::HOST;
use crate::brokers::random_bytes;

/// A way to be hostile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Attack {
    AlertOfTls,
    AnswerOfAWebServer,
    AnswerTwice,
    AnswerWithFlippedBits,
    EndlessSmallFrames,
    HangUp,
    HugeLength,
    LyingLength,
    OtherCorrelationId,
    RandomBytes,
    RandomFrame,
    Silence,
    TruncatedAnswer,
}

impl Attack {
    pub(crate) const ALL: [Self; 13] = [
        Self::AlertOfTls,
        Self::AnswerOfAWebServer,
        Self::AnswerTwice,
        Self::AnswerWithFlippedBits,
        Self::EndlessSmallFrames,
        Self::HangUp,
        Self::HugeLength,
        Self::LyingLength,
        Self::OtherCorrelationId,
        Self::RandomBytes,
        Self::RandomFrame,
        Self::Silence,
        Self::TruncatedAnswer,
    ];

    /// What to do to a connection: often to damage an answer, seldom to say nothing, since that takes long.
    pub(crate) fn any(random: &mut StdRng) -> Self {
        match random.random_range(0..100) {
            0 => Self::Silence,
            1..30 => Self::AnswerWithFlippedBits,
            _ => match Self::ALL[random.random_range(0..Self::ALL.len())] {
                Self::Silence => Self::RandomFrame,
                attack => attack,
            },
        }
    }

    /// Makes of a genuine answer what is sent.
    pub(crate) fn bytes(self, random: &mut StdRng, mut answer: Vec<u8>) -> Vec<u8> {
        match self {
            Self::AlertOfTls => vec![0x15, 3, 1, 0, 2, 2, 0x46],
            Self::AnswerOfAWebServer => {
                b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".to_vec()
            }
            Self::AnswerTwice => [answer.clone(), answer].concat(),
            Self::AnswerWithFlippedBits => {
                flip_bits(random, &mut answer);
                answer
            }
            Self::EndlessSmallFrames => small_frames(random, &answer),
            Self::HangUp | Self::Silence => Vec::new(),
            Self::HugeLength => {
                // Beyond any limit, or just below the limit and more than ever comes.
                let len: u32 = if random.random_bool(0.5) { 0x7fff_ffff } else { 60_000_000 };
                answer[..4].copy_from_slice(&len.to_be_bytes());
                answer.resize(100_000, 7);
                answer
            }
            Self::LyingLength => {
                answer[3] = random.random();
                answer
            }
            Self::OtherCorrelationId => {
                answer[4..8].copy_from_slice(&random.random::<u32>().to_be_bytes());
                answer
            }
            Self::RandomBytes => random_bytes(random),
            Self::RandomFrame => {
                let body = random_bytes(random);
                let len = u32::try_from(body.len() + 4).expect("it is short");
                [&len.to_be_bytes(), &answer[4..8], &body].concat()
            }
            Self::TruncatedAnswer => {
                answer.truncate(random.random_range(0..answer.len()));
                answer
            }
        }
    }
}

/// Leaves hosts alone, so that no producer is sent to machines that have nothing to do with this, and throttle times,
/// which producers obey for minutes: they stand first or last, before a byte for tags.
fn flip_bits(random: &mut StdRng, answer: &mut [u8]) {
    let hosts: Vec<_> = answer.windows(HOST.len()).map(|window| window == HOST.as_bytes()).collect();
    let is_host = |at: usize| (at.saturating_sub(HOST.len())..=at + 1).any(|at| hosts.get(at) == Some(&true));
    // Length and correlation id have attacks of their own.
    for _ in 0..random.random_range(1..6) {
        let at = random.random_range(8..answer.len());
        let is_throttle_time = (9..13).contains(&at) || at + 5 >= answer.len();
        if !is_host(at) && !is_throttle_time {
            answer[at] ^= 1 << random.random_range(0..8);
        }
    }
}

/// Frames that answer nothing, after one that answers.
fn small_frames(random: &mut StdRng, answer: &[u8]) -> Vec<u8> {
    let mut bytes = answer.to_vec();
    for _ in 0..2_000 {
        let len = random.random_range(0..6_u8);
        bytes.extend([0, 0, 0, len]);
        bytes.extend((0..len).map(|_| random.random::<u8>()));
    }
    bytes
}
