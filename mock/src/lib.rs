//! An in-process Apache Kafka cluster over TCP on loopback, for tests and examples.
