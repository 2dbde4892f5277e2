//! For the tests of applications: results that are made by hand, and a producer without brokers.

mod mock_producer;
mod results;

pub use self::mock_producer::MockProducer;
