//! `Sockets`: the open connections of a sender, by id. They report to the [`NetworkClient`] and decide nothing.

use std::collections::BTreeMap;
use std::fmt;
use std::task::Context;
use std::time::Instant;

use tokio::task::coop;

use crate::network::dialer::ByteStream;
use crate::network::transport::{Connection, ConnectionEvent};
use crate::network::{ConnectionId, Frame, NetworkClient};
use crate::security_failure::SecurityFailure;
use crate::sender::request::Purpose;

/// The connections that are open.
pub(crate) struct Sockets {
    connections: BTreeMap<ConnectionId, Connection>,
    max_frame: usize,
}

impl Sockets {
    /// `max_frame` is the length of the longest answer that is taken in.
    pub(crate) fn new(max_frame: usize) -> Self {
        Self { connections: BTreeMap::new(), max_frame }
    }

    pub(crate) fn open(&mut self, id: ConnectionId, stream: Box<dyn ByteStream>) {
        self.connections.insert(id, Connection::new(stream, self.max_frame));
    }

    pub(crate) fn close(&mut self, id: ConnectionId) {
        self.connections.remove(&id);
    }

    pub(crate) fn close_all(&mut self) {
        self.connections.clear();
    }

    /// Queues a frame for writing.
    ///
    /// # Errors
    ///
    /// Returns the frame if the connection is not open.
    pub(crate) fn transmit(&mut self, id: ConnectionId, frame: Frame) -> Result<(), Frame> {
        match self.connections.get_mut(&id) {
            Some(connection) => {
                connection.transmit(frame);
                Ok(())
            }
            None => Err(frame),
        }
    }

    /// Writes and reads, reports both, and closes connections that are of no further use, telling `lost` of them. Returns whether
    /// it has read everything that can be read.
    pub(crate) fn poll(
        &mut self,
        network: &mut NetworkClient<Purpose>,
        cx: &mut Context<'_>,
        now: Instant,
        mut lost: impl FnMut(ConnectionId),
    ) -> bool {
        let mut has_read_all = true;
        self.connections.retain(|id, connection| {
            if !connection.is_ready() && network.has_been_ready(*id) {
                connection.set_ready();
            }
            let is_ready = connection.is_ready();
            let result = connection.poll(cx, &mut |event| {
                match event {
                    ConnectionEvent::Frame(frame) => network.handle_frame(*id, frame, now),
                    ConnectionEvent::Written { correlation_id } => {
                        network.handle_written(*id, correlation_id, now);
                    }
                }
                // The next answer in the socket may be to a request already.
                is_ready || network.has_been_ready(*id)
            });
            match result {
                Ok(is_drained) => {
                    has_read_all &= is_drained;
                    true
                }
                Err(error) => {
                    let first_unsent = connection.first_unsent();
                    match SecurityFailure::of(&error) {
                        Some(failure) => network.handle_insecure(*id, failure, first_unsent, now),
                        None => network.handle_closed(*id, error.into(), first_unsent, now),
                    }
                    lost(*id);
                    false
                }
            }
        });
        // Without a budget, sockets say that there is nothing.
        has_read_all && coop::has_budget_remaining()
    }
}

impl fmt::Debug for Sockets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.connections.keys()).finish()
    }
}
