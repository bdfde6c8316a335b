import t from 'tap'
import { errorByCode, errors } from '../../protocol/errors.ts'

t.test('errors: every code from -1 to 133 is known', async (t) => {
  const codes = Object.values(errors).map(({ code }) => code)
  t.strictSame(
    codes,
    Array.from({ length: 135 }, (_, index) => index - 1),
  )
})

t.test('errors: the key is the name of Kafka in camel case', async (t) => {
  for (const [key, { name }] of Object.entries(errors)) {
    t.equal(key.replaceAll(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase(), name)
  }
})

t.test(
  'errors: a code is looked up, and one from the future is an unknown server error',
  async (t) => {
    t.equal(errorByCode(6), errors.notLeaderOrFollower)
    t.equal(errorByCode(0), errors.none)
    t.equal(errorByCode(9999), errors.unknownServerError)
  },
)
