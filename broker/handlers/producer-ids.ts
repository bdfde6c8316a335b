import type { ControllerLink, ProducerIdBlock } from '../../controller/controller-link.ts'
import type { Outcome } from '../../controller/outcome.ts'

/** Gives each producer an id of its own, from blocks that the controller gave to this broker for good. */
export class ProducerIds {
  readonly #controller: ControllerLink
  readonly #nodeId: number
  #next = 0
  /** Exclusive. */
  #end = 0
  /** Everybody who comes while a block is on its way waits for the same one. */
  #allocation: Promise<Outcome<ProducerIdBlock>> | undefined

  constructor(controller: ControllerLink, nodeId: number) {
    this.#controller = controller
    this.#nodeId = nodeId
  }

  async next(): Promise<Outcome<{ readonly producerId: number }>> {
    // Again after each wait: others may have taken the whole block.
    while (this.#next === this.#end) {
      const block = await this.#allocate()
      if (!block.ok) return block
    }
    return { ok: true, producerId: this.#next++ }
  }

  #allocate(): Promise<Outcome<ProducerIdBlock>> {
    this.#allocation ??= this.#controller.allocateProducerIds(this.#nodeId).then((block) => {
      this.#allocation = undefined
      if (block.ok) {
        this.#next = block.first
        this.#end = block.first + block.count
      }
      return block
    })
    return this.#allocation
  }
}
