/**
 * A contract small enough to be written by hand: `set(uint256)` stores a number and emits `Changed(uint256)`,
 * `get()` returns it, `fail()` reverts with the reason "no".
 */
import { encodeErrorResult, parseAbi, toEventSelector, toFunctionSelector } from 'viem'
import type { Hex } from 'viem'

export const abi = parseAbi(['function set(uint256 value)', 'function get() view returns (uint256)', 'function fail() view', 'event Changed(uint256 value)'])

const selector = (signature: string): string => toFunctionSelector(signature).slice(2)
const byte = (value: number): string => value.toString(16).padStart(2, '0')

// Each line: what is on the stack afterwards matters only within it.
const dispatch = (set: number, fail: number): string =>
  [
    '60003560e01c', // the call's selector
    `8063${selector('set(uint256)')}1460${byte(set)}57`, // is it set? jump
    `8063${selector('fail()')}1460${byte(fail)}57`, // is it fail? jump
    '60005460005260206000f3', // return the word in slot 0
  ].join('')

const set = ['5b', '60043580600055600052', `7f${toEventSelector('Changed(uint256)').slice(2)}60206000a1`, '00'].join('')

const revert = encodeErrorResult({ abi: parseAbi(['error Error(string)']), args: ['no'] })
  .slice(2)
  .padEnd(256, '0')
const fail = ['5b', ...[0, 1, 2, 3].map((word) => `7f${revert.slice(word * 64, word * 64 + 64)}60${byte(word * 32)}52`), '60646000fd'].join('')

const setAt = dispatch(0, 0).length / 2
const runtime = dispatch(setAt, setAt + set.length / 2) + set + fail

/** What a deployment sends: copies the code behind it and returns it. */
export const bytecode: Hex = `0x61${(runtime.length / 2).toString(16).padStart(4, '0')}80600c6000396000f3${runtime}`
