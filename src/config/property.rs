//! How values of properties are read, checked and printed.

use std::time::Duration;

use super::Acks;
use super::Compression;
use super::ConfigReason;
use super::GzipLevel;
use super::HostPort;
use super::MetadataRecoveryStrategy;
use super::kind::Kind;

/// A type that the value of some key has.
pub(crate) trait Property: Sized {
    /// Reads a value as Kafka writes it; blanks around it are gone already.
    fn parse(text: &str, kind: &Kind) -> Result<Self, ConfigReason>;

    /// Checks what the type leaves open.
    fn check(&self, kind: &Kind) -> Result<(), ConfigReason>;

    /// Prints the value as Kafka writes it.
    fn print(&self) -> String;
}

impl Property for bool {
    fn parse(text: &str, kind: &Kind) -> Result<Self, ConfigReason> {
        kind.boolean(text)
    }

    fn check(&self, _kind: &Kind) -> Result<(), ConfigReason> {
        Ok(())
    }

    fn print(&self) -> String {
        self.to_string()
    }
}

impl Property for i32 {
    fn parse(text: &str, kind: &Kind) -> Result<Self, ConfigReason> {
        Self::try_from(kind.number(text)?).map_err(|_| kind.out_of_range())
    }

    fn check(&self, kind: &Kind) -> Result<(), ConfigReason> {
        kind.check_number(i128::from(*self))
    }

    fn print(&self) -> String {
        self.to_string()
    }
}

impl Property for u32 {
    fn parse(text: &str, kind: &Kind) -> Result<Self, ConfigReason> {
        Self::try_from(kind.number(text)?).map_err(|_| kind.out_of_range())
    }

    fn check(&self, kind: &Kind) -> Result<(), ConfigReason> {
        kind.check_number(i128::from(*self))
    }

    fn print(&self) -> String {
        self.to_string()
    }
}

impl Property for usize {
    fn parse(text: &str, kind: &Kind) -> Result<Self, ConfigReason> {
        Self::try_from(kind.number(text)?)
            .map_err(|_| ConfigReason::Invalid(format!("must be at most {} on this machine", Self::MAX)))
    }

    fn check(&self, kind: &Kind) -> Result<(), ConfigReason> {
        kind.check_number(i128::try_from(*self).unwrap_or(i128::MAX))
    }

    fn print(&self) -> String {
        self.to_string()
    }
}

/// A number of bytes that -1 leaves to the operating system.
impl Property for Option<usize> {
    fn parse(text: &str, kind: &Kind) -> Result<Self, ConfigReason> {
        // -1 is the only negative number in the range.
        Ok(usize::try_from(kind.number(text)?).ok())
    }

    fn check(&self, kind: &Kind) -> Result<(), ConfigReason> {
        self.map_or(Ok(()), |bytes| bytes.check(kind))
    }

    fn print(&self) -> String {
        self.map_or_else(|| "-1".to_owned(), |bytes| bytes.print())
    }
}

/// Whole milliseconds as text; a typed value may be finer.
impl Property for Duration {
    fn parse(text: &str, kind: &Kind) -> Result<Self, ConfigReason> {
        u64::try_from(kind.number(text)?).map(Self::from_millis).map_err(|_| kind.out_of_range())
    }

    fn check(&self, kind: &Kind) -> Result<(), ConfigReason> {
        let Kind::Number { min, max, .. } = *kind else {
            return Ok(());
        };
        match self {
            _ if *self < Self::from_millis(u64::try_from(min).unwrap_or(0)) => Err(kind.out_of_range()),
            _ if *self > Self::from_millis(u64::try_from(max).unwrap_or(0)) => Err(kind.too_large()),
            _ => Ok(()),
        }
    }

    fn print(&self) -> String {
        let millis = self.as_millis();
        match self.subsec_nanos() % 1_000_000 {
            0 => millis.to_string(),
            nanos => format!("{millis}.{nanos:06}").trim_end_matches('0').to_owned(),
        }
    }
}

/// Milliseconds. A negative number means "never".
impl Property for Option<Duration> {
    fn parse(text: &str, kind: &Kind) -> Result<Self, ConfigReason> {
        Ok(u64::try_from(kind.number(text)?).map(Duration::from_millis).ok())
    }

    fn check(&self, kind: &Kind) -> Result<(), ConfigReason> {
        self.map_or(Ok(()), |idle| idle.check(kind))
    }

    fn print(&self) -> String {
        self.map_or_else(|| "-1".to_owned(), |idle| idle.print())
    }
}

impl Property for String {
    fn parse(text: &str, kind: &Kind) -> Result<Self, ConfigReason> {
        let text = text.to_owned();
        text.check(kind)?;
        Ok(text)
    }

    /// The length field of a string has 16 bits in Kafka's protocol.
    fn check(&self, _kind: &Kind) -> Result<(), ConfigReason> {
        match i16::try_from(self.len()) {
            Ok(_) => Ok(()),
            Err(_) => Err(ConfigReason::Invalid(format!("must be at most {} bytes long", i16::MAX))),
        }
    }

    fn print(&self) -> String {
        self.clone()
    }
}

impl Property for Vec<HostPort> {
    fn parse(text: &str, _kind: &Kind) -> Result<Self, ConfigReason> {
        HostPort::parse_list(text)
    }

    fn check(&self, _kind: &Kind) -> Result<(), ConfigReason> {
        Ok(())
    }

    fn print(&self) -> String {
        let servers: Vec<_> = self.iter().map(ToString::to_string).collect();
        servers.join(",")
    }
}

impl Property for Acks {
    fn parse(text: &str, kind: &Kind) -> Result<Self, ConfigReason> {
        Ok(match kind.choice(text)? {
            "0" => Self::None,
            "1" => Self::Leader,
            _ => Self::All,
        })
    }

    fn check(&self, _kind: &Kind) -> Result<(), ConfigReason> {
        Ok(())
    }

    fn print(&self) -> String {
        self.to_string()
    }
}

impl Property for Compression {
    fn parse(text: &str, kind: &Kind) -> Result<Self, ConfigReason> {
        let codec = match kind.choice(text)? {
            "gzip" => Self::Gzip,
            "lz4" => Self::Lz4,
            "snappy" => Self::Snappy,
            "zstd" => Self::Zstd,
            _ => Self::None,
        };
        codec.check(kind).map(|()| codec)
    }

    fn check(&self, _kind: &Kind) -> Result<(), ConfigReason> {
        self.missing_feature().map_or(Ok(()), |feature| Err(ConfigReason::needs_feature(feature)))
    }

    fn print(&self) -> String {
        self.to_string()
    }
}

impl Property for GzipLevel {
    fn parse(text: &str, kind: &Kind) -> Result<Self, ConfigReason> {
        let level = Self(text.parse().map_err(|_| Self::out_of_range())?);
        level.check(kind).map(|()| level)
    }

    fn check(&self, _kind: &Kind) -> Result<(), ConfigReason> {
        match self.0 {
            -1 | 1..=9 => Ok(()),
            _ => Err(Self::out_of_range()),
        }
    }

    fn print(&self) -> String {
        self.0.to_string()
    }
}

impl Property for MetadataRecoveryStrategy {
    fn parse(text: &str, kind: &Kind) -> Result<Self, ConfigReason> {
        Ok(match kind.choice(text)? {
            "none" => Self::None,
            _ => Self::Rebootstrap,
        })
    }

    fn check(&self, _kind: &Kind) -> Result<(), ConfigReason> {
        Ok(())
    }

    fn print(&self) -> String {
        self.to_string()
    }
}
