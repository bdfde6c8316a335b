import { Command, Option } from 'commander'
import { addBench } from './bench/program.ts'
import type { ConfigOptions, StartOptions } from './start.ts'
import { addCluster } from './cluster/program.ts'
import type { ConsumeOptions } from './consume.ts'
import type { LogOptions, VerifyOptions } from './log.ts'
import type { ListOptions, ResetCommandOptions } from './group.ts'
import { examples, logLevel, optionsOf } from './command-parts.ts'
import { collect, type GlobalOptions } from './options.ts'
import { outputFormats } from './output.ts'
import type { ProduceOptions } from './produce.ts'
import type { AlterOptions, CreateOptions } from './topic.ts'

export const version = '0.1.0'

/** The command tree. Each command's own code is loaded when it runs, so that `start` starts fast. */
export function createProgram(): Command {
  const program = new Command('millrace')
    .description('A Kafka-compatible commit log: broker, client and tools')
    .version(version)
    .option(
      '-b, --bootstrap <host:port>',
      'a broker, or several with commas (default: KAFKA_BROKERS, else BOOTSTRAP_SERVERS, else localhost:9092)',
    )
    .addOption(
      new Option('-o, --output <format>', 'how data is printed')
        .choices(outputFormats)
        .default('table'),
    )
    .configureHelp({ showGlobalOptions: true })
    .showHelpAfterError('See --help')
    .exitOverride()
    .addHelpText('after', exitCodeHelp)
  addStart(program)
  addCluster(program)
  addTopic(program)
  addProduce(program)
  addConsume(program)
  addGroup(program)
  addLog(program)
  addMetadata(program)
  addBench(program)
  return program
}

const exitCodeHelp = `
Data goes to standard output, everything else to standard error.
Exit codes: 0 ok, 1 failed, 2 usage, 3 not found, 4 conflict, 5 unreachable, 6 denied, 7 partly done, 130 interrupted`

function addStart(program: Command): void {
  program
    .command('start')
    .description('run a broker, a controller, or both in one process')
    .option('--config <file>', 'a Kafka-style .properties file')
    .option('--data-dir <dir>', 'where the data is (log.dirs)')
    .option(
      '--listener <host:port>',
      'where clients connect to (listeners); port 0 picks a free one',
    )
    .option('--node-id <n>', 'the number of this process in the cluster (node.id)')
    .option('--roles <roles>', 'broker, controller, or broker,controller (process.roles)')
    .option(
      '--controller-listener <host:port>',
      'where other brokers reach the controller of this process (controller.listener)',
    )
    .option(
      '--controllers <host:port,...>',
      'the controllers of a broker without one (controller.quorum.bootstrap.servers)',
    )
    .option('--metadata <store>', 'lmdb, or etcd://HOST:PORT,... (metadata.store)')
    .option('--host-label <name>', 'the machine, to spread replicas over machines (host.label)')
    .option('--set <key=value>', 'any property, by its Kafka name; may be repeated', collect, [])
    .option('--ready-json', 'print one line of JSON on standard output when clients are served')
    .addOption(logLevel('info'))
    .addOption(new Option('--supervised', 'stop when standard input ends').hideHelp())
    .addHelpText(
      'after',
      examples(
        'millrace start --data-dir ./data',
        'millrace start --listener 0.0.0.0:9092 --set advertised.listeners=PLAINTEXT://broker.example:9092',
        'millrace start --set flush.policy=os',
        'millrace start --roles controller --node-id 100 --controller-listener 127.0.0.1:9093 --data-dir ./c',
        'millrace start --roles broker --node-id 1 --controllers 127.0.0.1:9093 --data-dir ./b1',
      ),
    )
    .action(async (_options, command: Command) =>
      (await import('./start.ts')).start(optionsOf<StartOptions>(command)),
    )
}

