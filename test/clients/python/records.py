"""librdkafka sends and receives records with everything that they can have (record-file.ts).

records.py send BROKERS TOPIC PARTITION CODEC FILE     all of FILE in one batch
records.py receive BROKERS TOPIC PARTITIONS FOLDER     FOLDER/PARTITION, from the start to the end
"""

import base64
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "site"))

from confluent_kafka import Consumer, Producer, TopicPartition  # noqa: E402

command, brokers, topic = sys.argv[1:4]
mebibyte = 1024 * 1024


def decoded(text):
    return None if text == "-" else base64.b64decode(text)


def encoded(value):
    return "-" if value is None else base64.b64encode(value).decode()


def send(partition, codec, file):
    producer = Producer(
        {
            "bootstrap.servers": brokers,
            "enable.idempotence": True,
            "compression.type": codec,
            "linger.ms": 60_000,
            "batch.size": 8 * mebibyte,
            "message.max.bytes": 8 * mebibyte,
        }
    )
    failures = []

    def report(error, _):
        if error is not None:
            failures.append(error)

    with open(file, encoding="ascii") as lines:
        for line in lines:
            _, timestamp, key, value, headers = line.rstrip("\n").split("\t")
            pairs = [pair.split(":") for pair in headers.split(",")] if headers else []
            producer.produce(
                topic,
                key=decoded(key),
                value=decoded(value),
                partition=partition,
                timestamp=int(timestamp),
                headers=[(decoded(name).decode(), decoded(content)) for name, content in pairs],
                on_delivery=report,
            )
    if producer.flush(60) > 0 or failures:
        sys.exit(f"not delivered: {failures}")


def receive(partition_count, folder):
    consumer = Consumer(
        {
            "bootstrap.servers": brokers,
            "group.id": "records.py",
            "enable.auto.commit": False,
            "auto.offset.reset": "error",
            "check.crcs": True,
        }
    )
    os.makedirs(folder, exist_ok=True)
    places = [TopicPartition(topic, index, 0) for index in range(partition_count)]
    left = {each.partition: consumer.get_watermark_offsets(each, timeout=30)[1] for each in places}
    files = [open(os.path.join(folder, str(index)), "w") for index in range(partition_count)]
    consumer.assign(places)
    while any(left.values()):
        message = consumer.poll(30)
        if message is None or message.error() is not None:
            sys.exit(f"nothing came: {message and message.error()}")
        headers = [
            f"{encoded(name.encode())}:{encoded(content)}" for name, content in message.headers() or []
        ]
        parts = [
            str(message.offset()),
            str(message.timestamp()[1]),
            encoded(message.key()),
            encoded(message.value()),
            ",".join(headers),
        ]
        files[message.partition()].write("\t".join(parts) + "\n")
        left[message.partition()] -= 1
    for file in files:
        file.close()
    consumer.close()


if command == "send":
    send(int(sys.argv[4]), sys.argv[5], sys.argv[6])
elif command == "receive":
    receive(int(sys.argv[4]), sys.argv[5])
else:
    sys.exit(f"unknown command {command}")
