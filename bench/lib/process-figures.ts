import { readFileSync } from 'node:fs'

/** Linux counts CPU time in ticks of this length. */
const tickMs = 10

/** CPU time of a process so far, all threads, user and system. */
export function cpuMsOf(processId: number): number {
  const fields = readFileSync(`/proc/${processId}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? []
  return (Number(fields[11]) + Number(fields[12])) * tickMs
}

/** Memory of a process that is in RAM; pages of mapped files count while they are mapped. */
export function residentBytesOf(processId: number): number {
  const status = readFileSync(`/proc/${processId}/status`, 'utf8')
  return Number(/^VmRSS:\s+(\d+)/m.exec(status)?.[1]) * 1024
}

/** CPU time that all processes together have taken since the machine started, and the kernel itself. */
export function machineBusyMs(): number {
  const fields =
    /^cpu +(.*)$/m.exec(readFileSync('/proc/stat', 'utf8'))?.[1]?.split(' ').map(Number) ?? []
  const [user = 0, nice = 0, system = 0, , , interrupt = 0, softInterrupt = 0] = fields
  return (user + nice + system + interrupt + softInterrupt) * tickMs
}
