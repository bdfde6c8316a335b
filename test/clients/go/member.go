package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

var balancers = map[string]kgo.GroupBalancer{
	"range":              kgo.RangeBalancer(),
	"roundrobin":         kgo.RoundRobinBalancer(),
	"sticky":             kgo.StickyBalancer(),
	"cooperative-sticky": kgo.CooperativeStickyBalancer(),
}

func say(word string, rest ...any) {
	line := fmt.Sprint(word, " ", time.Now().UnixMilli())
	for _, each := range rest {
		line += fmt.Sprint(" ", each)
	}
	fmt.Println(line)
}

// member is one member of a consumer group, as README.md describes under "Group members".
func member(brokers, group, topic string, arguments []string) error {
	settings := map[string]string{"assignor": "range", "session": "10000", "heartbeat": "300"}
	for _, argument := range arguments {
		name, value, _ := strings.Cut(argument, "=")
		settings[name] = value
	}
	milliseconds := func(name string) time.Duration {
		count, _ := strconv.Atoi(settings[name])
		return time.Duration(count) * time.Millisecond
	}
	partitions := func(of map[string][]int32) string {
		texts := []string{}
		for _, partition := range of[topic] {
			texts = append(texts, strconv.Itoa(int(partition)))
		}
		return strings.Join(texts, ",")
	}
	options := []kgo.Opt{
		kgo.SeedBrokers(brokers),
		kgo.ConsumerGroup(group),
		kgo.ConsumeTopics(topic),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.Balancers(balancers[settings["assignor"]]),
		kgo.SessionTimeout(milliseconds("session")),
		kgo.HeartbeatInterval(milliseconds("heartbeat")),
		kgo.FetchMaxWait(100 * time.Millisecond),
		kgo.DisableAutoCommit(),
		kgo.BlockRebalanceOnPoll(),
		kgo.OnPartitionsAssigned(func(_ context.Context, client *kgo.Client, added map[string][]int32) {
			_, generation := client.GroupMetadata()
			say("assigned", generation, partitions(added))
		}),
		kgo.OnPartitionsRevoked(func(_ context.Context, _ *kgo.Client, revoked map[string][]int32) {
			say("revoked", partitions(revoked))
		}),
		kgo.OnPartitionsLost(func(_ context.Context, _ *kgo.Client, lost map[string][]int32) {
			say("lost", partitions(lost))
		}),
	}
	if instance, given := settings["instance"]; given {
		options = append(options, kgo.InstanceID(instance))
	}
	client, err := kgo.NewClient(options...)
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(context.Background())
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		stop()
	}()
	for ctx.Err() == nil {
		fetches := client.PollRecords(ctx, 100)
		next := map[int32]int64{}
		fetches.EachRecord(func(record *kgo.Record) {
			say("record", record.Partition, record.Offset, record.Timestamp.UnixMilli())
			next[record.Partition] = record.Offset + 1
		})
		if len(next) > 0 {
			if err := client.CommitRecords(context.Background(), fetches.Records()...); err != nil {
				say("note", "commit:", err)
			} else {
				texts := []string{}
				for partition, offset := range next {
					texts = append(texts, fmt.Sprintf("%d:%d", partition, offset))
				}
				say("committed", strings.Join(texts, ","))
			}
		}
		client.AllowRebalance()
	}
	client.CloseAllowingRebalance()
	say("left")
	return nil
}
