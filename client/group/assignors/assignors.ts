import type { Assignor } from './assignor.ts'
import { cooperativeClaim, cooperativeData, stickyClaim, stickyData } from './claims.ts'
import type { AssignorName } from './names.ts'
import { assignRanges } from './range.ts'
import { assignRoundRobin } from './round-robin.ts'
import { assignSticky, withholdClaimed } from './sticky.ts'

const assignors: Readonly<Record<AssignorName, Assignor>> = {
  range: { cooperative: false, userData: () => null, assign: assignRanges },
  roundrobin: { cooperative: false, userData: () => null, assign: assignRoundRobin },
  sticky: {
    cooperative: false,
    userData: stickyData,
    assign: (members, counts) => assignSticky(members.map(stickyClaim), counts),
  },
  'cooperative-sticky': {
    cooperative: true,
    userData: cooperativeData,
    assign(members, counts) {
      const claims = members.map(cooperativeClaim)
      return withholdClaimed(claims, assignSticky(claims, counts))
    },
  },
}

export function assignorOf(name: AssignorName): Assignor {
  return assignors[name]
}
