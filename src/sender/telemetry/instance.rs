//! `Instance`: the id that brokers have given to this producer, as callers see it.

use tokio::sync::watch;

use crate::wire::Uuid;

/// The machine's end. Callers have the other one, and see that the sender has ended when this one is dropped.
#[derive(Debug)]
pub(crate) struct Instance(watch::Sender<Known>);

/// What is known of the id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Known {
    Awaited,
    Id(Uuid),
    /// There will be none: brokers do not offer telemetry, or refuse it.
    Never,
}

impl Instance {
    pub(crate) fn new() -> (Self, watch::Receiver<Known>) {
        let (sender, receiver) = watch::channel(Known::Awaited);
        (Self(sender), receiver)
    }

    pub(super) fn id(&self) -> Option<Uuid> {
        match *self.0.borrow() {
            Known::Id(id) => Some(id),
            Known::Awaited | Known::Never => None,
        }
    }

    /// Takes the id that a broker has given. The first one stays.
    pub(super) fn set_id(&self, id: Uuid) {
        if id != Uuid::ZERO && self.id().is_none() {
            self.0.send_replace(Known::Id(id));
        }
    }

    pub(super) fn note_off(&self) {
        if self.id().is_none() {
            self.0.send_replace(Known::Never);
        }
    }
}
