-- What the index knows of a user; where all sessions are to end, mark that first.
--
-- KEYS[1] the user's key
-- ARGV[1] the digest of the user
-- ARGV[2] 1 to mark that all sessions end whose requests have begun by now
-- ARGV[3] the device of which they are kept, '' for none
-- ARGV[4] how long the mark counts, in milliseconds
--
-- Returns ARGV[1], so that no other reply is taken for this one, then L, the time in
-- microseconds, and for each session its digest and what is known of it, after its
-- length.
local key = KEYS[1]
local mark = redis.pcall('HGET', key, 'mark')
if type(mark) == 'table' then
  -- What is no hash is no index.
  redis.call('DEL', key)
  mark = nil
end
local time = redis.call('TIME')
local now = struct.pack('>I8', time[1] * 1000000 + time[2])
if ARGV[2] == '1' then
  -- What is kept now is not kept from what was revoked before.
  local before = struct.pack('>I8', 0)
  if mark and #mark >= 16 then
    local was_kept = ARGV[3] ~= '' and string.sub(mark, 17) == ARGV[3]
    before = was_kept and string.sub(mark, 9, 16) or string.sub(mark, 1, 8)
  end
  redis.call('HSET', key, 'mark', now .. before .. ARGV[3])
  redis.call('PEXPIRE', key, math.max(redis.call('PTTL', key), tonumber(ARGV[4])))
end
local found, fields = {ARGV[1], 'L', now}, redis.call('HGETALL', key)
for i = 1, #fields, 2 do
  if #fields[i] == 24 and #fields[i + 1] >= 57 then
    table.insert(found, fields[i])
    table.insert(found, struct.pack('>I4', #fields[i + 1]))
    table.insert(found, fields[i + 1])
  end
end
return table.concat(found)
