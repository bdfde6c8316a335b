import * as net from 'node:net'

/** Below the kernel's ephemeral range (32768 and up), so that no outgoing connection takes the port of a server that is away. */
const lowest = 12_000
const count = 20_000

/** Ports that were free a moment ago. */
export async function freePorts(wanted: number): Promise<number[]> {
  const found = new Set<number>()
  while (found.size < wanted) {
    const port = lowest + Math.floor(Math.random() * count)
    if (await isFree(port)) found.add(port)
  }
  return [...found]
}

function isFree(port: number): Promise<boolean> {
  const server = net.createServer()
  return new Promise((resolve) => {
    server.once('error', () => resolve(false))
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)))
  })
}
