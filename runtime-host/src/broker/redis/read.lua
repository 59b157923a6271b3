-- Reads a room's log, which begins here where it is missing.
-- KEYS: meta, log.
-- ARGV: epoch to begin with, age, expiry of meta, the epoch and offset that the host heard
-- last, the epoch of the position to read from (or nothing) and its offset, the most
-- publications, 1 from the newest to the oldest. Times in milliseconds.
-- Gives: epoch, top, the last offset that is gone, whether it began here, and the entries.
local meta, log = KEYS[1], KEYS[2]
local function text(number) return string.format('%.0f', number) end
local state = redis.call('HMGET', meta, 'epoch', 'top')
local epoch, top = state[1], tonumber(state[2] or '0')
local begun = 0
if not epoch or (ARGV[4] == epoch and tonumber(ARGV[5]) > top) then
  epoch, top, begun = ARGV[1], 0, 1
  redis.call('DEL', log)
  redis.call('HSET', meta, 'epoch', epoch, 'top', '0', 'total', '0')
end
redis.call('PEXPIRE', meta, ARGV[3])
local clock = redis.call('TIME')
local now = tonumber(clock[1]) * 1000 + math.floor(tonumber(clock[2]) / 1000)
local gone = top
for _ = 1, 10000 do
  local oldest = redis.call('XRANGE', log, '-', '+', 'COUNT', 1)[1]
  if not oldest then break end
  gone = tonumber(string.match(oldest[1], '^%d+')) - 1
  if tonumber(oldest[2][2]) + tonumber(ARGV[2]) > now then break end
  redis.call('XDEL', log, oldest[1])
  gone = top
end
local entries = {}
if tonumber(ARGV[8]) > 0 then
  local since = tonumber(ARGV[7])
  local other = ARGV[6] ~= '' and ARGV[6] ~= epoch
  if ARGV[9] == '1' then
    local from = '+'
    if ARGV[6] ~= '' and since <= top then from = '(' .. text(since) .. '-0' end
    if not other and from ~= '(0-0' then
      entries = redis.call('XREVRANGE', log, from, '-', 'COUNT', ARGV[8])
    end
  else
    if other then since = 0 end
    entries = redis.call('XRANGE', log, text(since + 1) .. '-0', '+', 'COUNT', ARGV[8])
  end
end
return {epoch, text(top), text(gone), begun, entries}
