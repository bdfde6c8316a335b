"""Writes committed and aborted transactions of two producers, interleaved, for a reader of committed data.

transactions.py BROKERS TOPIC: records are "keep N" and "drop N"; ends with "open N" of a transaction that stays open.
"""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "site"))

from confluent_kafka import Producer  # noqa: E402

brokers, topic = sys.argv[1:3]


def producer(name):
    made = Producer({"bootstrap.servers": brokers, "transactional.id": name, "linger.ms": 0})
    made.init_transactions(30)
    return made


first, second, third = producer("first"), producer("second"), producer("third")
count = 0


def write(by, word, records):
    global count
    for _ in range(records):
        by.produce(topic, value=f"{word} {count}", partition=0)
        count += 1
    by.flush(30)


for turn in range(4):
    first.begin_transaction()
    second.begin_transaction()
    write(first, "drop", 5)
    write(second, "keep", 5)
    write(first, "drop", 5)
    first.abort_transaction(30)
    first.begin_transaction()
    write(first, "keep" if turn % 2 == 0 else "drop", 3)
    second.commit_transaction(30)
    if turn % 2 == 0:
        first.commit_transaction(30)
    else:
        first.abort_transaction(30)
third.begin_transaction()
write(third, "open", 2)
os._exit(0)
