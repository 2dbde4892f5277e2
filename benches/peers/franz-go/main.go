// The same load through franz-go, with the same options and the same line of JSON as the other programs.
package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"flag"
	"fmt"
	"math"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

var (
	bootstrap   = flag.String("bootstrap", "127.0.0.1:9092", "brokers")
	topic       = flag.String("topic", "perf", "topic")
	records     = flag.Uint64("records", 4_000_000, "how many records to send")
	size        = flag.Int("size", 100, "bytes of each value")
	batchSize   = flag.Int("batch-size", 16_384, "bytes of a batch")
	lingerMs    = flag.Int("linger-ms", 5, "linger")
	compression = flag.String("compression", "none", "codec")
	mode        = flag.String("mode", "pipelined", "pipelined, lone or transactions")
	transaction = flag.Uint64("transaction-size", 100, "records of each transaction")
	payload     = flag.String("payload", "text", "text or random")
	tlsCA       = flag.String("tls-ca", "", "file with the CA of the brokers in PEM; empty for no TLS")
	outstanding = flag.Int("outstanding", 20_000, "records that may be on their way; 10,000 is franz-go's default")
)

func main() {
	flag.Parse()
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run() error {
	options := []kgo.Opt{
		kgo.SeedBrokers(strings.Split(*bootstrap, ",")...),
		kgo.DefaultProduceTopic(*topic),
		kgo.RequiredAcks(kgo.AllISRAcks()),
		kgo.ProducerLinger(time.Duration(*lingerMs)*time.Millisecond),
		kgo.ProducerBatchMaxBytes(int32(*batchSize)),
		kgo.ProducerBatchCompression(codec()),
		kgo.MaxBufferedRecords(*outstanding),
	}
	if *tlsCA != "" {
		ca, err := os.ReadFile(*tlsCA)
		if err != nil {
			return err
		}
		roots := x509.NewCertPool()
		roots.AppendCertsFromPEM(ca)
		options = append(options, kgo.DialTLSConfig(&tls.Config{RootCAs: roots}))
	}
	if *mode == "transactions" {
		options = append(options, kgo.TransactionalID(fmt.Sprintf("transactions-%s-%d", *topic, os.Getpid())))
	}
	client, err := kgo.NewClient(options...)
	if err != nil {
		return err
	}
	defer client.Close()
	values := payloads()
	ctx := context.Background()
	if *mode == "transactions" {
		return transactions(ctx, client, values)
	}
	// The connection is warm and the producer id known when the clock starts.
	if err := client.ProduceSync(ctx, kgo.SliceRecord(values[0])).FirstErr(); err != nil {
		return err
	}
	measured := start()
	var failed uint64
	if *mode == "lone" {
		failed = lone(ctx, client, values, measured)
	} else {
		failed = pipelined(ctx, client, values, measured)
	}
	measured.finish(failed)
	return nil
}

func codec() kgo.CompressionCodec {
	switch *compression {
	case "gzip":
		return kgo.GzipCompression()
	case "snappy":
		return kgo.SnappyCompression()
	case "lz4":
		return kgo.Lz4Compression()
	case "zstd":
		return kgo.ZstdCompression()
	default:
		return kgo.NoCompression()
	}
}

// pipelined times one record of 101, so that the clock is not what is measured.
func pipelined(ctx context.Context, client *kgo.Client, values [][]byte, measured *measured) uint64 {
	var failed atomic.Uint64
	var mutex sync.Mutex
	untimed := func(_ *kgo.Record, err error) {
		if err != nil {
			failed.Add(1)
		}
	}
	for number := range *records {
		record := kgo.SliceRecord(values[number%uint64(len(values))])
		if number%101 != 0 {
			client.Produce(ctx, record, untimed)
			continue
		}
		begin := time.Now()
		client.Produce(ctx, record, func(record *kgo.Record, err error) {
			untimed(record, err)
			mutex.Lock()
			measured.latencies = append(measured.latencies, time.Since(begin))
			mutex.Unlock()
		})
	}
	if err := client.Flush(ctx); err != nil {
		failed.Add(1)
	}
	return failed.Load()
}

func lone(ctx context.Context, client *kgo.Client, values [][]byte, measured *measured) (failed uint64) {
	for number := range *records {
		begin := time.Now()
		if client.ProduceSync(ctx, kgo.SliceRecord(values[number%uint64(len(values))])).FirstErr() != nil {
			failed++
		}
		measured.latencies = append(measured.latencies, time.Since(begin))
	}
	return failed
}

// transactions writes all records in transactions, each once the one before is committed. What is timed is the transaction.
func transactions(ctx context.Context, client *kgo.Client, values [][]byte) error {
	for range 5 {
		if err := one(ctx, client, values, 0, 1); err != nil {
			return err
		}
	}
	count := max(*records / *transaction, 1)
	*records = count * *transaction
	measured := start()
	for number := range count {
		begin := time.Now()
		if err := one(ctx, client, values, number**transaction, *transaction); err != nil {
			return err
		}
		measured.latencies = append(measured.latencies, time.Since(begin))
	}
	measured.finish(0)
	return nil
}

func one(ctx context.Context, client *kgo.Client, values [][]byte, first, size uint64) error {
	if err := client.BeginTransaction(); err != nil {
		return err
	}
	var failed atomic.Uint64
	for number := first; number < first+size; number++ {
		client.Produce(ctx, kgo.SliceRecord(values[number%uint64(len(values))]), func(_ *kgo.Record, err error) {
			if err != nil {
				failed.Add(1)
			}
		})
	}
	if err := client.Flush(ctx); err != nil {
		return err
	}
	if failed.Load() > 0 {
		return fmt.Errorf("%d records failed", failed.Load())
	}
	return client.EndTransaction(ctx, kgo.TryCommit)
}

type measured struct {
	started   time.Time
	before    syscall.Rusage
	latencies []time.Duration
}

func start() *measured {
	measured := &measured{latencies: make([]time.Duration, 0, *records/50+1000)}
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &measured.before)
	measured.started = time.Now()
	return measured
}

