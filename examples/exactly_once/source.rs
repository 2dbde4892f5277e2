//! Reads all partitions of a topic. It stands for a consumer: this crate has none, and `examples/consumers` shows two that fit.
//!
//! What a consumer does beside this: it shares partitions with others of its group, follows leaders that move, and passes over records
//! of aborted transactions. The topic here is written without transactions.

use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::offset_fetch_request::OffsetFetchRequestTopic;
use kafka_protocol::messages::{
    BrokerId, FetchRequest, FindCoordinatorRequest, GroupId, MetadataRequest, OffsetFetchRequest,
    RequestHeader, ResponseHeader, TopicName,
};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, Request, StrBytes};
use kafka_protocol::records::RecordBatchDecoder;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::stage::Failure;

/// A record of the source.
#[derive(Debug)]
pub(crate) struct Read {
    pub(crate) partition: i32,
    pub(crate) value: Bytes,
}

/// A topic that is read from positions that its caller sets.
#[derive(Debug)]
pub(crate) struct Source {
    topic: String,
    servers: String,
    /// The address of the leader and the offset of the next record, by partition.
    partitions: BTreeMap<i32, (String, i64)>,
    /// By address.
    connections: BTreeMap<String, TcpStream>,
}

/// Records of one partition in one poll, at most.
const MAX_RECORDS: usize = 20;
const PAUSE: Duration = Duration::from_millis(50);

const METADATA_VERSION: i16 = 5;
const FETCH_VERSION: i16 = 4;
const FIND_COORDINATOR_VERSION: i16 = 1;
/// The first that can wait for transactions that are about to end.
const OFFSET_FETCH_VERSION: i16 = 7;

impl Source {
    pub(crate) async fn open(servers: &str, topic: &str) -> Result<Self, Failure> {
        let mut source = Self {
            topic: topic.to_owned(),
            servers: servers.to_owned(),
            partitions: BTreeMap::new(),
            connections: BTreeMap::new(),
        };
        source.find_leaders().await?;
        Ok(source)
    }

    /// Goes on from these offsets, and from the beginning where there are none.
    pub(crate) fn seek(&mut self, positions: &BTreeMap<i32, i64>) {
        for (partition, (_, position)) in &mut self.partitions {
            *position = positions.get(partition).copied().unwrap_or(0);
        }
    }

    /// Returns the offset of the next record of each partition.
    pub(crate) fn positions(&self) -> BTreeMap<i32, i64> {
        self.partitions.iter().map(|(partition, (_, position))| (*partition, *position)).collect()
    }

    /// Returns the next records, or none if all partitions are at their end.
    pub(crate) async fn poll(&mut self) -> Result<Vec<Read>, Failure> {
        let mut read = Vec::new();
        let partitions: Vec<_> =
            self.partitions.iter().map(|(id, (leader, at))| (*id, leader.clone(), *at)).collect();
        for (partition, leader, position) in partitions {
            let asked = FetchPartition::default()
                .with_partition(partition)
                .with_fetch_offset(position)
                .with_partition_max_bytes(1 << 20);
            let asked = FetchTopic::default().with_topic(self.name()).with_partitions(vec![asked]);
            let request = FetchRequest::default()
                .with_replica_id(BrokerId(-1))
                .with_min_bytes(1)
                .with_max_bytes(1 << 20)
                .with_isolation_level(1)
                .with_topics(vec![asked]);
            let Ok(response) = self.ask(&leader, FETCH_VERSION, &request).await else {
                self.find_leaders().await?;
                continue;
            };
            let found = response.responses.into_iter().flat_map(|topic| topic.partitions).next();
            let found = found.ok_or("the broker says nothing of the partition")?;
            if found.error_code != 0 {
                self.find_leaders().await?;
                continue;
            }
            self.take(partition, position, found.records.unwrap_or_default(), &mut read)?;
        }
        if read.is_empty() {
            tokio::time::sleep(PAUSE).await;
        }
        Ok(read)
    }

    fn take(
        &mut self,
        partition: i32,
        position: i64,
        mut batches: Bytes,
        read: &mut Vec<Read>,
    ) -> Result<(), Failure> {
        let mut taken = 0;
        // The last batch may have been cut off.
        while let Ok(set) = RecordBatchDecoder::decode(&mut batches) {
            for record in set.records.into_iter().filter(|record| record.offset >= position) {
                if taken == MAX_RECORDS {
                    return Ok(());
                }
                taken += 1;
                if let Some((_, next)) = self.partitions.get_mut(&partition) {
                    *next = record.offset + 1;
                }
                if !record.control {
                    read.push(Read { partition, value: record.value.unwrap_or_default() });
                }
            }
        }
        Ok(())
    }

