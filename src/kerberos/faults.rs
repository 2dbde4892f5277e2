//! What goes wrong with Kerberos, in words that name the setting.

use std::io;
use std::path::Path;

use libgssapi::error::Error;

use super::kinit::KinitError;
use crate::network::sasl::gssapi::ContextFault;
use crate::token::TokenError;
use crate::wire::readable;

/// What has failed for a broker.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) fault: ContextFault,
    /// A new ticket would help.
    pub(super) wants_ticket: bool,
}

/// The keytab cannot be read.
pub(super) fn unreadable(keytab: &Path, error: &io::Error) -> TokenError {
    let keytab = keytab.display();
    TokenError::permanent(format_args!("keyTab {keytab} in sasl.jaas.config cannot be read: {error}"))
}

/// kinit gets nothing by a keytab.
pub(super) fn no_login(principal: &str, keytab: Option<&str>, error: &KinitError) -> TokenError {
    let keytab = keytab.unwrap_or("of the machine");
    match error {
        KinitError::NotStarted(path, error) => not_started(path, error),
        KinitError::Failed(words) => {
            let text = format!("no login as {principal} by keyTab {keytab}: {words}{}", advice(words));
            if may_pass(words) { TokenError::temporary(text) } else { TokenError::permanent(text) }
        }
    }
}

fn not_started(path: &Path, error: &io::Error) -> TokenError {
    let path = path.display();
    TokenError::permanent(format_args!(
        "{path} (sasl.kerberos.kinit.cmd) cannot be started: {error}; install it (on Debian the package krb5-user), set the path, \
         or start the process with KRB5_CLIENT_KTNAME set to keyTab, and it is not needed"
    ))
}

/// The ticket cache has nothing of a principal, though kinit has put it there, or the library was to.
pub(super) fn no_ticket_of(principal: &str, error: &Error) -> TokenError {
    let words = words(error);
    let text = format!(
        "none of {principal} in the ticket cache of the process (KRB5CCNAME): {words}{}",
        advice(&words)
    );
    if may_pass(&words) { TokenError::temporary(text) } else { TokenError::permanent(text) }
}

pub(super) fn no_ticket_in_cache(error: &Error) -> TokenError {
    TokenError::permanent(format_args!(
        "{}; get one by kinit, or set useKeyTab, keyTab and principal in sasl.jaas.config",
        words(error)
    ))
}

/// The ticket in the cache has ended.
pub(super) fn ended(principal: &str, renewal: Option<KinitError>) -> TokenError {
    let renewal = match renewal {
        None => String::new(),
        Some(KinitError::Failed(words)) => format!(" (kinit -R says: {words})"),
        Some(KinitError::NotStarted(path, error)) => {
            format!(" ({}, which is sasl.kerberos.kinit.cmd, cannot be started: {error})", path.display())
        }
    };
    let of = if principal.is_empty() { String::new() } else { format!(" of {principal}") };
    TokenError::permanent(format_args!(
        "the one{of} in the ticket cache has ended{renewal}; get another by kinit, or set useKeyTab, keyTab and principal in \
         sasl.jaas.config"
    ))
}

pub(super) fn other_cache(wanted: &str, given: Option<&str>) -> TokenError {
    let given = given.map_or_else(|| "is not set".to_owned(), |given| format!("is {given}"));
    TokenError::permanent(format_args!(
        "ticketCache in sasl.jaas.config is {wanted}, but KRB5CCNAME {given}; start the process with KRB5CCNAME=FILE:{wanted}"
    ))
}

pub(super) fn cache_of_another(owner: &str, wanted: &str) -> TokenError {
    TokenError::permanent(format_args!(
        "the ticket cache of the process holds a ticket of {owner}, which one of {wanted} would replace; start the process with \
         KRB5CCNAME set to a cache of its own (FILE:/some/file), or to a collection (DIR:/some/directory)"
    ))
}

/// There is no token for a broker.
pub(super) fn no_token(target: &str, error: &Error) -> Fault {
    let words = words(error);
    let fault = |text: String, may_pass, wants_ticket| Fault {
        fault: ContextFault { text: text.into(), may_pass },
        wants_ticket,
    };
    match code(error) {
        SERVER_UNKNOWN => fault(
            format!(
                "the KDC does not know the broker as {target}: {words}; sasl.kerberos.service.name, the host of the broker's \
                 advertised.listeners and the principal in the broker's keytab must agree"
            ),
            false,
            false,
        ),
        SKEW => fault(skewed(&words), false, false),
        CLIENT_UNKNOWN | POLICY | NO_ENCRYPTION | REVOKED | KEY_EXPIRED | REALM_UNKNOWN => {
            fault(format!("no ticket for {target}: {words}{}", advice(&words)), false, false)
        }
        code => {
            let wants_ticket = matches!(code, TICKET_EXPIRED | NO_CACHE_FILE | NOT_IN_CACHE);
            fault(format!("no ticket for {target}: {words}{}", advice(&words)), true, wants_ticket)
        }
    }
}

