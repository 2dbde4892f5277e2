//! [`AnswerReader`]: puts an answer together from the bytes that come, however they are cut. `httparse` reads the heads; limits, the body,
//! and the wiping of both are ours.

use httparse::{Header, Status};
use zeroize::Zeroizing;

use crate::secret::append;

/// What a server has answered.
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// It may hold a token.
    pub(crate) body: Zeroizing<Vec<u8>>,
}

/// Why there is no answer that could be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum HttpError {
    #[error("the connection was closed before the end of the answer")]
    Cut,
    #[error("{0} has a character that no header may have")]
    Header(&'static str),
    #[error("what came is no answer of HTTP/1.1: {0}")]
    Senseless(&'static str),
    #[error("the server speaks TLS, so its URL must begin with https:")]
    Tls,
    #[error("the answer is longer than {MAX_BODY} bytes")]
    TooLong,
    #[error("the head of the answer is longer than {MAX_HEAD} bytes, or has more than {MAX_HEADERS} headers")]
    TooMuchHead,
}

/// Reads one answer.
pub(crate) struct AnswerReader {
    state: State,
    /// What has come and is not a part of the body yet: at most a head, or what came last.
    rest: Zeroizing<Vec<u8>>,
    /// Bytes of the head, and of what stands between the parts of the body.
    head: usize,
    status: u16,
    body: Zeroizing<Vec<u8>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Head,
    /// So many bytes of the body are missing.
    Sized(usize),
    /// The body ends with the connection.
    UntilClose,
    ChunkSize,
    Chunk(usize),
    ChunkEnd,
    Trailers,
    Done,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Framing {
    Unknown,
    Chunked,
    Length(usize),
}

/// What was read, and how many bytes it takes up.
type Parsed<T> = Status<(usize, T)>;

/// Whether bytes begin an alert or a handshake of TLS.
fn speaks_tls(bytes: &[u8]) -> bool {
    matches!(bytes, [0x15 | 0x16, 0x03, ..])
}

impl AnswerReader {
    pub(crate) fn new() -> Self {
        Self {
            state: State::Head,
            rest: Zeroizing::new(Vec::new()),
            head: 0,
            status: 0,
            body: Zeroizing::new(Vec::new()),
        }
    }

    /// Takes in what has come. Returns whether the answer is complete.
    ///
    /// # Errors
    ///
    /// It is no answer, or longer than it has reason to be.
    pub(crate) fn feed(&mut self, bytes: &[u8]) -> Result<bool, HttpError> {
        append(&mut self.rest, bytes);
        if self.state == State::Head && speaks_tls(&self.rest) {
            return Err(HttpError::Tls);
        }
        let mut taken = 0;
        let result = self.read(&mut taken);
        let taken = taken.min(self.rest.len());
        self.rest.drain(..taken);
        result
    }

    /// Takes in that nothing more comes.
    ///
    /// # Errors
    ///
    /// The answer is not complete.
    pub(crate) fn finish(self) -> Result<Answer, HttpError> {
        match self.state {
            State::Done | State::UntilClose => Ok(Answer { status: self.status, body: self.body }),
            _ => Err(HttpError::Cut),
        }
    }

    fn read(&mut self, taken: &mut usize) -> Result<bool, HttpError> {
        loop {
            match self.state {
                State::Done => return Ok(true),
                State::UntilClose => {
                    let come = self.rest.len() - *taken;
                    self.take(come, taken)?;
                    return Ok(false);
                }
                State::Sized(missing) | State::Chunk(missing) => {
                    let come = missing.min(self.rest.len() - *taken);
                    self.take(come, taken)?;
                    let missing = missing - come;
                    let is_chunk = matches!(self.state, State::Chunk(_));
                    self.state = match (missing, is_chunk) {
                        (0, true) => State::ChunkEnd,
                        (0, false) => State::Done,
                        (missing, true) => State::Chunk(missing),
                        (missing, false) => State::Sized(missing),
                    };
                    if missing > 0 {
                        return Ok(false);
                    }
                }
                State::Head => {
                    let parsed = parse_head(self.rest.get(*taken..).unwrap_or_default())?;
                    let Some((status, framing)) = self.came(parsed, taken)? else { return Ok(false) };
                    self.status = status;
                    self.state = after_head(status, framing);
                }
                State::ChunkSize => {
                    let parsed = httparse::parse_chunk_size(self.rest.get(*taken..).unwrap_or_default());
                    let parsed = parsed.map_err(|_| HttpError::Senseless("a part without its length"))?;
                    let Some(size) = self.came(parsed, taken)? else { return Ok(false) };
                    self.state = match usize::try_from(size) {
                        Ok(0) => State::Trailers,
                        Ok(size) if size <= MAX_BODY => State::Chunk(size),
                        _ => return Err(HttpError::TooLong),
                    };
                }
                State::ChunkEnd => {
                    let parsed = parse_chunk_end(self.rest.get(*taken..).unwrap_or_default())?;
                    if self.came(parsed, taken)?.is_none() {
                        return Ok(false);
                    }
                    self.state = State::ChunkSize;
                }
                State::Trailers => {
                    let parsed = parse_trailers(self.rest.get(*taken..).unwrap_or_default())?;
                    if self.came(parsed, taken)?.is_none() {
                        return Ok(false);
                    }
                    self.state = State::Done;
                }
            }
        }
    }

    /// Takes what was parsed from what has come. Returns `None` if more must come.
    fn came<T>(&mut self, parsed: Parsed<T>, taken: &mut usize) -> Result<Option<T>, HttpError> {
        let (length, found) = match parsed {
            Status::Complete((length, found)) => (length, Some(found)),
            Status::Partial => (self.rest.len() - *taken, None),
        };
        if self.head + length >= MAX_HEAD {
            return Err(HttpError::TooMuchHead);
        }
        if found.is_some() {
            *taken += length;
            self.head += length;
        }
        Ok(found)
    }

    /// Moves bytes to the body.
    fn take(&mut self, count: usize, taken: &mut usize) -> Result<(), HttpError> {
        if self.body.len() + count > MAX_BODY {
            return Err(HttpError::TooLong);
        }
        let end = *taken + count;
        append(&mut self.body, self.rest.get(*taken..end).unwrap_or_default());
        *taken = end;
        Ok(())
    }
}

impl Framing {
    /// Takes in a header.
    fn with(self, header: &Header<'_>) -> Result<Self, HttpError> {
        let value = header.value.trim_ascii();
        if header.name.eq_ignore_ascii_case("transfer-encoding") {
            return match value.eq_ignore_ascii_case(b"chunked") {
                true => Ok(Self::Chunked),
                false => Err(HttpError::Senseless("an encoding other than chunked")),
            };
        }
        if !header.name.eq_ignore_ascii_case("content-length") {
            return Ok(self);
        }
        let digits = std::str::from_utf8(value).ok().filter(|_| value.iter().all(u8::is_ascii_digit));
        let length = digits.and_then(|digits| digits.parse().ok());
        let length = length.ok_or(HttpError::Senseless("a length that is no number"))?;
        if length > MAX_BODY {
            return Err(HttpError::TooLong);
        }
        match self {
            Self::Length(known) if known != length => Err(HttpError::Senseless("two lengths")),
            Self::Chunked => Ok(self),
            _ => Ok(Self::Length(length)),
        }
    }
}

/// Returns status and framing, with the length of the head.
fn parse_head(bytes: &[u8]) -> Result<Parsed<(u16, Framing)>, HttpError> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut answer = httparse::Response::new(&mut headers);
    let Status::Complete(length) = answer.parse(bytes).map_err(senseless)? else {
        return Ok(Status::Partial);
    };
    let status = answer.code.filter(|status| (100..=599).contains(status));
    let status = status.ok_or(HttpError::Senseless("the first line"))?;
    let framing = answer.headers.iter().try_fold(Framing::Unknown, |framing, header| framing.with(header))?;
    Ok(Status::Complete((length, (status, framing))))
}

fn parse_chunk_end(bytes: &[u8]) -> Result<Parsed<()>, HttpError> {
    match bytes {
        [] | [b'\r'] => Ok(Status::Partial),
        [b'\r', b'\n', ..] => Ok(Status::Complete((2, ()))),
        _ => Err(HttpError::Senseless("a part that is longer than it says")),
    }
}

/// What they say does not count.
fn parse_trailers(bytes: &[u8]) -> Result<Parsed<()>, HttpError> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    Ok(match httparse::parse_headers(bytes, &mut headers).map_err(senseless)? {
        Status::Complete((length, _)) => Status::Complete((length, ())),
        Status::Partial => Status::Partial,
    })
}

