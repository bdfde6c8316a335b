import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.time.Duration;
import java.util.List;
import java.util.Properties;
import java.util.concurrent.atomic.AtomicBoolean;

import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

/**
 * Apache Kafka's Java client with its own defaults, as README.md describes under "Steady clients".
 *
 * <pre>
 * Steady produce BROKERS TOPIC INTERVAL_MS
 * Steady consume BROKERS TOPIC GROUP
 * </pre>
 */
public final class Steady {
    private static final PrintStream OUTPUT = new PrintStream(new FileOutputStream(FileDescriptor.out), false);

    public static void main(String[] args) throws InterruptedException {
        Properties properties = new Properties();
        properties.put("bootstrap.servers", args[1]);
        if (args[0].equals("produce")) produce(properties, args[2], Long.parseLong(args[3]));
        else consume(properties, args[2], args[3]);
        print("done");
    }

    private static void produce(Properties properties, String topic, long intervalMs) throws InterruptedException {
        AtomicBoolean stopping = watchInput();
        try (var producer = new KafkaProducer<>(properties, new StringSerializer(), new StringSerializer())) {
            for (long number = 0; !stopping.get(); number++) {
                String value = "" + number;
                producer.send(new ProducerRecord<>(topic, "" + number % 7, value), (metadata, exception) -> {
                    if (exception != null) print("error " + value + ": " + exception);
                    else print("ack " + metadata.partition() + " " + metadata.offset() + " " + value);
                });
                Thread.sleep(intervalMs);
            }
        }
    }

    private static void consume(Properties properties, String topic, String group) {
        properties.put("group.id", group);
        properties.put("auto.offset.reset", "earliest");
        AtomicBoolean stopping = watchInput();
        try (var consumer = new KafkaConsumer<>(properties, new StringDeserializer(), new StringDeserializer())) {
            consumer.subscribe(List.of(topic));
            while (!stopping.get()) {
                try {
                    for (ConsumerRecord<String, String> record : consumer.poll(Duration.ofMillis(100)))
                        print("record " + record.partition() + " " + record.offset() + " " + record.value());
                } catch (RuntimeException failure) {
                    print("error poll: " + failure);
                }
            }
        }
    }

    private static synchronized void print(String line) {
        OUTPUT.println(line);
        OUTPUT.flush();
    }

    private static AtomicBoolean watchInput() {
        AtomicBoolean ended = new AtomicBoolean();
        Thread watcher = new Thread(() -> {
            try {
                while (System.in.read() >= 0) { }
            } catch (IOException closed) {
                // The same as its end.
            }
            ended.set(true);
        });
        watcher.setDaemon(true);
        watcher.start();
        return ended;
    }
}
