// What the store makes of an etcd that is away, full, closed to us, or whose answers get lost. Skipped where there is no etcd.
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { createRealEnv } from '../../../base/real/real-env.ts'
import { EtcdStore, etcdOperations, type EtcdOptions } from '../../../controller/store/etcd.ts'
import type { StoreOperation } from '../../../controller/store/metadata-store.ts'
import { cutProxy } from '../../support/cut-proxy.ts'
import {
  hasEtcd,
  startEtcd,
  type EtcdCluster,
  type EtcdClusterOptions,
} from '../../support/etcd.ts'

const env = createRealEnv()
const noBytes = Buffer.alloc(0)
const skip = hasEtcd ? false : 'there is no etcd here'
const put = (key: string, value: string | Buffer = 'x'): StoreOperation => ({
  kind: 'put',
  key,
  value: Buffer.from(value),
})

async function cluster(t: Test, options: EtcdClusterOptions = {}): Promise<EtcdCluster> {
  const started = await startEtcd(options)
  t.teardown(() => started.stop())
  return started
}

function open(t: Test, options: Omit<EtcdOptions, 'env'>): EtcdStore {
  const store = new EtcdStore({ env, ...options })
  t.teardown(() => store.close())
  return store
}

/** etcd's gateway takes JSON. */
async function admin(endpoint: string, path: string, body: object): Promise<void> {
  const answer = await fetch(`http://${endpoint}/v3/${path}`, {
    method: 'POST',
    body: JSON.stringify(body),
  })
  if (!answer.ok) throw new Error(await answer.text())
}

t.test('etcd: operations that overlap are made disjoint, as it wants them', async (t) => {
  const range = (from: string, to: string): StoreOperation => ({ kind: 'removeRange', from, to })
  const shown = (operations: readonly StoreOperation[]): string[] =>
    etcdOperations(operations).map((operation) => {
      const text = (bytes: Uint8Array = noBytes): string => Buffer.from(bytes).toString()
      if ('request_put' in operation) return `put ${text(operation.request_put.key)}`
      const { key, range_end: end } = operation.request_delete_range
      return `remove ${text(key)}..${text(end)}`.replaceAll('\0', '+')
    })
  t.same(shown([range('a', 'd'), put('b')]), ['remove a..b', 'remove b+..d', 'put b'])
  t.same(shown([put('b'), range('a', 'd')]), ['remove a..d'])
  t.same(shown([put('b'), put('b')]), ['put b'])
  t.same(shown([{ kind: 'remove', key: 'b' }, put('b')]), ['put b'])
  t.same(shown([range('a', 'c'), range('b', 'd'), put('a'), put('bb')]), [
    'remove a+..bb',
    'remove bb+..c',
    'remove b..bb',
    'remove bb+..d',
    'put a',
    'put bb',
  ])
  t.same(shown([range('b', 'a')]), [])
})

t.test('etcd: nobody there is an error that says what to do', { skip }, async (t) => {
  const store = open(t, { endpoints: ['localhost:1', 'localhost:2'] })
  await t.rejects(store.get('/a'), {
    code: 'UNREACHABLE',
    message: /localhost:1, localhost:2 can't be reached.*metadata\.store/,
  })
  await t.rejects(store.transact([], [put('/a')]), { code: 'AMBIGUOUS' })
})

t.test('etcd: another member answers for one that is dead', { skip }, async (t) => {
  const { endpoints } = await cluster(t)
  const store = open(t, { endpoints: ['localhost:1', ...endpoints] })
  t.equal(await store.get('/a'), undefined)
  t.ok((await store.transact([], [put('/a')])).ok)
})

t.test(
  'etcd: an answer that is lost is of unknown fate, within half a second',
  { skip },
  async (t) => {
    const { endpoints } = await cluster(t)
    const proxy = await cutProxy(endpoints[0]!)
    t.teardown(() => proxy.close())
    const store = open(t, { endpoints: [proxy.endpoint] })
    await store.transact([], [put('/a', 'one')])
    proxy.mode = 'swallow'
    const startedMs = performance.now()
    await t.rejects(store.transact([], [put('/a', 'two')]), { code: 'AMBIGUOUS' })
    // Half a second, on a machine that has something else to do.
    t.ok(performance.now() - startedMs < 3000)
    proxy.mode = 'pass'
    proxy.cut()
    t.equal(String(Buffer.from((await store.get('/a'))!.value)), 'two', 'it was applied')
    proxy.cut()
    t.equal(String(Buffer.from((await store.get('/a'))!.value)), 'two', 'reads dial again')
  },
)

t.test(
  'etcd: one that answers late is waited for longer after each silence',
  { skip },
  async (t) => {
    const { endpoints } = await cluster(t)
    const proxy = await cutProxy(endpoints[0]!)
    t.teardown(() => proxy.close())
    const store = open(t, { endpoints: [proxy.endpoint] })
    await store.transact([], [put('/a')])
    proxy.delayMs = 600
    let lostCount = 0
    let answered = false
    while (!answered && lostCount < 5) {
      answered = await store.transact([], [put('/a')]).then(
        () => true,
        () => false,
      )
      if (!answered) lostCount++
    }
    t.ok(answered)
    t.ok(lostCount > 0, 'a member that is dead costs no more than before')
  },
)

