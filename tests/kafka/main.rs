//! Tests against real Apache Kafka clusters, which the tests start and end themselves.
//!
//! `REQUIRE_KAFKA=1 cargo test -p kafka-producer-kafka-tests` runs them. Without that variable they say `SKIPPED` on
//! stderr and pass, because they take many minutes. Needed: a JDK 17 (what Kafka 4 wants, and what Kafka 1.0 still
//! starts on), Maven for the first run, `sh` and `kill`.
//!
//! | Variable | Meaning |
//! |---|---|
//! | `REQUIRE_KAFKA=1` | run them, and fail where that is impossible |
//! | `KAFKA_JARS` | where the jars of each version are kept; default `~/.cache/kafka-producer-tests` |
//! | `KAFKA_FAULT_SEED` | the number that decides which faults come when; default 1 |
//! | `KAFKA_SECURITY=whole` | have the tests of TLS and SASL send more, and longer: minutes in place of seconds for each version |
//! | `KAFKA_TRANSACTIONS=whole` | kill brokers of four versions under transactions, and `examples/exactly_once`, again and again, for many minutes |
//! | `KAFKA_TRACE` | a file for what the producers under faults log |
//! | `KAFKA_KEEP=1` | leave the clusters' directories (configuration, data, logs) where they are |
//!
//! Only one cluster runs at a time, however many threads the test runner uses. `support` is the harness,
//! `harness` shows with Kafka's own clients that it can be trusted, `producer`, `security`, `faults`, `transactions`
//! and `exactly_once` are the tests of this crate, and `mock` shows with Kafka's own clients that `kafka-mock` can be trusted.

mod exactly_once;
mod faults;
mod harness;
mod mock;
mod producer;
mod security;
mod support;
mod transactions;
