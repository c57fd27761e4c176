/** What plugins of one chain tell each other once it is complete. */
import type { Created } from './entries.ts'

/** Lets every listener hear what the other members told. A throw is handed to `failed`. */
export function exchangeFacts(listeners: readonly Created[], tellers: readonly Created[], failed: (listener: Created, error: Error) => void): void {
  for (const listener of listeners) {
    for (const [wanted, use] of listener.heard) {
      for (const teller of tellers) {
        if (teller === listener) continue
        for (const [fact, value] of teller.told) {
          if (fact !== wanted) continue
          try {
            use(value)
          } catch (error) {
            failed(listener, error as Error)
          }
        }
      }
    }
  }
}
