/**
 * node:http, required: to import it is to read all that it exports, the browsers' WebSocket among it, and for that Node
 * loads all of its undici (40 ms of every start, measured 2026-11 on two cores).
 */
import { createRequire } from 'node:module'
import type * as Http from 'node:http'

export const { IncomingMessage, STATUS_CODES, createServer } = createRequire(import.meta.url)('node:http') as typeof Http
