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

// steady is franz-go with its own defaults, as README.md describes under "Steady clients".
func steady(command, brokers, topic, argument string) error {
	ctx, stop := context.WithCancel(context.Background())
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		stop()
	}()
	options := []kgo.Opt{kgo.SeedBrokers(strings.Split(brokers, ",")...)}
	if command == "consume" {
		return steadyConsume(ctx, topic, append(options, kgo.ConsumerGroup(argument), kgo.ConsumeTopics(topic)))
	}
	interval, err := strconv.Atoi(argument)
	if err != nil {
		return err
	}
	return steadyProduce(ctx, topic, time.Duration(interval)*time.Millisecond, options)
}

func steadyProduce(ctx context.Context, topic string, interval time.Duration, options []kgo.Opt) error {
	client, err := kgo.NewClient(options...)
	if err != nil {
		return err
	}
	defer client.Close()
	for number := 0; ctx.Err() == nil; number++ {
		value := strconv.Itoa(number)
		record := &kgo.Record{Topic: topic, Key: []byte(strconv.Itoa(number % 7)), Value: []byte(value)}
		client.Produce(context.Background(), record, func(record *kgo.Record, err error) {
			if err != nil {
				fmt.Println("error", value+":", err)
			} else {
				fmt.Println("ack", record.Partition, record.Offset, value)
			}
		})
		time.Sleep(interval)
	}
	err = client.Flush(context.Background())
	fmt.Println("done")
	return err
}

func steadyConsume(ctx context.Context, topic string, options []kgo.Opt) error {
	client, err := kgo.NewClient(options...)
	if err != nil {
		return err
	}
	for ctx.Err() == nil {
		fetches := client.PollFetches(ctx)
		for _, failure := range fetches.Errors() {
			if ctx.Err() == nil {
				fmt.Println("error poll:", failure.Err)
			}
		}
		fetches.EachRecord(func(record *kgo.Record) {
			fmt.Println("record", record.Partition, record.Offset, string(record.Value))
		})
	}
	client.Close()
	fmt.Println("done")
	return nil
}
