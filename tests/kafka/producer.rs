//! The producer against real clusters, judged by Kafka's own tools.

mod console;
mod contents;
mod partitioning;
mod samples;
