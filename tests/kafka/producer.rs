//! The producer against real clusters, judged by Kafka's own tools.

mod console;
mod contents;
mod partitioning;
mod samples;

use crate::support::Version;

/// The codecs that the producer is built with and that brokers of a version know.
fn codecs(version: Version) -> impl Iterator<Item = &'static str> {
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
