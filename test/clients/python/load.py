"""librdkafka's idempotent producer under the fault tests' load.

load.py BROKERS TOPIC PARTITIONS NAME PAUSE_MS
Sends unique values NAME-0, NAME-1, ... round the partitions, through any number of broker
restarts, until standard input ends, with a rest after each 20; then waits for all acknowledgements.
stdout: "ack PARTITION OFFSET VALUE", "failed VALUE REASON", at last "done".
"""

import os
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "site"))

from confluent_kafka import Producer  # noqa: E402

brokers, topic, partitions, name = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]
pause = int(sys.argv[5]) / 1000
stopping = threading.Event()


def watch_input():
    while sys.stdin.buffer.read(4096):
        pass
    stopping.set()


def report(error, message):
    value = message.value().decode()
    if error is not None:
        print("failed", value, error, flush=True)
    else:
        print("ack", message.partition(), message.offset(), value, flush=True)


producer = Producer(
    {
        "bootstrap.servers": brokers,
        "enable.idempotence": True,
        "acks": "all",
        "message.timeout.ms": 600_000,
        "socket.timeout.ms": 10_000,
        "linger.ms": 1,
        "reconnect.backoff.ms": 10,
        "reconnect.backoff.max.ms": 30,
        "retry.backoff.ms": 10,
        "retry.backoff.max.ms": 30,
        "broker.address.family": "v4",
        "log_level": 2,
    }
)
threading.Thread(target=watch_input, daemon=True).start()

number = 0
while not stopping.is_set():
    value = f"{name}-{number}"
    try:
        producer.produce(topic, value, value, partition=number % partitions, on_delivery=report)
        number += 1
    except BufferError:
        producer.poll(0.05)
        continue
    producer.poll(0)
    if number % 20 == 0:
        time.sleep(pause)
remaining = producer.flush(120)
print("done" if remaining == 0 else f"failed {remaining} records were never acknowledged", flush=True)
