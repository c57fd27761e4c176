/**
 * What Redis does with budgets, as scripts: each call is one atomic step, a handful of commands for each budget. They
 * do what row.ts, count.ts and shared-budgets.ts do, with the same numbers (Lua's are doubles as well), and tests compare.
 *
 * A budget is one string, `epoch current previous term held heldBefore`, in units and windows: what is counted in this
 * window and in the one before, and what is held by grants of this term and of the one before. Of a billing cycle
 * `epoch` is the incarnation of the record, in microseconds, and `previous` what it began with: more than nothing where
 * a Redis lost what processes remember. Keys of windows live for two windows, those of cycles for KEEP_MS after the end.
 *
 * A script has one argument: a list in JSON, the first of which says what time it is. `-` stands for Redis's own time, always but in
 * tests, so that clocks of processes do not matter. It answers with numbers, each followed by a space, for a client takes longer for many
 * arguments and many numbers than for their text. (JSON would cut them to 14 digits.)
 */
import { AHEAD_PART, TERM_MS } from './source.ts'

/** How long usage of a cycle is kept after its end: 90 days. */
const KEEP_MS = 90 * 86_400_000
/** How long Redis remembers which settlement of a process it has seen: longer than one is under way. */
const RECEIPT_MS = 600_000

/** Numbers that are written at once: Lua hands over no more than some thousands. */
const AT_ONCE = 1000

const PRELUDE = `
local args = cjson.decode(ARGV[1])
local now = tonumber(args[1])
local us
if now then us = now * 1000 else
  local time = redis.call('TIME')
  us = time[1] * 1000000 + time[2]
  now = math.floor(us / 1000)
end
local term = math.floor(now / ${TERM_MS})
local at = 1
local function arg() at = at + 1; return args[at] end

local function say(reply)
  local texts = {}
  for from = 1, #reply, ${AT_ONCE} do
    local to = math.min(from + ${AT_ONCE} - 1, #reply)
    texts[#texts + 1] = string.format(string.rep('%d ', to - from + 1), unpack(reply, from, to))
  end
  return table.concat(texts)
end

-- What a process remembers of a cycle goes into a record that was begun without it, or that may have been restored from an older one.
local function remember(b, incarnation, known)
  if not b.epoch then
    b.epoch, b.current, b.previous, b.dirty = us, known, known, known > 0
  elseif incarnation == 0 then
    if known > b.current then b.previous, b.current, b.dirty = b.previous + known - b.current, known, true end
  elseif incarnation == -b.epoch then
    b.epoch, b.previous = us, math.max(known, b.current)
    b.current, b.dirty = b.previous, true
  elseif math.abs(incarnation) ~= b.epoch and known > b.previous then
    b.current, b.previous, b.dirty = b.current + known - b.previous, known, true
  end
end

local function roll(b)
  local epoch = math.floor(now / b.ms)
  if b.epoch and epoch > b.epoch then
    b.previous = epoch == b.epoch + 1 and b.current or 0
    b.current = 0
  end
  b.epoch = epoch -- a clock that was set back goes on with what is counted
end

local function open(key, text)
  local b = { key = key, kind = args[at + 1], ms = args[at + 2], current = 0, previous = 0, term = term, held = 0, before = 0 }
  if text then
    local epoch, current, previous, held_in, held, before = string.match(text, '^(%d+) (%d+) (%d+) (%d+) (%d+) (%d+)$')
    b.epoch, b.current, b.previous = tonumber(epoch), tonumber(current), tonumber(previous)
    b.held, b.before, held_in = tonumber(held), tonumber(before), tonumber(held_in)
    if term > held_in then b.held, b.before = 0, term == held_in + 1 and b.held or 0 end
  end
  if b.kind == 'c' then remember(b, args[at + 3], args[at + 4]) else roll(b) end
  at = at + 4
  return b
end

local function save(b)
  local life = b.kind == 'c' and math.max(b.ms - now, 0) + ${KEEP_MS} or 2 * math.max(b.ms, ${TERM_MS})
  redis.call('SET', b.key, string.format('%d %d %d %d %d %d', b.epoch, b.current, b.previous, b.term, b.held, b.before), 'PX', string.format('%d', life))
end

local function stand(reply, b)
  local n = #reply
  reply[n + 1], reply[n + 2], reply[n + 3], reply[n + 4] = b.epoch, b.current, b.previous, b.held + b.before
end

local function fits(b, units, limit)
  if limit < 0 then return true end
  local room = limit - b.current - b.held - b.before - units
  if b.kind == 's' then return b.previous * ((b.epoch + 1) * b.ms - now) <= room * b.ms end
  return room >= 0
end
`

/**
 * Draws for frames, one after the other. Arguments: now, then for each key its budget (redis-budgets.ts), then how many
 * frames, and of each whether its calls stand or fall together, how many calls, and of each how many draws, and of each
 * the key's position, the units (-1: no amount) and the limit (-1: none). Answers with now, and of each frame the
 * position of the first draw that had no room for each call, or -1, and how each draw's budget stands then: epoch, current, previous,
 * and what is held.
 */
