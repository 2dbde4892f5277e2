//! Faults as text, for programs that are not written in Rust.

use std::error::Error;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::action::{Action, Forgery, InjectedError, Loss, Pace, When};
use super::conditions::Conditions;
use super::fault::Fault;
use crate::api::Api;

/// Reads one fault: words with blanks between them, in any order, one of which is the reaction.
///
/// | Condition | Method |
/// |---|---|
/// | `produce`, `metadata`, `api-versions` … | [`Fault::api`] |
/// | `broker=1` | [`Fault::broker`] |
/// | `topic=orders` | [`Fault::topic`] |
/// | `topic=orders partition=0` | [`Fault::partition`] |
/// | `connection=2` | [`Fault::connection`] |
/// | `request=5` | [`Fault::request`] |
/// | `nth=3` | `skip=2 times=1` |
/// | `skip=2` | [`Fault::skip`] |
/// | `times=3` | [`Fault::times`] |
/// | `always` | [`Fault::always`] |
///
/// | Reaction | Method |
/// |---|---|
/// | `error=6` | [`Fault::error_code`] |
/// | `error-after-append=20` | [`Fault::error_code_after_append`] |
/// | `delay=300ms` | [`Fault::delay`] |
/// | `trickle=10/5ms` | [`Fault::trickle`] |
/// | `throttle=2s` | [`Fault::throttle`] |
/// | `freeze=2s` | [`Fault::freeze`] |
/// | `move-leader-before=1`, or `=none` | [`Fault::move_leader_before`] |
/// | `move-leader-after=1`, or `=none` | [`Fault::move_leader_after`] |
/// | `drop` | [`Fault::drop_response`] |
/// | `disconnect-before`, `disconnect-after` | [`Fault::disconnect_before`], [`Fault::disconnect_after`] |
/// | `reset-before`, `reset-after` | [`Fault::reset_before`], [`Fault::reset_after`] |
/// | `cut=10` | [`Fault::cut_response`] |
/// | `stall=10` | [`Fault::stall_response`] |
/// | `shift-correlation-id=1` | [`Fault::shift_correlation_id`] |
/// | `shift-length=-3` | [`Fault::shift_length`] |
/// | `garble=7` | [`Fault::garble_response`] |
/// | `leave-out` | [`Fault::leave_out`] |
/// | `repeat` | [`Fault::repeat_response`] |
/// | `wrong-proof` | [`Fault::wrong_proof`] |
/// | `replace=485454502f` | [`Fault::replace_response`], in hexadecimal digits |
///
/// # Examples
///
/// ```
/// use kafka_mock::{Api, Fault};
///
/// let fault: Fault = "produce broker=1 nth=3 cut=10".parse()?;
/// assert_eq!(fault, Fault::cut_response(10).api(Api::Produce).broker(1).skip(2));
///
/// let error = "produce broker=one drop".parse::<Fault>().unwrap_err();
/// assert_eq!(error.to_string(), r#""broker=one": the value must be a broker's id"#);
/// # Ok::<_, kafka_mock::ParseFaultError>(())
/// ```
impl FromStr for Fault {
    type Err = ParseFaultError;

    fn from_str(line: &str) -> Result<Self, ParseFaultError> {
        let mut draft = Draft::default();
        for word in line.split_whitespace() {
            draft.take(word).map_err(|problem| ParseFaultError::new(word, problem))?;
        }
        draft.finish().map_err(|problem| ParseFaultError::new(line.trim(), problem))
    }
}

impl Fault {
    /// Reads a script: a fault on each line as [`FromStr`](#impl-FromStr-for-Fault) reads it; empty lines, and what
    /// stands behind `#`, are skipped.
    ///
    /// # Errors
    ///
    /// The first line that is no fault, with its number.
    ///
    /// # Examples
    ///
    /// ```
    /// use kafka_mock::Fault;
    ///
    /// let script = "
    ///     ## The first answer to each of three brokers is lost.
    ///     produce broker=0 drop
    ///     produce broker=1 disconnect-after   # with its connection
    ///     produce broker=2 reset-after
    /// ";
    /// assert_eq!(Fault::parse_script(script)?.len(), 3);
    /// # Ok::<_, kafka_mock::ParseFaultError>(())
    /// ```
    pub fn parse_script(script: &str) -> Result<Vec<Self>, ParseFaultError> {
        let lines = (1..).zip(script.lines());
        let lines = lines.map(|(number, line)| (number, line.split('#').next().unwrap_or_default().trim()));
        let faults = lines.filter(|(_, line)| !line.is_empty()).map(|(number, line)| {
            line.parse().map_err(|error| ParseFaultError { line: Some(number), ..error })
        });
        faults.collect()
    }
}

