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
}

impl Haste {
    pub(super) fn new(keeps_secrets: bool) -> Self {
        Self { keeps_secrets, has_met_old: false, let_in: None }
    }

    pub(super) fn note_old_broker(&mut self) {
        self.has_met_old = true;
    }

    pub(super) fn note_let_in(&mut self, version: i16) {
        self.let_in = Some(version);
    }

    /// A broker does not take the mechanism, or the brokers are those of another cluster: the next is asked first whether it does.
    pub(super) fn forget_let_in(&mut self) {
        self.let_in = None;
    }

    /// Whether to name the mechanism before the broker has said what it speaks.
    pub(super) fn names_mechanism(&self) -> bool {
        !self.has_met_old
    }

    /// Returns the version of SaslAuthenticate in which to say the first words of a mechanism before the broker has agreed to it.
    /// `None` if it has to agree first.
    pub(super) fn first_words(&self, opening: Opening) -> Option<i16> {
        match opening {
            Opening::Later => None,
            Opening::Public => Some(self.let_in.unwrap_or(SPOKEN_BY_ALL)),
            // A broker that takes another mechanism only is not to have the password. In clear text others could read it, too.
            Opening::Secret => self.let_in.filter(|_| self.keeps_secrets),
        }
    }
}

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
            let_in.into_iter().for_each(|version| haste.note_let_in(version));

            assert_eq!(haste.first_words(Opening::Secret), secret, "{haste:?}");
            assert_eq!(haste.first_words(Opening::Public), public, "{haste:?}");
            assert_eq!(haste.first_words(Opening::Later), None);
            haste.forget_let_in();
            assert_eq!(haste.first_words(Opening::Secret), None);
        }
    }
}