func (m *measured) finish(failed uint64) {
	seconds := time.Since(m.started).Seconds()
	var after syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &after)
	each := func(before, after syscall.Timeval) float64 {
		return float64(after.Nano()-before.Nano()) / 1e3 / float64(*records)
	}
	user, system := each(m.before.Utime, after.Utime), each(m.before.Stime, after.Stime)
	slices.Sort(m.latencies)
	quantile := func(quantile float64) float64 {
		if len(m.latencies) == 0 {
			return 0
		}
		index := int(math.Ceil(quantile*float64(len(m.latencies)))) - 1
		return float64(m.latencies[max(index, 0)].Nanoseconds()) / 1e3
	}
	fmt.Printf(`{"client":"franz-go","records":%d,"failed":%d,"seconds":%.4f,"rate":%.0f,"cpu_us":%.4f,`+
		`"user_us":%.4f,"sys_us":%.4f,"peak_rss":%d,"samples":%d,"p50_us":%.1f,"p95_us":%.1f,"p99_us":%.1f,`+
		`"p999_us":%.1f,"voluntary_switches":%d,"involuntary_switches":%d}`+"\n",
		*records, failed, seconds, float64(*records)/seconds, user+system, user, system, peakResident(),
		len(m.latencies), quantile(0.50), quantile(0.95), quantile(0.99), quantile(0.999),
		after.Nvcsw-m.before.Nvcsw, after.Nivcsw-m.before.Nivcsw)
}

func peakResident() uint64 {
	status, _ := os.ReadFile("/proc/self/status")
	var kilobytes uint64
	for line := range strings.Lines(string(status)) {
		if rest, found := strings.CutPrefix(line, "VmHWM:"); found {
			_, _ = fmt.Sscan(rest, &kilobytes)
		}
	}
	return kilobytes * 1024
}

var words = [16]string{
	"level=info ", "user=", "status=200 ", "path=/api/orders/", "latency=", "customer-", "region=eu-west ", "GET ",
	"POST ", "session=", "trace=", "span=", "apples ", "pears ", "quantity=", "warehouse ",
}

// payloads makes the same values as the programs in Rust.
func payloads() [][]byte {
	state := uint64(0x9e37_79b9_7f4a_7c15)
	random := func() uint64 {
		state ^= state << 13
		state ^= state >> 7
		state ^= state << 17
		return state
	}
	count := 64
	if *size <= 1024 {
		count = 1024
	}
	values := make([][]byte, count)
	for i := range values {
		var value []byte
		for len(value) < *size {
			if *payload == "random" {
				number := random()
				for shift := 0; shift < 64; shift += 8 {
					value = append(value, byte(number>>shift))
				}
			} else {
				value = append(value, words[random()%16]...)
				value = fmt.Appendf(value, "%04x ", random()&0xffff)
			}
		}
		values[i] = value[:*size]
	}
	return values
}
