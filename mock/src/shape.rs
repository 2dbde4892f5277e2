//! Walks over the bytes of a request before it is decoded, to see that every count and length is covered by
//! bytes that are there.
//!
//! `kafka-protocol` allocates room for as many elements as a count claims before it reads the first one, so a
//! request of forty bytes could otherwise ask for hundreds of gigabytes and end the process.

mod groups;

use crate::api::Api;

/// Checks the body of a request; what is left over at its end is refused too.
pub(crate) fn check(api: Api, version: i16, body: &[u8]) -> Result<(), String> {
    let mut walk = Walk { rest: body, is_flexible: api.has_flexible_request_header(version) };
    let walked = match api {
        Api::AddOffsetsToTxn => walk.add_offsets_to_txn(),
        Api::AddPartitionsToTxn => walk.add_partitions_to_txn(version),
        Api::ApiVersions => walk.api_versions(version),
        Api::CreateTopics => walk.create_topics(),
        Api::DeleteTopics => walk.delete_topics(version),
        Api::EndTxn => walk.end_txn(),
        Api::Fetch => walk.fetch(version),
        Api::FindCoordinator => walk.find_coordinator(version),
        Api::GetTelemetrySubscriptions => walk.get_telemetry_subscriptions(),
        Api::Heartbeat => walk.heartbeat(version),
        Api::InitProducerId => walk.init_producer_id(version),
        Api::JoinGroup => walk.join_group(version),
        Api::LeaveGroup => walk.leave_group(version),
        Api::ListOffsets => walk.list_offsets(version),
        Api::Metadata => walk.metadata(version),
        Api::OffsetCommit => walk.offset_commit(version),
        Api::OffsetFetch => walk.offset_fetch(version),
        Api::Produce => walk.produce(version),
        Api::PushTelemetry => walk.push_telemetry(),
        Api::SaslAuthenticate => walk.sasl_authenticate(),
        Api::SaslHandshake => walk.string(),
        Api::SyncGroup => walk.sync_group(version),
        Api::TxnOffsetCommit => walk.txn_offset_commit(version),
    };
    match walked {
        None => Err(format!("{api:?} request of version {version} is cut off or has an impossible length")),
        Some(()) if !walk.rest.is_empty() => {
            Err(format!("{api:?} request of version {version} has {} bytes too many", walk.rest.len()))
        }
        Some(()) => Ok(()),
    }
}

struct Walk<'a> {
    rest: &'a [u8],
    is_flexible: bool,
}

