"""librdkafka's consumer of all partitions, from the beginning, without a group.

watch.py BROKERS TOPIC PARTITIONS
stdout: "record PARTITION OFFSET VALUE" until standard input ends, "note TEXT" for errors.
"""

import os
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "site"))

from confluent_kafka import Consumer, TopicPartition  # noqa: E402

brokers, topic, partitions = sys.argv[1], sys.argv[2], int(sys.argv[3])
consumer = Consumer(
    {
        "bootstrap.servers": brokers,
        "group.id": "unused",
        "enable.auto.commit": False,
        "auto.offset.reset": "error",
        "socket.timeout.ms": 10_000,
        "reconnect.backoff.ms": 10,
        "reconnect.backoff.max.ms": 100,
        "fetch.wait.max.ms": 100,
        "broker.address.family": "v4",
        "log_level": 2,
    }
)


def watch_input():
    while sys.stdin.buffer.read(4096):
        pass
    os._exit(0)


threading.Thread(target=watch_input, daemon=True).start()
consumer.assign([TopicPartition(topic, partition, 0) for partition in range(partitions)])
while True:
    for message in consumer.consume(500, 0.2):
        if message.error() is not None:
            print("note", message.error(), flush=True)
        else:
            print("record", message.partition(), message.offset(), message.value().decode())
    sys.stdout.flush()
