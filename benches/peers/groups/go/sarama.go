package main

import (
	"context"

	"github.com/IBM/sarama"
)

// reader is a member of the group.
type reader struct {
	number int
	check  *check
}

func (r *reader) Setup(session sarama.ConsumerGroupSession) error {
	r.check.assign(r.number, session.Claims()[r.check.topic])
	return nil
}

func (r *reader) Cleanup(sarama.ConsumerGroupSession) error { return nil }

func (r *reader) ConsumeClaim(session sarama.ConsumerGroupSession, claim sarama.ConsumerGroupClaim) error {
	for {
		select {
		case message, isOpen := <-claim.Messages():
			if !isOpen {
				return nil
			}
			r.check.take(message.Value)
			session.MarkMessage(message, "")
		case <-session.Context().Done():
			return nil
		}
	}
}

func saramas(ctx context.Context, check *check) error {
	config := sarama.NewConfig()
	config.Version = sarama.V2_8_0_0
	config.Consumer.Offsets.Initial = sarama.OffsetOldest
	config.Producer.Return.Successes = true
	reading, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan error, 2)
	for number := range 2 {
		group, err := sarama.NewConsumerGroup(check.brokers, check.group, config)
		if err != nil {
			return err
		}
		go func() {
			for reading.Err() == nil {
				if err := group.Consume(reading, []string{check.topic}, &reader{number, check}); err != nil {
					ended <- err
					return
				}
			}
			ended <- group.Close()
		}()
	}
	if err := check.until(ctx, check.areBothReady); err != nil {
		return err
	}
	if err := sendSarama(check, config); err != nil {
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
	return committedSarama(check, config)
}

func sendSarama(check *check, config *sarama.Config) error {
	producer, err := sarama.NewSyncProducer(check.brokers, config)
	if err != nil {
		return err
	}
	var messages []*sarama.ProducerMessage
	for number := range check.records {
		messages = append(messages, &sarama.ProducerMessage{Topic: check.topic, Value: sarama.StringEncoder(value(number))})
	}
	if err := producer.SendMessages(messages); err != nil {
		return err
	}
	return producer.Close()
}

func committedSarama(check *check, config *sarama.Config) error {
	admin, err := sarama.NewClusterAdmin(check.brokers, config)
	if err != nil {
		return err
	}
	offsets, err := admin.ListConsumerGroupOffsets(check.group, nil)
	if err != nil {
		return err
	}
	for _, block := range offsets.Blocks[check.topic] {
		check.committed += max(block.Offset, 0)
	}
	return admin.Close()
}
