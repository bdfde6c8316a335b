import t from 'tap'
import type { Logger } from '../../base/logger.ts'
import { warnOfLocalhost } from '../../broker/advertised.ts'
import { loadBrokerConfig } from '../../broker/config.ts'

function warningsOf(sets: Readonly<Record<string, string>>): object[] {
  const warnings: object[] = []
  const logger = { warn: (fields: object) => warnings.push(fields) } as unknown as Logger
  warnOfLocalhost(loadBrokerConfig({ sets: { 'log.dirs': '/data', ...sets } }), logger)
  return warnings
}

t.test(
  'advertised: a broker alone that listens everywhere warns that it tells localhost',
  async (t) => {
    const listeners = 'PLAINTEXT://0.0.0.0:9092'
    t.same(warningsOf({ listeners }), [{ listener: 'PLAINTEXT' }])
    t.same(warningsOf({ listeners, 'advertised.listeners': 'PLAINTEXT://here.example:9092' }), [])
    t.same(warningsOf({ listeners: 'PLAINTEXT://127.0.0.1:9092' }), [])
  },
)