const DRAW = `${PRELUDE}
local budgets = {}
local texts = redis.call('MGET', unpack(KEYS))
for i, key in ipairs(KEYS) do budgets[i] = open(key, texts[i]) end
local reply = { now }
for _ = 1, arg() do
  local together, calls = arg() == 1, arg()
  local drawn, taken, from = {}, {}, 1
  local ended = false
  for _ = 1, calls do
    local blocked = -1
    if not together then from = #taken + 1 end
    for i = 1, arg() do
      local b, units, limit = budgets[arg()], arg(), arg()
      drawn[#drawn + 1] = b
      if not ended and blocked < 0 then
        if units < 0 or (units > 0 and not fits(b, units, limit)) then blocked = i - 1 else
          b.current = b.current + units
          b.dirty = b.dirty or units > 0
          taken[#taken + 1] = { b, units }
        end
      end
    end
    if blocked >= 0 then
      for i = #taken, from, -1 do
        taken[i][1].current = taken[i][1].current - taken[i][2]
        taken[i] = nil
      end
      ended = together
    end
    reply[#reply + 1] = blocked
  end
  for _, b in ipairs(drawn) do stand(reply, b) end
end
for _, b in ipairs(budgets) do if b.dirty then save(b) end end
return say(reply)
`

/**
 * Grants slices. Arguments: now, and for each key its budget, the limit (-1: none), what is needed and what is wanted
 * ahead. Answers with now and the term, and for each key what was granted, and how it stands.
 */
const TAKE = `${PRELUDE}
local reply = { now, term }
local texts = redis.call('MGET', unpack(KEYS))
for i, key in ipairs(KEYS) do
  local b = open(key, texts[i])
  local limit, need, ahead = arg(), arg(), arg()
  local room = need + ahead * ${AHEAD_PART}
  if limit >= 0 then
    local counted = b.current
    if b.kind == 's' then counted = counted + b.previous * ((b.epoch + 1) * b.ms - now) / b.ms end
    room = math.max(0, math.min(room, math.floor(limit - b.held - b.before - counted)))
    while room > 0 and not fits(b, room, limit) do room = room - 1 end
  end
  local granted = math.min(need, room)
  granted = granted + math.min(ahead, math.floor((room - granted) / ${AHEAD_PART}))
  b.held = b.held + granted
  if granted > 0 or b.dirty then save(b) end
  reply[#reply + 1] = granted
  stand(reply, b)
end
return say(reply)
`

/**
 * Takes in what was spent and is no longer held. KEYS[1] holds the number of the last settlement of this process; one that
 * was seen changes nothing. Arguments: now, the number, and for each further key its budget, how many windows were spent in
 * and for each the window and the units, and the same for terms and what they no longer hold. Answers with now, and how
 * each of those keys stands.
 */
const SETTLE = `${PRELUDE}
local id = arg()
local texts = redis.call('MGET', unpack(KEYS))
local new = id > tonumber(texts[1] or 0)
if new then redis.call('SET', KEYS[1], string.format('%d', id), 'PX', ${RECEIPT_MS}) end
local reply = { now }
for i = 2, #KEYS do
  local b = open(KEYS[i], texts[i])
  for _ = 1, arg() do
    local epoch, units = arg(), arg()
    if new then
      if b.kind == 'c' or epoch >= b.epoch then b.current = math.max(0, b.current + units)
      elseif epoch == b.epoch - 1 then b.previous = math.max(0, b.previous + units) end
    end
  end
  for _ = 1, arg() do
    local of, units = arg(), arg()
    if new then
      if of == b.term then b.held = math.max(0, b.held - units)
      elseif of == b.term - 1 then b.before = math.max(0, b.before - units) end
    end
  end
  if new or b.dirty then save(b) end
  stand(reply, b)
end
return say(reply)
`

/**
 * Holds places. Arguments: now, the process, how long what it says is good, and for each key how many are filled, how many it
 * wants, and how many there are. Answers with now, and for each key how many it holds, and how many all others do.
 */
const HOLD = `${PRELUDE}
local process, life = args[2], args[3]
at = 3
local reply = { now }
for _, key in ipairs(KEYS) do
  local filled, want, max = arg(), arg(), arg()
  local parts, others = redis.call('HGETALL', key), 0
  for i = 1, #parts, 2 do
    if parts[i] ~= process then
      local held, said = string.match(parts[i + 1], '^(%d+) (%d+)$')
      if tonumber(said) + life < now then redis.call('HDEL', key, parts[i]) else others = others + tonumber(held) end
    end
  end
  local own = math.max(filled, math.min(want, max - others))
  if own > 0 then
    redis.call('HSET', key, process, string.format('%d %d', own, now))
    redis.call('PEXPIRE', key, 2 * life)
  else redis.call('HDEL', key, process) end
  reply[#reply + 1], reply[#reply + 2] = own, others
end
return say(reply)
`

/** Says that a process is there, for so many milliseconds. Arguments: now, its name, how long. Answers with now, and how many are there. */
const BEAT = `${PRELUDE}
local life = args[3]
redis.call('ZADD', KEYS[1], now, args[2])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - life)
redis.call('PEXPIRE', KEYS[1], 2 * life)
return say({ now, redis.call('ZCARD', KEYS[1]) })
`

export const scripts = { draw: DRAW, take: TAKE, settle: SETTLE, beat: BEAT, hold: HOLD } as const

export type ScriptName = keyof typeof scripts
