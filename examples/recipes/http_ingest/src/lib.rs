//! Takes events over HTTP, and answers when Kafka has them: [`serve`] is the life of the service, `routes` what it answers to whom,
//! `refusal` what a client is told of an event that was not written.

mod refusal;
mod routes;
mod serving;

pub use self::serving::{Settings, serve};
