-- The users of a host, as of its word of this number.
return {redis.call('GET', KEYS[1]) or '', redis.call('HGETALL', KEYS[2])}
