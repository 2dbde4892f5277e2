//! Benches of `kafka-producer`. Run them with `cargo bench -p kafka-producer-benches`.