impl Walk<'_> {
    fn add_offsets_to_txn(&mut self) -> Option<()> {
        self.string()?; // transactional id
        self.skip(8 + 2)?; // producer id and epoch
        self.string()?; // group
        self.tags()
    }

    fn add_partitions_to_txn(&mut self, version: i16) -> Option<()> {
        if version < 4 {
            self.string()?; // transactional id
            self.skip(8 + 2)?; // producer id and epoch
            self.partitions_by_topic()?;
            return self.tags();
        }
        self.array(|transaction| {
            transaction.string()?;
            transaction.skip(8 + 2 + 1)?; // producer id and epoch, verify only
            transaction.partitions_by_topic()?;
            transaction.tags()
        })?;
        self.tags()
    }

    fn partitions_by_topic(&mut self) -> Option<()> {
        self.array(|topic| {
            topic.string()?;
            topic.array(|partition| partition.skip(4))?;
            topic.tags()
        })
    }

    fn api_versions(&mut self, version: i16) -> Option<()> {
        if version >= 3 {
            self.string()?; // client software name
            self.string()?; // client software version
        }
        if version >= 5 {
            self.string()?; // cluster id
            self.skip(4)?; // node id
        }
        self.tags()
    }

    fn create_topics(&mut self) -> Option<()> {
        self.array(|topic| {
            topic.string()?;
            topic.skip(4 + 2)?; // partitions, replication factor
            topic.array(|assignment| {
                assignment.skip(4)?;
                assignment.array(|broker| broker.skip(4))?;
                assignment.tags()
            })?;
            topic.array(|config| {
                config.string()?;
                config.string()?;
                config.tags()
            })?;
            topic.tags()
        })?;
        self.skip(4 + 1)?; // timeout, validate only
        self.tags()
    }

    fn delete_topics(&mut self, version: i16) -> Option<()> {
        self.array(|topic| {
            topic.string()?;
            if version >= 6 {
                topic.skip(16)?; // id
                topic.tags()?;
            }
            Some(())
        })?;
        self.skip(4)?; // timeout
        self.tags()
    }

    fn end_txn(&mut self) -> Option<()> {
        self.string()?; // transactional id
        self.skip(8 + 2 + 1)?; // producer id and epoch, committed
        self.tags()
    }

    fn find_coordinator(&mut self, version: i16) -> Option<()> {
        if version < 4 {
            self.string()?; // key
        }
        if version >= 1 {
            self.skip(1)?; // kind of key
        }
        if version >= 4 {
            self.array(Self::string)?; // keys
        }
        self.tags()
    }

    fn fetch(&mut self, version: i16) -> Option<()> {
        let replica_id = if version <= 14 { 4 } else { 0 };
        let session = if version >= 7 { 4 + 4 } else { 0 };
        self.skip(replica_id + 4 + 4 + 4 + 1 + session)?; // wait, min bytes, max bytes, isolation
        self.array(|topic| {
            topic.topic_name_or_id(version >= 13)?;
            topic.array(|partition| {
                let leader_epoch = if version >= 9 { 4 } else { 0 };
                let last_epoch = if version >= 12 { 4 } else { 0 };
                let log_start = if version >= 5 { 8 } else { 0 };
                partition.skip(4 + leader_epoch + 8 + last_epoch + log_start + 4)?;
                partition.tags()
            })?;
            topic.tags()
        })?;
        if version >= 7 {
            self.array(|forgotten| {
                forgotten.topic_name_or_id(version >= 13)?;
                forgotten.array(|partition| partition.skip(4))?;
                forgotten.tags()
            })?;
        }
        if version >= 11 {
            self.string()?; // rack
        }
        self.tags()
    }

    fn get_telemetry_subscriptions(&mut self) -> Option<()> {
        self.skip(16)?; // client instance id
        self.tags()
    }

    fn init_producer_id(&mut self, version: i16) -> Option<()> {
        self.string()?; // transactional id
        self.skip(4)?; // timeout
        if version >= 3 {
            self.skip(8 + 2)?; // producer id and epoch
        }
        self.tags()
    }

    fn list_offsets(&mut self, version: i16) -> Option<()> {
        let isolation = if version >= 2 { 1 } else { 0 };
        self.skip(4 + isolation)?; // replica
        self.array(|topic| {
            topic.string()?;
            topic.array(|partition| {
                let leader_epoch = if version >= 4 { 4 } else { 0 };
                partition.skip(4 + leader_epoch + 8)?; // index, timestamp
                partition.tags()
            })?;
            topic.tags()
        })?;
        if version >= 10 {
            self.skip(4)?; // timeout
        }
        self.tags()
    }

    fn metadata(&mut self, version: i16) -> Option<()> {
        self.array(|topic| {
            if version >= 10 {
                topic.skip(16)?; // id
            }
            topic.string()?;
            topic.tags()
        })?;
        let auto_creation = if version >= 4 { 1 } else { 0 };
        let authorized_operations = match version {
            8..=10 => 2,
            11.. => 1,
            _ => 0,
        };
        self.skip(auto_creation + authorized_operations)?;
        self.tags()
    }

    fn produce(&mut self, version: i16) -> Option<()> {
        self.string()?; // transactional id
        self.skip(2 + 4)?; // acks, timeout
        self.array(|topic| {
            topic.topic_name_or_id(version >= 13)?;
            topic.array(|partition| {
                partition.skip(4)?;
                partition.bytes()?;
                partition.tags()
            })?;
            topic.tags()
        })?;
        self.tags()
    }

    fn push_telemetry(&mut self) -> Option<()> {
        self.skip(16 + 4 + 1 + 1)?; // client instance id, subscription id, terminating, codec
        self.bytes()?;
        self.tags()
    }

    fn sasl_authenticate(&mut self) -> Option<()> {
        self.bytes()?;
        self.tags()
    }

    fn txn_offset_commit(&mut self, version: i16) -> Option<()> {
        self.string()?; // transactional id
        self.string()?; // group
        self.skip(8 + 2)?; // producer id and epoch
        if version >= 3 {
            self.skip(4)?; // generation
            self.string()?; // member
            self.string()?; // instance
        }
        self.array(|topic| {
            topic.topic_name_or_id(version >= 6)?;
            topic.array(|partition| {
                let leader_epoch = if version >= 2 { 4 } else { 0 };
                partition.skip(4 + 8 + leader_epoch)?; // index, offset
                partition.string()?; // metadata
                partition.tags()
            })?;
            topic.tags()
        })?;
        self.tags()
    }

    fn topic_name_or_id(&mut self, is_id: bool) -> Option<()> {
        if is_id { self.skip(16) } else { self.string() }
    }

    fn skip(&mut self, bytes: usize) -> Option<()> {
        self.rest = self.rest.get(bytes..)?;
        Some(())
    }

    /// A string or null.
    fn string(&mut self) -> Option<()> {
        if self.is_flexible {
            return self.compact_length().and_then(|length| self.skip(length));
        }
        let length = i16::from_be_bytes(*self.take()?);
        if length == -1 { Some(()) } else { self.skip(usize::try_from(length).ok()?) }
    }

    /// Bytes or null.
    fn bytes(&mut self) -> Option<()> {
        let length = self.length()?;
        self.skip(length)
    }

    /// An array or null.
    fn array(&mut self, mut element: impl FnMut(&mut Self) -> Option<()>) -> Option<()> {
        // An element has at least one byte, so this ends with the bytes at the latest.
        for _ in 0..self.length()? {
            element(self)?;
        }
        Some(())
    }

    /// The tag section that ends a structure of a flexible version.
    fn tags(&mut self) -> Option<()> {
        if !self.is_flexible {
            return Some(());
        }
        for _ in 0..self.unsigned_varint()? {
            self.unsigned_varint()?;
            let size = self.unsigned_varint()?;
            self.skip(usize::try_from(size).ok()?)?;
        }
        Some(())
    }

    /// The length of an array or of bytes, 0 for null.
    fn length(&mut self) -> Option<usize> {
        if self.is_flexible {
            return self.compact_length();
        }
        let length = i32::from_be_bytes(*self.take()?);
        if length == -1 { Some(0) } else { usize::try_from(length).ok() }
    }

    fn compact_length(&mut self) -> Option<usize> {
        usize::try_from(self.unsigned_varint()?.saturating_sub(1)).ok()
    }

    fn unsigned_varint(&mut self) -> Option<u32> {
        let mut value = 0_u32;
        for index in 0..5 {
            let [byte] = *self.take::<1>()?;
            // As lenient with the fifth byte as the decoder that comes after us: both must read the same number.
            value |= u32::from(byte & 0x7f) << (index * 7);
            if byte < 0x80 {
                break;
            }
        }
        Some(value)
    }

    fn take<const N: usize>(&mut self) -> Option<&[u8; N]> {
        let (taken, rest) = self.rest.split_first_chunk::<N>()?;
        self.rest = rest;
        Some(taken)
    }
}
