//! A part of a whole.

use super::ConfigReason;
use super::kind::Kind;
use super::property::Property;

/// A number between 0 and 1, of which the key says more.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Share(pub(crate) f64);

/// No value is "not a number": `Kind` lets none pass.
impl Eq for Share {}

impl Property for Share {
    fn parse(text: &str, kind: &Kind) -> Result<Self, ConfigReason> {
        kind.validate(text)?;
        text.parse().map(Self).map_err(|_| kind.out_of_range())
    }

    fn check(&self, kind: &Kind) -> Result<(), ConfigReason> {
        kind.validate(&self.print())
    }

    fn print(&self) -> String {
        self.0.to_string()
    }
}
