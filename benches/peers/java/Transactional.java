import java.lang.management.ManagementFactory;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Paths;
import java.util.Arrays;
import java.util.List;
import java.util.Properties;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/**
 * Writes records in transactions with Java's producer, each once the one before is committed: BOOTSTRAP TOPIC RECORDS PAYLOAD_FILE
 * LINGER_MS BATCH_SIZE TRANSACTION_SIZE.
 */
public class Transactional {
    public static void main(String[] args) throws Exception {
        int size = Integer.parseInt(args[6]);
        int count = Math.max(1, Integer.parseInt(args[2]) / size);
        List<String> lines = Files.readAllLines(Paths.get(args[3]));
        byte[][] values = lines.stream().map(line -> line.getBytes(StandardCharsets.UTF_8)).toArray(byte[][]::new);
        Properties properties = new Properties();
        properties.put("bootstrap.servers", args[0]);
        properties.put("transactional.id", "transactions-" + args[1] + "-" + ProcessHandle.current().pid());
        properties.put("linger.ms", args[4]);
        properties.put("batch.size", args[5]);
        ByteArraySerializer serializer = new ByteArraySerializer();
        try (KafkaProducer<byte[], byte[]> producer = new KafkaProducer<>(properties, serializer, serializer)) {
            producer.initTransactions();
            // The virtual machine compiles what is hot before the clock counts.
            for (int i = 0; i < count / 2 + 5; i++) {
                transaction(producer, args[1], values, 0, size);
            }
            long[] latencies = new long[count];
            long cpu = cpu();
            long begin = System.nanoTime();
            for (int i = 0; i < count; i++) {
                long start = System.nanoTime();
                transaction(producer, args[1], values, i * size, size);
                latencies[i] = System.nanoTime() - start;
            }
            double seconds = (System.nanoTime() - begin) / 1e9;
            double records = (double) count * size;
            double cpuMicros = (cpu() - cpu) / 1e3 / records;
            Arrays.sort(latencies);
            System.out.printf(
                    "{\"client\":\"java\",\"records\":%.0f,\"seconds\":%.4f,\"rate\":%.0f,\"cpu_us\":%.4f,\"p50_us\":%.1f,"
                            + "\"p99_us\":%.1f,\"p999_us\":%.1f}%n",
                    records, seconds, records / seconds, cpuMicros, quantile(latencies, 0.5), quantile(latencies, 0.99),
                    quantile(latencies, 0.999));
        }
    }

    private static void transaction(KafkaProducer<byte[], byte[]> producer, String topic, byte[][] values, int first, int size) {
        producer.beginTransaction();
        for (int i = first; i < first + size; i++) {
            producer.send(new ProducerRecord<>(topic, values[i % values.length]));
        }
        producer.commitTransaction();
    }

    /** Of the whole virtual machine, in nanoseconds. */
    private static long cpu() {
        return ((com.sun.management.OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean()).getProcessCpuTime();
    }

    private static double quantile(long[] sorted, double quantile) {
        return sorted[Math.max(0, (int) Math.ceil(quantile * sorted.length) - 1)] / 1e3;
    }
}
