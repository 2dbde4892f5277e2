import java.io.ByteArrayOutputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.List;
import java.util.Map;
import java.util.concurrent.atomic.AtomicInteger;
import org.apache.kafka.common.metrics.KafkaMetric;
import org.apache.kafka.common.metrics.MetricsReporter;
import org.apache.kafka.server.telemetry.ClientTelemetry;
import org.apache.kafka.server.telemetry.ClientTelemetryPayload;
import org.apache.kafka.server.telemetry.ClientTelemetryReceiver;

/**
 * A plugin of brokers that writes each push of a client's metrics to a file, for brokers since Kafka 3.7.
 *
 * <p>A file has one byte that says whether the push is the last, the id of the client, and the bytes of MetricsData. Files are in the
 * directory that the broker's property {@code tests.telemetry} names, numbered in their order.
 */
public final class TelemetryReceiver implements MetricsReporter, ClientTelemetry {
    private static final AtomicInteger NUMBERS = new AtomicInteger();
    private Path directory;

    @Override
    public void configure(Map<String, ?> configs) {
        directory = Path.of((String) configs.get("tests.telemetry"));
    }

    @Override
    public ClientTelemetryReceiver clientReceiver() {
        return (context, payload) -> {
            try {
                write(payload);
            } catch (IOException error) {
                throw new UncheckedIOException(error);
            }
        };
    }

    private void write(ClientTelemetryPayload payload) throws IOException {
        ByteBuffer data = payload.data().duplicate();
        byte[] metrics = new byte[data.remaining()];
        data.get(metrics);
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        DataOutputStream out = new DataOutputStream(bytes);
        out.writeBoolean(payload.isTerminating());
        out.writeLong(payload.clientInstanceId().getMostSignificantBits());
        out.writeLong(payload.clientInstanceId().getLeastSignificantBits());
        out.write(metrics);
        String name = String.format("push-%08d", NUMBERS.incrementAndGet());
        Path aside = directory.resolve(name + ".tmp");
        Files.write(aside, bytes.toByteArray());
        Files.move(aside, directory.resolve(name), StandardCopyOption.ATOMIC_MOVE);
    }

    @Override
    public void init(List<KafkaMetric> metrics) {
    }

    @Override
    public void metricChange(KafkaMetric metric) {
    }

    @Override
    public void metricRemoval(KafkaMetric metric) {
    }

    @Override
    public void close() {
    }
}
