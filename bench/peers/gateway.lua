-- What the gateway's chain does, by hand: key, JSON, whitelist, price, two budgets, counters. Batches are judged as a whole.
local cjson = require("cjson.safe")
local ngx = ngx
local now, say, exit = ngx.now, ngx.say, ngx.exit
local decode, encode = cjson.decode, cjson.encode
local read_body, body_data = ngx.req.read_body, ngx.req.get_body_data
local floor = math.floor

local _M = {}
local policy
local budgets = ngx.shared.budgets
local counters = ngx.shared.counters
-- By network and method; added to the shared dictionary once a second.
local requests, charged = {}, {}

function _M.load(path)
  local file = assert(io.open(path))
  policy = assert(decode(file:read("*a")))
  file:close()
  for _, consumer in pairs(policy.consumers) do
    consumer.seconds = "s:" .. consumer.name .. ":"
    consumer.month = "m:" .. consumer.name
  end
  return _M
end

local function refuse(status, code, message, id)
  ngx.status = status
  ngx.header.content_type = "application/json"
  say(encode({ jsonrpc = "2.0", id = id or cjson.null, error = { code = code, message = message } }))
  return exit(status)
end

-- The price of a call, or nil where it is not offered.
local function price_of(offered, call)
  local method = type(call) == "table" and call.method
  if type(method) ~= "string" or not offered[method] then return nil end
  return policy.prices[method] or policy.default
end

function _M.access()
  local var = ngx.var
  local key = var.http_apikey
  if not key then return refuse(401, -32002, "Missing API key found in request") end
  local consumer = policy.consumers[key]
  if not consumer then return refuse(401, -32002, "Invalid API key in request") end
  local path = var.uri
  local offered = policy.networks[path]
  if not offered then return refuse(404, -32600, "No such network") end
  offered = offered[consumer.tier]

  read_body()
  local body = body_data()
  local frame = body and decode(body)
  if type(frame) ~= "table" then return refuse(200, -32700, "Parse error") end

  local cost, method
  if frame.method then
    method = frame.method
    cost = price_of(offered, frame)
    if not cost then return refuse(405, -32601, "Method not allowed", frame.id) end
  else
    local count = #frame
    if count == 0 or count > 100 then return refuse(200, -32600, "Invalid Request") end
    cost, method = 0, "batch"
    for i = 1, count do
      local price = price_of(offered, frame[i])
      if not price then return refuse(405, -32601, "Method not allowed", frame[i].id) end
      cost = cost + price
    end
  end

  local second = consumer.seconds .. floor(now())
  local used = budgets:incr(second, cost, 0, 2)
  if used and used > consumer.seconds_quota then
    budgets:incr(second, -cost)
    return refuse(429, -32005, "Rate limit exceeded", frame.id)
  end
  used = budgets:incr(consumer.month, cost, 0)
  if used and used > consumer.monthly_quota then
    budgets:incr(consumer.month, -cost)
    budgets:incr(second, -cost)
    return refuse(429, -32005, "Monthly quota exceeded", frame.id)
  end

  local counts, cu = requests[path], charged[path]
  if not counts then
    counts, cu = {}, {}
    requests[path], charged[path] = counts, cu
  end
  counts[method] = (counts[method] or 0) + 1
  cu[method] = (cu[method] or 0) + cost
end

local function flush(counts, name)
  for network, methods in pairs(counts) do
    for method, count in pairs(methods) do
      counters:incr(name .. '{network="' .. network .. '",method="' .. method .. '"}', count, 0)
      methods[method] = nil
    end
  end
end

function _M.start()
  ngx.timer.every(1, function()
    flush(requests, "requests_total")
    flush(charged, "cu_total")
  end)
end

function _M.metrics()
  for _, name in ipairs(counters:get_keys(0)) do say(name, " ", counters:get(name)) end
end

return _M
