// What `Admin` and `GroupAdmin` load when they are first used.
export { GroupCalls } from './group-calls.ts'
export { TopicCalls } from './topic-calls.ts'
