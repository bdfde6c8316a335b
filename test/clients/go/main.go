// franz-go behind the same small command line as our other client programs.
//
//	client produce BROKERS TOPIC CODEC FILE          lines of FILE: key TAB value
//	client consume BROKERS TOPIC PARTITIONS FOLDER   FOLDER/PARTITION: offset TAB key TAB value
//	client member BROKERS GROUP TOPIC [NAME=VALUE...]  a member of a group (README.md)
//	client steady produce BROKERS TOPIC INTERVAL_MS    with its own defaults (README.md)
//	client steady consume BROKERS TOPIC GROUP
package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func main() {
	var err error
	switch os.Args[1] {
	case "produce":
		err = produce(os.Args[2], os.Args[3], os.Args[4], os.Args[5])
	case "consume":
		var partitions int
		if partitions, err = strconv.Atoi(os.Args[4]); err == nil {
			err = consume(os.Args[2], os.Args[3], partitions, os.Args[5])
		}
	case "member":
		err = member(os.Args[2], os.Args[3], os.Args[4], os.Args[5:])
	case "steady":
		err = steady(os.Args[2], os.Args[3], os.Args[4], os.Args[5])
	default:
		err = fmt.Errorf("unknown command %s", os.Args[1])
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func produce(brokers, topic, codec, file string) error {
	codecs := map[string]kgo.CompressionCodec{
		"none":   kgo.NoCompression(),
		"gzip":   kgo.GzipCompression(),
		"snappy": kgo.SnappyCompression(),
		"lz4":    kgo.Lz4Compression(),
		"zstd":   kgo.ZstdCompression(),
	}
	client, err := kgo.NewClient(
		kgo.SeedBrokers(brokers),
		kgo.DefaultProduceTopic(topic),
		kgo.ProducerBatchCompression(codecs[codec]),
	)
	if err != nil {
		return err
	}
	defer client.Close()
	lines, err := os.Open(file)
	if err != nil {
		return err
	}
	defer lines.Close()
	var once sync.Once
	var failure error
	ctx := context.Background()
	for scanner := bufio.NewScanner(lines); scanner.Scan(); {
		key, value, _ := strings.Cut(scanner.Text(), "\t")
		record := &kgo.Record{Key: []byte(key), Value: []byte(value)}
		client.Produce(ctx, record, func(_ *kgo.Record, err error) {
			if err != nil {
				once.Do(func() { failure = err })
			}
		})
	}
	if err := client.Flush(ctx); err != nil {
		return err
	}
	return failure
}

func consume(brokers, topic string, partitions int, folder string) error {
	offsets := map[int32]kgo.Offset{}
	for partition := range partitions {
		offsets[int32(partition)] = kgo.NewOffset().AtStart()
	}
	client, err := kgo.NewClient(
		kgo.SeedBrokers(brokers),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: offsets}),
	)
	if err != nil {
		return err
	}
	defer client.Close()
	ctx := context.Background()
	ends, err := endOffsets(ctx, client, topic, partitions)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	writers := make([]*bufio.Writer, partitions)
	remaining := 0
	for partition := range partitions {
		file, err := os.Create(filepath.Join(folder, strconv.Itoa(partition)))
		if err != nil {
			return err
		}
		defer file.Close()
		writers[partition] = bufio.NewWriter(file)
		if ends[int32(partition)] > 0 {
			remaining++
		}
	}
	for remaining > 0 {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return err
		}
		fetches.EachRecord(func(r *kgo.Record) {
			fmt.Fprintf(writers[r.Partition], "%d\t%s\t%s\n", r.Offset, r.Key, r.Value)
			if r.Offset+1 == ends[r.Partition] {
				remaining--
			}
		})
	}
	for _, writer := range writers {
		if err := writer.Flush(); err != nil {
			return err
		}
	}
	return nil
}

func endOffsets(ctx context.Context, client *kgo.Client, topic string, partitions int) (map[int32]int64, error) {
	request := kmsg.NewPtrListOffsetsRequest()
	requestTopic := kmsg.NewListOffsetsRequestTopic()
	requestTopic.Topic = topic
	for partition := range partitions {
		requestPartition := kmsg.NewListOffsetsRequestTopicPartition()
		requestPartition.Partition = int32(partition)
		requestPartition.Timestamp = -1
		requestTopic.Partitions = append(requestTopic.Partitions, requestPartition)
	}
	request.Topics = append(request.Topics, requestTopic)
	ends := map[int32]int64{}
	for _, shard := range client.RequestSharded(ctx, request) {
		if shard.Err != nil {
			return nil, shard.Err
		}
		for _, topic := range shard.Resp.(*kmsg.ListOffsetsResponse).Topics {
			for _, partition := range topic.Partitions {
				ends[partition.Partition] = partition.Offset
			}
		}
	}
	return ends, nil
}
