//! Types and ranges of property values.

use super::ConfigReason;

/// The type of a property in Kafka's configuration, with the values that it allows.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Kind {
    Boolean,
    Choice {
        any_case: bool,
        of: &'static [&'static str],
    },
    Class,
    Double {
        min: f64,
        max: f64,
    },
    /// Separated by commas, blanks around the entries do not count.
    List,
    Number {
        min: i64,
        max: i64,
        width: Width,
    },
    Password,
    Text,
}

/// The Java type of a number: it bounds the range where nothing else does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Width {
    Int,
    Long,
    Short,
}

impl Width {
    const fn min(self) -> i64 {
        match self {
            Self::Int => i32::MIN as i64,
            Self::Long => i64::MIN,
            Self::Short => i16::MIN as i64,
        }
    }

    const fn max(self) -> i64 {
        match self {
            Self::Int => i32::MAX as i64,
            Self::Long => i64::MAX,
            Self::Short => i16::MAX as i64,
        }
    }
}

impl Kind {
    /// A number from `min` up to the largest of its Java type.
    pub(crate) const fn at_least(min: i64, width: Width) -> Self {
        Self::Number { min, max: width.max(), width }
    }

    /// Any number of a Java type.
    pub(crate) const fn any(width: Width) -> Self {
        Self::Number { min: width.min(), max: width.max(), width }
    }

    pub(crate) const fn within(min: i64, max: i64, width: Width) -> Self {
        Self::Number { min, max, width }
    }

    /// Reads a text as a number in the range.
    pub(crate) fn number(&self, text: &str) -> Result<i64, ConfigReason> {
        let number = text.parse::<i128>().map_err(|_| {
            ConfigReason::Invalid(match self.range().as_str() {
                "any" => "must be a whole number".to_owned(),
                range => format!("must be a whole number, {range}"),
            })
        })?;
        self.check_number(number)?;
        // In range, hence no larger than an i64.
        Ok(i64::try_from(number).unwrap_or(i64::MAX))
    }

    /// Checks that a number is in the range.
    pub(crate) fn check_number(&self, number: i128) -> Result<(), ConfigReason> {
        match *self {
            Self::Number { min, .. } if number < i128::from(min) => Err(self.out_of_range()),
            Self::Number { max, .. } if number > i128::from(max) => Err(self.too_large()),
            _ => Ok(()),
        }
    }

    pub(crate) fn out_of_range(&self) -> ConfigReason {
        ConfigReason::Invalid(format!("must be {}", self.range()))
    }

    /// The upper bound is worth its line only when it is what was broken or the key's own.
    pub(crate) fn too_large(&self) -> ConfigReason {
        match *self {
            Self::Number { min, max, width } if max == width.max() && min == width.min() => {
                ConfigReason::Invalid(format!("must be at most {max}"))
            }
            Self::Number { min, max, .. } => ConfigReason::Invalid(format!("must be {min} to {max}")),
            _ => self.out_of_range(),
        }
    }

    /// Reads a text as one of the choices, in Kafka's spelling.
    pub(crate) fn choice(&self, text: &str) -> Result<&'static str, ConfigReason> {
        let Self::Choice { any_case, of } = *self else {
            return Err(self.out_of_range());
        };
        of.iter()
            .find(|choice| **choice == text || (any_case && choice.eq_ignore_ascii_case(text)))
            .copied()
            .ok_or_else(|| self.out_of_range())
    }

    pub(crate) fn boolean(&self, text: &str) -> Result<bool, ConfigReason> {
        match text {
            _ if text.eq_ignore_ascii_case("true") => Ok(true),
            _ if text.eq_ignore_ascii_case("false") => Ok(false),
            _ => Err(self.out_of_range()),
        }
    }

    /// Says whether a text is a value of this kind at all.
    pub(crate) fn validate(&self, text: &str) -> Result<(), ConfigReason> {
        match self {
            Self::Boolean => self.boolean(text).map(drop),
            Self::Choice { .. } => self.choice(text).map(drop),
            Self::Class | Self::List | Self::Password | Self::Text => Ok(()),
            Self::Double { min, max } => match text.parse::<f64>() {
                Ok(number) if (*min..=*max).contains(&number) => Ok(()),
                _ => Err(self.out_of_range()),
            },
            Self::Number { .. } => self.number(text).map(drop),
        }
    }

    /// Says whether two valid texts mean the same value.
    pub(crate) fn same(&self, left: &str, right: &str) -> bool {
        match self {
            Self::Boolean | Self::Choice { any_case: true, .. } => left.eq_ignore_ascii_case(right),
            Self::Choice { .. } | Self::Class | Self::Password | Self::Text => left == right,
            Self::Double { .. } => left.parse::<f64>() == right.parse::<f64>(),
            Self::List => left.split(',').map(str::trim).eq(right.split(',').map(str::trim)),
            Self::Number { .. } => left.parse::<i128>() == right.parse::<i128>(),
        }
    }

    /// Describes the allowed values, to follow the words "must be".
    pub(crate) fn range(&self) -> String {
        match *self {
            Self::Boolean => "true or false".to_owned(),
            Self::Choice { of, .. } => one_of(of),
            Self::Double { min, max } if min.is_finite() => format!("{min} to {max}"),
            Self::Double { .. } => "a number".to_owned(),
            Self::Number { min, max, width } => match (min == width.min(), max == width.max()) {
                (true, true) => "any".to_owned(),
                (false, true) => format!("at least {min}"),
                _ => format!("{min} to {max}"),
            },
            Self::Class | Self::List | Self::Password | Self::Text => "any".to_owned(),
        }
    }
}

fn one_of(choices: &[&str]) -> String {
    match choices {
        [] => String::new(),
        [only] => (*only).to_owned(),
        [first @ .., last] => format!("{} or {last}", first.join(", ")),
    }
}
