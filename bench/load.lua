-- For wrk: sends the templates of a file in turn, as bench/load_requests.py wrote them, and counts what did not succeed.
--   wrk -t1 -s load.lua URL -- FILE FIRST     FIRST is the first serial number; a moment is that many seconds after 2016

local OK = '"status_code": ?1000'
local templates, serial = {}, 0
wrong = 0

function setup(thread)
  sender = thread
end

local function cut(text)
  -- The parts of a template between its placeholders, and what stands between them.
  local parts, from = {}, 1
  while true do
    local moment, number = text:find(("@"):rep(20), from, true), text:find(("#"):rep(9), from, true)
    if moment and (not number or moment < number) then
      parts[#parts + 1] = text:sub(from, moment - 1)
      parts[#parts + 1] = true
      from = moment + 20
    elseif number then
      parts[#parts + 1] = text:sub(from, number - 1)
      parts[#parts + 1] = false
      from = number + 9
    else
      parts[#parts + 1] = text:sub(from)
      return parts
    end
  end
end

function init(arguments)
  serial = tonumber(arguments[2])
  local file = assert(io.open(arguments[1], "rb"))
  for length in function() return file:read("*l") end do
    templates[#templates + 1] = cut(file:read(tonumber(length)))
  end
  file:close()
end

function request()
  local parts, filled = templates[serial % #templates + 1], {}
  local moment, number = os.date("!%Y-%m-%dT%H:%M:%SZ", 1451606400 + serial), string.format("%09d", serial)
  for at, part in ipairs(parts) do
    filled[at] = part == true and moment or part == false and number or part
  end
  serial = serial + 1
  return table.concat(filled)
end

function response(status, _, body)
  if status >= 300 or not body:find(OK) then
    wrong = wrong + 1
    if wrong == 1 then
      print("WRONG " .. status .. " " .. body:sub(1, 300))
    end
  end
end

function done(summary, latency)
  local failed = summary.errors
  print(string.format(
    'RESULT {"requests": %d, "seconds": %.4f, "p50": %.3f, "p99": %.3f, "errors": %d}',
    summary.requests, summary.duration / 1e6, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
    failed.connect + failed.read + failed.write + failed.timeout + sender:get("wrong")
  ))
end
