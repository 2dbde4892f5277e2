import java.util.ArrayList;
import java.util.List;
import java.util.Properties;
import java.time.Duration;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Future;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/** Kafka's own producer, for `errors`. What it is told, and how it answers, is as with the other programs. */
public final class Failures {
    public static void main(String[] arguments) throws Exception {
        Properties order = new Properties();
        for (int at = 0; at + 1 < arguments.length; at += 2) {
            order.setProperty(arguments[at].substring(2), arguments[at + 1]);
        }
        try {
            run(order);
        } catch (ExecutionException error) {
            print(error.getCause());
        } catch (Exception error) {
            print(error);
        }
        System.exit(0);
    }

    private static void run(Properties order) throws Exception {
        Properties settings = new Properties();
        settings.setProperty("bootstrap.servers", order.getProperty("bootstrap"));
        String user = "";
        for (String pair : order.getProperty("settings", "").split(",")) {
            String[] parts = pair.split("=", 2);
            if (parts[0].equals("user")) {
                user = parts[1];
            } else if (parts[0].equals("password")) {
                settings.setProperty("sasl.jaas.config", "org.apache.kafka.common.security.scram.ScramLoginModule required username=\""
                    + user + "\" password=\"" + parts[1] + "\";");
            } else if (parts.length == 2) {
                settings.setProperty(parts[0], parts[1]);
            }
        }
        String manner = order.getProperty("manner", "send");
        int size = Integer.parseInt(order.getProperty("size", "1"));
        int records = Integer.parseInt(order.getProperty("records", "1"));
        String named = order.getProperty("partition");
        Integer partition = named == null ? null : Integer.valueOf(named);
        ProducerRecord<byte[], byte[]> record =
            new ProducerRecord<>(order.getProperty("topic"), partition, null, "x".repeat(size).getBytes());
        KafkaProducer<byte[], byte[]> producer =
            new KafkaProducer<>(settings, new ByteArraySerializer(), new ByteArraySerializer());
        if (manner.equals("transaction") || manner.equals("fence")) {
            transaction(settings, record, producer, manner);
            return;
        }
        if (order.getProperty("first", "false").equals("true")) {
            first(producer, record);
        }
        if (manner.equals("closed")) {
            producer.close();
        }
        List<Future<RecordMetadata>> deliveries = new ArrayList<>();
        for (int at = 0; at < records; at++) {
            Future<RecordMetadata> delivery = producer.send(record);
            if (delivery.isDone()) {
                // It was refused: that counts.
                delivery.get();
            }
            deliveries.add(delivery);
        }
        if (manner.equals("close")) {
            Thread.sleep(500);
            producer.close(Duration.ZERO);
        }
        ExecutionException failed = null;
        for (Future<RecordMetadata> delivery : deliveries) {
            try {
                delivery.get();
            } catch (ExecutionException error) {
                if (failed == null || manner.equals("last")) {
                    failed = error;
                }
            }
        }
        if (failed != null) {
            throw failed;
        }
    }

    /** Sends the record that is written. It waits for metadata, even if the producer does not. */
    private static void first(KafkaProducer<byte[], byte[]> producer, ProducerRecord<byte[], byte[]> record) throws Exception {
        for (int attempt = 0; attempt < 100; attempt++) {
            try {
                producer.send(record).get();
                break;
            } catch (ExecutionException error) {
                Thread.sleep(50);
            }
        }
        System.out.println("first");
        System.in.read();
    }

    private static void transaction(Properties settings, ProducerRecord<byte[], byte[]> record,
                                    KafkaProducer<byte[], byte[]> producer, String manner) throws Exception {
        producer.initTransactions();
        producer.beginTransaction();
        producer.send(record).get();
        if (manner.equals("fence")) {
            new KafkaProducer<>(settings, new ByteArraySerializer(), new ByteArraySerializer()).initTransactions();
            producer.commitTransaction();
        }
    }

    private static void print(Throwable error) {
        StringBuilder text = new StringBuilder(error.getClass().getSimpleName() + ": " + error.getMessage());
        for (Throwable next = error.getCause(); next != null && next != next.getCause(); next = next.getCause()) {
            if (next.getMessage() != null && text.indexOf(next.getMessage()) < 0) {
                text.append(": ").append(next.getMessage());
            }
        }
        System.out.println("error " + text.toString().replace('\n', ' '));
    }
}