    /// Returns how far a group has come. Waits for transactions that are about to end, since they may bring it further.
    pub(crate) async fn committed(&mut self, group: &str) -> Result<BTreeMap<i32, i64>, Failure> {
        let text = StrBytes::from_string(group.to_owned());
        let whom = FindCoordinatorRequest::default().with_key(text.clone());
        let partitions = self.partitions.keys().copied().collect();
        let topic =
            OffsetFetchRequestTopic::default().with_name(self.name()).with_partition_indexes(partitions);
        let what = OffsetFetchRequest::default()
            .with_group_id(GroupId(text))
            .with_topics(Some(vec![topic]))
            .with_require_stable(true);
        loop {
            if let Ok(found) = self.ask_any(FIND_COORDINATOR_VERSION, &whom).await
                && found.error_code == 0
            {
                let coordinator = format!("{}:{}", found.host, found.port);
                if let Ok(response) = self.ask(&coordinator, OFFSET_FETCH_VERSION, &what).await {
                    let offsets: Vec<_> =
                        response.topics.into_iter().flat_map(|topic| topic.partitions).collect();
                    if response.error_code == 0 && offsets.iter().all(|offset| offset.error_code == 0) {
                        let known = offsets.into_iter().filter(|offset| offset.committed_offset >= 0);
                        return Ok(known
                            .map(|offset| (offset.partition_index, offset.committed_offset))
                            .collect());
                    }
                }
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn find_leaders(&mut self) -> Result<(), Failure> {
        let topic = MetadataRequestTopic::default().with_name(Some(self.name()));
        let request = MetadataRequest::default().with_topics(Some(vec![topic]));
        loop {
            if let Ok(response) = self.ask_any(METADATA_VERSION, &request).await {
                let address = |id: BrokerId| {
                    let broker = response.brokers.iter().find(|broker| broker.node_id == id);
                    broker.map(|broker| format!("{}:{}", broker.host, broker.port))
                };
                let partitions = response.topics.iter().flat_map(|topic| &topic.partitions);
                let found: Vec<_> =
                    partitions.map(|it| (it.partition_index, address(it.leader_id))).collect();
                if !found.is_empty() && found.iter().all(|(_, leader)| leader.is_some()) {
                    for (partition, leader) in found {
                        let position = self.partitions.get(&partition).map_or(0, |(_, position)| *position);
                        self.partitions.insert(partition, (leader.unwrap_or_default(), position));
                    }
                    return Ok(());
                }
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    fn name(&self) -> TopicName {
        TopicName(StrBytes::from_string(self.topic.clone()))
    }

    /// Asks one of the servers.
    async fn ask_any<R: Request>(&mut self, version: i16, request: &R) -> Result<R::Response, Failure> {
        let servers: Vec<_> = self.servers.split(',').map(str::to_owned).collect();
        let mut last: Failure = "no servers".into();
        for server in servers {
            match self.ask(&server, version, request).await {
                Ok(response) => return Ok(response),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// Asks one broker. A connection that fails is not used again, nor is one whose answer was not waited for.
    async fn ask<R: Request>(
        &mut self,
        address: &str,
        version: i16,
        request: &R,
    ) -> Result<R::Response, Failure> {
        let mut stream = match self.connections.remove(address) {
            Some(stream) => stream,
            None => TcpStream::connect(address).await?,
        };
        stream.write_all(&frame(version, request)?).await?;
        let mut body = vec![0; usize::try_from(stream.read_i32().await?)?];
        stream.read_exact(&mut body).await?;
        self.connections.insert(address.to_owned(), stream);
        let mut body = Bytes::from(body);
        ResponseHeader::decode(&mut body, R::Response::header_version(version)).map_err(io::Error::other)?;
        Ok(R::Response::decode(&mut body, version).map_err(io::Error::other)?)
    }
}

fn frame<R: Request>(version: i16, request: &R) -> Result<BytesMut, Failure> {
    let header = RequestHeader::default().with_request_api_key(R::KEY).with_request_api_version(version);
    let mut message = BytesMut::new();
    header.encode(&mut message, R::header_version(version)).map_err(io::Error::other)?;
    request.encode(&mut message, version).map_err(io::Error::other)?;
    let mut frame = BytesMut::from(&i32::try_from(message.len())?.to_be_bytes()[..]);
    frame.extend_from_slice(&message);
    Ok(frame)
}
