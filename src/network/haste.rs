//! [`Haste`]: what the client asks a broker before the broker has answered what it was asked before, to save round trips at the start
//! of a connection that is to be authenticated.
//!
//! Questions go one after the other, a moment apart ([`NetworkConfig::head_start`](super::NetworkConfig)). In one write they would
//! save nothing with TLS: brokers of Kafka read all of them into a buffer, take out the first, and look at the buffer again only when
//! something else wakes them, or after 0.3 s (`Selector` and `SslTransportLayer`; measured with 1.0.2, 2.8.2, 3.9.2 and 4.3.1). Where the
//! answer comes within the moment, nothing is asked early, so brokers nearby see a client that waits for each answer.

use super::sasl::Opening;

/// How far to go, by what brokers of the cluster have shown.
#[derive(Debug)]
pub(super) struct Haste {
    /// Whether only the broker that is meant can read what is sent: connections are encrypted, and the names of brokers are checked.
    keeps_secrets: bool,
    /// Whether a broker did not know the version of ApiVersions in which it is asked ahead, as those before Kafka 2.4. It would have to
    /// be asked again, and takes no ApiVersions between SaslHandshake and the end of the authentication.
    has_met_old: bool,
    /// The version of SaslAuthenticate in which a broker of the cluster has let the producer in last, by the mechanism in use.
    let_in: Option<i16>,
    /// How many brokers in a row let the producer in only when it waited for each answer.
    failures: u8,
}

impl Haste {
    pub(super) fn new(keeps_secrets: bool) -> Self {
        Self { keeps_secrets, has_met_old: false, let_in: None, failures: 0 }
    }

    pub(super) fn note_old_broker(&mut self) {
        self.has_met_old = true;
    }

    /// A broker has let the producer in by words in this version. `was_hasty`: it was asked more than it had answered. `is_patient`: it
    /// was not, because an earlier connection on which it was came to nothing.
    pub(super) fn note_let_in(&mut self, version: i16, was_hasty: bool, is_patient: bool) {
        match (was_hasty, is_patient) {
            (true, _) => self.failures = 0,
            (false, true) => self.failures = self.failures.saturating_add(1),
            (false, false) => {}
        }
        // Before, there is no place for how long a session lasts.
        if version >= SPOKEN_BY_ALL {
            self.let_in = Some(version);
        }
    }

    /// The brokers are those of another cluster.
    pub(super) fn forget_cluster(&mut self) {
        *self = Self::new(self.keeps_secrets);
    }

    /// A broker does not take the mechanism, or is not the one that was meant: the next is asked first.
    pub(super) fn forget_let_in(&mut self) {
        self.let_in = None;
    }

    /// Whether to name the mechanism before the broker has said what it speaks.
    pub(super) fn names_mechanism(&self) -> bool {
        !self.has_met_old && self.failures < MAX_FAILURES
    }

    /// Returns the version of SaslAuthenticate in which to say the first words of a mechanism before the broker has agreed to it.
    /// `None` if it has to agree first.
    /// `is_told`: the broker was told of which cluster it is taken to be, and has not said whether it is.
    pub(super) fn first_words(&self, opening: Opening, is_told: bool) -> Option<i16> {
        match opening {
            Opening::Later => None,
            Opening::Public => Some(self.let_in.unwrap_or(SPOKEN_BY_ALL)),
            // A broker that takes another mechanism only is not to have the password. In clear text others could read it, too.
            Opening::Secret => self.let_in.filter(|_| self.keeps_secrets && !is_told),
        }
    }
}

/// After so many brokers in a row it is taken for something of the network between, or of all brokers.
const MAX_FAILURES: u8 = 3;

/// All brokers since Kafka 2.4 speak it, and it has a place for how long a session lasts.
const SPOKEN_BY_ALL: i16 = 1;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_go_early_only_where_the_mechanism_is_taken_and_others_cannot_read_them() {
        for (keeps_secrets, let_in, secret, public) in [
            (false, None, None, Some(1)),
            (true, None, None, Some(1)),
            (false, Some(2), None, Some(2)),
            (true, Some(2), Some(2), Some(2)),
        ] {
            let mut haste = Haste::new(keeps_secrets);
            let_in.into_iter().for_each(|version| haste.note_let_in(version, true, false));

            assert_eq!(haste.first_words(Opening::Secret, false), secret, "{haste:?}");
            assert_eq!(haste.first_words(Opening::Secret, true), None, "{haste:?}");
            assert_eq!(haste.first_words(Opening::Public, true), public, "{haste:?}");
            assert_eq!(haste.first_words(Opening::Later, false), None);
            haste.forget_let_in();
            assert_eq!(haste.first_words(Opening::Secret, false), None);
        }
    }
}
