"""Two consumers of a group share the records of a topic: group.py CLIENT BOOTSTRAP TOPIC GROUP RECORDS

CLIENT is kafka-python, aiokafka or confluent-kafka, which also sends the records. Ends with 0 if each consumer had partitions, each record
came to one of them, and the group has committed all.
"""

import asyncio
import sys
import threading
import time

LIMIT = 60


class Check:
    """What has been read, and by whom."""

    def __init__(self, client, topic, group, records):
        self.client, self.topic, self.group, self.records = client, topic, group, records
        self.values = []
        self.assigned = [set(), set()]
        self.deadline = time.monotonic() + LIMIT

    def values_to_send(self):
        return [f"value {number}".encode() for number in range(self.records)]

    def take(self, value):
        self.values.append(value.decode())

    def are_both_ready(self):
        first, second = self.assigned
        self.look()
        return bool(first and second and not first & second)

    def is_over(self):
        self.look()
        return len(self.values) >= self.records

    def look(self):
        if time.monotonic() > self.deadline:
            sys.exit(f"{self.client}: {len(self.values)} of {self.records} records came; partitions: {self.assigned}")

    def finish(self, committed):
        expected = [f"value {number}" for number in range(self.records)]
        if sorted(self.values) != sorted(expected):
            sys.exit(f"{self.client}: what was read is not what was sent")
        if committed != self.records:
            sys.exit(f"{self.client}: offsets of {committed} records are committed, not of {self.records}")
        print(f"{self.client}: two members shared {self.records} records and committed them")


def kafka_python(bootstrap, check):
    from kafka import KafkaConsumer, KafkaProducer, TopicPartition

    def consumer():
        return KafkaConsumer(
            check.topic,
            bootstrap_servers=bootstrap,
            group_id=check.group,
            auto_offset_reset="earliest",
            enable_auto_commit=False,
        )

    is_over = threading.Event()

    def read(number):
        one = consumer()
        while not is_over.is_set():
            for batch in one.poll(timeout_ms=100).values():
                for record in batch:
                    check.take(record.value)
            check.assigned[number] = {partition.partition for partition in one.assignment()}
        one.commit()
        one.close()

    readers = [threading.Thread(target=read, args=(number,), daemon=True) for number in range(2)]
    for reader in readers:
        reader.start()
    while not check.are_both_ready():
        time.sleep(0.05)
    producer = KafkaProducer(bootstrap_servers=bootstrap)
    for value in check.values_to_send():
        producer.send(check.topic, value)
    producer.close()
    while not check.is_over():
        time.sleep(0.05)
    is_over.set()
    for reader in readers:
        reader.join()
    last = consumer()
    partitions = [TopicPartition(check.topic, number) for number in last.partitions_for_topic(check.topic)]
    committed = sum(last.committed(partition) or 0 for partition in partitions)
    last.close()
    check.finish(committed)


def confluent_kafka(bootstrap, check):
    from confluent_kafka import Consumer, Producer, TopicPartition

    settings = {
        "bootstrap.servers": bootstrap,
        "group.id": check.group,
        "auto.offset.reset": "earliest",
        "enable.auto.commit": False,
    }
    pair = [Consumer(settings), Consumer(settings)]
    for one in pair:
        one.subscribe([check.topic])

    def poll():
        for number, one in enumerate(pair):
            for record in one.consume(1000, timeout=0.1):
                if record.error():
                    sys.exit(str(record.error()))
                check.take(record.value())
            check.assigned[number] = {partition.partition for partition in one.assignment()}

    while not check.are_both_ready():
        poll()
    producer = Producer({"bootstrap.servers": bootstrap})
    for value in check.values_to_send():
        producer.produce(check.topic, value)
    producer.flush()
    while not check.is_over():
        poll()
    for one in pair:
        one.commit(asynchronous=False)
    count = len(pair[0].list_topics(check.topic).topics[check.topic].partitions)
    found = pair[0].committed([TopicPartition(check.topic, number) for number in range(count)])
    for one in pair:
        one.close()
    check.finish(sum(max(partition.offset, 0) for partition in found))


async def aiokafka(bootstrap, check):
    from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

    pair = [
        AIOKafkaConsumer(
            check.topic,
            bootstrap_servers=bootstrap,
            group_id=check.group,
            auto_offset_reset="earliest",
            enable_auto_commit=False,
        )
        for _ in range(2)
    ]
    await asyncio.gather(*(one.start() for one in pair))

    async def poll():
        for number, one in enumerate(pair):
            for batch in (await one.getmany(timeout_ms=100)).values():
                for record in batch:
                    check.take(record.value)
            check.assigned[number] = {partition.partition for partition in one.assignment()}

    while not check.are_both_ready():
        await poll()
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap)
    await producer.start()
    for value in check.values_to_send():
        await producer.send(check.topic, value)
    await producer.stop()
    while not check.is_over():
        await poll()
    for one in pair:
        await one.commit()
    partitions = [TopicPartition(check.topic, number) for number in pair[0].partitions_for_topic(check.topic)]
    committed = [await pair[0].committed(partition) or 0 for partition in partitions]
    for one in pair:
        await one.stop()
    check.finish(sum(committed))


def main():
    client, bootstrap, topic, group, records = sys.argv[1:]
    check = Check(client, topic, group, int(records))
    if client == "aiokafka":
        asyncio.run(aiokafka(bootstrap, check))
    else:
        {"kafka-python": kafka_python, "confluent-kafka": confluent_kafka}[client](bootstrap, check)


main()
