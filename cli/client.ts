import { Kafka } from '../client/kafka.ts'
import { bootstrapOf, type GlobalOptions } from './options.ts'

/** A client that has reached a broker: a wrong address is told at once. Rejects with `KafkaError`. */
export async function openKafka(options: GlobalOptions): Promise<Kafka> {
  const kafka = new Kafka({ brokers: bootstrapOf(options, process.env), clientId: 'millrace-cli' })
  try {
    await kafka.cluster.any()
    return kafka
  } catch (error) {
    await kafka.close()
    throw error
  }
}
