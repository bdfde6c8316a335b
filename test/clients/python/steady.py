"""librdkafka with its own defaults, as README.md describes under "Steady clients".

steady.py produce BROKERS TOPIC INTERVAL_MS [NAME=VALUE...]
steady.py consume BROKERS TOPIC GROUP
"""

import os
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "site"))

from confluent_kafka import Consumer, Producer  # noqa: E402

command, brokers, topic = sys.argv[1:4]
stopping = threading.Event()
# What librdkafka tells the application through error_cb is no failure by itself: only what a record or a poll gets is.
quiet = {"bootstrap.servers": brokers, "log_level": 2}


def watch_input():
    while sys.stdin.buffer.read(4096):
        pass
    stopping.set()


def report(error, message):
    value = message.value().decode()
    if error is not None:
        print(f"error {value}: {error}", flush=True)
    else:
        print("ack", message.partition(), message.offset(), value, flush=True)


def produce(interval, *settings):
    producer = Producer({**quiet, **dict(each.split("=") for each in settings)})
    number = 0
    while not stopping.is_set():
        producer.produce(topic, str(number), str(number % 7), on_delivery=report)
        number += 1
        producer.poll(interval / 1000)
        time.sleep(interval / 1000)
    remaining = producer.flush(60)
    if remaining > 0:
        print(f"error {remaining} records were never acknowledged", flush=True)


def consume(group):
    consumer = Consumer({**quiet, "group.id": group, "auto.offset.reset": "earliest"})
    consumer.subscribe([topic])
    while not stopping.is_set():
        message = consumer.poll(0.1)
        if message is None:
            continue
        if message.error() is not None:
            print("error poll:", message.error(), flush=True)
        else:
            print("record", message.partition(), message.offset(), message.value().decode(), flush=True)
    consumer.close()


threading.Thread(target=watch_input, daemon=True).start()
if command == "produce":
    produce(int(sys.argv[4]), *sys.argv[5:])
else:
    consume(sys.argv[4])
print("done", flush=True)
