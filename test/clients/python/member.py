"""librdkafka as a member of a consumer group (README.md, "Group members").

member.py BROKERS GROUP TOPIC [NAME=VALUE...]
"""

import faulthandler
import os
import signal
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "site"))

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition  # noqa: E402

brokers, group, topic = sys.argv[1:4]
settings = dict(argument.split("=", 1) for argument in sys.argv[4:])
faulthandler.register(signal.SIGQUIT)
stopping = threading.Event()
pending = {}


def say(word, *rest):
    print(word, int(time.time() * 1000), *rest, flush=True)


def text(partitions):
    return ",".join(str(each.partition) for each in partitions)


def watch_input():
    while sys.stdin.buffer.read(4096):
        pass
    stopping.set()


def commit():
    if not pending:
        return
    offsets = [TopicPartition(topic, partition, offset) for partition, offset in pending.items()]
    try:
        results = consumer.commit(offsets=offsets, asynchronous=False)
    except KafkaException as failure:
        error = failure.args[0]
        say("note", "commit:", error)
        if not error.retriable() and error.code() not in (
            KafkaError.REBALANCE_IN_PROGRESS,
            KafkaError._TIMED_OUT,
            KafkaError._WAIT_COORD,
            KafkaError.NOT_COORDINATOR,
            KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
            KafkaError.COORDINATOR_NOT_AVAILABLE,
            KafkaError._TRANSPORT,
        ):
            pending.clear()
        return
    done = [each for each in results if each.error is None]
    if done:
        say("committed", ",".join(f"{each.partition}:{each.offset}" for each in done))
    pending.clear()


def assigned(consumer, partitions):
    if settings.get("assignor") == "cooperative-sticky" or settings.get("protocol") == "consumer":
        consumer.incremental_assign(partitions)
    else:
        consumer.assign(partitions)
    say("assigned", -1, text(partitions))


def revoked(consumer, partitions):
    commit()
    say("revoked", text(partitions))
    for each in partitions:
        pending.pop(each.partition, None)
    if settings.get("assignor") == "cooperative-sticky" or settings.get("protocol") == "consumer":
        consumer.incremental_unassign(partitions)
    else:
        consumer.unassign()


def lost(consumer, partitions):
    say("lost", text(partitions))
    for each in partitions:
        pending.pop(each.partition, None)
    if settings.get("assignor") == "cooperative-sticky" or settings.get("protocol") == "consumer":
        consumer.incremental_unassign(partitions)
    else:
        consumer.unassign()


configuration = {
    "bootstrap.servers": brokers,
    "group.id": group,
    "enable.auto.commit": False,
    "auto.offset.reset": "earliest",
    "fetch.wait.max.ms": 100,
    "reconnect.backoff.ms": 20,
    "reconnect.backoff.max.ms": 100,
    "retry.backoff.ms": 20,
    "retry.backoff.max.ms": 100,
    "broker.address.family": "v4",
    "log_level": 2,
}
if settings.get("protocol") == "consumer":
    configuration["group.protocol"] = "consumer"
    if "assignor" in settings:
        configuration["group.remote.assignor"] = settings["assignor"]
else:
    configuration["session.timeout.ms"] = int(settings.get("session", 10_000))
    configuration["heartbeat.interval.ms"] = int(settings.get("heartbeat", 300))
    configuration["partition.assignment.strategy"] = settings.get("assignor", "range")
if "instance" in settings:
    configuration["group.instance.id"] = settings["instance"]

consumer = Consumer(configuration)
threading.Thread(target=watch_input, daemon=True).start()
consumer.subscribe([topic], on_assign=assigned, on_revoke=revoked, on_lost=lost)
while not stopping.is_set():
    for message in consumer.consume(100, 0.05):
        if message.error():
            say("note", message.error())
            continue
        say("record", message.partition(), message.offset(), message.timestamp()[1])
        pending[message.partition()] = message.offset() + 1
    commit()
consumer.close()
say("left")
