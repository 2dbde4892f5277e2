//! `Causes`: counts failed records by their cause, as an interceptor.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt::Debug;
use std::sync::{Mutex, MutexGuard, PoisonError};

use kafka_producer::{
    Acknowledgement, DeliveryError, DeliveryErrorKind, ErrorCode, ProducerInterceptor, SendErrorKind,
};

/// Failed records by cause. An interceptor sees each of them, so that the sending task need not await deliveries.
#[derive(Debug, Default)]
pub(crate) struct Causes(Mutex<BTreeMap<String, Cause>>);

/// Records that have failed for one cause.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Cause {
    pub(crate) records: u64,
    /// What the last of them failed with. Texts differ by times, so they do not tell causes apart.
    pub(crate) text: String,
}

impl Causes {
    /// Returns all causes, those of most records first.
    pub(crate) fn all(&self) -> Vec<(String, Cause)> {
        let mut all: Vec<_> = self.lock().iter().map(|(name, cause)| (name.clone(), cause.clone())).collect();
        all.sort_by_key(|(_, cause)| std::cmp::Reverse(cause.records));
        all
    }

    fn note(&self, name: String, text: String) {
        let mut causes = self.lock();
        let cause = causes.entry(name).or_default();
        cause.records += 1;
        cause.text = text;
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Cause>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ProducerInterceptor for Causes {
    fn on_acknowledgement(&self, acknowledgement: &Acknowledgement<'_>) {
        if let Some(error) = acknowledgement.error() {
            self.note(name_of(error), error.to_string());
        }
    }
}

/// Returns what failures have in common that are counted together.
fn name_of(error: &(dyn Error + Send + Sync + 'static)) -> String {
    if let Some(error) = error.downcast_ref::<DeliveryError>() {
        let code = match error.kind() {
            DeliveryErrorKind::TimedOut(spent) => spent.last_error,
            _ => error.error_code(),
        };
        return named(&error.kind(), code);
    }
    match error.downcast_ref::<SendErrorKind>() {
        Some(kind) => named(kind, None),
        None => "other".to_owned(),
    }
}

/// The name of a variant is what stands in front of its fields.
fn named(kind: &impl Debug, code: Option<ErrorCode>) -> String {
    let text = format!("{kind:?}");
    let name = text.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default();
    match code {
        Some(code) => format!("{name}, {code}"),
        None => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_of_most_records_stand_first() {
        let causes = Causes::default();
        causes.note("few".to_owned(), "once".to_owned());
        causes.note("many".to_owned(), "after 1 s".to_owned());
        causes.note("many".to_owned(), "after 2 s".to_owned());

        let many = Cause { records: 2, text: "after 2 s".to_owned() };
        let few = Cause { records: 1, text: "once".to_owned() };
        assert_eq!(causes.all(), [("many".to_owned(), many), ("few".to_owned(), few)]);
    }

    #[test]
    fn names_leave_out_what_differs() {
        assert_eq!(name_of(&SendErrorKind::Closed), "Closed");
        assert_eq!(
            named(&SendErrorKind::InvalidRecord("at 5".to_owned()), Some(ErrorCode::CorruptMessage)),
            format!("InvalidRecord, {}", ErrorCode::CorruptMessage)
        );
    }
}
