//! Load on real clusters while their brokers are killed, frozen and restarted and topics vanish and return.
//!
//! What must hold afterwards: every record that was accepted has an answer; what was acknowledged is in the log, once,
//! where the producer said and in the order in which it was accepted; what failed as not written is not in the log.

mod fault;
mod figures;
mod forgetting;
mod judgement;
mod new_addresses;
mod rolling_restart;
mod stream;
mod stress;
mod trace;