t.test('etcd: a connection that the network has forgotten is replaced', { skip }, async (t) => {
  const { endpoints } = await cluster(t)
  const proxy = await cutProxy(endpoints[0]!)
  t.teardown(() => proxy.close())
  const store = open(t, { endpoints: [proxy.endpoint] })
  await store.transact([], [put('/a')])
  proxy.forget()
  const startedMs = performance.now()
  let answered = false
  while (!answered && performance.now() - startedMs < 20_000) {
    answered = await store.transact([], [put('/a')]).then(
      () => true,
      () => false,
    )
  }
  t.ok(performance.now() - startedMs < 5000, 'not when the kernel gives up')
})

t.test('etcd: a full one refuses, with the commands that help', { skip }, async (t) => {
  const { endpoints } = await cluster(t, { args: ['--quota-backend-bytes', String(1 << 20)] })
  const store = open(t, { endpoints })
  let failure: unknown
  for (let round = 0; round < 30 && failure === undefined; round++) {
    const value = Buffer.alloc(200_000, round)
    failure = await store.transact([], [put(`/large/${round}`, value)]).then(
      () => undefined,
      (error: unknown) => error,
    )
  }
  t.match(failure, { name: 'StoreError', code: 'ENOSPC', message: /defrag.*alarm disarm/ })
  t.ok(await store.get('/large/0'), 'reads go on')
})

t.test('etcd: a user, whose token expires; and one who may not', { skip }, async (t) => {
  const etcd = await cluster(t)
  const [endpoint = ''] = etcd.endpoints
  await admin(endpoint, 'auth/user/add', { name: 'root', password: 'r' })
  await admin(endpoint, 'auth/user/grant', { user: 'root', role: 'root' })
  await admin(endpoint, 'auth/role/add', { name: 'mill' })
  const encoded = (text: string): string => Buffer.from(text).toString('base64')
  await admin(endpoint, 'auth/role/grant', {
    name: 'mill',
    perm: { permType: 'READWRITE', key: encoded('/millrace/'), range_end: encoded('/millrace0') },
  })
  await admin(endpoint, 'auth/user/add', { name: 'mill', password: 'secret' })
  await admin(endpoint, 'auth/user/grant', { user: 'mill', role: 'mill' })
  await admin(endpoint, 'auth/enable', {})
  const store = open(t, { endpoints: [endpoint], user: { name: 'mill', password: 'secret' } })
  t.ok((await store.transact([], [put('/millrace/a')])).ok)
  await etcd.kill(0)
  await etcd.restart(0)
  t.ok(await store.get('/millrace/a'), 'a token that etcd forgot is renewed')
  await t.rejects(store.get('/other'), { code: 'AUTH', message: /role grant-permission/ })
  const wrong = open(t, { endpoints: [endpoint], user: { name: 'mill', password: 'wrong' } })
  await t.rejects(wrong.get('/millrace/a'), { code: 'AUTH', message: /user and password/ })
  const nobody = open(t, { endpoints: [endpoint] })
  await t.rejects(nobody.transact([], [put('/millrace/a')]), { code: 'AUTH' })
})

t.test(
  'etcd: TLS with client certificates, which are read again when renewed',
  { skip },
  async (t) => {
    const folder = mkdtempSync(join(tmpdir(), 'millrace-tls-'))
    t.teardown(() => rmSync(folder, { recursive: true, force: true }))
    const file = (name: string): string => join(folder, name)
    const openssl = (...args: string[]): void => {
      execFileSync('openssl', args, { cwd: folder, stdio: 'ignore' })
    }
    writeFileSync(file('san'), 'subjectAltName=DNS:localhost,IP:127.0.0.1\n')
    const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes']
    openssl('req', '-x509', ...newKey, '-keyout', 'ca.key', '-out', 'ca.pem', '-subj', '/CN=ca')
    const issue = (name: string): void => {
      openssl(
        'req',
        ...newKey,
        '-keyout',
        `${name}.key`,
        '-out',
        `${name}.csr`,
        '-subj',
        `/CN=${name}`,
      )
      const by = ['-CA', 'ca.pem', '-CAkey', 'ca.key', '-CAcreateserial', '-extfile', 'san']
      openssl('x509', '-req', '-in', `${name}.csr`, ...by, '-out', `${name}.pem`, '-days', '2')
    }
    issue('server')
    issue('client')
    const { endpoints } = await cluster(t, {
      scheme: 'https',
      args: [
        `--cert-file=${file('server.pem')}`,
        `--key-file=${file('server.key')}`,
        `--trusted-ca-file=${file('ca.pem')}`,
        '--client-cert-auth',
      ],
    })
    const ca = readFileSync(file('ca.pem'))
    let name = 'none'
    const tls = () => {
      if (name === 'none') return { ca }
      return {
        ca,
        certificate: readFileSync(file(`${name}.pem`)),
        key: readFileSync(file(`${name}.key`)),
      }
    }
    const store = open(t, { endpoints, tls })
    await t.rejects(store.get('/a'), 'no certificate, no answer')
    name = 'client'
    const answered = await store.get('/a').catch((error: unknown) => error)
    t.equal(answered, undefined, 'the new files are used without a restart')
    t.ok((await store.transact([], [put('/a')])).ok)
    const stranger = open(t, { endpoints, tls: () => ({}) })
    await t.rejects(stranger.get('/a'), { code: 'AUTH', message: /certificate authority/ })
  },
)
