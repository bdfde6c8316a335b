// The bare server: see bare.ts.
import * as fs from 'node:fs'
import * as net from 'node:net'
import type { AddressInfo } from 'node:net'
import { realDisk } from '../../base/real/disk.ts'
import { crc32c } from '../../protocol/bytes/crc32c.ts'
import type { BareRole } from './bare.ts'

/** In a batch: where the bytes begin that its CRC covers, and where the CRC is. */
const crcAt = 17
const coveredAt = 21

type ServeRole = Extract<BareRole, { kind: 'serve' }>
type AppendRole = Extract<BareRole, { kind: 'append' }>

function serve(role: ServeRole): (socket: net.Socket) => void {
  const file = realDisk.open(role.path, 'read')
  const fileBytes = file.size()
  const view = file.map(fileBytes)?.read(0, fileBytes)
  if (view === undefined) throw new Error('No maps on this platform')
  const header = Buffer.alloc(role.headerBytes)
  header.writeInt32BE(role.headerBytes - 4 + role.chunkBytes)
  return (socket) => {
    let position = 0
    let partial = Buffer.alloc(0)
    socket.on('data', (chunk) => {
      partial = partial.length === 0 ? chunk : Buffer.concat([partial, chunk])
      while (partial.length >= 4 && partial.length >= 4 + partial.readInt32BE(0)) {
        partial = partial.subarray(4 + partial.readInt32BE(0))
        socket.cork()
        socket.write(header)
        socket.write(view.subarray(position, position + role.chunkBytes))
        socket.uncork()
        position += role.chunkBytes
        if (position + role.chunkBytes > fileBytes) position = 0
      }
    })
  }
}

function append(role: AppendRole): (socket: net.Socket) => void {
  const { batchAt, batchBytes, requestBytes } = role
  const fd = fs.openSync(role.path, 'w+')
  const answer = Buffer.alloc(role.answerBytes)
  answer.writeInt32BE(role.answerBytes - 4)
  let position = 0
  let syncing = false
  let waiting: net.Socket[] = []
  const sync = (): void => {
    if (syncing || waiting.length === 0) return
    syncing = true
    const covered = waiting
    waiting = []
    fs.fdatasync(fd, (error) => {
      if (error !== null) throw error
      for (const socket of covered) socket.write(answer)
      syncing = false
      sync()
    })
  }
  return (socket) => {
    const request = Buffer.allocUnsafeSlow(requestBytes)
    let filled = 0
    socket.on('data', (chunk) => {
      for (let at = 0; at < chunk.length;) {
        const taken = chunk.copy(request, filled, at)
        at += taken
        filled += taken
        if (filled < requestBytes) continue
        filled = 0
        const covered = request.subarray(batchAt + coveredAt, batchAt + batchBytes)
        if (crc32c(covered) !== request.readUInt32BE(batchAt + crcAt))
          throw new Error('A batch has a wrong CRC')
        position += fs.writeSync(fd, request, batchAt, batchBytes, position)
        if (role.sync) waiting.push(socket)
        else socket.write(answer)
      }
      sync()
    })
  }
}

process.once('message', (message) => {
  const role = message as BareRole
  const handle = role.kind === 'serve' ? serve(role) : append(role)
  const server = net.createServer({ noDelay: true }, (socket) => {
    socket.on('error', () => undefined)
    handle(socket)
  })
  server.listen(0, '127.0.0.1', () =>
    process.send?.({ port: (server.address() as AddressInfo).port }),
  )
})
// The bench is gone: so is the reason for this process.
process.once('disconnect', () => process.exit())
