import java.time.Duration;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.Set;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.PartitionInfo;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

/**
 * Two consumers of a group share the records of a topic: Group BOOTSTRAP TOPIC GROUP RECORDS
 *
 * Ends with 0 if each consumer had partitions, each record came to one of them, and the group has committed all.
 */
public final class Group {
    private static final long LIMIT_MS = 60_000;

    private final Properties settings = new Properties();
    private final String topic;
    private final int records;
    private final List<String> values = Collections.synchronizedList(new ArrayList<>());
    private final List<Set<TopicPartition>> assigned = Collections.synchronizedList(new ArrayList<>());
    private final long deadline = System.currentTimeMillis() + LIMIT_MS;
    private volatile boolean isOver = false;

    private Group(String[] arguments) {
        settings.put("bootstrap.servers", arguments[0]);
        topic = arguments[1];
        settings.put("group.id", arguments[2]);
        records = Integer.parseInt(arguments[3]);
        settings.put("auto.offset.reset", "earliest");
        settings.put("enable.auto.commit", "false");
        settings.put("heartbeat.interval.ms", "500");
        settings.put("key.serializer", StringSerializer.class.getName());
        settings.put("value.serializer", StringSerializer.class.getName());
        settings.put("key.deserializer", StringDeserializer.class.getName());
        settings.put("value.deserializer", StringDeserializer.class.getName());
        assigned.add(Collections.emptySet());
        assigned.add(Collections.emptySet());
    }

    public static void main(String[] arguments) throws Exception {
        new Group(arguments).run();
        System.exit(0);
    }

    private void run() throws Exception {
        List<Thread> readers = new ArrayList<>();
        for (int number = 0; number < 2; number++) {
            int member = number;
            Thread reader = new Thread(() -> read(member));
            reader.setUncaughtExceptionHandler((thread, error) -> fail(error.toString()));
            reader.start();
            readers.add(reader);
        }
        while (!areBothReady()) {
            pause();
        }
        List<String> expected = new ArrayList<>();
        try (KafkaProducer<String, String> producer = new KafkaProducer<>(settings)) {
            for (int number = 0; number < records; number++) {
                expected.add("value " + number);
                producer.send(new ProducerRecord<>(topic, null, "value " + number));
            }
        }
        while (values.size() < records) {
            pause();
        }
        isOver = true;
        for (Thread reader : readers) {
            reader.join();
        }
        List<String> read = new ArrayList<>(values);
        Collections.sort(read);
        Collections.sort(expected);
        if (!read.equals(expected)) {
            fail("what was read is not what was sent");
        }
        long committed = committed();
        if (committed != records) {
            fail("offsets of " + committed + " records are committed, not of " + records);
        }
        System.out.println("Java: two members shared " + records + " records and committed them");
    }

    private void read(int member) {
        try (KafkaConsumer<String, String> consumer = new KafkaConsumer<>(settings)) {
            consumer.subscribe(Collections.singletonList(topic));
            while (!isOver) {
                for (ConsumerRecord<String, String> record : consumer.poll(Duration.ofMillis(100))) {
                    values.add(record.value());
                }
                assigned.set(member, new HashSet<>(consumer.assignment()));
            }
            consumer.commitSync();
        }
    }

    private boolean areBothReady() {
        Set<TopicPartition> first = assigned.get(0);
        Set<TopicPartition> second = assigned.get(1);
        return !first.isEmpty() && !second.isEmpty() && Collections.disjoint(first, second);
    }

    private long committed() {
        try (KafkaConsumer<String, String> consumer = new KafkaConsumer<>(settings)) {
            Set<TopicPartition> partitions = new HashSet<>();
            for (PartitionInfo partition : consumer.partitionsFor(topic)) {
                partitions.add(new TopicPartition(topic, partition.partition()));
            }
            long sum = 0;
            Map<TopicPartition, OffsetAndMetadata> offsets = consumer.committed(partitions);
            for (OffsetAndMetadata offset : offsets.values()) {
                sum += offset == null ? 0 : offset.offset();
            }
            return sum;
        }
    }

    private void pause() throws InterruptedException {
        if (System.currentTimeMillis() > deadline) {
            fail(values.size() + " of " + records + " records came; partitions: " + assigned);
        }
        Thread.sleep(50);
    }

    private static void fail(String reason) {
        System.err.println("Java: " + reason);
        System.exit(1);
    }
}
