//! The producer against real clusters, judged by Kafka's own tools.

mod bootstrap;
mod console;
mod contents;
mod culprits;
mod deletion;
mod partitioning;
mod quota;
mod samples;
mod telemetry;

use std::time::SystemTime;

use crate::support::Version;

/// The codecs that the producer is built with and that brokers of a version know.
pub(crate) fn codecs(version: Version) -> impl Iterator<Item = &'static str> {
    [
        ("none", true),
        ("gzip", true),
        ("snappy", true),
        ("lz4", true),
        ("zstd", cfg!(feature = "zstd") && version != Version::V1_0_2),
    ]
    .into_iter()
    .filter_map(|(codec, is_known)| is_known.then_some(codec))
}

/// The time in milliseconds since 1970, as Kafka counts it.
fn epoch_millis() -> i64 {
    let since = SystemTime::UNIX_EPOCH.elapsed().expect("a clock after 1970");
    i64::try_from(since.as_millis()).expect("a clock before the year 292 million")
}
