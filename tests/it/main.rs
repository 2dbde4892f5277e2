//! Public behaviour of the producer against `kafka-mock`, an in-process cluster with a codec of its own.

mod acks;
mod adaptors;
#[cfg(feature = "sasl")]
mod aws_msk_iam;
mod cancel_safety;
mod compression;
mod dialer;
mod drop;
mod enqueue;
mod errors;
mod exactly_once;
mod explains;
mod faces;
mod fail_stop;
mod faults;
mod flush_close;
mod from_threads;
mod health;
mod idempotence;
mod interceptors;
mod ipv6;
mod memory;
mod metadata;
mod metrics;
#[cfg(feature = "metrics")]
mod metrics_bridge;
mod misrouting;
mod name_lookup;
#[cfg(feature = "sasl")]
mod oauth;
#[cfg(all(feature = "sasl", feature = "tls"))]
mod oauth_tls;
#[cfg(feature = "sasl")]
mod oidc;
mod ordering;
mod partitioning;
mod purge;
mod quiet_log;
#[cfg(all(feature = "sasl", feature = "tls"))]
mod recipes;
mod reconnect;
mod refused_calls;
mod retry;
mod runtimes;
#[cfg(feature = "sasl")]
mod sasl;
mod scripted;
#[cfg(all(feature = "sasl", feature = "tls", feature = "keystores"))]
mod secrets;
mod send;
mod serializers;
mod support;
#[cfg(feature = "telemetry")]
mod telemetry;
mod time_limits;
mod timeouts;
#[cfg(feature = "tls")]
mod tls;
#[cfg(feature = "tls")]
mod tls_rotation;
mod topic_handle;
mod transactions;
mod transactions_pool;
mod versions;
