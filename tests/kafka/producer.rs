//! The producer against real clusters, judged by Kafka's own tools.

mod console;
mod contents;
mod leader_death;
mod partitioning;
mod samples;
