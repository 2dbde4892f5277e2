//! PLAIN (RFC 4616): a name and a password, as they are.

use std::sync::Arc;

use bytes::Bytes;
use rand::rngs::StdRng;
use zeroize::Zeroizing;

use super::{Opening, SaslExchange, SaslMechanism, SaslStep};
use crate::config::{Credentials, Mechanism};
use crate::metadata::Node;

/// The mechanism, with the credentials of the producer.
#[derive(Debug)]
pub(super) struct Plain {
    credentials: Credentials,
}

impl Plain {
    pub(super) fn new(credentials: Credentials) -> Self {
        Self { credentials }
    }
}

impl SaslMechanism for Plain {
    fn name(&self) -> Arc<str> {
        Arc::from(Mechanism::Plain.name())
    }

    fn opening(&self) -> Opening {
        Opening::Secret
    }

    fn begin(&self, _: &Node, _: &mut StdRng) -> Box<dyn SaslExchange> {
        Box::new(PlainExchange { unsaid: Some(self.credentials.clone()) })
    }
}

/// There is one thing to say, and the broker says nothing to it.
#[derive(Debug)]
struct PlainExchange {
    unsaid: Option<Credentials>,
}

impl SaslExchange for PlainExchange {
    fn respond(&mut self, _: &[u8]) -> Result<SaslStep, Arc<str>> {
        let Some(Credentials { username, password, .. }) = self.unsaid.take() else {
            return Ok(SaslStep::Done);
        };
        if [username.as_str(), password.expose()].iter().any(|text| text.contains('\0')) {
            return Err("the username and the password for PLAIN may have no NUL character".into());
        }
        // No other user to act for, the name, the password.
        let parts = ["", username.as_str(), password.expose()];
        let length = parts.iter().map(|part| part.len() + 1).sum();
        let mut message = Zeroizing::new(Vec::with_capacity(length));
        for (index, part) in parts.iter().enumerate() {
            if index > 0 {
                message.push(0);
            }
            message.extend_from_slice(part.as_bytes());
        }
        Ok(SaslStep::Say(Bytes::from_owner(message)))
    }

    fn has_said_all(&self) -> bool {
        self.unsaid.is_none()
    }
}
