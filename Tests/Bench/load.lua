-- The load that wrk puts on one contestant. wrk runs this file once per thread and once for itself; what to do comes
-- from the environment, because wrk sets threads up before it hands a script its arguments.
--
--   BENCH_KIND   kv or etcd            BENCH_PORTS  ports of the servers, "8001,8002"; threads take them in turn
--   BENCH_WHAT   put or get            BENCH_KEYS   keys are drawn from this many
--   BENCH_CHECK  set: every answer is looked at, which costs the generator time, so not while measuring

local kind, what = os.getenv("BENCH_KIND"), os.getenv("BENCH_WHAT")
local keys, checking = tonumber(os.getenv("BENCH_KEYS")), os.getenv("BENCH_CHECK")
local threads = {}

-- In the main state, once per thread: threads go to different servers.
function setup(thread)
  local ports = {}
  for port in os.getenv("BENCH_PORTS"):gmatch("%d+") do ports[#ports + 1] = port end
  local addresses = wrk.lookup("127.0.0.1", ports[#threads % #ports + 1])
  thread.addr = addresses[1]
  threads[#threads + 1] = thread
  thread:set("number", #threads)
end

local alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

local function base64(text)
  local out = {}
  for at = 1, #text, 3 do
    local a, b, c = text:byte(at, at + 2)
    local bits = a * 65536 + (b or 0) * 256 + (c or 0)
    for place = 3, 0, -1 do
      local digit = math.floor(bits / 64 ^ place) % 64 + 1
      out[#out + 1] = alphabet:sub(digit, digit)
    end
    if not c then out[#out] = "=" end
    if not b then out[#out - 1] = "=" end
  end
  return table.concat(out)
end

-- 100 bytes of letters and digits, another at each call.
local function value()
  local out = {}
  for place = 1, 100 do
    local at = math.random(62)
    out[place] = alphabet:sub(at, at)
  end
  return table.concat(out)
end

-- The bytes of a request are put together from parts made beforehand. A key is "bench-" and six digits: each three
-- digits are four characters of base64.
local head, digits, middle, tails = "", {}, "", {}

function init()
  math.randomseed(os.time() * 64 + number)
  local host = "Host: 127.0.0.1\r\n"
  local post = " HTTP/1.1\r\n" .. host .. "Content-Type: application/json\r\nContent-Length: %d\r\n\r\n"
  for n = 0, 999 do digits[n] = string.format("%03d", n) end
  if kind == "kv" then
    head = (what == "put" and "PUT" or "GET") .. " /kv/bench-"
    for n = 1, 64 do
      local body = '{"value":"' .. value() .. '"}'
      tails[n] = what == "put" and post:format(#body) .. body or " HTTP/1.1\r\n" .. host .. "\r\n"
    end
  else
    for n = 0, 999 do digits[n] = base64(digits[n]) end
    local path = what == "put" and "POST /v3/kv/put" or "POST /v3/kv/range"
    local start = '{"key":"' .. base64("bench-")
    for n = 1, 64 do tails[n] = what == "put" and '","value":"' .. base64(value()) .. '"}' or '"}' end
    head = path .. post:format(#start + 8 + #tails[1]) .. start
  end
end

sent, wrong = 0, 0
local random, floor = math.random, math.floor

function request()
  sent = sent + 1
  local key = random(0, keys - 1)
  return head .. digits[floor(key / 1000)] .. digits[key % 1000] .. tails[random(64)]
end

if checking then
  local proof = what == "get" and '"value":"' or (kind == "kv" and '"acks":' or '"revision":')
  function response(status, _, body)
    if status ~= 200 or not body:find(proof, 1, true) then wrong = wrong + 1 end
  end
end

function done(summary, latency)
  local perThread, bad = {}, 0
  for n, thread in ipairs(threads) do
    perThread[n] = thread:get("sent")
    bad = bad + thread:get("wrong")
  end
  local errors = summary.errors
  local refused = errors.connect + errors.read + errors.write + errors.timeout
  io.write(string.format(
    'BENCH {"requests":%d,"micros":%d,"not_2xx":%d,"failed":%d,"wrong":%d,"p50":%d,"p90":%d,"p99":%d,"max":%d,'
      .. '"sent":[%s]}\n',
    summary.requests, summary.duration, errors.status, refused, bad, latency:percentile(50),
    latency:percentile(90), latency:percentile(99), latency.max, table.concat(perThread, ",")))
end
