//! Sends lines, and remembers up to where all of them are acknowledged.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::error::Error;
use std::future;
use std::path::Path;
use std::time::Duration;

use kafka_producer::{
    Delivery, DeliveryError, Disposition, KafkaProducer, KafkaProducerBuilder, ProducerRecord,
};

use crate::checkpoint::Checkpoint;
use crate::tail::{Line, Tail};

/// What ends a shipper.
pub type Failure = Box<dyn Error + Send + Sync>;

/// Sends the lines of one file.
#[derive(Debug)]
pub struct Shipper {
    producer: KafkaProducer,
    topic: String,
    /// The key of all lines, so that all go to one partition and stay in their order.
    key: String,
    checkpoint: Checkpoint,
    tail: Tail,
    /// Lines that are sent and not acknowledged: where each ends, and its delivery.
    under_way: VecDeque<(u64, Delivery)>,
    /// All lines before this place are acknowledged.
    acknowledged: u64,
    saved: u64,
}

/// Lines that may be under way. A shipper that is killed sends at most as many again, and those since the last checkpoint.
const UNDER_WAY: usize = 10_000;

/// How often the checkpoint is saved.
const SAVE: Duration = Duration::from_millis(200);

/// How long to wait after a failure.
const PAUSE: Duration = Duration::from_millis(100);

impl Shipper {
    /// Starts a producer with these settings, and goes on where the checkpoint says.
    ///
    /// # Errors
    ///
    /// Those of the producer's configuration, and of the file system.
    pub async fn open(
        producer: KafkaProducerBuilder,
        topic: &str,
        file: &Path,
        checkpoint: Checkpoint,
    ) -> Result<Self, Failure> {
        let acknowledged = checkpoint.load()?;
        let tail = Tail::open(file, acknowledged).await?;
        Ok(Self {
            // Once a line fails, those after it fail, too. So they can be sent again in their order.
            producer: producer.fail_stop(true).build()?,
            topic: topic.to_owned(),
            key: file.display().to_string(),
            checkpoint,
            tail,
            under_way: VecDeque::new(),
            acknowledged,
            saved: acknowledged,
        })
    }

    /// Sends lines until `stop`. Then gives those that are under way as long as this to arrive, and saves how far they came. Returns that
    /// place.
    ///
    /// # Errors
    ///
    /// Those of the file system, and of a producer that cannot go on. Another shipper may.
    pub async fn run(
        mut self,
        stop: impl Future<Output = ()>,
        close_within: Duration,
    ) -> Result<u64, Failure> {
        tokio::select! {
            () = stop => {}
            Err(error) = self.follow() => return Err(error),
        }
        // After this, all lines have their results.
        drop(self.producer.close(close_within).await);
        self.take_results();
        self.save()?;
        Ok(self.acknowledged)
    }

    async fn follow(&mut self) -> Result<Infallible, Failure> {
        let mut save = tokio::time::interval(SAVE);
        loop {
            let has_room = self.under_way.len() < UNDER_WAY;
            tokio::select! {
                _ = save.tick() => self.save()?,
                () = oldest(&mut self.under_way) => {
                    if let Some(error) = self.take_results() {
                        self.go_back(error).await?;
                    }
                }
                line = self.tail.next_line(), if has_room => self.send(line?).await?,
            }
        }
    }

    async fn send(&mut self, Line { bytes, start, end }: Line) -> Result<(), Failure> {
        let record = ProducerRecord::to(self.topic.clone()).key(self.key.clone()).value(bytes);
        let error = match self.producer.enqueue(record).await {
            Ok(delivery) => {
                self.under_way.push_back((end, delivery));
                return Ok(());
            }
            Err(error) => error,
        };
        match error.disposition() {
            Disposition::FixRecord => {
                eprintln!("the line before byte {end} is left out: {error}");
                return Ok(());
            }
            Disposition::NewProducer => return Err(error.into()),
            // The line that has failed is still under way, and says why.
            Disposition::ResumePartition => {}
            _ => eprintln!("lines wait: {error}"),
        }
        self.tail.seek(start).await?;
        tokio::time::sleep(PAUSE).await;
        Ok(())
    }

    /// Takes in the results that are there, from the oldest line on, up to the first failure.
    fn take_results(&mut self) -> Option<DeliveryError> {
        while let Some((end, delivery)) = self.under_way.front() {
            match delivery.try_result()? {
                Err(error) if error.disposition() != Disposition::FixRecord => return Some(error),
                result => {
                    self.acknowledged = *end;
                    self.under_way.pop_front();
                    if let Err(error) = result {
                        eprintln!("the line before byte {} is left out: {error}", self.acknowledged);
                        return Some(error);
                    }
                }
            }
        }
        None
    }

    /// Sends the lines behind the last acknowledged one again, once all that are under way have failed.
    async fn go_back(&mut self, error: DeliveryError) -> Result<(), Failure> {
        match error.disposition() {
            Disposition::NewProducer => return Err(error.into()),
            Disposition::FixRecord => {}
            _ => eprintln!("lines wait: {error}"),
        }
        for (_, delivery) in &mut self.under_way {
            delivery.resolved().await;
        }
        self.under_way.clear();
        self.producer.resume(error.topic_partition());
        self.tail.seek(self.acknowledged).await?;
        tokio::time::sleep(PAUSE).await;
        Ok(())
    }

    fn save(&mut self) -> std::io::Result<()> {
        if self.acknowledged != self.saved {
            self.checkpoint.save(self.acknowledged)?;
            self.saved = self.acknowledged;
        }
        Ok(())
    }
}

/// Returns when the oldest line under way has its result. Safe to drop.
async fn oldest(under_way: &mut VecDeque<(u64, Delivery)>) {
    match under_way.front_mut() {
        Some((_, delivery)) => delivery.resolved().await,
        None => future::pending().await,
    }
}
