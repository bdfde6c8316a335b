import { silentLogger } from '../../base/logger.ts'
import { configSchema, loadBrokerConfig, withDynamicConfigs } from '../../broker/config.ts'
import type { BrokerServices, Handler } from '../../broker/handlers/handler.ts'
import { ProducerIds } from '../../broker/handlers/producer-ids.ts'
import type { Controller } from '../../controller/controller.ts'
import { MemoryStore } from '../../controller/store/memory.ts'
import { Reader } from '../../protocol/bytes/reader.ts'
import { decodeResponse, encodeRequest, encodeResponse } from '../../protocol/headers.ts'
import { decodeRequestHeader } from '../../protocol/request-header.ts'
import type { AnyApi, RequestInputOf, ResponseOf } from '../../protocol/schema/api.ts'
import { openController, register } from './controllers.ts'
import { manualEnv, type ManualEnv } from './manual-env.ts'

/** A broker without logs and sockets: what the handlers of metadata and administration need. */
export class HandlerCalls {
  readonly env: ManualEnv
  readonly store: MemoryStore
  readonly controller: Controller
  readonly #broker: BrokerServices

  private constructor(parts: {
    env: ManualEnv
    store: MemoryStore
    controller: Controller
    broker: BrokerServices
  }) {
    this.env = parts.env
    this.store = parts.store
    this.controller = parts.controller
    this.#broker = parts.broker
  }

  /** Node 1 is registered; `properties` are those of its start. */
  static async open(properties: Record<string, string> = {}): Promise<HandlerCalls> {
    const env = manualEnv(1)
    const store = new MemoryStore()
    const start = loadBrokerConfig({ sets: properties })
    const controller = await openController({ env, store, config: start, schema: configSchema })
    await register(controller)
    const { image } = controller
    const broker = {
      env,
      nodeId: 1,
      get config() {
        return withDynamicConfigs(start, image)
      },
      controller,
      image,
      producerIds: new ProducerIds(controller, 1),
      logger: silentLogger,
    }
    // The handlers under test look at nothing else; a test that needs more has to give more.
    const services = broker as unknown as BrokerServices
    return new HandlerCalls({ env, store, controller, broker: services })
  }

  /** The request and the answer travel as bytes of that version, so only what the version knows arrives. */
  async call<A extends AnyApi>(
    handler: Handler<A>,
    version: number,
    request: RequestInputOf<A>,
    options: { listenerName?: string } = {},
  ): Promise<ResponseOf<A>> {
    const { api } = handler
    const frame = encodeRequest(api, version, 1, 'test', request).finish().subarray(4)
    const reader = new Reader(frame)
    decodeRequestHeader(reader)
    const response = await handler.handle(api.request.codec(version).decode(reader) as never, {
      broker: this.#broker,
      version,
      clientId: 'test',
      connection: {
        id: 1,
        remoteAddress: '127.0.0.1',
        listenerName: options.listenerName ?? 'PLAINTEXT',
        closed: false,
        onClosed: () => () => undefined,
        close: () => undefined,
      },
    })
    if (response === undefined) throw new Error('no answer')
    const bytes = encodeResponse(api, version, 1, response).finish().subarray(4)
    return decodeResponse(api, version, bytes).response
  }
}
