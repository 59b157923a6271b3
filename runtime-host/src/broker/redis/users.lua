-- The users of a host, as of its word of this number.
return {redis.call('GETRANGE', KEYS[1], 0, -1), redis.call('HGETALL', KEYS[2])}
