import java.lang.reflect.Method;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.StringSerializer;

/**
 * Writes transactions to the first three partitions of a topic, aborts every third of them, and has a second producer fence the first.
 *
 * <p>Arguments: bootstrap servers, topic, transactional id, number of transactions. Transaction number t has t % 7 + 1 records, and
 * commits offset t of partition 0 for the group "group" if t % 5 is 0. Prints a line for each record of a committed transaction
 * (partition, tab, value), and at the end the name of the exception with which the first producer was fenced. Compiles against the
 * clients of Kafka 1.0 to 4.x.
 */
public final class Transactions {
    public static void main(String[] args) throws Exception {
        String topic = args[1];
        KafkaProducer<String, String> producer = open(args);
        producer.initTransactions();
        for (int t = 0; t < Integer.parseInt(args[3]); t++) {
            List<String> lines = new ArrayList<>();
            producer.beginTransaction();
            for (int r = 0; r <= t % 7; r++) {
                String value = args[2] + "-" + t + "-" + r;
                producer.send(new ProducerRecord<>(topic, (t + r) % 3, null, value));
                lines.add((t + r) % 3 + "\t" + value);
            }
            if (t % 5 == 0) {
                commitOffset(producer, topic, t);
            }
            if (t % 3 == 2) {
                if (t % 2 == 0) {
                    producer.flush();
                }
                producer.abortTransaction();
            } else {
                producer.commitTransaction();
                lines.forEach(System.out::println);
            }
        }
        fence(producer, args);
        // Closing would wait for the transaction of the producer that was fenced.
        System.out.flush();
        Runtime.getRuntime().halt(0);
    }

    private static void fence(KafkaProducer<String, String> old, String[] args) throws Exception {
        old.beginTransaction();
        old.send(new ProducerRecord<>(args[1], 0, null, "open")).get();
        KafkaProducer<String, String> other = open(args);
        other.initTransactions();
        try {
            old.send(new ProducerRecord<>(args[1], 0, null, "zombie")).get();
            old.commitTransaction();
            System.out.println("not fenced");
        } catch (Exception e) {
            System.out.println(e.getCause() == null ? e.getClass().getName() : e.getCause().getClass().getName());
        }
    }

    private static KafkaProducer<String, String> open(String[] args) {
        Properties properties = new Properties();
        properties.put("bootstrap.servers", args[0]);
        properties.put("transactional.id", args[2]);
        properties.put("max.block.ms", "30000");
        return new KafkaProducer<>(properties, new StringSerializer(), new StringSerializer());
    }

    /** Clients before 2.5 name a group, those since 4.0 describe one. */
    private static void commitOffset(KafkaProducer<String, String> producer, String topic, long offset)
            throws Exception {
        Map<TopicPartition, OffsetAndMetadata> offsets =
                Collections.singletonMap(new TopicPartition(topic, 0), new OffsetAndMetadata(offset));
        Object group = "group";
        Class<?> type = String.class;
        try {
            type = Class.forName("org.apache.kafka.clients.consumer.ConsumerGroupMetadata");
            group = type.getConstructor(String.class).newInstance("group");
        } catch (ClassNotFoundException old) {
            // The name will do.
        }
        Method send = KafkaProducer.class.getMethod("sendOffsetsToTransaction", Map.class, type);
        send.invoke(producer, offsets, group);
    }
}
