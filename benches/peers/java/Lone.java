import java.util.Arrays;
import java.util.Properties;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/** Sends records with Java's producer, each awaited before the next: BOOTSTRAP TOPIC RECORDS SIZE LINGER_MS. */
public class Lone {
    public static void main(String[] args) throws Exception {
        int records = Integer.parseInt(args[2]);
        byte[] value = new byte[Integer.parseInt(args[3])];
        Arrays.fill(value, (byte) 'x');
        Properties properties = new Properties();
        properties.put("bootstrap.servers", args[0]);
        properties.put("linger.ms", args[4]);
        ByteArraySerializer serializer = new ByteArraySerializer();
        try (KafkaProducer<byte[], byte[]> producer = new KafkaProducer<>(properties, serializer, serializer)) {
            long[] latencies = new long[records];
            // The virtual machine compiles what is hot before the clock counts.
            for (int i = 0; i < records / 2; i++) {
                producer.send(new ProducerRecord<>(args[1], value)).get();
            }
            long begin = System.nanoTime();
            for (int i = 0; i < records; i++) {
                long start = System.nanoTime();
                producer.send(new ProducerRecord<>(args[1], value)).get();
                latencies[i] = System.nanoTime() - start;
            }
            double seconds = (System.nanoTime() - begin) / 1e9;
            Arrays.sort(latencies);
            System.out.printf(
                    "{\"client\":\"java\",\"records\":%d,\"seconds\":%.4f,\"rate\":%.0f,\"p50_us\":%.1f,\"p95_us\":%.1f,"
                            + "\"p99_us\":%.1f,\"p999_us\":%.1f}%n",
                    records, seconds, records / seconds, quantile(latencies, 0.5), quantile(latencies, 0.95),
                    quantile(latencies, 0.99), quantile(latencies, 0.999));
        }
    }

    private static double quantile(long[] sorted, double quantile) {
        return sorted[Math.max(0, (int) Math.ceil(quantile * sorted.length) - 1)] / 1e3;
    }
}
