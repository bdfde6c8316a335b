import type { ErrorInfo } from '../../../protocol/errors.ts'
import type { JoinAnswer, SyncAnswer } from './classic-api.ts'

export const emptyBytes: Buffer = Buffer.alloc(0)

export const noGeneration = -1

export function refusedJoin(error: ErrorInfo, memberId: string): JoinAnswer {
  return {
    error,
    memberId,
    generation: noGeneration,
    protocolType: null,
    protocol: null,
    leader: '',
    skipAssignment: false,
    members: [],
  }
}

export function refusedSync(error: ErrorInfo): SyncAnswer {
  return { error, protocolType: null, protocol: null, assignment: emptyBytes }
}