/// The token of a broker is not what it should be.
pub(super) fn bad_token(target: &str, error: &Error) -> Fault {
    let words = words(error);
    let text = match code(error) {
        SKEW => skewed(&words),
        _ => format!("the broker does not prove that it is {target}: {words}"),
    };
    Fault { fault: ContextFault { text: text.into(), may_pass: false }, wants_ticket: false }
}

/// A broker does not accept a ticket.
pub(super) fn refused_ticket(principal: &str, target: &str, stays: bool) -> String {
    let advice = if stays {
        "; if the broker has another key by now, delete the ticket cache (KRB5CCNAME): with KRB5_CLIENT_KTNAME the ticket is not replaced \
         before it ends"
    } else {
        ""
    };
    format!("the ticket is of {principal} for {target}{advice}")
}

/// A message cannot be wrapped or unwrapped.
pub(super) fn bad_message(target: &str, error: &Error) -> Fault {
    let text = format!("what {target} says cannot be read: {}", words(error));
    Fault { fault: ContextFault { text: text.into(), may_pass: false }, wants_ticket: false }
}

fn skewed(words: &str) -> String {
    format!(
        "the clocks of this machine, of the KDC and of the broker differ too much: {words}; set the clock"
    )
}

/// Returns what the library says, without what it says of all errors.
fn words(error: &Error) -> String {
    let text = error.to_string();
    let inner = text.split_once(" (").and_then(|(_, rest)| rest.strip_suffix(')'));
    readable(inner.unwrap_or(&text))
}

/// What a user can do, where the words alone do not tell.
fn advice(words: &str) -> &'static str {
    const ADVICE: [(&str, &str); 8] = [
        ("Cannot contact any KDC", "; look at [realms] in krb5.conf (KRB5_CONFIG), and whether the KDC runs"),
        ("Cannot find KDC", "; set it in [realms] of krb5.conf (KRB5_CONFIG)"),
        ("Cannot resolve", "; look at [realms] in krb5.conf (KRB5_CONFIG)"),
        ("Clock skew", "; set the clock of this machine"),
        (
            "default realm",
            "; set default_realm in krb5.conf (KRB5_CONFIG), or write principal with its realm",
        ),
        ("not found in Kerberos database", "; correct principal in sasl.jaas.config, or make it at the KDC"),
        (
            "no suitable keys",
            "; klist -k shows whose keys are in it, principal in sasl.jaas.config must be one of them",
        ),
        ("Preauthentication failed", "; the key at the KDC is another by now: export the keytab anew"),
    ];
    ADVICE.iter().find(|(part, _)| words.contains(part)).map_or("", |(_, advice)| advice)
}

/// Whether another attempt may do better.
fn may_pass(words: &str) -> bool {
    ["Cannot contact any KDC", "Cannot resolve", "timed out", "emporarily", "given up"]
        .iter()
        .any(|part| words.contains(part))
}

fn code(error: &Error) -> i32 {
    error.minor.cast_signed()
}

// Of `krb5_err.et`, whose codes begin here.
const FIRST: i32 = -1_765_328_384;
const CLIENT_UNKNOWN: i32 = FIRST + 6;
const SERVER_UNKNOWN: i32 = FIRST + 7;
const POLICY: i32 = FIRST + 12;
const NO_ENCRYPTION: i32 = FIRST + 14;
const REVOKED: i32 = FIRST + 18;
const KEY_EXPIRED: i32 = FIRST + 23;
const TICKET_EXPIRED: i32 = FIRST + 32;
const SKEW: i32 = FIRST + 37;
const NOT_IN_CACHE: i32 = FIRST + 141;
const REALM_UNKNOWN: i32 = FIRST + 154;
const NO_CACHE_FILE: i32 = FIRST + 195;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refused_ticket_that_the_library_keeps_is_told_with_the_remedy() {
        let text = refused_ticket("me@R", "kafka/b1", true);
        assert!(
            text.starts_with("the ticket is of me@R for kafka/b1; if the broker has another key"),
            "{text}"
        );
        assert!(text.contains("KRB5CCNAME"), "{text}");
        assert_eq!(refused_ticket("me@R", "kafka/b1", false), "the ticket is of me@R for kafka/b1");
    }
}
