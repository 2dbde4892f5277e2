//! Takes events over HTTP, and answers when Kafka has them: [`serve`] is the life of the service, `routes` has its handlers, and `refusal`
//! says what a client is told of an event that was not acknowledged.

mod refusal;
mod routes;
mod serving;

pub use self::serving::{Settings, serve};
