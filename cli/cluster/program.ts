import type { Command } from 'commander'
import { examples, logLevel, optionsOf } from '../command-parts.ts'
import { collect } from '../options.ts'
import type { BackupOptions } from './backup.ts'
import type { ClusterOptions } from './cluster-client.ts'
import type { DecommissionOptions } from './decommission.ts'
import type { DrainOptions } from './drain.ts'
import type { ElectOptions } from './elect.ts'
import type { HealthOptions } from './health.ts'
import type { ReassignOptions } from './reassign.ts'
import type { RollOptions } from './roll.ts'
import type { ClusterStartOptions } from './start.ts'

export function addCluster(program: Command): void {
  const cluster = program
    .command('cluster')
    .description('run a cluster on this machine; look after any cluster')
  cluster
    .command('start')
    .description('run a controller and brokers, and start again what dies; Ctrl-C stops all')
    .option('--brokers <n>', 'how many brokers (default: as many as there were, or 3)')
    .option('--data-dir <dir>', 'where the cluster is; one that is there goes on', './cluster')
    .option(
      '--base-port <n>',
      'of the first broker, the others follow; 0 picks free ones (default: as before, or 9092)',
    )
    .option(
      '--set <key=value>',
      'a property of all processes, now and at later starts; may be repeated',
      collect,
      [],
    )
    .option('--unset <key>', 'what an earlier --set said holds no longer', collect, [])
    .option('--ready-json', 'print one line of JSON on standard output when clients are served')
    .addOption(logLevel('warn'))
    .addHelpText('after', examples('millrace cluster start --brokers 3 --data-dir ./cluster'))
    .action(async (_options, command: Command) =>
      (await import('./start.ts')).startCluster(optionsOf<ClusterStartOptions>(command)),
    )
  addClusterQuestions(cluster)
  addClusterOrders(cluster)
  addClusterBackup(cluster)
}

/** Questions and orders; `start` is for clusters of this machine. */
function addClusterQuestions(cluster: Command): void {
  ofCluster(cluster.command('status'))
    .description('show brokers, the controller, and partitions that miss something')
    .action(async (_options, command: Command) =>
      (await import('./status.ts')).showStatus(optionsOf<ClusterOptions>(command)),
    )
  ofCluster(cluster.command('health'))
    .description('end with 0 when every partition has a leader and all its replicas in sync')
    .option('--wait <time>', 'give it so long to become so, like 30s or 5m')
    .action(async (_options, command: Command) =>
      (await import('./health.ts')).showHealth(optionsOf<HealthOptions>(command)),
    )
}

function ofCluster(command: Command): Command {
  return command.option(
    '--data-dir <dir>',
    'of "cluster start", instead of --bootstrap: the addresses stand there',
  )
}

function addClusterOrders(cluster: Command): void {
  addReassign(cluster)
  ofCluster(cluster.command('elect'))
    .description('let the preferred leaders lead, where they are in sync')
    .option('--topic <name>', 'only this one; may be repeated', collect, [])
    .option('--partition <n>', 'only this one of the topic; may be repeated', collect, [])
    .option('--unclean', 'any replica that lives, where no other is left: records may be lost')
    .option('-y, --yes', "don't ask")
    .action(async (_options, command: Command) =>
      (await import('./elect.ts')).elect(optionsOf<ElectOptions>(command)),
    )
  ofCluster(cluster.command('drain <broker>'))
    .description('let others lead what a broker leads; it keeps its replicas')
    .option('--wait <time>', 'for replicas that still catch up', '5m')
    .addHelpText(
      'after',
      examples(
        'millrace cluster drain 2',
        'millrace cluster reassign --plan | millrace cluster reassign --apply -   # spread leaders again',
      ),
    )
    .action(async (id: string, _options, command: Command) =>
      (await import('./drain.ts')).drain(id, optionsOf<DrainOptions>(command)),
    )
  ofCluster(cluster.command('decommission <broker>'))
    .description('move all that a broker holds to others, and take it out of the cluster')
    .option('--wait <time>', 'how long that may take', '24h')
    .option('-y, --yes', "don't ask")
    .addHelpText('after', examples('millrace cluster decommission 4 --data-dir ./cluster'))
    .action(async (id: string, _options, command: Command) =>
      (await import('./decommission.ts')).decommission(id, optionsOf<DecommissionOptions>(command)),
    )
  cluster
    .command('roll')
    .description('restart the brokers of "cluster start", one after the other')
    .option('--data-dir <dir>', 'where the cluster is', './cluster')
    .option('--broker <id>', 'only this one; may be repeated', collect, [])
    .option('--wait <time>', 'how long each step may take', '10m')
    .action(async (_options, command: Command) =>
      (await import('./roll.ts')).roll(optionsOf<RollOptions>(command)),
    )
}

function addReassign(cluster: Command): void {
  ofCluster(cluster.command('reassign'))
    .description('show what is on the move; plan, apply, watch or cancel moves')
    .option('--plan', 'print where replicas should be for an even load, and change nothing')
    .option('--topic <name>', 'plan only this one; may be repeated', collect, [])
    .option('--to-brokers <ids>', 'plan for these, with commas (default: all that serve)')
    .option('--replicas <n>', 'plan so many of each partition (default: as many as there are)')
    .option('--apply <file>', 'do what a plan says; - is standard input')
    .option('--throttle <bytes>', 'copy no more in a second, from and to each broker')
    .option('--watch', 'wait until nothing is on the move, and take the throttle away')
    .option('--preserve-throttles', 'leave the throttle after --watch or --cancel')
    .option('--wait <time>', 'how long --watch waits', '24h')
    .option('--cancel', 'let all that is on the move stay where it was')
    .addHelpText(
      'after',
      examples(
        'millrace cluster reassign --plan > plan.json',
        'millrace cluster reassign --apply plan.json --throttle 50000000 --watch',
      ),
    )
    .action(async (_options, command: Command) =>
      (await import('./reassign.ts')).reassign(optionsOf<ReassignOptions>(command)),
    )
}

/** `metadata backup` and `restore`, for the controller of a `cluster start`. */
function addClusterBackup(cluster: Command): void {
  cluster
    .command('backup <file>')
    .description('copy the metadata of "cluster start" to a file; the cluster may run')
    .option('--data-dir <dir>', 'where the cluster is', './cluster')
    .action(async (path: string, _options, command: Command) =>
      (await import('./backup.ts')).backUpCluster(path, optionsOf<BackupOptions>(command)),
    )
  cluster
    .command('restore <file>')
    .description('put a backup back while the cluster does not run')
    .option('--data-dir <dir>', 'where the cluster is', './cluster')
    .option('-y, --yes', "don't ask")
    .action(async (path: string, _options, command: Command) =>
      (await import('./backup.ts')).restoreCluster(path, optionsOf<BackupOptions>(command)),
    )
}
