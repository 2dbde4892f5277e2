//! Kerberos by the system's library (libgssapi over MIT's or Heimdal's): tickets, and what is said to brokers with them.
//!
//! ```text
//!   login ──▶ TicketSource ── kinit, ticket cache ──▶ Ticket (Current)
//!                                                        │
//!   exchanges (network::sasl::gssapi) ──▶ Contexts ──────┴──▶ the library: KDC, broker's tokens
//! ```
//!
//! Calls of the library read files and wait for servers, and kinit may hang. All of that is done on threads of the crate's own, never
//! on the sender's task, nor on the runtime's blocking pool: a runtime that ends would wait for them.

use std::fmt;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use libgssapi::credential::{Cred, CredUsage};
use libgssapi::error::Error;
use libgssapi::name::Name;
use libgssapi::oid::{GSS_MECH_KRB5, GSS_NT_KRB5_PRINCIPAL, OidSet};

use crate::clock;
use crate::config::{Kerberos, TicketOrigin};
use crate::login::{Fetched, Fetching, Source};
use crate::own_threads::{OneAtATime, OwnThreads};
use crate::token::TokenError;

mod contexts;
mod faults;
mod kinit;

pub(crate) use self::contexts::Contexts;
use self::kinit::{Kinit, KinitError};

/// A ticket that stands for all others: with it the library gets those for brokers.
pub(crate) struct Ticket {
    credential: Cred,
    /// Whose it is.
    principal: String,
    /// The library takes it out of the cache again as long as it lasts, also if a broker refuses it.
    stays: bool,
}

impl fmt::Debug for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ticket").field("principal", &self.principal).finish_non_exhaustive()
    }
}

/// Reads a variable of the environment.
pub(crate) type Environment = Arc<dyn Fn(&str) -> Option<String> + Send + Sync>;

/// Gets tickets.
pub(crate) struct TicketSource {
    asking: Arc<Asking>,
    /// A ticket that came from a cache is renewed there before it is taken again.
    has_fetched: AtomicBool,
    /// A library that hangs, or a program that cannot be ended, keeps one thread, however often the login tries again.
    work: OneAtATime<Got>,
}

/// What has come of getting a ticket, and when.
type Got = (Result<Fetched<Ticket>, TokenError>, Instant);

/// What a thread needs to know for getting a ticket.
struct Asking {
    origin: TicketOrigin,
    kinit: PathBuf,
    environment: Environment,
}

impl TicketSource {
    pub(crate) fn new(kerberos: &Kerberos, environment: Environment) -> Self {
        let Kerberos { origin, kinit, .. } = kerberos;
        let asking = Asking { origin: origin.clone(), kinit: kinit.clone(), environment };
        let work = OneAtATime::new(&LOGIN_THREADS);
        Self { asking: Arc::new(asking), has_fetched: AtomicBool::new(false), work }
    }
}

impl Source<Ticket> for TicketSource {
    fn name(&self) -> &'static str {
        "Kerberos ticket"
    }

    fn fetch(&self) -> Fetching<'_, Ticket> {
        let asking = Arc::clone(&self.asking);
        let is_renewal = self.has_fetched.load(Ordering::Relaxed);
        let kinit = Kinit::new(asking.kinit.clone());
        Box::pin(async move {
            // One that comes late counts, too.
            let late = self.work.left_over().await.and_then(Result::ok);
            if let Some(fetched) = late.and_then(|got| since(got).ok()) {
                self.has_fetched.store(true, Ordering::Relaxed);
                return Ok(fetched);
            }
            // If this future is dropped, the program ends.
            let running = kinit.clone_for_thread();
            let got = self.work.run(move || (asking.get(&running, is_renewal), clock::now())).await;
            drop(kinit);
            let fetched = since(got.map_err(|error| {
                TokenError::temporary(format_args!("nothing could ask Kerberos: {error}"))
            })?)?;
            self.has_fetched.store(true, Ordering::Relaxed);
            Ok(fetched)
        })
    }
}

/// Takes off the lifetime of a ticket what has passed since it came.
fn since((result, at): Got) -> Result<Fetched<Ticket>, TokenError> {
    let passed = clock::now().saturating_duration_since(at);
    let Fetched { value, lifetime } = result?;
    Ok(Fetched { value, lifetime: lifetime.map(|lifetime| lifetime.saturating_sub(passed)) })
}

impl fmt::Debug for TicketSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TicketSource").field("origin", &self.asking.origin).finish_non_exhaustive()
    }
}

