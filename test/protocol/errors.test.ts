import t from 'tap'
import { errorByCode, errors } from '../../protocol/errors.ts'

t.test('errors: every code from -1 to 133 is known', async (t) => {
  const codes = Object.values(errors).map(({ code }) => code)
  t.strictSame(
    codes,
    Array.from({ length: 135 }, (_, index) => index - 1),
  )
})

t.test('errors: the name is that of Kafka', async (t) => {
  t.equal(errors.none.name, 'NONE')
  t.equal(errors.unknownServerError.name, 'UNKNOWN_SERVER_ERROR')
  t.equal(errors.invalidTopicException.name, 'INVALID_TOPIC_EXCEPTION')
  t.equal(errors.notLeaderOrFollower.name, 'NOT_LEADER_OR_FOLLOWER')
  for (const { name } of Object.values(errors)) t.match(name, /^[A-Z]+(_[A-Z]+)*$/)
})

t.test(
  'errors: a code is looked up, and one from the future is an unknown server error',
  async (t) => {
    t.equal(errorByCode(6), errors.notLeaderOrFollower)
    t.equal(errorByCode(0), errors.none)
    t.equal(errorByCode(9999), errors.unknownServerError)
  },
)
