//! Who has a ticket sends, on one connection, whatever ends meanwhile; Kafka's consumer reads what was sent.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Child;
use super::Outcome;
use super::Shop;
use super::USER;
use crate::support::Isolation;
use crate::support::Listener;
use crate::support::kdc::REALM;
use crate::support::security::CERTIFICATES;

/// Two renewals of sessions at least, and one of the ticket.
const LOAD: Duration = Duration::from_secs(6);
const LONG_LOAD: Duration = Duration::from_secs(30);

pub(super) async fn tickets_of_every_kind_are_taken(shop: &Shop<'_>) {
    const TOPIC: &str = "tickets";
    let mut children = Vec::new();
    for listener in [Listener::SaslPlaintextGssapi, Listener::SaslSslGssapi] {
        let name = |kind: &str| format!("{listener:?} {kind}");
        let keytab = || shop.with_keytab(listener, USER);
        let own = format!("own-{listener:?}");
        children.push(shop.child(&name("keytab"), keytab(), &own));
        let cache = format!("cache-{listener:?}");
        shop.kdc.kinit(USER, &[], &shop.cache(&cache));
        children.push(shop.child(&name("ticket cache"), shop.with_cache(listener), &cache));
    }
    let listener = Listener::SaslPlaintextGssapi;
    let directory = shop.kdc.directory().join("collection");
    std::fs::create_dir_all(&directory).expect("a directory");
    let collection = format!("DIR:{}", directory.display());
    shop.kdc.add_user("bob", "");
    // The ticket of another principal stays beside it.
    shop.kdc.kinit("bob", &[], &collection);
    let in_collection = shop.child("keytab with a collection", shop.with_keytab(listener, USER), "");
    children.push(in_collection.with("KRB5CCNAME", collection));
    let keytab = shop.kdc.directory().join(format!("{USER}.keytab"));
    let without_kinit = shop.with_keytab(listener, USER) + "sasl.kerberos.kinit.cmd=/nonexistent/kinit\n";
    let by_library = shop.child("keytab that the library reads", without_kinit, "by-library");
    children.push(by_library.with("KRB5_CLIENT_KTNAME", keytab.display().to_string()));
    children.push(shop.child("recipe of the documentation", recipe(shop), "recipe"));
    for (child, partition) in children.iter_mut().zip(0..) {
        (child.topic, child.partition, child.records) = (TOPIC, partition, 200);
    }
    send(shop, TOPIC, &children).await;
}

/// The block in `docs/cloud.md`, with the places and names of the test.
fn recipe(shop: &Shop<'_>) -> String {
    let text = include_str!("../../../../docs/cloud.md");
    let block = text.split("```").find(|block| block.contains("sasl.mechanism=GSSAPI")).expect("a recipe");
    let keytab = shop.kdc.directory().join(format!("{USER}.keytab")).display().to_string();
    let mut recipe = block.strip_prefix("text").expect("a block of text").to_owned();
    for (theirs, ours) in [
        ("kafka-1.example.com:9093", shop.cluster.bootstrap_servers_of(Listener::SaslSslGssapi)),
        ("/etc/kafka/ca.pem", format!("{CERTIFICATES}/ca.pem")),
        ("/etc/orders.keytab", keytab),
        ("orders@EXAMPLE.COM", format!("{USER}@{REALM}")),
    ] {
        assert!(recipe.contains(theirs), "{recipe}");
        recipe = recipe.replace(theirs, &ours);
    }
    recipe
}

pub(super) async fn sessions_and_tickets_are_renewed_under_load(shop: &Shop<'_>) {
    const TOPIC: &str = "sessions";
    // Tickets end while the producer runs: it gets new ones by the keytab.
    shop.kdc.add_user("mayfly", "-maxlife \"4 seconds\"");
    let mut children = Vec::new();
    for listener in [Listener::SaslPlaintextGssapiShort, Listener::SaslSslGssapiShort] {
        let cache = format!("mayfly-{listener:?}");
        children.push(shop.child(&format!("{listener:?}"), shop.with_keytab(listener, "mayfly"), &cache));
    }
    for (child, partition) in children.iter_mut().zip(0..) {
        (child.topic, child.partition, child.records) = (TOPIC, partition, 500);
        child.load = if super::super::is_whole() { LONG_LOAD } else { LOAD };
    }
    send(shop, TOPIC, &children).await;
}

/// Has each of them send to a partition of its own.
async fn send(shop: &Shop<'_>, topic: &'static str, children: &[Child]) {
    let partitions = i32::try_from(children.len()).expect("few");
    shop.cluster.create_topic(topic, partitions, 1, &[]).await;
    let mut sent = BTreeMap::new();
    let runs = children.iter().map(|child| child.run(shop.kdc.directory()));
    for (child, outcome) in children.iter().zip(futures::future::join_all(runs).await) {
        println!("Kafka {}, {}: {outcome:?}", shop.cluster.version().number(), child.name);
        let Outcome::Sent { records, connections, retries } = outcome else {
            panic!("{}: {outcome:?}", child.name)
        };
        assert_eq!((connections, retries), (1, 0), "{}", child.name);
        sent.insert(child.partition, (0..records).map(|number| number.to_string()).collect::<Vec<_>>());
    }
    let mut found: BTreeMap<i32, Vec<String>> = BTreeMap::new();
    for record in shop.cluster.consume_all(topic, Isolation::ReadUncommitted).await {
        let value = record.value.expect("a value").to_vec();
        found.entry(record.partition).or_default().push(String::from_utf8(value).expect("text"));
    }
    assert!(found == sent, "{topic}: other records came back");
}