fn senseless(error: httparse::Error) -> HttpError {
    match error {
        httparse::Error::HeaderName | httparse::Error::HeaderValue => {
            HttpError::Senseless("a header that is none")
        }
        httparse::Error::NewLine => HttpError::Senseless("the end of a line"),
        httparse::Error::TooManyHeaders => HttpError::TooMuchHead,
        httparse::Error::Status | httparse::Error::Token | httparse::Error::Version => {
            HttpError::Senseless("the first line")
        }
    }
}

fn after_head(status: u16, framing: Framing) -> State {
    match (status, framing) {
        // Something preliminary: the answer is still to come.
        (100..=199, _) => State::Head,
        (204 | 304, _) | (_, Framing::Length(0)) => State::Done,
        (_, Framing::Chunked) => State::ChunkSize,
        (_, Framing::Length(length)) => State::Sized(length),
        (_, Framing::Unknown) => State::UntilClose,
    }
}

/// Tokens have a few thousand bytes.
const MAX_BODY: usize = 1024 * 1024;

/// With all headers, and with the lengths of parts.
const MAX_HEAD: usize = 64 * 1024;
const MAX_HEADERS: usize = 128;

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds an answer in pieces of this many bytes, and then ends.
    fn read(bytes: &[u8], piece: usize) -> Result<(u16, String), HttpError> {
        let mut reader = AnswerReader::new();
        for piece in bytes.chunks(piece) {
            if reader.feed(piece)? {
                break;
            }
        }
        let Answer { status, body } = reader.finish()?;
        Ok((status, String::from_utf8_lossy(&body).into_owned()))
    }

    #[test]
    fn answers_are_read_however_they_are_cut() {
        for (answer, status, body) in [
            ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello, and more", 200, "hello"),
            ("HTTP/1.1 200\r\ncontent-length:0\r\n\r\n", 200, ""),
            ("HTTP/1.0 400 Bad Request\n\nuntil the end", 400, "until the end"),
            ("HTTP/1.1 204 No Content\r\n\r\n", 204, ""),
            ("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 Created\r\nContent-Length: 1\r\n\r\nx", 201, "x"),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n5;a=b\r\nhello\r\nA\r\n, chunked!\r\n0\r\nX: y\r\n\r\n",
                200,
                "hello, chunked!",
            ),
        ] {
            for piece in [1, 2, 3, 7, 1000] {
                assert_eq!(
                    read(answer.as_bytes(), piece),
                    Ok((status, body.to_owned())),
                    "{answer:?} by {piece}"
                );
            }
        }
    }

    #[test]
    fn what_is_no_answer_is_refused() {
        use HttpError::{Cut, Senseless, TooLong, TooMuchHead};
        let long = format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "x".repeat(70_000));
        let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "X: y\r\n".repeat(20_000));
        let endless = format!("HTTP/1.1 200 OK\r\n\r\n{}", "x".repeat(MAX_BODY + 1));
        let trickle =
            format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{}", "1\r\nx\r\n".repeat(20_000));
        for (answer, error) in [
            ("", Cut),
            ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell", Cut),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n", Cut),
            ("SSH-2.0-x\r\n", Senseless("the first line")),
            ("HTTP/1.1 2000 OK\r\n", Senseless("the first line")),
            ("HTTP/2 200 OK\r\n", Senseless("the first line")),
            ("HTTP/1.1 200 OK\r\nx\r\n", Senseless("a header that is none")),
            ("HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", Senseless("a length that is no number")),
            ("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", Senseless("two lengths")),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
                Senseless("an encoding other than chunked"),
            ),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n+1\r\nx",
                Senseless("a part without its length"),
            ),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nxy\r\n",
                Senseless("a part that is longer than it says"),
            ),
            ("HTTP/1.1 200 OK\r\nContent-Length: 1048577\r\n\r\n", TooLong),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n100001\r\n", TooLong),
            (&endless, TooLong),
            (&long, TooMuchHead),
            (&many, TooMuchHead),
            (&trickle, TooMuchHead),
        ] {
            assert_eq!(read(answer.as_bytes(), 4096), Err(error), "{:?}", answer.get(..80));
        }
    }

    #[test]
    fn no_bytes_make_it_panic_and_cuts_change_nothing() {
        let byte = proptest::sample::select(
            b"HTTP/1. 2340\r\n:;content-length transfer-encoding chunked\x00\xff".to_vec(),
        );
        let bytes = proptest::collection::vec(byte, 0..120);
        proptest::proptest!(|(bytes in bytes, begins: bool, piece in 1..20_usize)| {
            let head: &[u8] = if begins { b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" } else { b"" };
            let answer = [head, &bytes].concat();
            proptest::prop_assert_eq!(read(&answer, piece), read(&answer, 1000));
        });
    }
}
