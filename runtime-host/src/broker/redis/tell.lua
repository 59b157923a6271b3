-- Says who came online and went offline at a host, or that it is there still.
-- KEYS: the host's users, the number of its last word.
-- ARGV: 1 to begin with nobody, the number before (or nothing), the number now, expiry in
-- milliseconds, the channel of all hosts, the message, then for each user that comes the
-- user and the rooms, and for each that goes the user and nothing.
-- Gives 0 where Redis does not know the host any more, which then says everything anew.
local users, number = KEYS[1], KEYS[2]
if ARGV[1] == '1' then
  redis.call('DEL', users)
elseif redis.call('GETRANGE', number, 0, -1) ~= ARGV[2] then
  return 0
end
for index = 7, #ARGV, 2 do
  if ARGV[index + 1] == '' then
    redis.call('HDEL', users, ARGV[index])
  else
    redis.call('HSET', users, ARGV[index], ARGV[index + 1])
  end
end
redis.call('SET', number, ARGV[3], 'PX', ARGV[4])
redis.call('PEXPIRE', users, ARGV[4])
if ARGV[6] ~= '' then redis.call('PUBLISH', ARGV[5], ARGV[6]) end
return 1
