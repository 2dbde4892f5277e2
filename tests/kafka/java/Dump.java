import java.io.BufferedOutputStream;
import java.io.DataOutputStream;
import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.IOException;
import java.lang.reflect.Method;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.PartitionInfo;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

/**
 * Writes every record of a topic, from the beginning to the end offsets found at the start, to the standard output.
 *
 * <p>Console consumers cannot show binary data, and the old ones neither headers nor offsets. Compiles against the
 * clients of Kafka 1.0 to 4.x. Per record, big-endian: partition (int), offset (long), timestamp (long), timestamp type
 * (byte: -1 none, 0 create, 1 append), key, value, header count (int), and name and value of each header; a byte
 * string is its length (int, -1 for null) and its bytes.
 */
public final class Dump {
    private static final long NO_PROGRESS_LIMIT_MS = 60_000;

    public static void main(String[] args) throws Exception {
        String topic = args[1];
        Properties properties = new Properties();
        properties.put("bootstrap.servers", args[0]);
        properties.put("isolation.level", args[2]);
        properties.put("enable.auto.commit", "false");
        properties.put("auto.offset.reset", "earliest");
        properties.put("max.poll.records", "10000");
        ByteArrayDeserializer bytes = new ByteArrayDeserializer();
        FileOutputStream stdout = new FileOutputStream(FileDescriptor.out);
        try (KafkaConsumer<byte[], byte[]> consumer = new KafkaConsumer<>(properties, bytes, bytes);
                DataOutputStream out = new DataOutputStream(new BufferedOutputStream(stdout, 1 << 20))) {
            dump(consumer, topic, out);
        }
    }

    private static void dump(KafkaConsumer<byte[], byte[]> consumer, String topic, DataOutputStream out)
            throws Exception {
        List<TopicPartition> partitions = new ArrayList<>();
        for (PartitionInfo info : consumer.partitionsFor(topic)) {
            partitions.add(new TopicPartition(topic, info.partition()));
        }
        consumer.assign(partitions);
        consumer.seekToBeginning(partitions);
        Map<TopicPartition, Long> ends = consumer.endOffsets(partitions);
        long lastSum = -1;
        long lastProgress = System.nanoTime();
        while (true) {
            long sum = 0;
            boolean done = true;
            for (TopicPartition partition : partitions) {
                long position = consumer.position(partition);
                sum += position;
                done &= position >= ends.get(partition);
            }
            if (done) {
                return;
            }
            if (sum != lastSum) {
                lastSum = sum;
                lastProgress = System.nanoTime();
            } else if ((System.nanoTime() - lastProgress) / 1_000_000 > NO_PROGRESS_LIMIT_MS) {
                throw new IllegalStateException("no progress at " + sum + " of " + ends);
            }
            for (ConsumerRecord<byte[], byte[]> record : poll(consumer)) {
                if (record.offset() < ends.get(new TopicPartition(topic, record.partition()))) {
                    write(record, out);
                }
            }
        }
    }

    /** Until 1.x only {@code poll(long)} exists, since 4.0 only {@code poll(Duration)}. */
    @SuppressWarnings("unchecked")
    private static ConsumerRecords<byte[], byte[]> poll(KafkaConsumer<byte[], byte[]> consumer) throws Exception {
        try {
            Method poll = KafkaConsumer.class.getMethod("poll", Duration.class);
            return (ConsumerRecords<byte[], byte[]>) poll.invoke(consumer, Duration.ofMillis(200));
        } catch (NoSuchMethodException old) {
            Method poll = KafkaConsumer.class.getMethod("poll", long.class);
            return (ConsumerRecords<byte[], byte[]>) poll.invoke(consumer, 200L);
        }
    }

    private static void write(ConsumerRecord<byte[], byte[]> record, DataOutputStream out) throws IOException {
        out.writeInt(record.partition());
        out.writeLong(record.offset());
        out.writeLong(record.timestamp());
        out.writeByte(record.timestampType().id);
        write(record.key(), out);
        write(record.value(), out);
        Header[] headers = record.headers().toArray();
        out.writeInt(headers.length);
        for (Header header : headers) {
            write(header.key().getBytes(StandardCharsets.UTF_8), out);
            write(header.value(), out);
        }
    }

    private static void write(byte[] bytes, DataOutputStream out) throws IOException {
        if (bytes == null) {
            out.writeInt(-1);
        } else {
            out.writeInt(bytes.length);
            out.write(bytes);
        }
    }
}
