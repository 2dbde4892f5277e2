// Two consumers of a group share the records of a topic: groups CLIENT BOOTSTRAP TOPIC GROUP RECORDS
//
// CLIENT is franz-go or sarama, which also sends the records. Ends with 0 if each consumer had partitions, each record came to one of
// them, and the group has committed all.
package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

const limit = 60 * time.Second

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(arguments []string) error {
	if len(arguments) != 5 {
		return fmt.Errorf("usage: groups CLIENT BOOTSTRAP TOPIC GROUP RECORDS")
	}
	records, err := strconv.Atoi(arguments[4])
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	check := &check{
		brokers: strings.Split(arguments[1], ","), topic: arguments[2], group: arguments[3], records: records,
	}
	client := arguments[0]
	switch client {
	case "franz-go":
		err = franz(ctx, check)
	case "sarama":
		err = saramas(ctx, check)
	default:
		err = fmt.Errorf("unknown client")
	}
	if err == nil {
		err = check.finish()
	}
	if err != nil {
		return fmt.Errorf("%s: %w", client, err)
	}
	fmt.Printf("%s: two members shared %d records and committed them\n", client, records)
	return nil
}

// check is what has been read, and by whom.
type check struct {
	brokers      []string
	topic, group string
	records      int
	committed    int64

	mutex    sync.Mutex
	values   []string
	assigned [2][]int32
}

func (c *check) take(value []byte) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	c.values = append(c.values, string(value))
}

func (c *check) assign(member int, partitions []int32) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	c.assigned[member] = slices.Clone(partitions)
}

// areBothReady says whether each member has partitions of its own.
func (c *check) areBothReady() bool {
	first, second := c.assigned[0], c.assigned[1]
	isShared := slices.ContainsFunc(first, func(partition int32) bool { return slices.Contains(second, partition) })
	return len(first) > 0 && len(second) > 0 && !isShared
}

func (c *check) isOver() bool { return len(c.values) >= c.records }

// until waits for something that is looked at under the lock.
func (c *check) until(ctx context.Context, isSo func() bool) error {
	for {
		c.mutex.Lock()
		is, read, assigned := isSo(), len(c.values), c.assigned
		c.mutex.Unlock()
		if is {
			return nil
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			return fmt.Errorf("%d of %d records came; partitions: %v", read, c.records, assigned)
		}
	}
}

func (c *check) finish() error {
	var expected []string
	for number := range c.records {
		expected = append(expected, value(number))
	}
	slices.Sort(expected)
	slices.Sort(c.values)
	if !slices.Equal(expected, c.values) {
		return fmt.Errorf("what was read is not what was sent")
	}
	if c.committed != int64(c.records) {
		return fmt.Errorf("offsets of %d records are committed, not of %d", c.committed, c.records)
	}
	return nil
}

func value(number int) string { return fmt.Sprintf("value %d", number) }
