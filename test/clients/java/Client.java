import java.io.BufferedReader;
import java.io.BufferedWriter;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Base64;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicReference;
import java.util.stream.IntStream;

import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

/**
 * Apache Kafka's Java client behind the same small command line as our other client programs.
 *
 * <pre>
 * Client produce BROKERS TOPIC CODEC FILE            lines of FILE: key TAB value
 * Client consume BROKERS TOPIC PARTITIONS FOLDER     FOLDER/PARTITION: offset TAB key TAB value
 * Client send BROKERS TOPIC PARTITION CODEC FILE     all of FILE (record-file.ts) in one batch
 * Client receive BROKERS TOPIC PARTITIONS FOLDER     FOLDER/PARTITION, as record-file.ts
 * Client load BROKERS TOPIC PARTITIONS NAME PAUSE_MS  stdout: "ack partition offset value"
 * </pre>
 */
public final class Client {
    public static void main(String[] args) throws Exception {
        switch (args[0]) {
            case "produce" -> produce(args[1], args[2], args[3], Path.of(args[4]));
            case "consume" -> consume(args[1], args[2], Integer.parseInt(args[3]), Path.of(args[4]));
            case "send" -> send(args[1], args[2], Integer.parseInt(args[3]), args[4], Path.of(args[5]));
            case "receive" -> receive(args[1], args[2], Integer.parseInt(args[3]), Path.of(args[4]));
            case "load" -> load(args[1], args[2], Integer.parseInt(args[3]), args[4], Long.parseLong(args[5]));
            default -> throw new IllegalArgumentException("unknown command " + args[0]);
        }
    }

    private static void produce(String brokers, String topic, String codec, Path file) throws Exception {
        Properties properties = new Properties();
        properties.put("bootstrap.servers", brokers);
        properties.put("compression.type", codec);
        properties.put("linger.ms", "5");
        AtomicReference<Exception> failure = new AtomicReference<>();
        try (var producer = producer(properties); BufferedReader lines = Files.newBufferedReader(file)) {
            for (String line = lines.readLine(); line != null; line = lines.readLine()) {
                int tab = line.indexOf('\t');
                var record = new ProducerRecord<>(topic, line.substring(0, tab), line.substring(tab + 1));
                producer.send(record, (metadata, exception) -> {
                    if (exception != null) failure.set(exception);
                });
            }
        }
        if (failure.get() != null) throw failure.get();
    }

    private static void consume(String brokers, String topic, int partitions, Path folder) throws IOException {
        Properties properties = new Properties();
        properties.put("bootstrap.servers", brokers);
        properties.put("enable.auto.commit", "false");
        properties.put("auto.offset.reset", "none");
        Files.createDirectories(folder);
        Map<Integer, BufferedWriter> writers = new HashMap<>();
        try (var consumer = new KafkaConsumer<>(properties, new StringDeserializer(), new StringDeserializer())) {
            List<TopicPartition> assigned =
                IntStream.range(0, partitions).mapToObj(p -> new TopicPartition(topic, p)).toList();
            for (TopicPartition partition : assigned) {
                writers.put(partition.partition(), Files.newBufferedWriter(folder.resolve("" + partition.partition())));
            }
            consumer.assign(assigned);
            consumer.seekToBeginning(assigned);
            Map<TopicPartition, Long> ends = consumer.endOffsets(assigned);
            while (assigned.stream().anyMatch(p -> consumer.position(p) < ends.get(p))) {
                for (ConsumerRecord<String, String> record : consumer.poll(Duration.ofSeconds(5))) {
                    writers.get(record.partition())
                        .write(record.offset() + "\t" + record.key() + "\t" + record.value() + "\n");
                }
            }
        }
        for (BufferedWriter writer : writers.values()) writer.close();
    }

    /** Null is "-". */
    private static byte[] decoded(String text) {
        return text.equals("-") ? null : Base64.getDecoder().decode(text);
    }

    private static String encoded(byte[] bytes) {
        return bytes == null ? "-" : Base64.getEncoder().encodeToString(bytes);
    }

