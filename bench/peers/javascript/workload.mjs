// One client, one workload, one process: prints the figures as a line of JSON.
//
//   workload.mjs CLIENT WORKLOAD BROKERS TOPIC VALUE_BYTES RING ROUNDS PARTITIONS
//
// RING different values, the first four bytes of each are its number, are sent or expected ROUNDS times
// over. The first round warms up and does not count. CLIENT is a module beside this one:
//
//   connect({ brokers, topic, partitionCount }) gives
//     message(value)        what the client calls a message; made before the clock runs
//     sendBatch(messages)   resolves when all are acknowledged
//     send(message)         the same of one
//     consume(mode, take)   'batches' or 'records', from the beginning; calls take(value) for each
//     close()
import { readFileSync } from 'node:fs'

const [client, workload, brokers, topic, ...numbers] = process.argv.slice(2)
const [valueBytes, ring, rounds, partitionCount] = numbers.map(Number)

/** Records of one call of sendBatch, and calls under way. */
const batchRecords = 1000
const batchesUnderWay = 8

const { connect } = await import(`./${client}.mjs`)
const connection = await connect({ brokers, topic, partitionCount })
const workloads = { batch, each, sequential, batches: consume, records: consume }
const figures = await workloads[workload]()
// The kernel's own count: the most that was ever in RAM.
const rssBytes = Number(/VmHWM:\s+(\d+)/.exec(readFileSync('/proc/self/status', 'utf8'))[1]) * 1024
console.log(JSON.stringify({ ...figures, rssBytes }))
const killer = setTimeout(() => process.exit(0), 5000)
await connection.close()
clearTimeout(killer)
process.exit(0)

/** Values are parts of one block: Node takes 600 bytes for 100 in a buffer of their own, and that is no client's. */
function messages() {
  const block = Buffer.allocUnsafeSlow(ring * valueBytes)
  return Array.from({ length: ring }, (_, number) => {
    const value = block.subarray(number * valueBytes, (number + 1) * valueBytes)
    value.fill(`value ${number} `)
    value.writeUInt32BE(number)
    return connection.message(value)
  })
}

async function batch() {
  const all = messages()
  const groups = Array.from({ length: ring / batchRecords }, (_, index) =>
    all.slice(index * batchRecords, (index + 1) * batchRecords),
  )
  let next = 0
  const until = async (count) => {
    const sender = async () => {
      while (next < count) await connection.sendBatch(groups[next++ % groups.length])
    }
    await Promise.all(Array.from({ length: batchesUnderWay }, sender))
  }
  await until(groups.length)
  return measured(ring * (rounds - 1), () => until(groups.length * rounds))
}

async function each() {
  const all = messages()
  const round = async () => {
    for (let from = 0; from < ring; from += batchRecords) {
      const promises = []
      for (let index = from; index < from + batchRecords; index++) {
        promises.push(connection.send(all[index]))
      }
      await Promise.all(promises)
    }
  }
  await round()
  return measured(ring * (rounds - 1), async () => {
    for (let count = 1; count < rounds; count++) await round()
  })
}

async function sequential() {
  const all = messages()
  for (const message of all) await connection.send(message)
  const tookUs = []
  const figures = await measured(ring * (rounds - 1), async () => {
    for (let count = 1; count < rounds; count++) {
      for (const message of all) {
        const began = performance.now()
        await connection.send(message)
        tookUs.push((performance.now() - began) * 1000)
      }
    }
  })
  tookUs.sort((a, b) => a - b)
  const at = (share) => tookUs[Math.floor(tookUs.length * share)]
  return { ...figures, p50Us: at(0.5), p99Us: at(0.99) }
}

/** Every value must come exactly ROUNDS times. */
async function consume() {
  const counts = new Uint32Array(ring)
  let left = ring * rounds
  let began
  let ended
  let cpuBegan
  let cpu
  await new Promise((resolve, reject) => {
    const take = (value) => {
      counts[value.readUInt32BE(0)]++
      left--
      if (left === ring * (rounds - 1)) {
        began = performance.now()
        cpuBegan = process.cpuUsage()
      } else if (left === 0) {
        ended = performance.now()
        cpu = process.cpuUsage(cpuBegan)
        // What came twice would come now.
        setTimeout(resolve, 200)
      }
    }
    connection.consume(workload, take).catch(reject)
  })
  const wrong = counts.reduce((sum, count) => sum + (count === rounds ? 0 : 1), 0)
  if (wrong > 0 || left !== 0)
    throw new Error(`${wrong} of ${ring} values did not come ${rounds} times`)
  const records = ring * (rounds - 1)
  return { records, elapsedMs: ended - began, cpuMs: (cpu.user + cpu.system) / 1000 }
}

async function measured(records, run) {
  const cpuBegan = process.cpuUsage()
  const began = performance.now()
  await run()
  const elapsedMs = performance.now() - began
  const { user, system } = process.cpuUsage(cpuBegan)
  return { records, elapsedMs, cpuMs: (user + system) / 1000 }
}
