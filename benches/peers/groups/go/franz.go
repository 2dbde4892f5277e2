package main

import (
	"context"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

func franz(ctx context.Context, check *check) error {
	reading, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan error, 2)
	for number := range 2 {
		client, err := kgo.NewClient(
			kgo.SeedBrokers(check.brokers...),
			kgo.ConsumerGroup(check.group),
			kgo.ConsumeTopics(check.topic),
			kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
			kgo.Balancers(kgo.RangeBalancer()),
			kgo.DisableAutoCommit(),
			kgo.OnPartitionsAssigned(func(_ context.Context, _ *kgo.Client, assigned map[string][]int32) {
				check.assign(number, assigned[check.topic])
			}),
		)
		if err != nil {
			return err
		}
		go func() { ended <- readFranz(reading, client, check) }()
	}
	if err := check.until(ctx, check.areBothReady); err != nil {
		return err
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(check.brokers...), kgo.DefaultProduceTopic(check.topic))
	if err != nil {
		return err
	}
	defer client.Close()
	var records []*kgo.Record
	for number := range check.records {
		records = append(records, kgo.StringRecord(value(number)))
	}
	if err := client.ProduceSync(ctx, records...).FirstErr(); err != nil {
		return err
	}
	if err := check.until(ctx, check.isOver); err != nil {
		return err
	}
	stop()
	for range 2 {
		if err := <-ended; err != nil {
			return err
		}
	}
	offsets, err := kadm.NewClient(client).FetchOffsets(ctx, check.group)
	if err != nil {
		return err
	}
	offsets.Each(func(offset kadm.OffsetResponse) { check.committed += max(offset.At, 0) })
	return nil
}

func readFranz(ctx context.Context, client *kgo.Client, check *check) error {
	defer client.Close()
	for {
		fetches := client.PollFetches(ctx)
		fetches.EachRecord(func(record *kgo.Record) { check.take(record.Value) })
		if ctx.Err() != nil {
			return client.CommitUncommittedOffsets(context.Background())
		}
		if err := fetches.Err(); err != nil {
			return err
		}
	}
}
