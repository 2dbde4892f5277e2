//! What a user reads of each mistake.

use std::fmt::Write;
use std::time::Duration;

use super::Child;
use super::Outcome;
use super::Shop;
use super::USER;
use super::keytab_line;
use crate::support::Listener;
use crate::support::Version;
use crate::support::kdc;
use crate::support::kdc::REALM;
use crate::support::ports;

const TOPIC: &str = "mistaken";
/// In which callers know, the producer is closed, and its process has ended. The library waits longer for a KDC.
const SOON: Duration = Duration::from_secs(10);

/// A mistake, what to do about it, and what is said of it.
struct Mistake {
    child: Child,
    disposition: &'static str,
    says: String,
}

pub(super) async fn every_mistake_is_told(shop: &Shop<'_>) {
    shop.cluster.create_topic(TOPIC, 1, 1, &[]).await;
    // Accepts connections, and says nothing.
    let silent = std::net::TcpListener::bind(ports::address(0)).expect("a port");
    let silent_port = silent.local_addr().expect("an address").port();
    let mut mistakes = of_keytabs(shop);
    mistakes.extend(of_caches(shop));
    mistakes.extend(of_names(shop));
    mistakes.extend(of_servers(shop, silent_port));

    for mistake in &mut mistakes {
        mistake.child.topic = TOPIC;
        mistake.child.properties.push_str("max.block.ms=3000\n");
    }
    let runs = mistakes.iter().map(|mistake| mistake.child.run(shop.kdc.directory()));
    let mut wrong = String::new();
    for (mistake, outcome) in mistakes.iter().zip(futures::future::join_all(runs).await) {
        let name = &mistake.child.name;
        let Outcome::Failed { disposition, after, whole, text } = outcome else {
            panic!("{name}: {outcome:?}")
        };
        let text = without_places(shop, &text);
        println!("{name} after {after:.1?}, process ended after {whole:.1?} [{disposition}]:\n    {text}");
        if disposition != mistake.disposition || text != mistake.says || whole > SOON {
            writeln!(wrong, "{name} after {after:?} [{disposition}]\nnot: {}\nbut: {text}\n", mistake.says)
                .expect("a String takes all");
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}

fn without_places(shop: &Shop<'_>, text: &str) -> String {
    let text = text.replace(&shop.kdc.directory().display().to_string(), "HERE");
    let broker = shop.cluster.bootstrap_servers_of(Listener::SaslPlaintextGssapi);
    let port = broker.rsplit(':').next().expect("a port");
    let text = text.replace(&broker, "BROKER").replace(&format!("localhost:{port}"), "BROKER");
    let parts = text.split_once(" after ");
    let parts = parts.and_then(|(begin, rest)| Some((begin, rest.split_once(" (max.block.ms)")?.1)));
    let text = parts
        .map_or_else(|| text.clone(), |(begin, end)| format!("{begin} after WAITED (max.block.ms){end}"));
    crate::security::without_attempts(&text)
}

const NO_TICKET: &str = "record for topic \"mistaken\" cannot be accepted: no Kerberos ticket: ";
const REFUSED: &str =
    "record for topic \"mistaken\" cannot be accepted: broker BROKER: authentication failed: ";
const WAITED: &str = "topic \"mistaken\" not in metadata after WAITED (max.block.ms): ";
const UNREACHABLE: &str =
    "topic \"mistaken\" not in metadata after WAITED (max.block.ms): no broker can be reached (BROKER: ";

fn permanent(child: Child, says: impl Into<String>) -> Mistake {
    Mistake { child, disposition: "FixConfiguration", says: says.into() }
}

fn passing(child: Child, says: impl Into<String>) -> Mistake {
    Mistake { child, disposition: "RetryLater", says: says.into() }
}

const LISTENER: Listener = Listener::SaslPlaintextGssapi;

fn of_keytabs(shop: &Shop<'_>) -> Vec<Mistake> {
    let rest = shop.properties(LISTENER);
    let here = |name: &str| shop.kdc.directory().join(name);
    let keytab = here("alice.keytab");
    shop.kdc.add_user("ghost", "");
    shop.kdc.administer("delprinc -force ghost");
    shop.kdc.add_user("rekeyed", "+requires_preauth");
    shop.kdc.administer("cpw -randkey rekeyed");
    let right = shop.with_keytab(LISTENER, USER);
    vec![
        permanent(
            shop.child(
                "keytab that is not there",
                format!("{rest}{}", keytab_line(&here("none"), "alice")),
                "m1",
            ),
            format!(
                "{NO_TICKET}keyTab HERE/none in sasl.jaas.config cannot be read: No such file or directory (os error 2)"
            ),
        ),
        permanent(
            shop.child(
                "principal of another keytab",
                format!("{rest}{}", keytab_line(&keytab, "carol")),
                "m2",
            ),
            format!(
                "{NO_TICKET}no login as carol by keyTab HERE/alice.keytab: kinit: Keytab contains no suitable keys for carol@{REALM} while getting initial credentials; klist -k shows whose keys are in it, principal in sasl.jaas.config must be one of them"
            ),
        ),
        permanent(
            shop.child("principal that the KDC does not know", shop.with_keytab(LISTENER, "ghost"), "m3"),
            format!(
                "{NO_TICKET}no login as ghost@{REALM} by keyTab HERE/ghost.keytab: kinit: Client 'ghost@{REALM}' not found in Kerberos database while getting initial credentials; correct principal in sasl.jaas.config, or make it at the KDC"
            ),
        ),
        permanent(
            shop.child("key that is another by now", shop.with_keytab(LISTENER, "rekeyed"), "m4"),
            format!(
                "{NO_TICKET}no login as rekeyed@{REALM} by keyTab HERE/rekeyed.keytab: kinit: Preauthentication failed while getting initial credentials; the key at the KDC is another by now: export the keytab anew"
            ),
        ),
        permanent(
            shop.child("no kinit", format!("{right}sasl.kerberos.kinit.cmd=/nonexistent/kinit\n"), "m5"),
            format!(
                "{NO_TICKET}/nonexistent/kinit (sasl.kerberos.kinit.cmd) cannot be started: No such file or directory (os error 2); install it (on Debian the package krb5-user), set the path, or start the process with KRB5_CLIENT_KTNAME set to keyTab, and it is not needed"
            ),
        ),
    ]
}

fn of_caches(shop: &Shop<'_>) -> Vec<Mistake> {
    let by_cache = shop.with_cache(LISTENER);
    shop.kdc.kinit(USER, &["-l", "1s"], &shop.cache("ended"));
    shop.kdc.add_user("dave", "");
    shop.kdc.kinit("dave", &[], &shop.cache("of-dave"));
    let other =
        by_cache.replace("useTicketCache=true", "useTicketCache=true ticketCache=\"/tmp/krb5cc_other\"");
    // A second is all that it had.
    std::thread::sleep(Duration::from_millis(2100));
    vec![
        permanent(
            shop.child("no ticket", by_cache.clone(), "empty"),
            format!(
                "{NO_TICKET}No Kerberos credentials available (default cache: FILE:HERE/empty); get one by kinit, or set useKeyTab, keyTab and principal in sasl.jaas.config"
            ),
        ),
        permanent(
            shop.child("ticket that has ended", by_cache, "ended"),
            format!(
                "{NO_TICKET}the one in the ticket cache has ended; get another by kinit, or set useKeyTab, keyTab and principal in sasl.jaas.config"
            ),
        ),
        permanent(
            shop.child("ticket cache of another principal", shop.with_keytab(LISTENER, USER), "of-dave"),
            format!(
                "{NO_TICKET}the ticket cache of the process holds a ticket of dave@{REALM}, which one of alice@{REALM} would replace; start the process with KRB5CCNAME set to a cache of its own (FILE:/some/file), or to a collection (DIR:/some/directory)"
            ),
        ),
        permanent(
            shop.child("another ticket cache than that of the process", other, "m6"),
            format!(
                "{NO_TICKET}ticketCache in sasl.jaas.config is /tmp/krb5cc_other, but KRB5CCNAME is FILE:HERE/m6; start the process with KRB5CCNAME=FILE:/tmp/krb5cc_other"
            ),
        ),
    ]
}

fn of_names(shop: &Shop<'_>) -> Vec<Mistake> {
    let broker_says = match shop.cluster.version() {
        Version::V1_0_2 => "Authentication failed due to invalid credentials with SASL mechanism GSSAPI",
        _ => {
            "Authentication failed during authentication due to invalid credentials with SASL mechanism GSSAPI"
        }
    };
    let right = shop.with_keytab(LISTENER, USER);
    shop.kdc.administer("addprinc -randkey kafka/localhost");
    let service = right.replace("service.name=kafka", "service.name=bus");
    let broker = shop.cluster.bootstrap_servers_of(LISTENER);
    let localhost = right.replace(&broker, &broker.replace("127.0.0.1", "localhost"));
    vec![
        permanent(
            shop.child("service that the KDC does not know", service, "m7"),
            format!(
                "{REFUSED}the KDC does not know the broker as bus/127.0.0.1: Server bus/127.0.0.1@{REALM} not found in Kerberos database; sasl.kerberos.service.name, the host of the broker's advertised.listeners and the principal in the broker's keytab must agree"
            ),
        ),
        permanent(
            shop.child("name that the broker has no key for", localhost, "m8"),
            format!(
                "{REFUSED}broker refuses the Kerberos ticket (GSSAPI, SASL_AUTHENTICATION_FAILED (58)): {broker_says}; the ticket is of alice@{REALM} for kafka/localhost"
            ),
        ),
    ]
}

fn of_servers(shop: &Shop<'_>, silent_port: u16) -> Vec<Mistake> {
    let right = shop.with_keytab(LISTENER, USER);
    let configuration = |name: &str, port: u16| {
        let file = shop.kdc.directory().join(name);
        std::fs::write(&file, kdc::client_configuration(port)).expect("a file");
        file.display().to_string()
    };
    let (dead, silent) = (configuration("dead.conf", 1), configuration("silent.conf", silent_port));
    shop.kdc.kinit(USER, &[], &shop.cache("alone"));
    shop.kdc.kinit(USER, &[], &shop.cache("waiting"));
    let by_cache = shop.with_cache(LISTENER);
    let child = |name: &str, properties: &str, cache: &str, file: &str| {
        shop.child(name, properties.to_owned(), cache).with("KRB5_CONFIG", file)
    };
    let short = "socket.connection.setup.timeout.ms=1000\nsocket.connection.setup.timeout.max.ms=1000\n";
    vec![
        passing(
            child("KDC that is not there", &right, "m9", &dead),
            format!(
                "{WAITED}no Kerberos ticket: no login as alice@{REALM} by keyTab HERE/alice.keytab: kinit: Cannot contact any KDC for realm '{REALM}' while getting initial credentials; look at [realms] in krb5.conf (KRB5_CONFIG), and whether the KDC runs"
            ),
        ),
        passing(
            child("KDC that is not there any more", &by_cache, "alone", &dead),
            format!(
                "{UNREACHABLE}authentication failed: no ticket for kafka/127.0.0.1: Cannot contact any KDC for realm '{REALM}'; look at [realms] in krb5.conf (KRB5_CONFIG), and whether the KDC runs)"
            ),
        ),
        passing(
            child("KDC that says nothing", &format!("{right}{short}"), "m10", &silent),
            format!(
                "{UNREACHABLE}the Kerberos ticket (from a KDC that may hang or be out of reach) that the broker is to be shown did not come in time)"
            ),
        ),
        passing(
            child("KDC that says nothing any more", &format!("{by_cache}{short}"), "waiting", &silent),
            format!(
                "{UNREACHABLE}the Kerberos ticket (from a KDC that may hang or be out of reach) that the broker is to be shown did not come in time)"
            ),
        ),
    ]
}
