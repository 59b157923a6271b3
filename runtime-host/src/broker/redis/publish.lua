-- Publishes a batch in one room: offsets, history, idempotency, retention, fan-out.
-- KEYS: meta, log, sent, channel, then one for each idempotency key.
-- ARGV: epoch to begin with, number of the batch, count, bytes, age, expiry of meta, the
-- epoch and offset that the host heard last, window of keys, then for each publication its
-- record and the index of its key, 0 for none, -1 for what the log does not keep. Times in
-- milliseconds. A message to hosts has publications that follow each other, or one that is
-- not kept under the offset 0.
local meta, log, sent = KEYS[1], KEYS[2], KEYS[3]
local function text(number) return string.format('%.0f', number) end
-- GETRANGE and not GET, which stands for reads of the state in Redis' statistics.
local number, answer = string.match(redis.call('GETRANGE', sent, 0, -1), '^(%d+) (.*)$')
if number == ARGV[2] then return answer end
local state = redis.call('HMGET', meta, 'epoch', 'top', 'time', 'total')
local epoch, top = state[1], tonumber(state[2] or '0')
local last, total = tonumber(state[3] or '0'), tonumber(state[4] or '0')
local begun = 0
if not epoch or (ARGV[7] == epoch and tonumber(ARGV[8]) > top) then
  epoch, top, total, begun = ARGV[1], 0, 0, 1
  redis.call('DEL', log)
end
local clock = redis.call('TIME')
local now = tonumber(clock[1]) * 1000 + math.floor(tonumber(clock[2]) / 1000)
local time = math.max(now, last)
local first, fresh, kept, offsets, messages = top + 1, {}, 0, {}, {}
local function say(offset, records)
  local head = table.concat({epoch, text(offset), text(#records), text(time)}, ' ')
  messages[#messages + 1] = head .. '\n' .. table.concat(records)
end
local function flush()
  if #fresh > 0 then say(first, fresh) end
  first, fresh = top + 1, {}
end
for index = 10, #ARGV, 2 do
  local record, key = ARGV[index], KEYS[4 + tonumber(ARGV[index + 1])]
  local keyed = tonumber(ARGV[index + 1]) > 0
  local known = keyed and redis.call('GETRANGE', key, 0, -1)
  local of, offset
  if known then of, offset = string.match(known, '^(%x+) (%d+)$') end
  if ARGV[index + 1] == '-1' then
    flush()
    say(0, {record})
    offsets[#offsets + 1] = '0'
  elseif of == epoch then
    offsets[#offsets + 1] = offset
  else
    top, total, kept = top + 1, total + #record + 96, kept + 1
    redis.call('XADD', log, text(top) .. '-0', 't', text(time), 's', text(total), 'r', record)
    fresh[#fresh + 1], offsets[#offsets + 1] = record, text(top)
    if keyed then redis.call('SET', key, epoch .. ' ' .. text(top), 'PX', ARGV[9]) end
  end
end
redis.call('HSET', meta, 'epoch', epoch, 'top', text(top), 'time', text(time), 'total', text(total))
redis.call('PEXPIRE', meta, ARGV[6])
flush()
if kept > 0 then
  redis.call('XTRIM', log, 'MINID', text(math.max(0, top - tonumber(ARGV[3])) + 1))
  for _ = 1, kept + 16 do
    local oldest = redis.call('XRANGE', log, '-', '+', 'COUNT', 1)[1]
    if not oldest then break end
    local fields = oldest[2]
    if tonumber(fields[2]) + tonumber(ARGV[5]) > now and total - tonumber(fields[4]) < tonumber(ARGV[4]) then break end
    redis.call('XDEL', log, oldest[1])
  end
  redis.call('PEXPIRE', log, ARGV[5])
end
for _, message in ipairs(messages) do redis.call('SPUBLISH', KEYS[4], message) end
local answer = table.concat({epoch, text(time), begun, table.concat(offsets, ' ')}, ' ')
redis.call('SET', sent, ARGV[2] .. ' ' .. answer, 'PX', 60000)
return answer
