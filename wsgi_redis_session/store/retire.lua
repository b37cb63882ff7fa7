-- Put a tombstone in the place of a session that goes on under a new session id, if it
-- is still what was seen.
--
-- KEYS[1] the key of the old session id
-- ARGV[1] the tombstone, which names the successor
-- ARGV[2] its TTL in milliseconds
-- ARGV[3] the revision that was seen; '' where it does not matter
-- ARGV[4] the binding of the old session id
-- ARGV[5] 1 if the tombstone is to keep the session as it was
--
-- Returns the successor's digest, so that no other reply is taken for this one, and
--   S        done                        C value  others have saved; what is stored
--   T value  it moved or ended before: its tombstone           G  it is gone
--   X        what is stored is no session of this session id
local key, tombstone = KEYS[1], ARGV[1]
local successor = string.sub(tombstone, 3, 26)
local stored = redis.call('GET', key)
if not stored then return successor .. 'G' end
if string.byte(stored) == 0 then
  if string.sub(stored, 3, 26) == successor then
    -- A write, because WAIT takes what writes nothing for replicated.
    local left = redis.call('PTTL', key)
    if left > 0 then redis.call('PEXPIRE', key, left) end
    return successor .. 'S'
  end
  return successor .. 'T' .. stored
end
if string.byte(stored) ~= 1 or string.sub(stored, 35, 42) ~= ARGV[4] then
  return successor .. 'X'
end
if ARGV[3] ~= '' and string.sub(stored, 3, 10) ~= ARGV[3] then
  return successor .. 'C' .. stored
end
if ARGV[5] == '1' then tombstone = tombstone .. stored end
redis.call('SET', key, tombstone, 'PX', ARGV[2])
return successor .. 'S'