/// Why a text is no fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParseFaultError {
    line: Option<usize>,
    /// A word, or the whole text if none is to blame.
    text: String,
    problem: Problem,
}

impl ParseFaultError {
    /// Returns the number of the line in a script, from 1; `None` if it was no script.
    pub fn line(&self) -> Option<usize> {
        self.line
    }

    fn new(text: &str, problem: Problem) -> Self {
        Self { line: None, text: text.to_owned(), problem }
    }
}

impl fmt::Display for ParseFaultError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(line) = self.line {
            write!(f, "line {line}: ")?;
        }
        write!(f, "{:?}: {}", self.text, self.problem)
    }
}

impl Error for ParseFaultError {}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
enum Problem {
    #[error("the value must be {0}")]
    BadValue(&'static str),
    #[error("no reaction, such as drop or error=6")]
    NoReaction,
    #[error("a partition needs a topic")]
    NoTopic,
    #[error("a second reaction; another one needs a line of its own")]
    SecondReaction,
    #[error("said twice, or against an earlier word")]
    SaidTwice,
    #[error("neither a condition nor a reaction")]
    Unknown,
    #[error("takes no value")]
    Valueless,
}

/// A fault of which some words are read.
#[derive(Default)]
struct Draft {
    action: Option<Action>,
    conditions: Conditions,
    skip: Option<u32>,
    /// Inside: `None` for always.
    times: Option<Option<u32>>,
}

impl Draft {
    fn take(&mut self, word: &str) -> Result<(), Problem> {
        let (name, value) = match word.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (word, None),
        };
        if let Some(api) = api_of(name) {
            no_value(value)?;
            return once(&mut self.conditions.api, api);
        }
        match name {
            "broker" => once(&mut self.conditions.broker, broker(value)?),
            "topic" => once(&mut self.conditions.topic, text(value)?.to_owned()),
            "partition" => once(&mut self.conditions.partition, number(value, "a partition's number")?),
            "connection" => once(&mut self.conditions.connection, ordinal(value)?),
            "request" => once(&mut self.conditions.request, ordinal(value)?),
            "nth" => {
                let nth = u32::try_from(ordinal(value)?).map_err(|_| Problem::BadValue(ORDINAL))?;
                once(&mut self.skip, nth.saturating_sub(1))?;
                once(&mut self.times, Some(1))
            }
            "skip" => once(&mut self.skip, number(value, COUNT)?),
            "times" => once(&mut self.times, Some(number(value, COUNT)?)),
            "always" => no_value(value).and_then(|()| once(&mut self.times, None)),
            _ => {
                let action = action(name, value)?;
                once(&mut self.action, action).map_err(|_| Problem::SecondReaction)
            }
        }
    }

    fn finish(self) -> Result<Fault, Problem> {
        if self.conditions.partition.is_some() && self.conditions.topic.is_none() {
            return Err(Problem::NoTopic);
        }
        let action = self.action.ok_or(Problem::NoReaction)?;
        Ok(Fault::with(action, self.conditions, self.skip.unwrap_or(0), self.times.unwrap_or(Some(1))))
    }
}

