/** A TCP proxy that swallows, cuts or delays what the server answers, when told to. */
import { once } from 'node:events'
import { connect, createServer, type AddressInfo, type Socket } from 'node:net'

export interface CutProxy {
  readonly endpoint: string
  /** `pass`; `swallow`: nothing comes back; `refuse`: connections are cut and not accepted. */
  mode: 'pass' | 'swallow' | 'refuse'
  delayMs: number
  /** What is connected now is never heard of again, and not closed either. */
  forget(): void
  /** Cuts what is connected now. */
  cut(): void
  close(): Promise<void>
}

export async function cutProxy(target: string): Promise<CutProxy> {
  const [host = '', port = ''] = target.split(':')
  const sockets = new Set<Socket>()
  const forgotten = new WeakSet<Socket>()
  const server = createServer((inner) => {
    const outer = connect(Number(port), host)
    for (const socket of [inner, outer]) {
      sockets.add(socket)
      socket.on('error', () => undefined)
      socket.on('close', () => {
        sockets.delete(socket)
        inner.destroy()
        outer.destroy()
      })
    }
    if (proxy.mode === 'refuse') inner.destroy()
    inner.on('data', (chunk: Buffer) => {
      if (!forgotten.has(inner)) outer.write(chunk)
    })
    outer.on('data', (chunk: Buffer) => {
      if (proxy.mode !== 'pass' || forgotten.has(outer)) return
      if (proxy.delayMs === 0) inner.write(chunk)
      else setTimeout(() => inner.write(chunk), proxy.delayMs)
    })
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const proxy: CutProxy = {
    endpoint: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    mode: 'pass',
    delayMs: 0,
    forget: () => sockets.forEach((socket) => forgotten.add(socket)),
    cut: () => sockets.forEach((socket) => socket.destroy()),
    async close() {
      this.cut()
      await once(server.close(), 'close')
    },
  }
  return proxy
}