function addTopic(program: Command): void {
  const topic = program
    .command('topic')
    .description('create, list, describe, alter and delete topics')
  topic
    .command('create <name...>')
    .description('create topics')
    .option('-p, --partitions <n>', "how many partitions (default: the broker's num.partitions)")
    .option(
      '-r, --replicas <n>',
      "how many replicas (default: the broker's default.replication.factor)",
    )
    .option('-c, --config <key=value>', 'an override for the topic; may be repeated', collect, [])
    .option('--if-not-exists', 'be content when it is there already')
    .option('--dry-run', 'check, and create nothing')
    .addHelpText('after', examples('millrace topic create orders -p 12 -c retention.ms=86400000'))
    .action(async (names: string[], _options, command: Command) =>
      (await import('./topic.ts')).createTopics(names, optionsOf<CreateOptions>(command)),
    )
  topic
    .command('list')
    .description('list topics')
    .option('--internal', "the cluster's own as well")
    .action(async (_options, command: Command) =>
      (await import('./topic.ts')).listTopics(
        optionsOf<GlobalOptions & { internal?: boolean }>(command),
      ),
    )
  topic
    .command('describe <name>')
    .description('show partitions, offsets and overrides of a topic')
    .action(async (name: string, _options, command: Command) =>
      (await import('./topic.ts')).describeTopic(name, optionsOf<GlobalOptions>(command)),
    )
  topic
    .command('alter <name>')
    .description('change overrides, add partitions')
    .option('-p, --partitions <n>', 'how many partitions there shall be')
    .option('-c, --config <key=value>', 'set an override; may be repeated', collect, [])
    .option('--delete-config <key>', 'take an override away; may be repeated', collect, [])
    .addHelpText(
      'after',
      examples(
        'millrace topic alter orders -c retention.ms=3600000 --delete-config cleanup.policy',
      ),
    )
    .action(async (name: string, _options, command: Command) =>
      (await import('./topic.ts')).alterTopic(name, optionsOf<AlterOptions>(command)),
    )
  topic
    .command('delete <name...>')
    .description('delete topics with all records')
    .option('-y, --yes', "don't ask")
    .action(async (names: string[], _options, command: Command) =>
      (await import('./topic.ts')).deleteTopics(
        names,
        optionsOf<GlobalOptions & { yes?: boolean }>(command),
      ),
    )
}

function addProduce(program: Command): void {
  program
    .command('produce <topic>')
    .description('write the lines of standard input as records')
    .option('-k, --key <key>', 'the key of every record that brings none')
    .option('--key-separator <text>', 'what stands between key and value in a line')
    .option('-H, --header <key=value>', 'a header for every record; may be repeated', collect, [])
    .option(
      '--json',
      'lines are objects: key, value, headers, partition, timestamp; key_base64 and value_base64 too',
    )
    .option('--partition <n>', 'instead of the one that the key leads to')
    .option('--compression <codec>', 'none, gzip, snappy, lz4 or zstd', 'none')
    .option('--level <n>', "the codec's level")
    .option('--acks <acks>', 'who must have it: 0, 1 or all', 'all')
    .option('--batch-bytes <n>', 'the most that one batch holds, before compression', '524288')
    .addHelpText(
      'after',
      examples(
        'echo hello | millrace produce greetings',
        'millrace produce orders --key-separator : --compression zstd < orders.txt',
      ),
    )
    .action(async (topic: string, _options, command: Command) =>
      (await import('./produce.ts')).produce(topic, optionsOf<ProduceOptions>(command)),
    )
}

function addConsume(program: Command): void {
  program
    .command('consume <topic>')
    .description('print records, one a line')
    .option(
      '--from <position>',
      'start, end, an OFFSET, -COUNT, @MILLISECONDS, @DATE or @-1h',
      'start',
    )
    .option('--partition <n>', 'only this one; may be repeated', collect, [])
    .option('-g, --group <name>', 'as a member of a consumer group, which commits what was printed')
    .option('-n, --count <n>', 'end after so many records; waits for them unless --exit')
    .option('-k, --keys', 'print keys as well')
    .option('--key-separator <text>', 'what to print between key and value (default: a tab)')
    .option('-H, --headers', 'print headers as well, in front')
    .option('--json', 'print objects, as produce --json reads them')
    .option(
      '-e, --exit',
      'end at the last record that is there now (without -n, -F, --from end or --group it does)',
    )
    .option('-F, --follow', 'go on for ever, as with --from end or --group')
    .addHelpText(
      'after',
      examples(
        'millrace consume orders -k',
        'millrace consume orders --from @-1h --json',
        'millrace consume orders --from end',
        'millrace consume orders --group billing',
      ),
    )
    .action(async (topic: string, _options, command: Command) =>
      (await import('./consume.ts')).consume(topic, optionsOf<ConsumeOptions>(command)),
    )
}