fn action(name: &str, value: Option<&str>) -> Result<Action, Problem> {
    let lose = |loss| no_value(value).map(|()| Action::Lose(loss));
    Ok(match name {
        "cut" => Action::Lose(Loss::Cut(number(value, BYTES)?)),
        "delay" => Action::Delay(duration(value)?),
        "disconnect-after" => lose(Loss::DisconnectAfter)?,
        "disconnect-before" => lose(Loss::DisconnectBefore)?,
        "drop" => lose(Loss::DropResponse)?,
        "error" => Action::Error(InjectedError { code: number(value, CODE)?, carry_out: false }),
        "error-after-append" => Action::Error(InjectedError { code: number(value, CODE)?, carry_out: true }),
        "freeze" => Action::Freeze(duration(value)?),
        "garble" => Action::Forge(Forgery::Garble(number(value, "a seed from 0 to 2^64-1")?)),
        "leave-out" => no_value(value).map(|()| Action::LeaveOut)?,
        "move-leader-after" => Action::MoveLeader { to: leader(value)?, when: When::After },
        "move-leader-before" => Action::MoveLeader { to: leader(value)?, when: When::Before },
        "repeat" => no_value(value).map(|()| Action::Forge(Forgery::Repeat))?,
        "replace" => Action::Forge(Forgery::Replace(hex(value)?.into())),
        "reset-after" => lose(Loss::ResetAfter)?,
        "reset-before" => lose(Loss::ResetBefore)?,
        "shift-correlation-id" => Action::Forge(Forgery::CorrelationId(number(value, SHIFT)?)),
        "shift-length" => Action::Forge(Forgery::Length(number(value, SHIFT)?)),
        "stall" => Action::Lose(Loss::Stall(number(value, BYTES)?)),
        "throttle" => Action::Throttle(duration(value)?),
        "trickle" => Action::Trickle(pace(value)?),
        "wrong-proof" => no_value(value).map(|()| Action::WrongProof)?,
        _ => return Err(Problem::Unknown),
    })
}

/// `api-versions`, `ApiVersions` and `api_versions` are the same.
fn api_of(name: &str) -> Option<Api> {
    let plain: String = name.chars().filter(|letter| !matches!(letter, '-' | '_')).collect();
    Api::ALL.into_iter().find(|api| format!("{api:?}").eq_ignore_ascii_case(&plain))
}

fn once<T>(place: &mut Option<T>, value: T) -> Result<(), Problem> {
    if place.is_some() {
        return Err(Problem::SaidTwice);
    }
    *place = Some(value);
    Ok(())
}

fn no_value(value: Option<&str>) -> Result<(), Problem> {
    if value.is_some() { Err(Problem::Valueless) } else { Ok(()) }
}

fn text(value: Option<&str>) -> Result<&str, Problem> {
    value.filter(|value| !value.is_empty()).ok_or(Problem::BadValue("a name, as in topic=orders"))
}

fn number<T: FromStr>(value: Option<&str>, expected: &'static str) -> Result<T, Problem> {
    value.and_then(|value| value.parse().ok()).ok_or(Problem::BadValue(expected))
}

fn ordinal(value: Option<&str>) -> Result<u64, Problem> {
    let ordinal = number(value, ORDINAL)?;
    if ordinal == 0 { Err(Problem::BadValue(ORDINAL)) } else { Ok(ordinal) }
}

fn broker(value: Option<&str>) -> Result<i32, Problem> {
    number(value, "a broker's id")
}

fn leader(value: Option<&str>) -> Result<Option<i32>, Problem> {
    if value == Some("none") {
        return Ok(None);
    }
    number(value, "a broker's id, or none").map(Some)
}

fn duration(value: Option<&str>) -> Result<Duration, Problem> {
    value.and_then(parse_duration).ok_or(Problem::BadValue("a time, as in 300ms or 2s"))
}

fn pace(value: Option<&str>) -> Result<Pace, Problem> {
    let pace = value.and_then(|value| {
        let (bytes, pause) = value.split_once('/')?;
        let bytes = bytes.parse().ok().filter(|bytes| *bytes > 0)?;
        Some(Pace { bytes, pause: parse_duration(pause)? })
    });
    pace.ok_or(Problem::BadValue("bytes and a pause, as in 10/5ms"))
}

fn parse_duration(text: &str) -> Option<Duration> {
    if let Some(millis) = text.strip_suffix("ms") {
        return millis.parse().ok().map(Duration::from_millis);
    }
    text.strip_suffix('s')?.parse().ok().map(Duration::from_secs)
}

fn hex(value: Option<&str>) -> Result<Vec<u8>, Problem> {
    let bytes = value.filter(|value| !value.is_empty()).and_then(|value| {
        let digits: Option<Vec<_>> = value.chars().map(|digit| digit.to_digit(16)).collect();
        let digits = digits.filter(|digits| digits.len().is_multiple_of(2))?;
        digits
            .chunks(2)
            .map(|pair| pair.iter().fold(0, |byte, digit| byte * 16 + digit).try_into().ok())
            .collect()
    });
    bytes.ok_or(Problem::BadValue("an even number of hexadecimal digits"))
}

const BYTES: &str = "a number of bytes";
const CODE: &str = "an error code, as in error=6";
const COUNT: &str = "a number of requests";
const ORDINAL: &str = "a number from 1 on";
const SHIFT: &str = "a positive or negative number";
