//! [`Contexts`]: contexts of the library, one for each exchange. Questions are answered on threads of the crate's own.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use libgssapi::context::{ClientCtx, CtxFlags, SecurityContext as _};
use libgssapi::name::Name;
use libgssapi::oid::{GSS_MECH_KRB5, GSS_NT_HOSTBASED_SERVICE};

use super::faults::{self, Fault};
use super::{THREADS, Ticket};
use crate::fence::fenced;
use crate::login::{Current, LoginNews, LoginWatcher};
use crate::network::sasl::gssapi::{Answer, ContextFault, Question, SecurityContext, SecurityContexts};
use crate::own_threads::{Claim, Job};

/// Makes contexts with the ticket in force.
pub(crate) struct Contexts {
    current: Current<Ticket>,
    /// Who brokers are: `sasl.kerberos.service.name`.
    service: String,
    /// Is told of answers.
    watcher: Arc<dyn LoginWatcher>,
}

impl Contexts {
    pub(crate) fn new(current: Current<Ticket>, service: String, watcher: Arc<dyn LoginWatcher>) -> Self {
        Self { current, service, watcher }
    }
}

impl SecurityContexts for Contexts {
    fn begin(&self, host: &str) -> Option<Box<dyn SecurityContext>> {
        let ticket = self.current.get()?;
        let broker = Broker { service: self.service.clone(), host: host.to_owned() };
        let shared = Shared { broker, ticket, state: Mutex::new(State { context: None, answer: None }) };
        Some(Box::new(Context {
            current: self.current.clone(),
            watcher: Arc::clone(&self.watcher),
            shared: Arc::new(shared),
            asked: None,
        }))
    }
}

impl fmt::Debug for Contexts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Contexts").field("service", &self.service).finish_non_exhaustive()
    }
}

/// One context, as the exchange sees it.
struct Context {
    current: Current<Ticket>,
    watcher: Arc<dyn LoginWatcher>,
    shared: Arc<Shared>,
    /// The last question, which is not asked any more when this is dropped.
    asked: Option<Claim>,
}

/// The same, as the thread sees it that answers.
struct Shared {
    broker: Broker,
    ticket: Arc<Ticket>,
    state: Mutex<State>,
}

struct State {
    /// `None` before the first question, and while one is being answered.
    context: Option<ClientCtx>,
    answer: Option<Result<Answer, ContextFault>>,
}

/// Who the broker is, for Kerberos.
struct Broker {
    service: String,
    host: String,
}

impl SecurityContext for Context {
    fn ask(&mut self, question: Question) {
        let shared = Arc::clone(&self.shared);
        let (current, watcher) = (self.current.clone(), Arc::clone(&self.watcher));
        let job = Job::new(move || {
            let answer =
                fenced(|| shared.find(question)).unwrap_or_else(|thrown| Err(panicked(&thrown.message())));
            let answer = answer.map_err(|Fault { fault, wants_ticket }| {
                if wants_ticket {
                    current.doubt(&shared.ticket);
                }
                fault
            });
            shared.lock().answer = Some(answer);
            watcher.note(LoginNews::GoOn);
        });
        self.asked = Some(Claim(Arc::clone(&job)));
        if let Err(error) = THREADS.add(job) {
            let text = format!("no thread for asking Kerberos: {error}").into();
            self.shared.lock().answer = Some(Err(ContextFault { text, may_pass: true }));
        }
    }

    fn answer(&mut self) -> Option<Result<Answer, ContextFault>> {
        self.shared.lock().answer.take()
    }

    fn refused(&mut self) -> Arc<str> {
        // The broker may have another key by now than when the ticket for it was made.
        self.current.doubt(&self.shared.ticket);
        let Shared { ticket, broker, .. } = &*self.shared;
        faults::refused_ticket(&ticket.principal, &broker.to_string(), ticket.stays).into()
    }
}

impl Shared {
    /// Blocks.
    fn find(&self, question: Question) -> Result<Answer, Fault> {
        let context = self.lock().context.take();
        let mut context = match context {
            Some(context) => context,
            None => self.begin()?,
        };
        let broker = self.broker.to_string();
        let answer = match question {
            Question::Token(theirs) => match context.step(theirs.as_deref(), None) {
                Ok(token) => {
                    let token = token.map(|token| Bytes::copy_from_slice(&token)).unwrap_or_default();
                    Ok(Answer::Token { token, is_complete: context.is_complete() })
                }
                Err(error) if theirs.is_none() => Err(faults::no_token(&broker, &error)),
                Err(error) => Err(faults::bad_token(&broker, &error)),
            },
            Question::Unwrap(message) => message_of(context.unwrap(&message), &broker),
            Question::Wrap(message) => message_of(context.wrap(false, &message), &broker),
        };
        self.lock().context = Some(context);
        answer
    }

    fn begin(&self) -> Result<ClientCtx, Fault> {
        let Broker { service, host } = &self.broker;
        let refuse = |text: String| Fault {
            fault: ContextFault { text: text.into(), may_pass: false },
            wants_ticket: false,
        };
        // A name that a broker has made up may not ask for the ticket of something else.
        let is_odd = |c: char| c.is_whitespace() || c.is_control() || matches!(c, '/' | '@' | '\\');
        if host.contains(is_odd) {
            return Err(refuse(format!("{host:?} is no host that a principal could have")));
        }
        let name = Name::new(format!("{service}@{host}").as_bytes(), Some(GSS_NT_HOSTBASED_SERVICE));
        let name = name.map_err(|error| faults::no_token(&self.broker.to_string(), &error))?;
        let flags = CtxFlags::GSS_C_MUTUAL_FLAG | CtxFlags::GSS_C_INTEG_FLAG;
        Ok(ClientCtx::new(Some(self.ticket.credential.clone()), name, flags, Some(GSS_MECH_KRB5)))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn message_of(
    message: Result<impl std::ops::Deref<Target = [u8]>, libgssapi::error::Error>,
    broker: &str,
) -> Result<Answer, Fault> {
    match message {
        Ok(message) => Ok(Answer::Message(Bytes::copy_from_slice(&message))),
        Err(error) => Err(faults::bad_message(broker, &error)),
    }
}

fn panicked(message: &str) -> Fault {
    let text = format!("asking Kerberos panicked: {message}").into();
    Fault { fault: ContextFault { text, may_pass: true }, wants_ticket: false }
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context").field("broker", &self.shared.broker.to_string()).finish_non_exhaustive()
    }
}

impl fmt::Display for Broker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.service, self.host)
    }
}
