// Two consumers of a group share the records of a topic, with KafkaJS: group.js BOOTSTRAP TOPIC GROUP RECORDS
//
// Ends with 0 if each consumer had partitions, each record came to one of them, and the group has committed all.
const { Kafka, logLevel } = require('kafkajs')

const [bootstrap, topic, groupId, count] = process.argv.slice(2)
const records = Number(count)
const kafka = new Kafka({ brokers: bootstrap.split(','), logLevel: logLevel.NOTHING })
const values = []
const assigned = [[], []]
const deadline = Date.now() + 60_000

async function until(isSo) {
  while (!isSo()) {
    if (Date.now() > deadline) {
      throw new Error(`${values.length} of ${records} records came; partitions: ${JSON.stringify(assigned)}`)
    }
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}

async function start(number) {
  const consumer = kafka.consumer({ groupId, heartbeatInterval: 500, maxWaitTimeInMs: 200 })
  consumer.on(consumer.events.GROUP_JOIN, ({ payload }) => {
    assigned[number] = payload.memberAssignment[topic] ?? []
  })
  await consumer.connect()
  await consumer.subscribe({ topic, fromBeginning: true })
  await consumer.run({ eachMessage: async ({ message }) => values.push(message.value.toString()) })
  return consumer
}

async function main() {
  const pair = await Promise.all([start(0), start(1)])
  const [first, second] = [0, 1].map((number) => () => assigned[number])
  await until(() => first().length > 0 && second().length > 0 && !first().some((one) => second().includes(one)))

  const expected = Array.from({ length: records }, (_, number) => `value ${number}`)
  const producer = kafka.producer()
  await producer.connect()
  await producer.send({ topic, messages: expected.map((value) => ({ value })) })
  await producer.disconnect()

  await until(() => values.length >= records)
  for (const consumer of pair) await consumer.disconnect() // which commits
  if (JSON.stringify(values.sort()) !== JSON.stringify(expected.sort())) {
    throw new Error('what was read is not what was sent')
  }
  const admin = kafka.admin()
  await admin.connect()
  const [{ partitions }] = await admin.fetchOffsets({ groupId, topics: [topic] })
  await admin.disconnect()
  const committed = partitions.reduce((sum, { offset }) => sum + Math.max(Number(offset), 0), 0)
  if (committed !== records) throw new Error(`offsets of ${committed} records are committed, not of ${records}`)
  console.log(`KafkaJS: two members shared ${records} records and committed them`)
}

main().catch((error) => {
  console.error(`KafkaJS: ${error.message}`)
  process.exit(1)
})
