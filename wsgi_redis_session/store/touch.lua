-- Load a session and prolong it. What moved or ended, or is empty, is not prolonged.
--
-- KEYS[1] its key
-- ARGV[1] the TTL of a session that ends with the browser, in milliseconds
-- ARGV[2] that of a permanent one
-- ARGV[3] how long after it began a session has ended in any case, counted from now,
--         in milliseconds
--
-- Returns what GET returns.
local value = redis.call('GET', KEYS[1])
local flags = value and string.byte(value, 2) or 0
-- What is sealed has its data key before its values.
local empty = flags % 4 < 2 and 59 or 107
if value and string.byte(value) == 1 and #value > empty then
  local ttl = tonumber(ARGV[1 + flags % 2])
  local left = struct.unpack('>I8', value, 43) + tonumber(ARGV[3])
  if left > 0 then
    redis.call('PEXPIRE', KEYS[1], math.min(ttl, left))
  end
end
return value