    private static void send(String brokers, String topic, int partition, String codec, Path file) throws Exception {
        Properties properties = new Properties();
        properties.put("bootstrap.servers", brokers);
        properties.put("compression.type", codec);
        properties.put("linger.ms", "60000");
        properties.put("batch.size", "8388608");
        properties.put("max.request.size", "8388608");
        List<Future<RecordMetadata>> sent = new ArrayList<>();
        try (var producer = new KafkaProducer<>(properties, new ByteArraySerializer(), new ByteArraySerializer());
                BufferedReader lines = Files.newBufferedReader(file)) {
            for (String line = lines.readLine(); line != null; line = lines.readLine()) {
                String[] parts = line.split("\t", -1);
                List<Header> headers = new ArrayList<>();
                for (String pair : parts[4].isEmpty() ? new String[0] : parts[4].split(",")) {
                    String[] sides = pair.split(":", -1);
                    String name = new String(decoded(sides[0]), StandardCharsets.UTF_8);
                    headers.add(new RecordHeader(name, decoded(sides[1])));
                }
                sent.add(producer.send(new ProducerRecord<>(topic, partition, Long.valueOf(parts[1]),
                    decoded(parts[2]), decoded(parts[3]), headers)));
            }
            producer.flush();
        }
        for (Future<RecordMetadata> each : sent) each.get();
    }

    private static void receive(String brokers, String topic, int partitions, Path folder) throws IOException {
        Properties properties = new Properties();
        properties.put("bootstrap.servers", brokers);
        properties.put("enable.auto.commit", "false");
        properties.put("auto.offset.reset", "none");
        Files.createDirectories(folder);
        List<BufferedWriter> writers = new ArrayList<>();
        try (var consumer =
                new KafkaConsumer<>(properties, new ByteArrayDeserializer(), new ByteArrayDeserializer())) {
            List<TopicPartition> assigned =
                IntStream.range(0, partitions).mapToObj(p -> new TopicPartition(topic, p)).toList();
            for (int i = 0; i < partitions; i++) writers.add(Files.newBufferedWriter(folder.resolve("" + i)));
            consumer.assign(assigned);
            consumer.seekToBeginning(assigned);
            Map<TopicPartition, Long> ends = consumer.endOffsets(assigned);
            while (assigned.stream().anyMatch(p -> consumer.position(p) < ends.get(p))) {
                for (ConsumerRecord<byte[], byte[]> record : consumer.poll(Duration.ofSeconds(5))) {
                    List<String> headers = new ArrayList<>();
                    for (Header header : record.headers()) {
                        byte[] name = header.key().getBytes(StandardCharsets.UTF_8);
                        headers.add(encoded(name) + ":" + encoded(header.value()));
                    }
                    writers.get(record.partition()).write(record.offset() + "\t" + record.timestamp() + "\t"
                        + encoded(record.key()) + "\t" + encoded(record.value()) + "\t"
                        + String.join(",", headers) + "\n");
                }
            }
        }
        for (BufferedWriter writer : writers) writer.close();
    }

    /**
     * Idempotent load for the fault tests: unique values NAME-0, NAME-1, ... round the partitions,
     * through any number of broker restarts, with a rest after each 20 records, until standard
     * input ends; then waits for all acks.
     */
    private static void load(String brokers, String topic, int partitions, String name, long pauseMs)
        throws Exception {
        Properties properties = new Properties();
        properties.put("bootstrap.servers", brokers);
        properties.put("enable.idempotence", "true");
        properties.put("acks", "all");
        properties.put("max.in.flight.requests.per.connection", "5");
        properties.put("delivery.timeout.ms", "600000");
        properties.put("request.timeout.ms", "10000");
        properties.put("linger.ms", "1");
        properties.put("reconnect.backoff.ms", "10");
        properties.put("reconnect.backoff.max.ms", "30");
        properties.put("retry.backoff.ms", "10");
        properties.put("retry.backoff.max.ms", "30");
        AtomicBoolean stopping = new AtomicBoolean();
        Thread watcher = new Thread(() -> {
            try {
                while (System.in.read() >= 0) { }
            } catch (IOException closed) {
                // The same as its end.
            }
            stopping.set(true);
        });
        watcher.setDaemon(true);
        watcher.start();
        PrintStream output = new PrintStream(new java.io.FileOutputStream(java.io.FileDescriptor.out), false);
        try (var producer = producer(properties)) {
            for (long i = 0; !stopping.get(); i++) {
                String value = name + "-" + i;
                var record = new ProducerRecord<>(topic, (int) (i % partitions), value, value);
                producer.send(record, (metadata, exception) -> {
                    if (exception != null) {
                        output.println("failed " + value + " " + exception);
                    } else {
                        output.println("ack " + metadata.partition() + " " + metadata.offset() + " " + value);
                    }
                    output.flush();
                });
                if (i % 20 == 19) Thread.sleep(pauseMs);
            }
        }
        output.println("done");
        output.flush();
    }

    private static KafkaProducer<String, String> producer(Properties properties)
        throws ExecutionException {
        return new KafkaProducer<>(properties, new StringSerializer(), new StringSerializer());
    }
}