function addGroup(program: Command): void {
  const group = program
    .command('group')
    .description('list, describe, reset and delete consumer groups')
  group
    .command('list')
    .description('list groups')
    .option('--state <state>', 'only those in a state, like Stable; may be repeated', collect, [])
    .action(async (_options, command: Command) =>
      (await import('./group.ts')).listGroups(optionsOf<ListOptions>(command)),
    )
  group
    .command('describe <group>')
    .description('show members, committed offsets and lag')
    .action(async (id: string, _options, command: Command) =>
      (await import('./group.ts')).describeGroup(id, optionsOf<GlobalOptions>(command)),
    )
  group
    .command('reset-offsets <group>')
    .description('show, or with --execute set, where a group without members goes on')
    .requiredOption('--to <position>', 'start, end, an OFFSET, +COUNT, -COUNT, @TIME or @-1h')
    .option('--topic <name>', 'only this one; may be repeated', collect, [])
    .option('--partition <n>', 'only this one; may be repeated', collect, [])
    .option('--execute', 'do it')
    .addHelpText(
      'after',
      examples(
        'millrace group reset-offsets billing --to start',
        'millrace group reset-offsets billing --topic orders --to @-1h --execute',
      ),
    )
    .action(async (id: string, _options, command: Command) =>
      (await import('./group.ts')).resetOffsets(id, optionsOf<ResetCommandOptions>(command)),
    )
  group
    .command('delete <group...>')
    .description('delete groups with their committed offsets')
    .option('-y, --yes', "don't ask")
    .action(async (ids: string[], _options, command: Command) =>
      (await import('./group.ts')).deleteGroups(
        ids,
        optionsOf<GlobalOptions & { yes?: boolean }>(command),
      ),
    )
}

function addLog(program: Command): void {
  const log = program.command('log').description('look into the files of a stopped broker')
  log
    .command('dump <path>')
    .description(
      'print what a .log, .index, .timeindex, .txnindex or .snapshot file holds, or all of a partition directory',
    )
    .option('--records', 'the records of each batch as well')
    .action(async (path: string, _options, command: Command) =>
      (await import('./log.ts')).dumpLog(path, optionsOf<LogOptions>(command)),
    )
  log
    .command('verify <dir>')
    .description(
      'check every batch and index of a partition directory, or of all below a data directory',
    )
    .option('--index-interval <bytes>', 'index.interval.bytes of the topics', '4096')
    .action(async (dir: string, _options, command: Command) =>
      (await import('./log.ts')).verifyLog(dir, optionsOf<VerifyOptions>(command)),
    )
}

function addMetadata(program: Command): void {
  const metadata = program
    .command('metadata')
    .description("back up and restore the controller's metadata")
  withStore(metadata.command('backup <file>'))
    .description('copy the metadata to a file; the controller may run')
    .addHelpText('after', examples('millrace metadata backup cluster.backup --data-dir ./data'))
    .action(async (path: string, _options, command: Command) =>
      (await import('./metadata.ts')).backUpMetadata(path, optionsOf<ConfigOptions>(command)),
    )
  withStore(metadata.command('restore [file]'))
    .description(
      'put a backup into the store while no controller runs; without a file, make a store that was itself put back fit for its brokers again',
    )
    .option('-y, --yes', "don't ask")
    .addHelpText(
      'after',
      examples('millrace metadata restore cluster.backup --metadata etcd://e1:2379,e2:2379'),
    )
    .action(async (path: string | undefined, _options, command: Command) =>
      (await import('./metadata.ts')).restoreMetadata(
        path,
        optionsOf<ConfigOptions & { yes?: boolean }>(command),
      ),
    )
}

/** Where the metadata is, in the words of `start`. */
function withStore(command: Command): Command {
  return command
    .option('--config <file>', 'a Kafka-style .properties file')
    .option('--data-dir <dir>', 'where the data is (log.dirs)')
    .option('--metadata <store>', 'lmdb, or etcd://HOST:PORT,... (metadata.store)')
    .option('--set <key=value>', 'any property, by its Kafka name; may be repeated', collect, [])
}
