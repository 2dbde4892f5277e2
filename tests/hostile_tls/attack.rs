//! What a hostile broker does to a handshake, or on the stream that comes of it.

use rand::RngExt;
use rand::rngs::StdRng;

use crate::brokers::random_bytes;

/// A way to be hostile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Attack {
    AlertOfHandshake,
    AnswerOfAWebServer,
    BytewiseHandshake,
    EmptyRecords,
    EndlessChangeCipherSpecs,
    EndlessHandshake,
    EndlessWarnings,
    FlippedBits,
    HalfAHandshake,
    HangUp,
    HugeRecord,
    RandomBytes,
    RandomRecords,
    Silence,
    TrueHandshakeThenEndlessKeyUpdates,
    TrueHandshakeThenHugeFrame,
    TrueHandshakeThenNonsense,
    TrueHandshakeThenRandomFrames,
    TwiceTheHandshake,
}

impl Attack {
    pub(crate) const ALL: [Self; 19] = [
        Self::AlertOfHandshake,
        Self::AnswerOfAWebServer,
        Self::BytewiseHandshake,
        Self::EmptyRecords,
        Self::EndlessChangeCipherSpecs,
        Self::EndlessHandshake,
        Self::EndlessWarnings,
        Self::FlippedBits,
        Self::HalfAHandshake,
        Self::HangUp,
        Self::HugeRecord,
        Self::RandomBytes,
        Self::RandomRecords,
        Self::Silence,
        Self::TrueHandshakeThenEndlessKeyUpdates,
        Self::TrueHandshakeThenHugeFrame,
        Self::TrueHandshakeThenNonsense,
        Self::TrueHandshakeThenRandomFrames,
        Self::TwiceTheHandshake,
    ];

    /// Often flips bits, seldom says nothing, since that takes long.
    pub(crate) fn any(random: &mut StdRng) -> Self {
        match random.random_range(0..100) {
            0 => Self::Silence,
            1..20 => Self::FlippedBits,
            _ => match Self::ALL[random.random_range(0..Self::ALL.len())] {
                Self::Silence | Self::HalfAHandshake if random.random_bool(0.7) => Self::RandomBytes,
                attack => attack,
            },
        }
    }

    /// Whether the handshake is genuine, and the attack comes on the stream.
    pub(crate) fn comes_after_handshake(self) -> bool {
        matches!(
            self,
            Self::TrueHandshakeThenEndlessKeyUpdates
                | Self::TrueHandshakeThenHugeFrame
                | Self::TrueHandshakeThenNonsense
                | Self::TrueHandshakeThenRandomFrames
        )
    }

    /// Whether the attack is made of the genuine words of a broker.
    pub(crate) fn needs_words(self) -> bool {
        matches!(
            self,
            Self::BytewiseHandshake | Self::FlippedBits | Self::HalfAHandshake | Self::TwiceTheHandshake
        )
    }

    /// Makes of the genuine words of a broker what is sent.
    pub(crate) fn bytes(self, random: &mut StdRng, mut words: Vec<u8>) -> Vec<u8> {
        match self {
            Self::AlertOfHandshake => vec![21, 3, 3, 0, 2, 2, random.random()],
            Self::AnswerOfAWebServer => b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n".to_vec(),
            Self::EmptyRecords => record(22, &[]).repeat(20_000),
            Self::EndlessChangeCipherSpecs => record(20, &[1]).repeat(20_000),
            // The certificates of a broker that has 16 MiB of them, of which 4 MiB come.
            Self::EndlessHandshake => {
                let mut bytes = record(22, &[[11, 255, 255, 255].as_slice(), &[0; 16_000]].concat());
                bytes.extend(record(22, &[0; 16_000]).repeat(256));
                bytes
            }
            Self::EndlessWarnings => record(21, &[1, 100]).repeat(20_000),
            Self::FlippedBits => {
                for _ in 0..random.random_range(1..6) {
                    let at = random.random_range(0..words.len());
                    words[at] ^= 1 << random.random_range(0..8);
                }
                words
            }
            Self::HalfAHandshake => {
                words.truncate(random.random_range(0..words.len()));
                words
            }
            Self::HugeRecord => [[22, 3, 3, 255, 255].as_slice(), &[7; 65_535]].concat().repeat(16),
            Self::RandomBytes => random_bytes(random),
            Self::RandomRecords => {
                let kinds: [u8; 5] = [20, 21, 22, 23, 24];
                let mut bytes = Vec::new();
                for _ in 0..random.random_range(1..20) {
                    let kind = kinds[random.random_range(0..kinds.len())];
                    bytes.extend(record(kind, &random_bytes(random)));
                }
                bytes
            }
            Self::TwiceTheHandshake => words.repeat(2),
            Self::TrueHandshakeThenHugeFrame => {
                let length: u32 = if random.random_bool(0.5) { 0x7fff_ffff } else { 60_000_000 };
                [&length.to_be_bytes(), &[7; 100_000][..]].concat()
            }
            Self::TrueHandshakeThenRandomFrames => {
                let mut bytes = Vec::new();
                for _ in 0..random.random_range(1..200) {
                    let frame = random_bytes(random);
                    bytes.extend(u32::try_from(frame.len()).expect("it is short").to_be_bytes());
                    bytes.extend(frame);
                }
                bytes
            }
            Self::TrueHandshakeThenNonsense => record(23, &random_bytes(random)),
            Self::BytewiseHandshake
            | Self::HangUp
            | Self::Silence
            | Self::TrueHandshakeThenEndlessKeyUpdates => words,
        }
    }
}

fn record(kind: u8, content: &[u8]) -> Vec<u8> {
    let length = u16::try_from(content.len()).expect("it is short");
    [&[kind, 3, 3], &length.to_be_bytes()[..], content].concat()
}
