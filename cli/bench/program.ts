import type { Command } from 'commander'
import { examples, optionsOf } from '../command-parts.ts'
import { collect } from '../options.ts'
import type { BenchConsumeOptions } from './consume.ts'
import type { BenchLatencyOptions } from './latency.ts'
import type { BenchProduceOptions } from './produce.ts'

/** The options are those of Kafka's tools, so that their command lines work as they are. */
export function addBench(program: Command): void {
  const bench = program
    .command('bench')
    .description(
      "measure a cluster with this client; options and output are those of Kafka's tools",
    )
  addProduce(bench)
  addConsume(bench)
  addLatency(bench)
}

const bootstrapServer = [
  '--bootstrap-server <host:port>',
  "Kafka's name of --bootstrap; bootstrap.servers among the properties works as well",
] as const
const commandConfig = ['--command-config <file>', 'a file of client properties'] as const

function addProduce(bench: Command): void {
  const produce = bench
    .command('produce')
    .description('send records and time them, like kafka-producer-perf-test')
    .requiredOption('--topic <name>', 'where to')
    .requiredOption('--num-records <n>', 'how many')
    .option('--record-size <bytes>', 'random letters; this, or one of the next two')
    .option('--payload-file <file>', 'texts, of which one is chosen at random for each record')
    .option('--payload-monotonic', 'whole numbers from 0 on')
    .option('--payload-delimiter <text>', 'what stands between texts in the file', '\\n')
    .option('--throughput <n>', 'records per second, at even distances; -1: no limit', '-1')
    .option('--command-property <key=value...>', 'properties of the Java producer', collect, [])
    .option('--producer-props <key=value...>', 'the same', collect, [])
    .option(...commandConfig)
    .option(...bootstrapServer)
    .option('--warmup-records <n>', 'the first so many are left out of a second summary', '0')
    .option('--reporting-interval <ms>', 'between two lines about the last records', '5000')
    .option(
      '--print-metrics',
      "counters of the client, under the names of Kafka's where it has them",
    )
  // Known, so that they are refused in plain words.
  hidden(produce, '--producer.config <file>')
  hidden(produce, '--transactional-id <id>')
  hidden(produce, '--transaction-duration-ms <ms>')
  produce
    .addHelpText('after', produceHelp)
    .action(async (_options, command: Command) =>
      (await import('./produce.ts')).benchProduce(optionsOf<BenchProduceOptions>(command)),
    )
}

const produceHelp = `
What no property says is this client's default: batch.size=262144, where Java has 16384.
With --throughput latency counts from when a record was due, so that a broker that stalls is seen in all the records
that it held up. Above 500,000 records each n-th is timed. Percentiles with fractions go to standard error, and are in
--output json.
${examples(
  'millrace bench produce --topic t --num-records 1000000 --record-size 1024',
  'millrace bench produce --topic t --num-records 100000 --record-size 100 --throughput 10000 --producer-props acks=1',
)}`

function addConsume(bench: Command): void {
  const consume = bench
    .command('consume')
    .description('read records as a member of a group, like kafka-consumer-perf-test')
    .option('--topic <name>', 'what to read')
    .option('--include <regex>', 'or all topics whose name matches')
    .option('--num-records <n>', 'how many to read; --messages is the same')
    .option('--group <name>', 'default: perf-consumer- and a random number')
    .option('--from-latest', 'where nothing is committed, read only what comes from now on')
    .option('--fetch-size <bytes>', 'of one partition in one answer', '1048576')
    .option('--timeout [ms]', 'ends when no record has come for so long', '10000')
    .option('--show-detailed-stats', 'a line for each --reporting-interval')
    .option('--reporting-interval <ms>', 'between two of these lines', '5000')
    .option('--date-format <pattern>', "like Java's SimpleDateFormat", 'yyyy-MM-dd HH:mm:ss:SSS')
    .option('--hide-header', 'no titles above the figures')
    .option('--command-property <key=value...>', 'properties of the Java consumer', collect, [])
    .option(...commandConfig)
    .option(...bootstrapServer)
    .option(
      '--print-metrics',
      "counters of the client, under the names of Kafka's where it has them",
    )
  hidden(consume, '--messages <n>')
  hidden(consume, '--consumer.config <file>')
  hidden(consume, '--socket-buffer-size <bytes>')
  consume
    .addHelpText('after', consumeHelp)
    .action(async (_options, command: Command) =>
      (await import('./consume.ts')).benchConsume(optionsOf<BenchConsumeOptions>(command)),
    )
}

const consumeHelp = `
Ends with 7 when fewer records came than wanted, and with 5 when none did; Kafka's tool ends with 0.
${examples('millrace bench consume --topic t --num-records 1000000')}`

function addLatency(bench: Command): void {
  bench
    .command('latency')
    .description('time records from end to end, one after the other, like kafka-e2e-latency')
    .argument('[values...]', "HOST:PORT TOPIC RECORDS ACKS BYTES [FILE], as Kafka's tool took them")
    .option('--topic <name>', 'where to; made with one partition when it is missing')
    .option('--num-records <n>', 'how many')
    .option('--producer-acks <acks>', '1 or all (the default)')
    .option('--record-size <bytes>', 'random letters')
    .option('--throughput <n>', 'send so many a second, instead of one after the other', '-1')
    .option('--record-key-size <bytes>', 'of a key; 0: none', '0')
    .option('--num-headers <n>', 'how many headers', '0')
    .option('--record-header-key-size <bytes>', 'of the name of a header', '0')
    .option('--record-header-size <bytes>', 'of the value of a header; -1: null', '0')
    .option(...commandConfig)
    .option(...bootstrapServer)
    .addHelpText('after', latencyHelp)
    .action(async (values: string[], _options, command: Command) =>
      (await import('./latency.ts')).benchLatency(values, optionsOf<BenchLatencyOptions>(command)),
    )
}

const latencyHelp = `
With --throughput latency counts from when a record was due, whatever became of those before.
${examples(
  'millrace bench latency --topic t --num-records 10000 --producer-acks 1 --record-size 100',
  'millrace bench latency --topic t --num-records 100000 --record-size 100 --throughput 10000',
)}`

function hidden(command: Command, flags: string): void {
  command.addOption(command.createOption(flags).hideHelp())
}