impl Asking {
    fn get(&self, kinit: &Kinit, is_renewal: bool) -> Result<Fetched<Ticket>, TokenError> {
        match &self.origin {
            TicketOrigin::Cache { cache, principal } => {
                self.check_cache(cache.as_deref())?;
                let renewal = if is_renewal { kinit.run(&["-R"]) } else { Ok(()) };
                let found =
                    acquire(principal.as_deref()).map_err(|error| faults::no_ticket_in_cache(&error))?;
                match lifetime(&found.credential) {
                    Some(Duration::ZERO) => Err(faults::ended(&found.principal, renewal.err())),
                    lifetime => Ok(Fetched { value: found, lifetime }),
                }
            }
            TicketOrigin::Keytab { principal, keytab } => {
                if let Some(keytab) = keytab {
                    File::open(keytab).map_err(|error| faults::unreadable(keytab, &error))?;
                }
                let stays = self.is_for_library(keytab.as_deref());
                if !stays {
                    self.check_owner(principal)?;
                    run_with_keytab(kinit, keytab.as_deref(), principal)?;
                }
                let value =
                    acquire(Some(principal)).map_err(|error| faults::no_ticket_of(principal, &error))?;
                let value = Ticket { stays, ..value };
                let lifetime = lifetime(&value.credential);
                Ok(Fetched { value, lifetime })
            }
        }
    }

    /// Whether the library itself gets tickets by this keytab.
    fn is_for_library(&self, keytab: Option<&Path>) -> bool {
        let given = (self.environment)("KRB5_CLIENT_KTNAME");
        let given = given.as_deref().map(|name| Path::new(name.strip_prefix("FILE:").unwrap_or(name)));
        given.is_some() && given == keytab
    }

    /// The library takes the cache that the process was started with, and there is no other way to tell it of one than by a variable of
    /// the environment, which must not change while threads run.
    fn check_cache(&self, wanted: Option<&str>) -> Result<(), TokenError> {
        let Some(wanted) = wanted else { return Ok(()) };
        let given = (self.environment)("KRB5CCNAME");
        let plain = |name: &str| name.strip_prefix("FILE:").unwrap_or(name).to_owned();
        if given.as_deref().map(plain) == Some(plain(wanted)) {
            return Ok(());
        }
        Err(faults::other_cache(wanted, given.as_deref()))
    }

    /// Checks that the ticket which kinit gets replaces none of another principal.
    fn check_owner(&self, principal: &str) -> Result<(), TokenError> {
        const COLLECTIONS: [&str; 4] = ["API:", "DIR:", "KCM:", "KEYRING:"];
        let cache = (self.environment)("KRB5CCNAME");
        let is_collection =
            |cache: &String| COLLECTIONS.iter().any(|collection| cache.starts_with(collection));
        if cache.as_ref().is_some_and(is_collection) {
            return Ok(());
        }
        // A ticket that has ended has no name here, and may be replaced.
        let Ok(Some(owner)) =
            acquire(None).map(|found| Some(found.principal).filter(|name| !name.is_empty()))
        else {
            return Ok(());
        };
        let wanted = full_name(principal).unwrap_or_else(|_| principal.to_owned());
        if owner == wanted { Ok(()) } else { Err(faults::cache_of_another(&owner, &wanted)) }
    }
}

fn run_with_keytab(kinit: &Kinit, keytab: Option<&Path>, principal: &str) -> Result<(), TokenError> {
    let keytab = keytab.map(|path| path.to_string_lossy().into_owned());
    let mut arguments = vec!["-k"];
    if let Some(keytab) = &keytab {
        arguments.extend(["-t", keytab]);
    }
    // What follows is no option, whatever it begins with.
    arguments.extend(["--", principal]);
    kinit.run(&arguments).map_err(|error: KinitError| faults::no_login(principal, keytab.as_deref(), &error))
}

/// Takes what is in the cache, of this principal or of the one that it is for.
fn acquire(principal: Option<&str>) -> Result<Ticket, Error> {
    let name = principal.map(|name| Name::new(name.as_bytes(), Some(GSS_NT_KRB5_PRINCIPAL))).transpose()?;
    let mechanisms = OidSet::singleton(GSS_MECH_KRB5)?;
    let credential = Cred::acquire(name.as_ref(), None, CredUsage::Initiate, Some(&mechanisms))?;
    let principal = credential.name().and_then(|name| shown(&name)).unwrap_or_default();
    Ok(Ticket { credential, principal, stays: false })
}

/// Returns a principal with its realm.
fn full_name(principal: &str) -> Result<String, Error> {
    let name = Name::new(principal.as_bytes(), Some(GSS_NT_KRB5_PRINCIPAL))?;
    shown(&name.canonicalize(Some(GSS_MECH_KRB5))?)
}

fn shown(name: &Name) -> Result<String, Error> {
    Ok(String::from_utf8_lossy(&name.display_name()?).into_owned())
}

/// Returns how long a ticket lasts. `None` if it has no end.
fn lifetime(credential: &Cred) -> Option<Duration> {
    match credential.lifetime() {
        Ok(lifetime) if lifetime.as_secs() >= u64::from(u32::MAX) => None,
        Ok(lifetime) => Some(lifetime),
        // So it is with tickets that have ended.
        Err(_) => Some(Duration::ZERO),
    }
}

/// For the exchanges of the whole process.
static THREADS: OwnThreads = OwnThreads::new("kafka-producer-kerberos", 8);

/// For logins: those that hang keep no exchange from going on.
static LOGIN_THREADS: OwnThreads = OwnThreads::new("kafka-producer-kinit", 32);
