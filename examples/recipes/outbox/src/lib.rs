//! A transactional outbox. The application writes what it has to tell into a table of its database, in the transaction of what it tells of:
//! so there is an event for each order that was committed, and none for an order that was not. A relay of its own sends the rows of that
//! table to Kafka: each at least once, those of a key in the order in which they were committed.
//!
//! [`Outbox`] is the table, [`Relay`] sends what is in it, and `shop` stands for the application.

mod relay;
pub mod shop;
mod table;

pub use self::relay::{Relay, Round};
pub use self::table::{Outbox, Row};
