import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.time.Duration;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.regex.Pattern;
import java.util.stream.Collectors;

import org.apache.kafka.clients.consumer.CommitFailedException;
import org.apache.kafka.clients.consumer.ConsumerRebalanceListener;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.consumer.SubscriptionPattern;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.RebalanceInProgressException;
import org.apache.kafka.common.errors.RetriableException;
import org.apache.kafka.common.serialization.StringDeserializer;

/**
 * A member of a consumer group, as README.md describes under "Group members".
 *
 * <pre>Member BROKERS GROUP TOPIC [NAME=VALUE...]</pre>
 */
public final class Member implements ConsumerRebalanceListener {
    private static final Map<String, String> ASSIGNORS = Map.of(
        "range", "org.apache.kafka.clients.consumer.RangeAssignor",
        "roundrobin", "org.apache.kafka.clients.consumer.RoundRobinAssignor",
        "sticky", "org.apache.kafka.clients.consumer.StickyAssignor",
        "cooperative-sticky", "org.apache.kafka.clients.consumer.CooperativeStickyAssignor");

    private final PrintStream output = new PrintStream(new FileOutputStream(FileDescriptor.out), false);
    private final Properties properties;
    private KafkaConsumer<String, String> consumer;
    /** Processed, and not yet known to be committed. */
    private final Map<TopicPartition, OffsetAndMetadata> pending = new HashMap<>();

    private Member(Properties properties) {
        this.properties = properties;
    }

    public static void main(String[] args) {
        Map<String, String> options = new HashMap<>();
        for (int i = 3; i < args.length; i++) {
            int equals = args[i].indexOf('=');
            options.put(args[i].substring(0, equals), args[i].substring(equals + 1));
        }
        Properties properties = new Properties();
        properties.put("bootstrap.servers", args[0]);
        properties.put("group.id", args[1]);
        properties.put("enable.auto.commit", "false");
        properties.put("auto.offset.reset", "earliest");
        properties.put("max.poll.records", "100");
        properties.put("fetch.max.wait.ms", "100");
        properties.put("reconnect.backoff.ms", "20");
        properties.put("reconnect.backoff.max.ms", "100");
        properties.put("retry.backoff.ms", "20");
        properties.put("retry.backoff.max.ms", "100");
        properties.put("request.timeout.ms", "10000");
        properties.put("default.api.timeout.ms", "20000");
        boolean classic = !"consumer".equals(options.get("protocol"));
        properties.put("group.protocol", classic ? "classic" : "consumer");
        if (classic) {
            properties.put("session.timeout.ms", options.getOrDefault("session", "10000"));
            properties.put("heartbeat.interval.ms", options.getOrDefault("heartbeat", "300"));
            properties.put("partition.assignment.strategy",
                ASSIGNORS.get(options.getOrDefault("assignor", "range")));
        } else if (options.containsKey("assignor")) {
            properties.put("group.remote.assignor", options.get("assignor"));
        }
        if (options.containsKey("instance")) properties.put("group.instance.id", options.get("instance"));
        new Member(properties).run(args[2], !classic);
    }

    /** A topic that begins with ^ is a pattern: RE2J, resolved by the broker, under the consumer protocol. */
    private void run(String topic, boolean brokerResolves) {
        AtomicBoolean stopping = watchInput();
        subscribe(topic, brokerResolves);
        while (!stopping.get()) {
            try {
                process();
            } catch (IllegalStateException broken) {
                // Under KIP-848 its two threads can disagree about a position: such a consumer is of no use any more.
                if (!String.valueOf(broken.getMessage()).startsWith("Cannot set a new position")) throw broken;
                pending.clear();
                consumer.close();
                print("restarted", "");
                subscribe(topic, brokerResolves);
            }
        }
        commit();
        consumer.close();
        print("left", "");
    }

    private void subscribe(String topic, boolean brokerResolves) {
        consumer = new KafkaConsumer<>(properties, new StringDeserializer(), new StringDeserializer());
        if (!topic.startsWith("^")) consumer.subscribe(List.of(topic), this);
        else if (brokerResolves) consumer.subscribe(new SubscriptionPattern(topic), this);
        else consumer.subscribe(Pattern.compile(topic), this);
    }

    private void process() {
        for (ConsumerRecord<String, String> record : consumer.poll(Duration.ofMillis(50))) {
            print("record", record.partition() + " " + record.offset() + " " + record.timestamp());
            pending.put(new TopicPartition(record.topic(), record.partition()),
                new OffsetAndMetadata(record.offset() + 1));
        }
        commit();
    }

    private void commit() {
        if (pending.isEmpty()) return;
        try {
            consumer.commitSync(pending);
            print("committed", pending.entrySet().stream()
                .map(entry -> entry.getKey().partition() + ":" + entry.getValue().offset())
                .collect(Collectors.joining(",")));
            pending.clear();
        } catch (RebalanceInProgressException | RetriableException later) {
            // Another try after the next poll.
        } catch (CommitFailedException fenced) {
            print("note", "commit failed: " + fenced.getMessage());
            pending.clear();
        }
    }

    @Override
    public void onPartitionsAssigned(Collection<TopicPartition> partitions) {
        print("assigned", consumer.groupMetadata().generationId() + " " + text(partitions));
    }

    @Override
    public void onPartitionsRevoked(Collection<TopicPartition> partitions) {
        commit();
        pending.keySet().removeAll(partitions);
        print("revoked", text(partitions));
    }

    @Override
    public void onPartitionsLost(Collection<TopicPartition> partitions) {
        pending.keySet().removeAll(partitions);
        print("lost", text(partitions));
    }

    private void print(String word, String rest) {
        output.println(word + " " + System.currentTimeMillis() + " " + rest);
        output.flush();
    }

    private static String text(Collection<TopicPartition> partitions) {
        return partitions.stream().map(each -> "" + each.partition()).collect(Collectors.joining(","));
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
